"""Every look at the final split is written down next to the charter."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock

from trimtab.app.project import Project
from trimtab.records.conversation import content_hash
from trimtab.records.probe import Suite
from trimtab.store import Journal, Run, read_json, write_json
from trimtab.store.files import explained

LOOKS = Path(".trimtab") / "final_looks.jsonl"
RUN_ID = "look.json"
REQUEST_DIGITS = 8


@dataclass(frozen=True, slots=True)
class Look:
    """One run that measured final requests; `requests` are hashes of what they ask.

    A line of an early version has no requests, and counts for its suite alone.
    """

    time: str
    suite: str
    run: str
    requests: tuple[str, ...] = ()


def note_look(project: Project, run: Run) -> None:
    """Log that this run looks at the final split; a run that goes on has looked already.

    A run is known by an id in its folder: one that was deleted and made again looks again.
    """
    name = run.folder / RUN_ID
    if not name.is_file():
        write_json(name, secrets.token_hex(8))
    look = Look(
        time=datetime.now(UTC).isoformat(),
        suite=project.suite.id,
        run=read_json(name, str),
        requests=tuple(sorted(_final_requests(project.suite))),
    )
    journal = _journal(project.charter.folder)
    with explained(journal.path, "written"):
        journal.path.parent.mkdir(exist_ok=True)
        with FileLock(journal.path.with_suffix(".lock")):
            if all(earlier.run != look.run for earlier in journal.read()):
                journal.append([look])


def count_looks(folder: str, suite: Suite) -> int:
    """How many runs have looked at any request of this suite's final split, whatever else changed.

    `folder` is the charter's.
    """
    asked = _final_requests(suite)
    looks = _journal(folder).read()
    return len(
        {
            look.run
            for look in looks
            if look.suite == suite.id or not asked.isdisjoint(look.requests)
        }
    )


def _final_requests(suite: Suite) -> set[str]:
    return {
        content_hash(probe.request.messages)[:REQUEST_DIGITS]
        for probe in suite.probes
        if probe.split == "final"
    }


def _journal(folder: str) -> Journal[Look]:
    return Journal(Path(folder) / LOOKS, Look)
