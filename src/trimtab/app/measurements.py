"""A model's replies, scores and profile on one split, as a folder that work can go on from."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from trimtab.app.progress import Progress
from trimtab.app.project import Project
from trimtab.probes.loss import bootstrap_loss
from trimtab.probes.measure import Answered, ask, judge
from trimtab.probes.profile import build_profile
from trimtab.records.conversation import with_system
from trimtab.records.errors import ModelError
from trimtab.records.probe import Probe, Split
from trimtab.records.profile import Loss, Profile
from trimtab.records.protocols import Model
from trimtab.records.reply import Reply, Score
from trimtab.store import Journal, read_json, read_jsonl, write_json, write_jsonl


@dataclass(frozen=True, slots=True)
class Measurement:
    """What one model said to one split, and what came of it."""

    profile: Profile
    replies: Mapping[str, Reply]
    scores: tuple[Score, ...]


def is_measured(folder: Path) -> bool:
    """Whether the folder holds a whole measurement."""
    return (folder / "profile.json").is_file()


def read_measurement(folder: Path) -> Measurement:
    """What `measure_model` wrote."""
    replies = read_jsonl(folder / "responses.jsonl", Answered)
    return Measurement(
        profile=read_json(folder / "profile.json", Profile),
        replies={row.probe: row.reply for row in replies},
        scores=tuple(read_jsonl(folder / "scores.jsonl", Score)),
    )


def measure_model(
    project: Project,
    model: Model,
    split: Split,
    folder: Path,
    progress: Progress,
    *,
    baseline: Sequence[Score] | None,
    with_loss: bool = False,
    label: str = "",
) -> Measurement:
    """Put one split to a model and write what came of it; go on where an earlier call stopped.

    `baseline` are the scores that retain clauses compare with; None: the model is its own.
    """
    if is_measured(folder):
        return read_measurement(folder)
    folder.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    probes = [probe for probe in project.suite.probes if probe.split == split]
    replies = ask_all(project, model, probes, folder / "asking.jsonl", progress, label or split)
    scores = tuple(
        judge(probe, replies[probe.id], project.checks[probe.clause]) for probe in probes
    )
    held_out = loss_of(project, model) if with_loss else None
    profile = build_profile(
        model.name,
        model.fingerprint,
        project.suite,
        split,
        scores,
        scores if baseline is None else baseline,
        seconds=time.monotonic() - began,
        prompt_tokens=sum(reply.prompt_tokens for reply in replies.values()),
        reply_tokens=sum(reply.reply_tokens for reply in replies.values()),
        held_out=held_out,
    )
    write_jsonl(
        folder / "responses.jsonl", [Answered(probe.id, replies[probe.id]) for probe in probes]
    )
    write_jsonl(folder / "scores.jsonl", scores)
    write_json(folder / "profile.json", profile)
    (folder / "asking.jsonl").unlink(missing_ok=True)
    return Measurement(profile, replies, scores)


def ask_all(
    project: Project,
    model: Model,
    probes: Sequence[Probe],
    journal: Path,
    progress: Progress,
    label: str,
) -> dict[str, Reply]:
    """A reply for each probe, by its id, with a bar."""
    with progress.stage(f"measuring {label}", len(probes), "probes") as stage:
        return ask(
            model,
            probes,
            system=project.charter.system,
            generation=project.charter.generation,
            journal=Journal(journal, Answered),
            on_reply=lambda *_: stage.advance(1),
        )


def baseline_scores(
    project: Project, model: Model, split: Split, folder: Path, progress: Progress
) -> tuple[Score, ...]:
    """The baseline's scores on the retain clauses alone; none where the charter has none."""
    retain = {clause.id for clause in project.charter.clauses if clause.kind == "retain"}
    probes = [p for p in project.suite.probes if p.split == split and p.clause in retain]
    if not probes:
        return ()
    scores_path = folder / "scores.jsonl"
    if scores_path.is_file():
        return tuple(read_jsonl(scores_path, Score))
    folder.mkdir(parents=True, exist_ok=True)
    label = f"the baseline ({split})"
    replies = ask_all(project, model, probes, folder / "asking.jsonl", progress, label)
    scores = [judge(probe, replies[probe.id], project.checks[probe.clause]) for probe in probes]
    write_jsonl(scores_path, scores)
    return tuple(scores)


def loss_of(project: Project, model: Model) -> Loss | None:
    """The held-out loss, or None where nothing is held out or the model cannot tell."""
    if not project.held_out:
        return None
    with suppress(ModelError):
        return bootstrap_loss(held_out_log_probabilities(project, model))
    return None


def held_out_log_probabilities(project: Project, model: Model) -> list[list[float]]:
    """Of each held-out conversation's assistant tokens."""
    system = project.charter.system
    return model.log_probabilities(
        [with_system(example.messages, system) for example in project.held_out]
    )
