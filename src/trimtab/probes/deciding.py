"""How many probes a verdict takes."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import replace

from trimtab.probes.intervals import Sample, clopper_pearson, sample_interval
from trimtab.probes.pairs import tango
from trimtab.records.charter import ClauseKind
from trimtab.records.profile import Interval

MOST_PROBES = 1_000_000


def can_decide(n: int, target: float, kind: ClauseKind) -> bool:
    """Whether n independent probes could show the target met, by the best that can be hoped for.

    That is all right for perform and deflect, none for never, and no reply changed for retain.

    >>> can_decide(20, 0.90, "perform"), can_decide(36, 0.90, "perform")
    (False, True)
    """
    if kind == "retain":
        return tango(0, 0, n).low >= -target
    if kind == "never":
        return clopper_pearson(0, n).high <= target
    return clopper_pearson(n, n).low >= target


def smallest_deciding(target: float, kind: ClauseKind) -> int | None:
    """The fewest independent probes that could show the target met; None: no number could.

    >>> smallest_deciding(0.02, "never")
    183
    """
    return _fewest(lambda n: can_decide(n, target, kind), at_least=1)


def probes_to_decide(sample: Sample, target: float) -> int | None:
    """How many more probes would put the interval on one side of the target; 0: it is there.

    They are taken to hold at the sample's rate, fractions included, in clusters like its own:
    rounding to whole successes would make the answer jump. None where `MOST_PROBES` in all would
    not do, or where there are no probes yet.
    """
    if not sample.n:
        return None

    def decided(n: int) -> bool:
        scale = n / sample.n
        scaled = replace(sample, size=sample.size * scale, clusters=sample.clusters * scale)
        return _beside(sample_interval(scaled), target)

    total = _fewest(decided, at_least=sample.n)
    return None if total is None else total - sample.n


def pairs_to_decide(change: Interval, n: int, clusters: int, floor: float) -> int | None:
    """How many more probes would put an undecided paired difference above or below `floor`.

    The difference is taken to stay, its interval to shrink as `shrunk` says, in clusters like
    those that the n pairs have; the least answer is one cluster's. None as for
    `probes_to_decide`.
    """
    total = _fewest(lambda k: _beside(shrunk(change, clusters, k), floor), at_least=clusters + 1)
    return None if total is None else math.ceil(total * n / clusters) - n


def shrunk(change: Interval, n: int, other_n: int) -> Interval:
    """A paired difference's interval as `other_n` probes would give it, all else alike.

    How many of the n probes changed is read off the interval: the fewest that make Tango's as
    wide. The same shares of `other_n` then give the answer. That is exact where the interval is
    Tango's; for a bootstrap interval, n should count its clusters.
    """
    width = change.high - change.low - 1e-9  # less rounding, or the fewest would be one too many

    def rescaled(unseen: int, m: int) -> Interval:
        """Tango's of m probes where `unseen` of n changed beyond those that the value needs."""
        net = change.value * n
        changed = min(n, abs(net) + unseen)
        return tango((changed + net) / 2 * m / n, (changed - net) / 2 * m / n, m)

    def width_of(unseen: int) -> float:
        interval = rescaled(unseen, n)
        return interval.high - interval.low

    return rescaled(bisect_left(range(n + 1), width, key=width_of), other_n)


def _beside(interval: Interval, target: float) -> bool:
    """Whether the interval leaves the target to one side; a value on its target has no side."""
    return interval.value != target and not interval.low < target < interval.high


def _fewest(decided: Callable[[int], bool], at_least: int) -> int | None:
    """The smallest number that decides, where all larger ones do too; None past `MOST_PROBES`."""
    numbers = range(at_least, MOST_PROBES + 1)
    position = bisect_left(numbers, True, key=decided)
    return numbers[position] if position < len(numbers) else None
