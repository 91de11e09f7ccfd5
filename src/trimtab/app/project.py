"""A charter with all that it names: probes, pool, held-out conversations."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from trimtab.charters import load_charter
from trimtab.data.load import examples_from, load_rows, requests_from
from trimtab.plans.plan import Pool
from trimtab.probes.checks import make_check
from trimtab.probes.profile import undecidable
from trimtab.probes.suite import (
    build_suite,
    checks_of,
    limit,
    nearly_probes,
    refuse_training_on_probes,
)
from trimtab.records.charter import Charter
from trimtab.records.errors import DataError
from trimtab.records.example import KINDS, Example, Kind
from trimtab.records.probe import Suite
from trimtab.records.protocols import Check


@dataclass(frozen=True, slots=True)
class Project:
    """What a charter's files hold, read and checked."""

    charter: Charter
    suite: Suite
    pool: Pool
    held_out: tuple[Example, ...]
    checks: Mapping[str, tuple[Check, ...]]
    warnings: tuple[str, ...]

    @property
    def contents(self) -> dict[str, str]:
        """What the files hold, in hashes: a run goes on only with the same."""
        pool = [f"{kind} {row.id}" for kind in KINDS for row in self.pool.get(kind, ())]
        held_out = [row.id for row in self.held_out]
        return {"suite": self.suite.id, "pool": _hash_of(pool), "held_out": _hash_of(held_out)}


def open_project(path: str | Path, most_probes: int | None = None) -> Project:
    """Read a charter and every file that it names.

    Raises CharterError, DataError or CheckError for the first fault: in a file's rows, in a check,
    or where a pool's row is also a probe.
    """
    charter = load_charter(path)
    checks = {
        clause.id: tuple(
            make_check(spec, charter.deflections, Path(charter.folder))
            for spec in checks_of(clause)
        )
        for clause in charter.clauses
    }
    requests = {
        clause.id: requests_from(load_rows(clause.requests, clause.columns))
        for clause in charter.clauses
    }
    suite = build_suite(charter, requests)
    pool = read_pool(charter)
    held_out: tuple[Example, ...] = ()
    if charter.held_out:
        held_out = tuple(examples_from(load_rows(charter.held_out.path, charter.held_out.columns)))
    refuse_training_on_probes(suite, [row for rows in pool.values() for row in rows])
    refuse_training_on_held_out(pool, held_out)
    warnings = (*undecidable(suite), *_nearly(suite, pool))
    if most_probes is not None:
        suite = limit(suite, most_probes)
    return Project(charter, suite, pool, held_out, checks, warnings)


def read_pool(charter: Charter) -> Pool:
    """The pool's examples by kind."""
    pool: dict[Kind, list[Example]] = {}
    for file in charter.pool:
        rows = load_rows(file.path, file.columns)
        pool.setdefault(file.kind, []).extend(examples_from(rows, kind=file.kind))
    return {kind: _distinct(rows) for kind, rows in pool.items()}


def _hash_of(lines: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


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
