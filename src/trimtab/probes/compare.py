"""What changed between two measurements, clause by clause, on the probes that both judged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from trimtab.probes.pairs import both_judged, holm, paired_difference
from trimtab.records.charter import Clause
from trimtab.records.comparison import Change, Comparison
from trimtab.records.errors import RunError
from trimtab.records.probe import Split
from trimtab.records.reply import Score


def compare(
    before_name: str,
    after_name: str,
    split: Split,
    clauses: Sequence[Clause],
    before: Sequence[Score],
    after: Sequence[Score],
) -> Comparison:
    """Pairs scores by probe; a clause of which no probe was judged twice is left out.

    `unpaired` counts the probes of the clauses that only one side judged. Raises RunError where
    no clause has a pair.
    """
    changes = [
        change
        for clause in clauses
        if (change := _change(clause, _of(clause, before), _of(clause, after))) is not None
    ]
    if not changes:
        raise RunError(
            f"{before_name} and {after_name} have no judged probe in common",
            fix="measure both with the same charter, on the same split",
        )
    corrected = holm([change.p for change in changes])
    return Comparison(
        before=before_name,
        after=after_name,
        split=split,
        changes=tuple(
            replace(change, p_holm=p) for change, p in zip(changes, corrected, strict=True)
        ),
        unpaired=sum(
            len(_probes(_of(clause, before)) ^ _probes(_of(clause, after))) for clause in clauses
        ),
    )


def _change(clause: Clause, before: Sequence[Score], after: Sequence[Score]) -> Change | None:
    """One clause's change, its p not yet corrected; None without a pair."""
    pairs = both_judged(before, after)
    if not pairs:
        return None
    held_before = [bool(score.holds) for score, _ in pairs]
    held_after = [bool(score.holds) for _, score in pairs]
    paired = paired_difference(held_before, held_after, [score.seed for _, score in pairs])
    return Change(
        clause=clause.id,
        kind=clause.kind,
        before=sum(held_before) / len(pairs),
        after=sum(held_after) / len(pairs),
        difference=paired.difference,
        gained=paired.gained,
        lost=paired.lost,
        n=len(pairs),
        p=paired.p,
        p_holm=paired.p,
        method=paired.method,
    )


def _of(clause: Clause, scores: Sequence[Score]) -> list[Score]:
    return [score for score in scores if score.clause == clause.id]


def _probes(scores: Sequence[Score]) -> set[str]:
    """The probes that were judged."""
    return {score.probe for score in scores if score.holds is not None}
