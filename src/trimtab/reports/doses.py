"""A plan's rows, kind by kind, as a report shows them."""

from __future__ import annotations

from dataclasses import dataclass

from trimtab.records.example import KINDS, Kind
from trimtab.records.plan import Plan, PlanRow

PURPOSES: dict[Kind | None, str] = {
    "scope": "the work itself",
    "contrast": "what to turn down",
    "twin": "look-alikes of what to turn down, to be answered",
    "replay": "what the model could already do",
    None: "rows without a kind",
}
MOST_ROWS = 100


@dataclass(frozen=True, slots=True)
class Dose:
    """The rows of one kind: `rows` are shown, `chosen` counts all; `held` is what the pool gave."""

    kind: Kind | None
    purpose: str
    asked: int
    held: int
    chosen: int
    rows: tuple[PlanRow, ...]


def doses(plan: Plan, most_rows: int = MOST_ROWS) -> list[Dose]:
    """Every kind that was asked for or chosen."""
    made = [_dose(plan, kind, most_rows) for kind in (*KINDS, None)]
    return [dose for dose in made if dose.asked or dose.chosen]


def _dose(plan: Plan, kind: Kind | None, most_rows: int) -> Dose:
    rows = [row for row in plan.rows if row.example.kind == kind]
    return Dose(
        kind=kind,
        purpose=PURPOSES[kind],
        asked=plan.doses.get(kind, 0) if kind else 0,
        held=plan.held.get(kind, 0) if kind else 0,
        chosen=len(rows),
        rows=tuple(rows[:most_rows]),
    )
