"""A charter with all that it names: probes, pool, held-out conversations."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from trimtab.charters import load_charter, where_of_check
from trimtab.data.load import examples_from, load_rows, requests_from
from trimtab.plans.plan import Pool
from trimtab.probes.checks import make_check, try_checks
from trimtab.probes.profile import undecidable
from trimtab.probes.suite import (
    build_suite,
    checks_of,
    limit,
    nearly_probes,
    refuse_training_on_probes,
)
from trimtab.records.charter import Charter, Clause
from trimtab.records.errors import CheckError, DataError
from trimtab.records.example import KINDS, Example, Kind
from trimtab.records.probe import Suite
from trimtab.records.protocols import Check
from trimtab.store import Run, write_json


@dataclass(frozen=True, slots=True)
class Project:
    """What a charter's files hold, read and checked."""

    file: Path
    charter: Charter
    suite: Suite
    pool: Pool
    held_out: tuple[Example, ...]
    checks: Mapping[str, tuple[Check, ...]]
    warnings: tuple[str, ...]

    @property
    def contents(self) -> dict[str, str]:
        """What the files hold, in hashes: a run goes on only with the same."""
        pool = [row for kind in KINDS for row in self.pool.get(kind, ())]
        return {
            "suite": self.suite.id,
            "pool": hash_of_rows(pool),
            "held_out": hash_of_rows(self.held_out),
        }


def open_project(path: str | Path, most_probes: int | None = None) -> Project:
    """Read a charter and every file that it names.

    Raises CharterError, DataError or CheckError for the first fault: in a file's rows, in a check,
    or where a pool's row is also a probe.
    """
    charter = load_charter(path)
    checks = {clause.id: _make_checks(clause, charter, path) for clause in charter.clauses}
    requests = {
        clause.id: requests_from(load_rows(clause.requests, clause.columns))
        for clause in charter.clauses
    }
    suite = build_suite(charter, requests)
    try_checks(checks, suite.probes)
    pool = read_pool(charter)
    held_out: tuple[Example, ...] = ()
    if charter.held_out:
        held_out = tuple(examples_from(load_rows(charter.held_out.path, charter.held_out.columns)))
        if len(held_out) < 2:
            raise DataError(
                "a held-out loss takes two conversations or more, or it has no interval",
                where=charter.held_out.path,
            )
    refuse_training_on_probes(suite, [row for rows in pool.values() for row in rows])
    refuse_training_on_held_out(pool, held_out)
    warnings = (*undecidable(suite), *_nearly(suite, pool))
    if most_probes is not None:
        suite = limit(suite, most_probes)
    return Project(Path(path).resolve(), charter, suite, pool, held_out, checks, warnings)


def _make_checks(clause: Clause, charter: Charter, path: str | Path) -> tuple[Check, ...]:
    """The clause's checks; an error that names no file is one of the charter at `path`."""
    checks = []
    for position, spec in enumerate(checks_of(clause)):
        try:
            checks.append(make_check(spec, charter.deflections, Path(charter.folder)))
        except CheckError as error:
            where = error.where or where_of_check(path, clause.id, position)
            raise CheckError(error.what, where=where, fix=error.fix) from error
    return tuple(checks)


def read_pool(charter: Charter) -> Pool:
    """The pool's examples by kind."""
    pool: dict[Kind, list[Example]] = {}
    for file in charter.pool:
        rows = load_rows(file.path, file.columns)
        pool.setdefault(file.kind, []).extend(examples_from(rows, kind=file.kind))
    return {kind: _distinct(rows) for kind, rows in pool.items()}


def hash_of_rows(rows: Iterable[Example]) -> str:
    """Of what rows say and of their kinds, in their order."""
    lines = "\n".join(f"{row.kind} {row.id}" for row in rows)
    return hashlib.sha256(lines.encode()).hexdigest()[:16]


def begin(project: Project, run: Run) -> None:
    """Write what a run's report and later commands need of its project."""
    write_json(run.folder / "suite.json", project.suite)
    write_json(run.folder / "warnings.json", list(project.warnings))


def finish(project: Project, run: Run, inputs: dict[str, str]) -> None:
    """Close a run whose inputs are the charter and its files, and others by their hashes."""
    charter = project.charter
    names = [clause.requests for clause in charter.clauses]
    names += [file.path for file in charter.pool]
    names += [charter.held_out.path] if charter.held_out else []
    files: dict[str, str | Path] = {name: Path(name) for name in (str(project.file), *names)}
    run.finish({**files, **inputs}, run.seconds("tuning") + run.seconds("measuring"))


def _nearly(suite: Suite, pool: Pool) -> list[str]:
    lines = nearly_probes(suite, [row for rows in pool.values() for row in rows])
    more = [f"and {len(lines) - 5} more training rows nearly like probes"] if lines[5:] else []
    return [*lines[:5], *more]


def _distinct(rows: list[Example]) -> list[Example]:
    """Each row once: a repeated one would only be trained twice."""
    return list({row.id: row for row in reversed(rows)}.values())[::-1]


def refuse_training_on_held_out(pool: Pool, held_out: tuple[Example, ...]) -> None:
    """DataError where a held-out conversation is also in the pool: its loss would mean nothing."""
    kept = {example.id: example for example in held_out}
    for rows in pool.values():
        for row in rows:
            if row.id in kept:
                raise DataError(
                    f"this row is also held out ({kept[row.id].where})",
                    where=row.where,
                    fix="Remove it from the pool or from the held-out conversations.",
                )
