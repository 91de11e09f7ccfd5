"""How many probes a verdict takes, checked against the intervals themselves."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.probes.deciding import (
    can_decide,
    pairs_to_decide,
    probes_to_decide,
    shrunk,
    smallest_deciding,
)
from trimtab.probes.intervals import Sample, clopper_pearson
from trimtab.probes.pairs import tango
from trimtab.records.profile import Interval


def independent(successes: float, n: int) -> Sample:
    return Sample(successes / n if n else 0.0, n, n, n)


@pytest.mark.parametrize(
    ("target", "kind", "fewest"),
    [
        # Clopper–Pearson of a perfect result is 0.025 ** (1 / n).
        (0.90, "perform", math.ceil(math.log(0.025) / math.log(0.90))),
        (0.95, "deflect", math.ceil(math.log(0.025) / math.log(0.95))),
        (0.02, "never", math.ceil(math.log(0.025) / math.log(0.98))),
        (0.03, "retain", math.ceil(3.8414588 * 0.97 / 0.03)),  # z² (1 - m) / m
        (1.0, "perform", None),
        (0.0, "never", None),
        (0.0, "retain", None),
        (0.0, "perform", 1),
    ],
)
def test_smallest_deciding(target, kind, fewest):
    assert smallest_deciding(target, kind) == fewest
    if fewest:
        assert can_decide(fewest, target, kind)
        assert not (fewest > 1 and can_decide(fewest - 1, target, kind))


def test_no_probes_decide_nothing():
    assert not can_decide(0, 0.9, "perform")
    assert not can_decide(0, 0.02, "never")
    assert not can_decide(0, 0.03, "retain")
    assert probes_to_decide(independent(0, 0), 0.9) is None


@given(st.integers(1, 150), st.floats(0, 1), st.floats(0.05, 0.95))
def test_probes_to_decide_is_the_first_size_that_does(n, share, target):
    successes = round(share * n)
    more = probes_to_decide(independent(successes, n), target)
    if more is None:
        assert abs(successes / n - target) < 0.003
        return

    def decided(total: int) -> bool:
        interval = clopper_pearson(successes / n * total, total)
        return interval.low >= target or interval.high <= target

    assert all(decided(n + more + extra) for extra in (0, 1, 2, 5, 10, 100, 1000))
    assert not any(decided(total) for total in range(max(n, n + more - 50), n + more))


def test_61_of_64_is_undecided_at_90_percent():
    more = probes_to_decide(independent(61, 64), 0.90)
    assert more is not None
    assert 50 < more < 120


def test_a_rate_on_its_target_is_never_decided():
    assert probes_to_decide(independent(9, 10), 0.9) is None


@pytest.mark.parametrize(("successes", "target"), [(64, 1.0), (0, 0.0)])
def test_a_perfect_rate_never_shows_perfection(successes, target):
    assert probes_to_decide(independent(successes, 64), target) is None


def test_clustered_probes_take_more():
    clustered = Sample(0.95, 100, 50, 60)
    assert probes_to_decide(clustered, 0.9) > probes_to_decide(independent(95, 100), 0.9)


@pytest.mark.parametrize(("gained", "lost"), [(0, 0), (0, 2), (3, 3), (10, 20), (2, 15), (25, 0)])
@pytest.mark.parametrize("scale", [0.5, 1, 2, 5, 20])
def test_shrunk_is_tango_of_as_many_more_pairs(gained, lost, scale):
    expected = tango(gained * scale, lost * scale, 60 * scale)
    guess = shrunk(tango(gained, lost, 60), 60, int(60 * scale))
    assert (guess.value, guess.low, guess.high) == pytest.approx(
        (expected.value, expected.low, expected.high), abs=1e-6
    )


def test_an_interval_wider_than_any_of_tangos_shrinks_as_the_widest():
    assert shrunk(Interval(0.0, -0.9, 0.9), 60, 600) == tango(300, 300, 600)


def test_unchanged_pairs_take_as_many_as_the_fewest_that_can():
    more = pairs_to_decide(tango(0, 0, 60), 60, 60, floor=-0.03)
    assert more == smallest_deciding(0.03, "retain") - 60


def test_pairs_in_clusters_of_two_take_twice_as_many():
    more = pairs_to_decide(tango(0, 0, 30), 60, 30, floor=-0.03)
    assert more == 2 * smallest_deciding(0.03, "retain") - 60


def test_a_change_on_its_margin_is_never_decided():
    assert pairs_to_decide(tango(0, 6, 60), 60, 60, floor=-0.1) is None
