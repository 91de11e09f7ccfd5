"""A run's folder as the story that a report tells."""

from __future__ import annotations

from pathlib import Path

from trimtab.app.looks import count_looks
from trimtab.app.measurements import Measurement, is_measured, read_measurement
from trimtab.app.outcomes import Outcome, read_plan
from trimtab.probes.compare import compare
from trimtab.probes.profile import undecidable
from trimtab.records.charter import Charter
from trimtab.records.comparison import Comparison
from trimtab.records.errors import RunError
from trimtab.records.probe import Suite
from trimtab.records.story import Candidate, Cost, Judged, SideBySide, Story
from trimtab.store import Manifest, machine, read_json, read_run


def read_story(folder: Path) -> Story:
    """All that a measure or steer run holds; RunError for a run of another kind, or unfinished."""
    run = read_run(folder)
    if run.command not in ("measure", "steer") or not is_measured(folder):
        raise RunError(
            "this run has no measurement to report",
            where=str(folder),
            fix="Reports are made of finished measure and steer runs.",
        )
    charter = Charter.model_validate(run.settings["charter"])
    suite = read_json(folder / "suite.json", Suite)
    after = read_measurement(folder)
    before = read_measurement(folder / "before") if is_measured(folder / "before") else None
    outcome = (
        read_json(folder / "outcome.json", Outcome)
        if (folder / "outcome.json").is_file()
        else Outcome(0, (), "")
    )
    return Story(
        charter=charter,
        command=run.command,
        date=_date(folder),
        profile=after.profile,
        replies=_side_by_side(suite, before, after),
        cost=_cost(folder, outcome),
        looks=count_looks(charter.folder, suite.id),
        repeat=_repeat(run.command, folder),
        before=before.profile if before else None,
        comparison=_comparison(suite, before, after),
        warnings=tuple(undecidable(suite)),
        plan=read_plan(folder) if (folder / "plan.jsonl").is_file() else None,
        candidates=_candidates(folder, outcome),
        control=outcome.control,
        ended=outcome.ended,
    )


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


def _candidates(folder: Path, outcome: Outcome) -> tuple[Candidate, ...]:
    return tuple(
        Candidate(
            number=each.number,
            doses=each.doses,
            rows=each.rows,
            tokens=each.tokens,
            seconds=each.seconds,
            profile=read_measurement(folder / "candidates" / str(each.number)).profile,
            chosen=each.number == outcome.chosen,
        )
        for each in outcome.candidates
    )


def _cost(folder: Path, outcome: Outcome) -> Cost:
    timings = folder / "timings.json"
    seconds = read_json(timings, dict[str, float]) if timings.is_file() else {}
    path = folder / "manifest.json"
    found = read_json(path, Manifest).machine if path.is_file() else machine()
    described = f"{found['cpu']}, {found['cores']} cores, {found['memory_gb']} GB"
    if "gpu" in found:
        described += f", {found['gpu']}"
    return Cost(
        tuned_tokens=sum(each.tokens for each in outcome.candidates),
        tuning_seconds=seconds.get("tuning", 0.0),
        measuring_seconds=seconds.get("measuring", 0.0),
        machine=described,
    )


def _date(folder: Path) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp((folder / "profile.json").stat().st_mtime, UTC).date().isoformat()


def _repeat(command: str, folder: Path) -> tuple[str, ...]:
    name = folder.name
    commands = [f"trimtab {command} charter.yaml --out runs/{name}"]
    if command == "steer":
        commands.append(f"trimtab chat runs/{name}")
    commands.append(f"trimtab report runs/{name}")
    return tuple(commands)
