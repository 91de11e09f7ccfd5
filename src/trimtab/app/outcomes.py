"""What steer and plan runs hold beside measurements: candidates, the outcome, the plan."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from trimtab.app.measurements import Measurement, is_measured, read_measurement
from trimtab.records.errors import RunError
from trimtab.records.example import KINDS
from trimtab.records.plan import Doses, Plan, PlanRow
from trimtab.records.probe import Split
from trimtab.records.story import Control
from trimtab.store import read_json, read_jsonl, read_run, write_json, write_jsonl


@dataclass(frozen=True, slots=True)
class Trained:
    """One candidate of a steer run, as its folder says."""

    number: int
    doses: Doses
    rows: int
    steps: int
    tokens: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a steer run ended; `chosen` is the number of a candidate, 0 for the start itself."""

    chosen: int
    candidates: tuple[Trained, ...]
    ended: str
    control: Control | None = None


def write_plan(folder: Path, chosen: Plan) -> None:
    """Write a plan's rows and doses."""
    write_jsonl(folder / "plan.jsonl", chosen.rows)
    write_json(folder / "doses.json", {"doses": dict(chosen.doses), "held": dict(chosen.held)})


def read_plan(folder: Path) -> Plan:
    """The plan that a folder holds."""
    doses = read_json(folder / "doses.json", dict[str, dict[str, int]])
    rows = tuple(read_jsonl(folder / "plan.jsonl", PlanRow))
    known = {part: {kind: doses[part].get(kind, 0) for kind in KINDS} for part in doses}
    return Plan(rows, known["doses"], known["held"])


def measurement_of(run: Path, split: Split) -> Measurement:
    """A run's measurement on a split; RunError where it has none."""
    found = find_measurement(run, split)
    if found is None:
        raise RunError(f"this run measured nothing on the {split} split", where=str(run))
    return found


def find_measurement(run: Path, split: Split) -> Measurement | None:
    """A run's own measurement on a split: for a steer run, the chosen candidate's."""
    read_run(run)
    folders = [run]
    if (run / "outcome.json").is_file():
        outcome = read_json(run / "outcome.json", Outcome)
        folders.append(
            run / "candidates" / str(outcome.chosen) if outcome.chosen else run / "start"
        )
    for folder in folders:
        if is_measured(folder):
            measurement = read_measurement(folder)
            if measurement.profile.split == split:
                return measurement
    return None
