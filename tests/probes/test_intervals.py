"""Intervals agree with statsmodels, cover what they promise, and never claim too much."""

from __future__ import annotations

import math
from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from trimtab.probes.intervals import (
    Sample,
    bootstrap_ratio,
    clopper_pearson,
    rate_interval,
    sample_interval,
    sample_of,
    wilson,
)
from trimtab.records.profile import Interval

COUNTS = [(x, n) for n in (1, 2, 5, 20, 64, 333) for x in sorted({0, 1, n // 3, n - 1, n})]


def apart(n: int) -> list[str]:
    """Clusters of one."""
    return [f"seed-{i}" for i in range(n)]


@pytest.mark.parametrize("level", [0.8, 0.95, 0.99])
@pytest.mark.parametrize(("successes", "n"), COUNTS)
@pytest.mark.parametrize(("ours", "theirs"), [(clopper_pearson, "beta"), (wilson, "wilson")])
def test_intervals_are_those_of_statsmodels(ours, theirs, successes, n, level):
    expected = proportion_confint(successes, n, alpha=1 - level, method=theirs)
    interval = ours(successes, n, level)
    assert interval.value == successes / n
    assert (interval.low, interval.high) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("interval", [clopper_pearson(0, 0), wilson(0, 0), rate_interval([], [])])
def test_no_probes_say_nothing(interval):
    assert interval == Interval(0.0, 0.0, 1.0)


@given(st.integers(1, 400), st.floats(0.001, 0.999))
def test_clopper_pearson_takes_fractions_and_inverts_the_beta_distribution(n, share):
    successes = share * n
    interval = clopper_pearson(successes, n)
    assert 0 <= interval.low <= interval.value <= interval.high <= 1
    if interval.low > 1e-9:  # below, the inverse has no digits left
        chance = stats.beta.cdf(interval.low, successes, n - successes + 1)
        assert chance == pytest.approx(0.025, rel=1e-6)


@given(st.lists(st.booleans(), min_size=1, max_size=60))
def test_independent_probes_get_clopper_pearson(outcomes):
    expected = astuple(clopper_pearson(sum(outcomes), len(outcomes)))
    assert astuple(rate_interval(outcomes, apart(len(outcomes)))) == pytest.approx(expected)


def test_effective_size_by_hand():
    # Four clusters of two, totals 2 2 1 0, rate 5/8: residuals 3/4 3/4 -1/4 -5/4, squares 11/4.
    # Variance 11/4 * 4/3 / 64 = 11/192; of eight independent outcomes 15/512; deff 88/45.
    sample = sample_of([True, True, True, True, True, False, False, False], list("aabbccdd"))
    few_clusters = (stats.t.ppf(0.975, 7) / stats.t.ppf(0.975, 3)) ** 2
    assert (sample.rate, sample.n, sample.clusters) == (5 / 8, 8, 4)
    assert sample.size == pytest.approx(8 * 45 / 88 * few_clusters)


def test_wordings_that_stand_and_fall_together_count_about_once():
    seeds = [i % 10 < 8 for i in range(200)]
    doubled = sample_of(
        [seed for seed in seeds for _ in range(2)], [str(i // 2) for i in range(400)]
    )
    assert doubled.size == pytest.approx(200, rel=0.02)


def test_unlike_wordings_never_count_for_more_than_they_are():
    sample = sample_of([True, False] * 50, [str(i // 2) for i in range(100)])
    assert 95 < sample.size < 100


@pytest.mark.parametrize("outcome", [True, False])
def test_where_all_agree_each_cluster_counts_once(outcome):
    interval = rate_interval([outcome] * 100, [str(i // 5) for i in range(100)])
    assert interval == clopper_pearson(20 * outcome, 20)


def test_one_cluster_counts_once():
    assert sample_of([True, False, True], ["a"] * 3) == Sample(2 / 3, 3, 1, 1)


@given(st.lists(st.booleans(), min_size=40, max_size=40))
def test_a_worse_result_never_shows_more_than_a_perfect_one(outcomes):
    clusters = [str(i // 4) for i in range(40)]
    interval = rate_interval(outcomes, clusters)
    assert interval.low <= rate_interval([True] * 40, clusters).low
    assert interval.high >= rate_interval([False] * 40, clusters).high
    assert interval.low <= interval.value <= interval.high


def test_outcomes_and_clusters_must_pair():
    with pytest.raises(ValueError, match="shorter"):
        rate_interval([True, False], ["a"])


@pytest.mark.parametrize("likeness", [0.0, 0.3, 0.7])
@pytest.mark.parametrize("rate", [0.5, 0.9, 0.97])
def test_clustered_intervals_cover_the_rate(rate, likeness):
    """Beta-binomial wordings, 20 seeds of 5, at the intracluster correlation `likeness`."""
    random = np.random.default_rng(7)
    clusters = [str(i // 5) for i in range(100)]
    spread = (1 - likeness) / likeness if likeness else math.inf
    covered = 0
    for _ in range(400):
        rates = (
            random.beta(rate * spread, (1 - rate) * spread, size=20)
            if likeness
            else np.full(20, rate)
        )
        outcomes = (random.random(100) < np.repeat(rates, 5)).tolist()
        interval = rate_interval(outcomes, clusters)
        covered += interval.low <= rate <= interval.high
    assert covered / 400 >= 0.94


def test_a_perfect_sample_imagined_larger_narrows():
    one, two = Sample(1.0, 20, 20, 20), Sample(1.0, 40, 40, 40)
    assert sample_interval(two).low > sample_interval(one).low


def test_bootstrap_of_a_mean_is_close_to_students_interval():
    values = np.random.default_rng(3).normal(2.0, 1.0, size=60)
    interval = bootstrap_ratio(values.tolist(), [1.0] * 60)
    expected = stats.t.interval(0.95, 59, values.mean(), stats.sem(values))
    assert interval.value == pytest.approx(values.mean())
    assert (interval.low, interval.high) == pytest.approx(expected, abs=0.03)


def test_bootstrap_weighs_rows_by_size_and_repeats():
    interval = bootstrap_ratio([1.0, 9.0], [1.0, 3.0], seed=5)
    assert interval == bootstrap_ratio([1.0, 9.0], [1.0, 3.0], seed=5)
    assert interval == Interval(2.5, 1.0, 3.0)
