"""The rows to train on, each with its reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from trimtab.records.example import Example, Kind

Doses = Mapping[Kind, int]


@dataclass(frozen=True, slots=True)
class PlanRow:
    """One example and why it was chosen, in words; `clause` is the one it should move."""

    example: Example
    reason: str
    clause: str | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """Rows in the order they were chosen, kind by kind: a smaller dose is a prefix of a larger.

    `doses` is what was asked for and `held` what the pool could give, per kind.
    """

    rows: tuple[PlanRow, ...]
    doses: Doses
    held: Doses

    @property
    def examples(self) -> tuple[Example, ...]:
        return tuple(row.example for row in self.rows)
