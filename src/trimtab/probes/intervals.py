"""Confidence intervals of rates and of ratios, from probes that may share a seed request."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from trimtab.records.profile import Interval

LEVEL = 0.95
RESAMPLES_AT_ONCE = 50
BATCHES = 80


def normal_quantile(level: float = LEVEL) -> float:
    """How many standard errors a two-sided interval reaches: 1.96 at 95%."""
    return float(special.ndtri(0.5 + level / 2))


def clopper_pearson(successes: float, n: float, level: float = LEVEL) -> Interval:
    """The exact interval of Clopper & Pearson (Biometrika 1934), as quantiles of beta variables.

    Counts may be fractions, as effective sample sizes are. No probes say nothing: n = 0 gives the
    rate 0 in (0, 1).

    >>> interval = clopper_pearson(61, 64)
    >>> f"{interval.value:.3f} in ({interval.low:.3f}, {interval.high:.3f})"
    '0.953 in (0.869, 0.990)'
    """
    if n <= 0:
        return Interval(0.0, 0.0, 1.0)
    failures = n - successes
    tail = (1 - level) / 2
    low = special.betaincinv(successes, failures + 1, tail) if successes > 0 else 0.0
    high = special.betaincinv(successes + 1, failures, 1 - tail) if failures > 0 else 1.0
    return Interval(successes / n, float(low), float(high))


def wilson(successes: float, n: float, level: float = LEVEL) -> Interval:
    """The score interval of Wilson (JASA 1927): shorter than Clopper–Pearson, right on average.

    Counts may be fractions; n = 0 gives the rate 0 in (0, 1).

    >>> interval = wilson(0, 20)
    >>> f"({interval.low:.3f}, {interval.high:.3f})"
    '(0.000, 0.161)'
    """
    if n <= 0:
        return Interval(0.0, 0.0, 1.0)
    rate = successes / n
    z_squared = normal_quantile(level) ** 2
    centre = (successes + z_squared / 2) / (n + z_squared)
    reach = math.sqrt(z_squared * (n * rate * (1 - rate) + z_squared / 4)) / (n + z_squared)
    return Interval(rate, max(0.0, centre - reach), min(1.0, centre + reach))


@dataclass(frozen=True, slots=True)
class Sample:
    """What `n` outcomes in `clusters` clusters tell of a rate.

    `size` is the effective sample size: how many independent outcomes would tell as much. It
    equals `n` where every cluster has one outcome. A sample imagined at another scale may have
    fractions of clusters.
    """

    rate: float
    n: int
    clusters: float
    size: float


def sample_of(outcomes: Sequence[bool], clusters: Sequence[str], level: float = LEVEL) -> Sample:
    """The outcomes' rate and effective size; `clusters` names each one's seed request.

    The size is that of Korn & Graubard (Survey Methodology 1998), n / deff · (t[n-1] / t[k-1])²
    for k clusters. The design effect is the linearised variance of the rate between clusters over
    that of n independent outcomes, and at least 1. Where nothing tells how alike the outcomes of
    a cluster are (all outcomes equal, or one cluster), each cluster counts as one outcome.
    """
    n = len(outcomes)
    totals: defaultdict[str, int] = defaultdict(int)
    sizes: defaultdict[str, int] = defaultdict(int)
    for outcome, cluster in zip(outcomes, clusters, strict=True):
        totals[cluster] += outcome
        sizes[cluster] += 1
    k = len(sizes)
    successes = sum(totals.values())
    rate = successes / n if n else 0.0
    if k == n:
        return Sample(rate, n, k, n)
    if k == 1 or successes in (0, n):
        return Sample(rate, n, k, k)
    between = sum((totals[name] - rate * sizes[name]) ** 2 for name in sizes) * k / (k - 1) / n**2
    design_effect = max(1.0, between / (rate * (1 - rate) / n))
    quantile = 0.5 + level / 2
    few_clusters = float(special.stdtrit(n - 1, quantile) / special.stdtrit(k - 1, quantile)) ** 2
    return Sample(rate, n, k, n / design_effect * few_clusters)


def sample_interval(sample: Sample, level: float = LEVEL) -> Interval:
    """Clopper–Pearson at the effective size, but never beyond what the clusters could show.

    A perfect sample counts its clusters alone (`sample_of`). An imperfect one must not show more
    than that, so `low` is at most that of as many clusters that all succeed, and `high` at least
    that of as many that all fail. Where the outcomes are independent this changes nothing.
    """
    own = clopper_pearson(sample.rate * sample.size, sample.size, level)
    best = clopper_pearson(sample.clusters, sample.clusters, level)
    worst = clopper_pearson(0, sample.clusters, level)
    return Interval(sample.rate, min(own.low, best.low), max(own.high, worst.high))


def rate_interval(
    outcomes: Sequence[bool], clusters: Sequence[str], level: float = LEVEL
) -> Interval:
    """The rate with an interval for a verdict: Clopper–Pearson where all clusters differ.

    Otherwise Korn & Graubard's. No outcomes give the rate 0 in (0, 1).

    >>> rewordings = rate_interval([True] * 40, [f"seed-{i // 2}" for i in range(40)])
    >>> f"{rewordings.low:.3f}, not {clopper_pearson(40, 40).low:.3f}"
    '0.832, not 0.912'
    """
    return sample_interval(sample_of(outcomes, clusters, level), level)


def bootstrap_ratio(
    totals: Sequence[float], sizes: Sequence[float], level: float = LEVEL, seed: int = 0
) -> Interval:
    """Σ totals / Σ sizes with a percentile bootstrap interval over the rows, two or more.

    The percentiles of 4,000 resamples are expanded for few rows, as Hesterberg (The American
    Statistician 2015) does: Φ(-√(k / (k-1)) · t[k-1]) in place of 2.5% for k rows.
    """
    top, bottom = np.asarray(totals, dtype=float), np.asarray(sizes, dtype=float)
    rows = len(top)
    random = np.random.default_rng(seed)
    ratios = []
    for _ in range(BATCHES):
        drawn = random.integers(rows, size=(RESAMPLES_AT_ONCE, rows))
        ratios.append(top[drawn].sum(axis=1) / bottom[drawn].sum(axis=1))
    t = float(special.stdtrit(rows - 1, 0.5 + level / 2))
    tail = float(special.ndtr(-math.sqrt(rows / (rows - 1)) * t))
    low, high = np.quantile(ratios, [tail, 1 - tail])
    return Interval(float(top.sum() / bottom.sum()), float(low), float(high))
