"""Paired differences agree with published figures, with likelihoods, and with enumeration."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from trimtab.probes.pairs import (
    both_judged,
    cluster_interval,
    holm,
    paired_difference,
    sign_flip,
    tango,
)
from trimtab.records.profile import Interval
from trimtab.records.reply import Score


def outcomes(gained: int, lost: int, n: int) -> tuple[list[bool], list[bool]]:
    """Before and after, with as many gained and lost and the rest holding on both sides."""
    same = n - gained - lost
    before = [False] * gained + [True] * (lost + same)
    return before, [True] * gained + [False] * lost + [True] * same


@pytest.mark.parametrize(
    ("gained", "lost", "n", "level", "low", "high"),
    [
        # Airway hyper-responsiveness before and after a transplantation: Fagerland, Lydersen &
        # Laake, Statistical Analysis of Contingency Tables (2017), chapter 8.
        (1, 7, 21, 0.95, -0.517, -0.026),
        # R, PropCIs::scoreci.mp(25, 28, 618, 0.90).
        (28, 25, 618, 0.90, -0.0148, 0.0247),
    ],
)
def test_tango_gives_published_figures(gained, lost, n, level, low, high):
    interval = tango(gained, lost, n, level)
    digits = 3 if n == 21 else 4
    assert (round(interval.low, digits), round(interval.high, digits)) == (low, high)


def score_statistic(gained: int, lost: int, n: int, delta: float) -> float:
    """The score test of a difference, its nuisance rate found by maximising the likelihood."""

    def surprise(losing: float) -> float:
        rates = (losing + delta, losing, 1 - 2 * losing - delta)
        counts = (gained, lost, n - gained - lost)
        return -sum(c * math.log(max(r, 1e-300)) for c, r in zip(counts, rates, strict=True) if c)

    bounds = (max(0.0, -delta), (1 - delta) / 2)
    losing = optimize.minimize_scalar(
        surprise, bounds=bounds, method="bounded", options={"xatol": 1e-12}
    ).x
    variance = n * (2 * losing + delta - delta**2)
    return (gained - lost - n * delta) / math.sqrt(variance)


@pytest.mark.parametrize(
    ("gained", "lost", "n"),
    [(5, 2, 20), (0, 3, 20), (3, 0, 20), (10, 10, 30), (1, 30, 64), (0, 0, 9)],
)
def test_tango_ends_where_the_score_test_rejects(gained, lost, n):
    interval = tango(gained, lost, n)
    z = stats.norm.ppf(0.975)
    assert score_statistic(gained, lost, n, interval.low) == pytest.approx(z, abs=1e-3)
    assert score_statistic(gained, lost, n, interval.high) == pytest.approx(-z, abs=1e-3)


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 40))
def test_tango_is_antisymmetric_and_contains_its_estimate(gained, lost, same):
    n = gained + lost + same
    interval, mirrored = tango(gained, lost, n), tango(lost, gained, n)
    assert -1 <= interval.low <= interval.value <= interval.high <= 1
    assert interval.low == pytest.approx(-mirrored.high, abs=1e-9)


@pytest.mark.parametrize("n", [1, 7, 50, 1000])
def test_tango_of_unchanged_pairs_in_closed_form(n):
    # Without changes the test's variance is n δ (1 - δ), so that nδ² = z² δ (1 - δ).
    reach = 3.8414588 / (n + 3.8414588)
    assert tango(0, 0, n).high == pytest.approx(reach)
    assert tango(0, 0, n).low == pytest.approx(-reach)


def test_tango_covers_the_difference_it_estimates():
    """Exact mean coverage over all tables of 30 pairs, at a spread of true rates."""
    tables = [(b, c) for b in range(31) for c in range(31 - b)]
    intervals = [tango(b, c, 30) for b, c in tables]
    coverages = []
    for gaining, losing in itertools.product((0.02, 0.1, 0.3), repeat=2):
        chances = stats.multinomial.pmf(
            [(b, c, 30 - b - c) for b, c in tables], 30, [gaining, losing, 1 - gaining - losing]
        )
        true = gaining - losing
        covering = [interval.low <= true <= interval.high for interval in intervals]
        coverages.append(chances[covering].sum())
    assert np.mean(coverages) >= 0.945
    assert min(coverages) >= 0.92


@pytest.mark.parametrize(
    ("gained", "lost"), [(0, 0), (1, 0), (5, 5), (2, 9), (60, 41), (900, 1000)]
)
def test_independent_pairs_get_mcnemars_exact_p(gained, lost):
    n = gained + lost + 3
    paired = paired_difference(*outcomes(gained, lost, n), [str(i) for i in range(n)])
    expected = mcnemar([[3, lost], [gained, 0]], exact=True).pvalue
    assert paired.p == pytest.approx(expected, rel=1e-9)
    assert (paired.gained, paired.lost) == (gained, lost)
    assert paired.difference == tango(gained, lost, n)
    assert paired.method == "exact McNemar, Tango"


@given(st.lists(st.integers(-4, 4), max_size=9))
def test_sign_flip_is_what_trying_all_flips_gives(totals):
    flips = itertools.product((1, -1), repeat=len(totals))
    reached = [abs(np.dot(signs, totals)) >= abs(sum(totals)) for signs in flips]
    assert sign_flip(totals) == pytest.approx(np.mean(reached))


def test_clustered_pairs_say_so_and_repeat():
    before, after = outcomes(9, 2, 40)
    clusters = [str(i // 2) for i in range(40)]
    paired = paired_difference(before, after, clusters, seed=4)
    assert paired.method == "cluster sign-flip, bootstrap"
    assert paired == paired_difference(before, after, clusters, seed=4)
    assert paired.p == pytest.approx(sign_flip([2, 2, 2, 2, 0, -1]))
    assert paired.difference.low < 7 / 40 < paired.difference.high


def test_no_pairs_say_nothing():
    paired = paired_difference([], [], [])
    assert (paired.difference, paired.p) == (Interval(0.0, -1.0, 1.0), 1.0)


@pytest.mark.parametrize(("gained", "lost", "change"), [(0, 0, 0), (40, 0, 1), (0, 40, -1)])
def test_where_all_change_alike_each_cluster_counts_once(gained, lost, change):
    interval = cluster_interval(gained, lost, [2 * change] * 20, [2] * 20)
    assert interval == tango(gained / 2, lost / 2, 20)


def test_one_cluster_counts_once():
    assert cluster_interval(2, 1, [1], [5]) == tango(0.4, 0.2, 1)


def test_a_loss_never_looks_surer_than_no_change():
    unchanged = cluster_interval(0, 0, [0] * 20, [5] * 20)
    one_lost = cluster_interval(0, 1, [-1] + [0] * 19, [5] * 20)
    assert one_lost.low <= unchanged.low


@pytest.mark.parametrize("likeness", [0.0, 0.5])
@pytest.mark.parametrize(("gaining", "losing"), [(0.0, 0.05), (0.05, 0.15), (0.3, 0.1)])
def test_clustered_intervals_cover_the_difference(gaining, losing, likeness):
    """20 seeds of 4 wordings; a wording copies its seed's first with probability `likeness`."""
    random = np.random.default_rng(11)
    rates = [gaining, losing, 1 - gaining - losing]
    covered = 0
    for _ in range(300):
        changes = random.choice([1, -1, 0], size=(20, 4), p=rates)
        copied = random.random((20, 4)) < likeness
        changes = np.where(copied, changes[:, :1], changes)
        interval = cluster_interval(
            int((changes == 1).sum()), int((changes == -1).sum()), changes.sum(1).tolist(), [4] * 20
        )
        covered += interval.low <= gaining - losing <= interval.high
    assert covered / 300 >= 0.925  # 0.95 less two standard errors of 300 draws


def test_only_probes_judged_on_both_sides_pair():
    def score(probe: str, holds: bool | None) -> Score:
        return Score(probe, "book", probe, holds, ())

    before = [score("a", True), score("b", None), score("c", False)]
    after = [score("c", True), score("b", True), score("d", True), score("a", None)]
    assert both_judged(before, after) == [(before[2], after[0])]


@settings(max_examples=20)  # the reference is slow
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_is_that_of_statsmodels(p_values):
    assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1])


def test_holm_of_nothing():
    assert holm([]) == []
