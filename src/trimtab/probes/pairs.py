"""Two models on the same probes: how far a rate moved, and whether chance would move it so."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from trimtab.probes.intervals import LEVEL, bootstrap_ratio, normal_quantile
from trimtab.records.comparison import PairedMethod
from trimtab.records.profile import Interval
from trimtab.records.reply import Score


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """After minus before; `gained` and `lost` count the probes that changed either way."""

    difference: Interval
    gained: int
    lost: int
    p: float
    method: PairedMethod


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

    >>> change = paired_difference([True] * 10, [False] * 6 + [True] * 4, list("abcdefghij"))
    >>> f"{change.difference.value:+.2f}, p = {change.p:.3f}"
    '-0.60, p = 0.031'
    """
    changes = [int(now) - int(then) for then, now in zip(before, after, strict=True)]
    gained, lost = changes.count(1), changes.count(-1)
    totals: defaultdict[str, int] = defaultdict(int)
    for change, cluster in zip(changes, clusters, strict=True):
        totals[cluster] += change
    p = sign_flip(totals.values())
    if len(totals) == len(changes):
        interval = tango(gained, lost, len(changes), level)
        return PairedDifference(interval, gained, lost, p, "exact McNemar, Tango")
    sizes = Counter(clusters)
    interval = cluster_interval(
        gained, lost, list(totals.values()), [sizes[name] for name in totals], level, seed
    )
    return PairedDifference(interval, gained, lost, p, "cluster sign-flip, bootstrap")


def tango(gained: float, lost: float, n: float, level: float = LEVEL) -> Interval:
    """Tango's score interval for a difference of paired rates (Statistics in Medicine 1998).

    It holds the differences δ that the score test accepts: (gained - lost - nδ)² is at most z²
    times its variance, at the rate of losing that is likeliest given δ. Counts may be fractions;
    n = 0 gives 0 in (-1, 1).

    >>> interval = tango(0, 0, 125)
    >>> f"({interval.low:.3f}, {interval.high:.3f})"
    '(-0.030, 0.030)'
    """
    if n <= 0:
        return Interval(0.0, -1.0, 1.0)
    z_squared = normal_quantile(level) ** 2

    def accepted(delta: float) -> bool:
        linear = (2 * n - gained + lost) * delta - gained - lost
        root = math.sqrt(max(0.0, linear**2 + 8 * n * lost * delta * (1 - delta)))
        losing = (root - linear) / (4 * n)
        variance = n * (2 * losing + delta * (1 - delta))
        return (gained - lost - n * delta) ** 2 <= z_squared * variance

    value = (gained - lost) / n
    return Interval(value, _edge(accepted, value, -1.0), _edge(accepted, value, 1.0))


def _edge(accepted: Callable[[float], bool], inside: float, outside: float) -> float:
    """Where the accepted values that begin at `inside` end on the way to `outside`."""
    for _ in range(60):
        middle = (inside + outside) / 2
        if accepted(middle):
            inside = middle
        else:
            outside = middle
    return inside


def cluster_interval(
    gained: int,
    lost: int,
    totals: Sequence[int],
    sizes: Sequence[int],
    level: float = LEVEL,
    seed: int = 0,
) -> Interval:
    """A difference's bootstrap interval over clusters, by each one's total change and size.

    A bootstrap knows only the changes it saw, and with few of them falls short. So the interval
    is widened to Tango's, as if all probes were independent, and a loss (a gain) never looks
    surer than no change at all in as many clusters would. Where nothing tells how alike the
    probes of a cluster are (all changed alike, or one cluster), each cluster counts as one probe.
    """
    n, k = sum(sizes), len(sizes)
    if k == 1 or n in (gained, lost) or gained == lost == 0:
        return tango(gained * k / n, lost * k / n, k, level)
    sampled = bootstrap_ratio(totals, sizes, level, seed)
    independent = tango(gained, lost, n, level)
    unchanged = tango(0, 0, k, level)
    low, high = min(sampled.low, independent.low), max(sampled.high, independent.high)
    if gained <= lost:
        low = min(low, unchanged.low)
    if gained >= lost:
        high = max(high, unchanged.high)
    return Interval(sampled.value, low, high)


def sign_flip(totals: Iterable[int]) -> float:
    """The exact two-sided p of flipping each cluster's total change by a fair coin.

    The chance that the flipped totals add up to as much as they did, either way. For totals of
    -1, 0 and 1, one probe each, this is McNemar's exact test.

    >>> round(sign_flip([1, 1, 1, 1, 1, -1, 0]), 5)
    0.21875
    """
    moved = [total for total in totals if total]
    chances = np.ones(1)
    for worth, coins in Counter(map(abs, moved)).items():
        chances = np.convolve(chances, _coin_sums(coins, worth))
    largest = len(chances) - 1
    sums = 2 * np.arange(len(chances)) - largest
    return min(1.0, float(chances[np.abs(sums) >= abs(sum(moved))].sum()))


def _coin_sums(coins: int, worth: int) -> npt.NDArray[np.float64]:
    """The chances that fair coins of this worth show heads worth 0, 1, … coins · worth."""
    heads = np.arange(coins + 1)
    tails = coins - heads
    log_ways = special.gammaln(coins + 1) - special.gammaln(heads + 1) - special.gammaln(tails + 1)
    chances = np.zeros(coins * worth + 1)
    chances[::worth] = np.exp(log_ways - coins * math.log(2))
    return chances


def holm(p_values: Sequence[float]) -> list[float]:
    """Each p corrected for all of them (Holm, Scandinavian Journal of Statistics 1979).

    >>> holm([0.03, 0.01, 0.04])
    [0.06, 0.03, 0.06]
    """
    corrected = [0.0] * len(p_values)
    largest = 0.0
    for rank, position in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[position]))
        corrected[position] = largest
    return corrected
