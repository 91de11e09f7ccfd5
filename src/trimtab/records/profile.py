"""A model's rates on a suite, with intervals and verdicts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from trimtab.records.charter import ClauseKind
from trimtab.records.probe import Split

Verdict = Literal["met", "missed", "undecided", "nothing to lose"]


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its confidence interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class ClauseResult:
    """One clause's rate: the share of probes whose checks all hold.

    `low` and `high` bound the rate (Clopper–Pearson, 95%, for the verdict), `wilson` is the
    interval for display. `n` counts judged replies, `errors` those that never came. `change` is
    the paired difference to the baseline, for retain clauses alone; their `target` is the largest
    acceptable loss. `more` is how many more probes would decide the verdict at the present rate,
    None where it is decided or no number up to a million would. All are NaN-free; n = 0 gives the
    rate 0 with the interval (0, 1) and an undecided verdict.
    """

    clause: str
    kind: ClauseKind
    rate: float
    low: float
    high: float
    n: int
    target: float
    verdict: Verdict
    wilson: Interval
    errors: int = 0
    more: int | None = None
    change: Interval | None = None
    baseline_rate: float | None = None


@dataclass(frozen=True, slots=True)
class Loss:
    """Mean loss of held-out replies in nats per token, with a bootstrap interval over rows."""

    value: float
    low: float
    high: float
    rows: int
    tokens: int


@dataclass(frozen=True, slots=True)
class Profile:
    """What one model did on one split of one suite."""

    model: str
    fingerprint: str
    suite: str
    split: Split
    clauses: tuple[ClauseResult, ...]
    seconds: float
    prompt_tokens: int
    reply_tokens: int
    held_out: Loss | None = None

    @property
    def met(self) -> bool:
        """Whether every clause is met; one with nothing to lose does not stand in the way."""
        return all(result.verdict in ("met", "nothing to lose") for result in self.clauses)

    def of(self, clause: str) -> ClauseResult:
        """One clause's result; KeyError where the profile has no such clause."""
        for result in self.clauses:
            if result.clause == clause:
                return result
        raise KeyError(clause)
