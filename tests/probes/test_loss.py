"""Held-out loss, and how it moved."""

from __future__ import annotations

import numpy as np
import pytest

from trimtab.probes.loss import bootstrap_loss, loss_difference
from trimtab.records.errors import DataError

RANDOM = np.random.default_rng(2)
ROWS = [(-RANDOM.exponential(2.0, size=RANDOM.integers(5, 30))).tolist() for _ in range(80)]


def test_the_loss_is_the_mean_over_tokens():
    loss = bootstrap_loss(ROWS)
    tokens = np.concatenate(ROWS)
    assert loss.value == pytest.approx(-tokens.mean())
    assert (loss.rows, loss.tokens) == (80, len(tokens))
    assert loss.low < 2.0 < loss.high
    assert loss.high - loss.low == pytest.approx(2 * 1.96 * 2.0 / np.sqrt(len(tokens)), rel=0.25)


def test_rows_without_tokens_do_not_count():
    assert bootstrap_loss([[], *ROWS, []]) == bootstrap_loss(ROWS)
    assert loss_difference([[], *ROWS], [[], *ROWS]) == loss_difference(ROWS, ROWS)


@pytest.mark.parametrize("rows", [[], [[]], [[-1.0]], [[-1.0], []]])
def test_fewer_than_two_rows_have_no_interval(rows):
    with pytest.raises(DataError, match=r"two conversations or more.*\n.*held_out"):
        bootstrap_loss(rows)
    with pytest.raises(DataError, match="two conversations or more"):
        loss_difference(rows, rows)


def test_a_difference_is_after_minus_before_and_pairing_makes_it_sharp():
    worse = [[value - 0.1 for value in row] for row in ROWS]
    difference = loss_difference(ROWS, worse)
    assert (difference.value, difference.low, difference.high) == pytest.approx((0.1, 0.1, 0.1))


def test_unlike_tokens_cannot_be_paired():
    with pytest.raises(DataError, match="different tokens"):
        loss_difference([[-1.0], [-1.0]], [[-1.0], [-1.0, -2.0]])
