"""A run's folder as the story that a report tells."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from trimtab.app.looks import count_looks
from trimtab.app.measurements import Measurement, is_measured, read_measurement
from trimtab.app.outcomes import Outcome, read_plan
from trimtab.probes.compare import compare
from trimtab.probes.profile import undecidable
from trimtab.probes.suite import checks_of
from trimtab.records.charter import Charter, ModelSpec
from trimtab.records.comparison import Comparison
from trimtab.records.errors import RunError
from trimtab.records.probe import SPLITS, CheckSpec, Split, Suite
from trimtab.records.profile import Profile
from trimtab.records.story import Asked, Candidate, Cost, Judged, SideBySide, Story
from trimtab.store import Manifest, RunRecord, machine, read_json, read_run, versions


class Settings(BaseModel):
    """What a measure or steer run was told, of which a report can make use."""

    model_config = ConfigDict(frozen=True)

    charter: Charter
    charter_file: str = "charter.yaml"
    model: ModelSpec | None = None
    split: Split = "select"
    limit: int | None = None


def read_story(folder: Path) -> Story:
    """All that a measure or steer run holds.

    RunError for a run of another kind, one that has come to no figures yet, and one whose
    settings this version of trimtab cannot read.
    """
    run = read_run(folder)
    _refuse_without_figures(run)
    settings = _settings_of(run)
    charter = settings.charter
    suite = read_json(folder / "suite.json", Suite)
    after = read_measurement(folder)
    before = read_measurement(folder / "before") if is_measured(folder / "before") else None
    outcome = (
        read_json(folder / "outcome.json", Outcome)
        if (folder / "outcome.json").is_file()
        else Outcome(0, (), "")
    )
    # The report of a steer run is made just before its manifest, by the same process.
    finished = folder / "manifest.json"
    manifest = read_json(finished, Manifest) if finished.is_file() else None
    return Story(
        charter=charter,
        command=run.command,
        date=_date(folder),
        profile=after.profile,
        asked=_asked(suite),
        replies=_side_by_side(suite, before, after),
        cost=_cost(folder, outcome, manifest.machine if manifest else machine()),
        looks=count_looks(charter.folder, suite),
        repeat=_repeat(run, settings),
        seeds=_seeds(run.command, charter),
        versions=manifest.versions if manifest else versions(),
        before=before.profile if before else None,
        comparison=_comparison(suite, before, after),
        warnings=_warnings(folder, suite),
        plan=read_plan(folder) if (folder / "plan.jsonl").is_file() else None,
        candidates=_candidates(folder, outcome),
        control=outcome.control,
        ended=outcome.ended,
    )


def _refuse_without_figures(run: RunRecord) -> None:
    if run.command not in ("measure", "steer"):
        raise RunError(
            f"a {run.command} run has no measurement to report",
            where=str(run.folder),
            fix="Reports are made of measure and steer runs.",
        )
    if not is_measured(run.folder):
        raise RunError(
            f"this {run.command} run has not come to its figures yet",
            where=str(run.folder),
            fix="Give its command again: it goes on from here.",
        )


def _settings_of(run: RunRecord) -> Settings:
    try:
        return Settings.model_validate(run.settings)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        raise RunError(
            f"its settings cannot be read: {key or 'settings'}: {first['msg']}",
            where=str(run.folder / "run.yaml"),
            fix="It was changed, or another version of trimtab wrote it: report with that one, or "
            "give the run's command again with another --out.",
        ) from error


def _asked(suite: Suite) -> tuple[Asked, ...]:
    return tuple(
        Asked(
            clause=clause,
            checks=tuple(_in_words(check) for check in checks_of(clause)),
            probes={
                split: sum(probe.split == split for probe in suite.of(clause.id))
                for split in SPLITS
            },
        )
        for clause in suite.clauses
    )


def _in_words(check: CheckSpec) -> str:
    """The check's name and what its options say; slots go by their names, other texts in quotes.

    >>> _in_words(CheckSpec("contains", {"slot": ["place", "time"], "text": ["table"]}))
    'contains place, time, text "table"'
    >>> _in_words(CheckSpec("sentences", {"at_most": 2}))
    'sentences at most 2'
    """
    parts = []
    for option, value in check.options.items():
        values = value if isinstance(value, list | tuple) else [value]
        if option == "slot":
            parts.append(", ".join(map(str, values)))
            continue
        shown = ", ".join(f'"{each}"' if isinstance(each, str) else str(each) for each in values)
        parts.append(f"{option.replace('_', ' ')} {shown}")
    return f"{check.name} {', '.join(parts)}".strip()


def _side_by_side(
    suite: Suite, before: Measurement | None, after: Measurement
) -> tuple[SideBySide, ...]:
    probes = {probe.id: probe for probe in suite.probes}
    earlier = {score.probe: score for score in before.scores} if before else {}
    return tuple(
        SideBySide(
            probes[score.probe],
            Judged(after.replies[score.probe], score),
            Judged(before.replies[score.probe], earlier[score.probe])
            if before and score.probe in earlier
            else None,
        )
        for score in after.scores
    )


def _comparison(suite: Suite, before: Measurement | None, after: Measurement) -> Comparison | None:
    if before is None:
        return None
    split = after.profile.split
    return compare("before", "after", split, suite.clauses, before.scores, after.scores)


def _warnings(folder: Path, suite: Suite) -> tuple[str, ...]:
    """What the run warned of when it began; of an older run, what its suite alone shows."""
    noted = folder / "warnings.json"
    return tuple(read_json(noted, list[str]) if noted.is_file() else undecidable(suite))


def _candidates(folder: Path, outcome: Outcome) -> tuple[Candidate, ...]:
    return tuple(
        Candidate(
            number=each.number,
            doses=each.doses,
            rows=each.rows,
            tokens=each.tokens,
            seconds=each.seconds,
            profile=read_json(folder / "candidates" / str(each.number) / "profile.json", Profile),
            chosen=each.number == outcome.chosen,
        )
        for each in outcome.candidates
    )


def _cost(folder: Path, outcome: Outcome, found: Mapping[str, str | int | float]) -> Cost:
    timings = folder / "timings.json"
    seconds = read_json(timings, dict[str, float]) if timings.is_file() else {}
    described = f"{found['cpu']}, {found['cores']} cores, {found['memory_gb']} GB"
    if "gpu" in found:
        described += f", {found['gpu']}"
    tokens = {
        "specialising": _tuned_tokens(folder / "specialised"),
        "candidates": sum(each.tokens for each in outcome.candidates),
        "control": _tuned_tokens(folder / "control"),
    }
    return Cost(
        tokens={part: trained for part, trained in tokens.items() if trained},
        tuning_seconds=seconds.get("tuning", 0.0),
        measuring_seconds=seconds.get("measuring", 0.0),
        machine=described,
    )


def _tuned_tokens(folder: Path) -> int:
    """What a part of the run was trained on; 0 where it trained nothing."""
    tuned = folder / "tuned.json"
    return int(read_json(tuned, dict[str, Any])["tokens"]) if tuned.is_file() else 0


def _date(folder: Path) -> str:
    return datetime.fromtimestamp((folder / "profile.json").stat().st_mtime, UTC).date().isoformat()


def _seeds(command: str, charter: Charter) -> dict[str, int]:
    """Those of the charter's seeds that had a part in the run."""
    seeds = {"split": charter.split.seed}
    if command == "steer":
        if charter.specialise:
            seeds["specialise"] = charter.specialise.seed
        seeds["tune"] = charter.tune.seed
    if charter.generation.temperature:
        seeds["generation"] = charter.generation.seed
    return seeds


def _repeat(run: RunRecord, settings: Settings) -> tuple[str, ...]:
    """Commands that make the run anew, in another folder: in its own they would only read it."""
    charter = Path(settings.charter.folder, settings.charter_file)
    folder = run.folder.resolve()
    again = _from_here(folder.with_name(f"{folder.name}-again"))
    words = ["trimtab", run.command, _from_here(charter)]
    if settings.split == "final":
        words.append("--final")
    if settings.limit is not None:
        words += ["--limit", str(settings.limit)]
    if settings.model not in (None, settings.charter.model):
        words += ["--model", _as_text(settings.model)]
    commands = [[*words, "--out", again]]
    if run.command == "measure":
        commands.append(["trimtab", "report", again])
    return tuple(shlex.join(command) for command in commands)


def _from_here(path: Path) -> str:
    """The path as one would type it: relative where it lies below the current folder."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _as_text(model: ModelSpec) -> str:
    """The model as an option takes it; of an endpoint that is its address and name alone."""
    return model if isinstance(model, str) else f"{model.url}#{model.name}"
