"""Steps hold every row once an epoch, with lengths mixed and tokens in balance."""

from __future__ import annotations

import random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from trimtab.tuning.batches import fill_steps, step_tokens_for

LENGTHS = st.lists(st.integers(1, 400), max_size=80)
SIZES = st.integers(16, 2000)


@given(LENGTHS, SIZES, st.integers(1, 4), st.integers(0, 99))
def test_every_row_comes_once_an_epoch(
    lengths: list[int], size: int, epochs: int, seed: int
) -> None:
    steps = fill_steps(lengths, epochs=epochs, step_tokens=size, seed=seed)
    assert all(steps)
    assert len(steps) % epochs == 0
    an_epoch = len(steps) // epochs
    for epoch in range(epochs):
        rows = [row for step in steps[epoch * an_epoch : (epoch + 1) * an_epoch] for row in step]
        assert sorted(rows) == list(range(len(lengths)))


@given(LENGTHS, SIZES, st.integers(0, 99))
def test_no_step_is_far_above_the_mean(lengths: list[int], size: int, seed: int) -> None:
    steps = fill_steps(lengths, epochs=1, step_tokens=size, seed=seed)
    tokens = [sum(lengths[row] for row in step) for step in steps]
    if tokens:
        assert max(tokens) <= sum(tokens) / len(tokens) + max(lengths)
        assert sum(tokens) / len(tokens) <= max(size, max(lengths))


@given(LENGTHS, SIZES, st.integers(0, 99))
def test_the_same_seed_gives_the_same_steps(lengths: list[int], size: int, seed: int) -> None:
    first = fill_steps(lengths, epochs=2, step_tokens=size, seed=seed)
    assert fill_steps(lengths, epochs=2, step_tokens=size, seed=seed) == first


def test_more_epochs_begin_as_fewer_do() -> None:
    lengths = [random.Random(0).randrange(5, 90) for _ in range(40)]
    two = fill_steps(lengths, epochs=2, step_tokens=200, seed=0)
    assert fill_steps(lengths, epochs=5, step_tokens=200, seed=0)[: len(two)] == two


def test_epochs_and_seeds_differ_in_order_and_grouping() -> None:
    lengths = [50] * 30
    steps = fill_steps(lengths, epochs=2, step_tokens=250, seed=0)
    groups = [{frozenset(step) for step in part} for part in (steps[:6], steps[6:])]
    assert groups[0] != groups[1]
    assert fill_steps(lengths, epochs=2, step_tokens=250, seed=1) != steps


def test_each_step_holds_short_and_long_rows() -> None:
    lengths = [10] * 50 + [100] * 50
    for step in fill_steps(lengths, epochs=1, step_tokens=1100, seed=0):
        assert [lengths[row] for row in step].count(10) == 10


def test_when_a_step_comes_says_nothing_about_its_rows_lengths() -> None:
    lengths = np.random.default_rng(0).integers(5, 300, 200).tolist()
    steps = fill_steps(lengths, epochs=20, step_tokens=1500, seed=0)
    an_epoch = len(steps) // 20
    when = [n % an_epoch for n, step in enumerate(steps) for _ in step]
    long = [lengths[row] for step in steps for row in step]
    assert abs(np.corrcoef(when, long)[0, 1]) < 4 / len(long) ** 0.5


def test_no_rows_give_no_steps() -> None:
    assert fill_steps([], epochs=3, step_tokens=256, seed=0) == []


def test_a_row_longer_than_a_step_makes_one_by_itself() -> None:
    steps = fill_steps([900, 3, 3], epochs=1, step_tokens=256, seed=0)
    assert [0] in steps


def test_the_size_of_a_step_leaves_forty_of_them_within_bounds() -> None:
    assert step_tokens_for([400] * 100, epochs=2) == 2000  # 80,000 tokens in 40 steps
    assert step_tokens_for([10], epochs=1) == 256
    assert step_tokens_for([1000] * 10_000, epochs=1) == 8192
