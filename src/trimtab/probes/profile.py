"""Scores to a profile: every clause's rate, interval and verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from trimtab.probes.deciding import (
    can_decide,
    pairs_to_decide,
    probes_to_decide,
    shrunk,
    smallest_deciding,
)
from trimtab.probes.intervals import Sample, clopper_pearson, sample_interval, sample_of, wilson
from trimtab.probes.pairs import both_judged, paired_difference
from trimtab.records.charter import Clause, ClauseKind
from trimtab.records.probe import SPLITS, Split, Suite
from trimtab.records.profile import ClauseResult, Interval, Loss, Profile, Verdict
from trimtab.records.reply import Score


def build_profile(
    model: str,
    fingerprint: str,
    suite: Suite,
    split: Split,
    scores: Sequence[Score],
    baseline_scores: Sequence[Score] | None,
    *,
    seconds: float,
    prompt_tokens: int,
    reply_tokens: int,
    held_out: Loss | None = None,
) -> Profile:
    """One model's results on all clauses of the suite, in the charter's order.

    `scores` and `baseline_scores` are those of `split`, of all clauses together; a clause without
    any is undecided. Without a baseline, retain clauses are undecided.
    """
    results = [
        clause_result(
            clause,
            [score for score in scores if score.clause == clause.id],
            None
            if baseline_scores is None
            else [score for score in baseline_scores if score.clause == clause.id],
        )
        for clause in suite.clauses
    ]
    return Profile(
        model=model,
        fingerprint=fingerprint,
        suite=suite.id,
        split=split,
        clauses=tuple(results),
        seconds=seconds,
        prompt_tokens=prompt_tokens,
        reply_tokens=reply_tokens,
        held_out=held_out,
    )


def clause_result(
    clause: Clause, scores: Sequence[Score], baseline: Sequence[Score] | None = None
) -> ClauseResult:
    """One clause's result from its own scores; `baseline` has no effect but on retain clauses."""
    sample = _judged(scores)
    interval = sample_interval(sample)
    result = ClauseResult(
        clause=clause.id,
        kind=clause.kind,
        rate=interval.value,
        low=interval.low,
        high=interval.high,
        n=sample.n,
        target=clause.target,
        verdict="undecided",
        wilson=wilson(sample.rate * sample.size, sample.size),
        errors=len(scores) - sample.n,
    )
    if clause.kind == "retain":
        return _with_change(result, clause.chance, scores, baseline or ())
    if not sample.n:
        return result
    reached = verdict(clause.kind, clause.target, interval)
    more = probes_to_decide(sample, clause.target) if reached == "undecided" else None
    return replace(result, verdict=reached, more=more)


def _with_change(
    result: ClauseResult, chance: float, scores: Sequence[Score], baseline: Sequence[Score]
) -> ClauseResult:
    """A retain clause's result with its paired difference to the baseline, if any can be had.

    A baseline whose own interval reaches down to `chance` has not shown that it can do this:
    there is nothing to lose.
    """
    pairs = both_judged(baseline, scores)
    if not pairs:
        return result
    seeds = [score.seed for _, score in pairs]
    change = paired_difference(
        [bool(before.holds) for before, _ in pairs],
        [bool(after.holds) for _, after in pairs],
        seeds,
    ).difference
    able = _judged(baseline)
    reached = verdict("retain", result.target, change)
    if sample_interval(able).low <= chance:
        reached = "nothing to lose"
    more = None
    if reached == "undecided":
        more = pairs_to_decide(change, len(pairs), len(set(seeds)), -result.target)
    return replace(result, verdict=reached, more=more, change=change, baseline_rate=able.rate)


def _judged(scores: Sequence[Score]) -> Sample:
    """What the scores that have an outcome tell, clustered by seed request."""
    judged = [score for score in scores if score.holds is not None]
    return sample_of([bool(score.holds) for score in judged], [score.seed for score in judged])


def verdict(kind: ClauseKind, target: float, interval: Interval) -> Verdict:
    """Met or missed only if the whole interval lies on one side of the target.

    The interval is the rate's; for retain clauses it is that of the change since the baseline.

    >>> verdict("perform", 0.9, Interval(0.953, 0.869, 0.990))
    'undecided'
    >>> verdict("retain", 0.03, Interval(0.0, -0.029, 0.029))
    'met'
    """
    if kind == "never":
        met, missed = interval.high <= target, interval.low > target
    else:
        floor = -target if kind == "retain" else target
        met, missed = interval.low >= floor, interval.high < floor
    return "met" if met else "missed" if missed else "undecided"


def final_would_meet(result: ClauseResult, seeds: int, final_seeds: int) -> bool:
    """Whether the rate (for retain, the change) seen here would be met on the final split.

    `seeds` and `final_seeds` are the seed requests here and there; wordings of one count once. A
    clause with nothing to lose would be met; one that was not measured would not.
    """
    if result.verdict == "nothing to lose":
        return True
    if not result.n:
        return False
    if result.kind != "retain":
        interval = clopper_pearson(result.rate * final_seeds, final_seeds)
    elif result.change is not None:
        interval = shrunk(result.change, seeds, final_seeds)
    else:
        return False
    return verdict(result.kind, result.target, interval) == "met"


def undecidable(suite: Suite) -> list[str]:
    """A warning for each clause and split with too few probes to ever show its target met.

    Several wordings of one seed request count once.
    """
    warnings = []
    for clause in suite.clauses:
        for split in SPLITS:
            seeds = [p.request.seed for p in suite.of(clause.id) if p.split == split]
            distinct = len(set(seeds))
            if not can_decide(distinct, clause.target, clause.kind):
                warnings.append(_too_few(clause, split, len(seeds), distinct))
    return warnings


def _too_few(clause: Clause, split: Split, probes: int, seeds: int) -> str:
    wanted = smallest_deciding(clause.target, clause.kind)
    what = {
        "perform": f"at least {clause.target:g}",
        "deflect": f"at least {clause.target:g}",
        "never": f"at most {clause.target:g}",
        "retain": f"that at most {clause.target:g} was lost, where nothing changes",
    }[clause.kind]
    held = f"{probes} {split} probes" + (f" of {seeds} seed requests" if seeds < probes else "")
    unit = " seed requests" if seeds < probes else ""
    takes = f"it takes {wanted} or more{unit}" if wanted else "no number of probes can"
    return f"clause {clause.id!r}: {held} can never show {what}; {takes}"
