"""A model's replies, scores and profile on one split, as a folder that work can go on from."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from trimtab.app.progress import Progress
from trimtab.app.project import Project
from trimtab.models.load import load_model
from trimtab.probes.loss import bootstrap_loss
from trimtab.probes.measure import Answered, ask, judge
from trimtab.probes.profile import build_profile
from trimtab.records.charter import ModelSpec
from trimtab.records.conversation import content_hash, with_system
from trimtab.records.errors import ModelError
from trimtab.records.probe import Probe, Split
from trimtab.records.profile import Loss, Profile
from trimtab.records.protocols import Model
from trimtab.records.reply import Reply, Score
from trimtab.store import Journal, Run, read_json, read_jsonl, write_json, write_jsonl


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
    name: str | None = None,
    tick: Callable[[], None] = lambda: None,
) -> Measurement:
    """Put one split to a model and write what came of it; go on where an earlier call stopped.

    `baseline` are the scores that retain clauses compare with; None: the model is its own. `name`
    is what the profile calls the model, where that is not its own. `tick` is called as replies
    come.
    """
    if is_measured(folder):
        return read_measurement(folder)
    folder.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    probes = [probe for probe in project.suite.probes if probe.split == split]
    name = name or model.name
    label = f"{name} ({split})"
    replies = ask_all(project, model, probes, folder / "asking.jsonl", progress, label, tick)
    scores = tuple(
        judge(probe, replies[probe.id], project.checks[probe.clause]) for probe in probes
    )
    held_out = loss_of(project, model, folder, progress, label, tick) if with_loss else None
    asked = {content_hash(probe.request.messages): replies[probe.id] for probe in probes}
    profile = build_profile(
        name,
        model.fingerprint,
        project.suite,
        split,
        scores,
        scores if baseline is None else baseline,
        seconds=time.monotonic() - began,
        prompt_tokens=sum(reply.prompt_tokens for reply in asked.values()),
        reply_tokens=sum(reply.reply_tokens for reply in asked.values()),
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
    tick: Callable[[], None],
) -> dict[str, Reply]:
    """A reply for each probe, by its id, with a bar."""
    with progress.stage(f"measuring {label}", len(probes), "probes") as stage:

        def on_reply(*_: object) -> None:
            stage.advance(1)
            tick()

        return ask(
            model,
            probes,
            system=project.charter.system,
            generation=project.charter.generation,
            journal=Journal(journal, Answered),
            on_reply=on_reply,
        )


def baseline_of(
    project: Project, run: Run, split: Split, spec: ModelSpec | None, progress: Progress
) -> tuple[Score, ...] | None:
    """Scores of the model `spec` for the retain clauses to compare with; None where it is None."""
    retain = {clause.id for clause in project.charter.clauses if clause.kind == "retain"}
    if spec is None or not retain:
        return None
    folder = run.folder / "baseline" / split
    scores_path = folder / "scores.jsonl"
    if scores_path.is_file():
        return tuple(read_jsonl(scores_path, Score))
    folder.mkdir(parents=True, exist_ok=True)
    probes = [p for p in project.suite.probes if p.split == split and p.clause in retain]
    label = f"the baseline ({split})"
    with run.timed("measuring") as tick:
        model = load_model(spec)
        replies = ask_all(project, model, probes, folder / "asking.jsonl", progress, label, tick)
    scores = [judge(probe, replies[probe.id], project.checks[probe.clause]) for probe in probes]
    write_jsonl(scores_path, scores)
    return tuple(scores)


def loss_of(
    project: Project,
    model: Model,
    folder: Path,
    progress: Progress,
    label: str,
    tick: Callable[[], None],
) -> Loss | None:
    """The held-out loss, or None where nothing is held out or the model cannot tell.

    The log-probabilities behind it are in the folder's `held_out.jsonl`.
    """
    if not project.held_out:
        return None
    rows: list[list[float]] = []
    try:
        with progress.stage(f"loss of {label}", len(project.held_out), "conversations") as stage:
            for example in project.held_out:
                asked = with_system(example.messages, project.charter.system)
                rows += model.log_probabilities([asked])
                stage.advance(1)
                tick()
    except ModelError as error:
        progress.say(f"no held-out loss: {error.what}")
        return None
    write_jsonl(folder / "held_out.jsonl", rows)
    return bootstrap_loss(rows)
