"""Every look at the final split is written down next to the charter."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from trimtab.app.project import Project
from trimtab.store import Journal, Run

LOOKS = Path(".trimtab") / "final_looks.jsonl"


@dataclass(frozen=True, slots=True)
class Look:
    """One run that measured the final split of one suite."""

    time: str
    suite: str
    run: str


def note_look(project: Project, run: Run) -> None:
    """Log that this run looks at the final split; a run that goes on has looked already."""
    looks = _journal(project.charter.folder)
    name = str(run.folder.resolve())
    if any(look.run == name and look.suite == project.suite.id for look in looks.read()):
        return
    looks.path.parent.mkdir(exist_ok=True)
    looks.append([Look(datetime.now(UTC).isoformat(), project.suite.id, name)])


def count_looks(folder: str, suite: str) -> int:
    """How many runs have looked at the final split of this suite."""
    return sum(look.suite == suite for look in _journal(folder).read())


def _journal(folder: str) -> Journal[Look]:
    return Journal(Path(folder) / LOOKS, Look)
