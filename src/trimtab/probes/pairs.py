"""Two models on the same probes: how far a rate moved, and whether chance would move it so."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import special

from trimtab.probes.intervals import LEVEL, bootstrap_ratio, normal_quantile
from trimtab.records.profile import Interval
from trimtab.records.reply import Score

Method = Literal["exact McNemar, Tango", "cluster sign-flip, bootstrap"]


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """After minus before; `gained` and `lost` count the probes that changed either way."""

    difference: Interval
    gained: int
    lost: int
    p: float
    method: Method


def both_judged(before: Sequence[Score], after: Sequence[Score]) -> list[tuple[Score, Score]]:
    """The scores of the probes that have an outcome on both sides, in the order of `after`."""
    earlier = {score.probe: score for score in before if score.holds is not None}
    return [
        (earlier[score.probe], score)
        for score in after
        if score.holds is not None and score.probe in earlier
    ]


def paired_difference(
    before: Sequence[bool],
    after: Sequence[bool],
    clusters: Sequence[str],
    level: float = LEVEL,
    seed: int = 0,
) -> PairedDifference:
    """How the rate of the same probes moved; `clusters` names each one's seed request.

    Independent probes get McNemar's exact test and Tango's interval. Where clusters hold several,
    whole clusters are flipped and resampled. No probes give 0 in (-1, 1) with p = 1.

    >>> change = paired_difference([True] * 20, [False] * 8 + [True] * 12, list("abcdefghijklmnopqrst"))
    >>> f"{change.difference.value:+.2f} (p = {change.p:.3f})"
    '-0.40 (p = 0.008)'
    """
    n = len(after)
    changes = [int(now) - int(then) for then, now in zip(before, after, strict=True)]
    gained, lost = changes.count(1), changes.count(-1)
    totals: defaultdict[str, int] = defaultdict(int)
    for change, cluster in zip(changes, clusters, strict=True):
        totals[cluster] += change
    p = sign_flip(totals.values())
    if len(totals) == n:
        return PairedDifference(
            tango(gained, lost, n, level), gained, lost, p, "exact McNemar, Tango"
        )
    sizes = Counter(clusters)
    interval = cluster_interval(list(totals.values()), [sizes[name] for name in totals], level, seed)
    return PairedDifference(interval, gained, lost, p, "cluster sign-flip, bootstrap")


def tango(gained: float, lost: float, n: float, level: float = LEVEL) -> Interval:
    """Tango's score interval for the difference of two paired rates (Statistics in Medicine 1998).

    It holds the differences δ that the score test accepts: (gained - lost - nδ)² ≤ z² times the
    variance at the likeliest rate of losing given δ. Counts may be fractions.

    >>> interval = tango(0, 0, 125)
    >>> f"({interval.low:.3f}, {interval.high:.3f})"
    '(-0.030, 0.030)'
    """
    if n <= 0:
        return Interval(0.0, -1.0, 1.0)
    z_squared = normal_quantile(level) ** 2

    def accepted(delta: float) -> bool:
        linear = (2 * n - gained + lost) * delta - gained - lost
        constant = -lost * delta * (1 - delta)
        losing = (math.sqrt(max(0.0, linear**2 - 8 * n * constant)) - linear) / (4 * n)
        variance = n * (2 * losing + delta * (1 - delta))
        return (gained - lost - n * delta) ** 2 <= z_squared * variance

    value = (gained - lost) / n
    return Interval(value, _last_accepted(accepted, value, -1.0), _last_accepted(accepted, value, 1.0))


def _last_accepted(accepted: Callable[[float], bool], inside: float, outside: float) -> float:
    """Where an accepted region that starts at `inside` ends on the way to `outside`."""
    for _ in range(60):
        middle = (inside + outside) / 2
        if accepted(middle):
            inside = middle
        else:
            outside = middle
    return inside


def cluster_interval(totals, sizes, level=LEVEL, seed=0, reach=True):
    k = len(totals)
    value = sum(totals) / sum(sizes)
    if k == 1:
        return Interval(value, -1.0, 1.0)
    sampled = bootstrap_ratio(totals, sizes, level, seed)
    if not reach: return sampled
    reach = tango(0, 0, k, level).high
    return Interval(value, max(-1.0, min(sampled.low, value - reach)), min(1.0, max(sampled.high, value + reach)))


def sign_flip(totals: Iterable[int]) -> float:
    """The exact two-sided p of flipping every cluster's total change by a fair coin.

    The p of |Σ ±total| being as large as seen, over all flips, by convolution. For totals of
    -1, 0 and 1, that is McNemar's exact test.

    >>> sign_flip([1, 1, 1, 1, 1, -1, 0])
    0.21875
    """
    totals = list(totals)
    sizes = Counter(abs(total) for total in totals if total)
    chances = np.ones(1)
    for size, count in sizes.items():
        chances = np.convolve(chances, _spaced_coins(count, size))
    largest = len(chances) - 1
    sums = 2 * np.arange(largest + 1) - largest
    return min(1.0, float(chances[np.abs(sums) >= abs(sum(totals))].sum()))


def _spaced_coins(coins: int, worth: int):
    heads = np.arange(coins + 1)
    logs = special.gammaln(coins + 1) - special.gammaln(heads + 1) - special.gammaln(coins - heads + 1)
    chances = np.zeros(coins * worth + 1)
    chances[::worth] = np.exp(logs - coins * math.log(2))
    return chances
