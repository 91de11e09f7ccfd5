"""How much of each kind: start small, and grow what the missed clauses ask for."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from trimtab.plans.select import share_out
from trimtab.records.charter import Clause
from trimtab.records.example import KINDS, Kind
from trimtab.records.plan import Doses
from trimtab.records.profile import ClauseResult, Profile

GROWTH = 1.6

Enough = Callable[[ClauseResult], bool]


def kinds_for(clause: Clause) -> tuple[Kind, ...]:
    """Which rows bring a clause that falls short nearer to its target.

    More twins push the boundary back, so each asks for its own side alone. What must never be
    turned down takes the same as what must be performed; what must never be done, contrast.
    """
    if clause.kind == "retain":
        return ("replay", "scope")
    if clause.kind == "perform" or (clause.kind == "never" and "deflects" in clause.checks):
        return ("twin", "scope")
    return ("contrast",)


def next_doses(
    doses: Doses, profile: Profile, held: Doses, enough: Enough, clauses: Sequence[Clause]
) -> Doses | None:
    """Larger doses for the kinds that the clauses which fall short ask for.

    `enough(result)` says whether more data could not help a clause; `clauses` are the profile's.
    None where every clause has enough, or where the pool holds no more of what is asked for.
    """
    short = {result.clause for result in profile.clauses if not enough(result)}
    wanted = {kind for clause in clauses if clause.id in short for kind in kinds_for(clause)}
    grown: dict[Kind, int] = {}
    for kind in KINDS:
        dose = doses.get(kind, 0)
        larger = max(dose + 8, round(dose * GROWTH)) if kind in wanted else dose
        grown[kind] = min(larger, held.get(kind, 0)) if kind in wanted else dose
    return grown if any(grown[kind] > doses.get(kind, 0) for kind in KINDS) else None


def within_rows(doses: Doses, most_rows: int | None) -> Doses:
    """The doses, scaled down alike to `most_rows` where together they exceed it.

    >>> within_rows({"contrast": 60, "twin": 40}, 50)
    {'contrast': 30, 'twin': 20}
    """
    total = sum(doses.values())
    if most_rows is None or total <= most_rows:
        return dict(doses)
    shares = share_out(most_rows, list(doses.values()), list(doses.values()))
    return dict(zip(doses, shares, strict=True))


def best_candidate(profiles: Sequence[Profile], rows: Sequence[int], enough: Enough) -> int:
    """The candidate that meets most with the fewest rows; its place in the sequence.

    Most clauses met, then most that have enough, then the smallest sum of gaps to the targets (in
    points: less is no difference), then the fewest rows, then the earliest. Gaps come before
    rows, or one that meets nothing with few rows would win over one that nearly meets all.
    """

    def order(place: int) -> tuple[int, int, float, int, int]:
        results = profiles[place].clauses
        met = sum(result.verdict in ("met", "nothing to lose") for result in results)
        ample = sum(enough(result) for result in results)
        return (-met, -ample, total_gap(profiles[place]), rows[place], place)

    return min(range(len(profiles)), key=order)


def total_gap(profile: Profile) -> float:
    """How far all clauses together are from their targets; to two digits, less is no difference."""
    return round(sum(map(gap, profile.clauses)), 2)


def gap(result: ClauseResult) -> float:
    """How far a clause's rate is from its target; 0 where it reaches it."""
    if result.kind == "never":
        return max(0.0, result.rate - result.target)
    if result.kind == "retain":
        change = result.change.value if result.change else 0.0
        return max(0.0, -result.target - change)
    return max(0.0, result.target - result.rate)
