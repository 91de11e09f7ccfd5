"""Selection agrees with its definition, computed the slow way."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.plans.select import k_center, near_boundary, share_out


def unit_vectors(rows, seed=0, dimensions=5):
    vectors = np.random.default_rng(seed).normal(size=(rows, dimensions)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def by_definition(vectors, count):
    """Each next row has the largest distance to its nearest chosen one."""
    chosen = [int(np.argmin(((vectors - vectors.mean(axis=0)) ** 2).sum(axis=1)))]
    while len(chosen) < count:
        distance = [
            -1.0 if i in chosen else min(float(((row - vectors[c]) ** 2).sum()) for c in chosen)
            for i, row in enumerate(vectors)
        ]
        chosen.append(int(np.argmax(distance)))
    return chosen


@pytest.mark.parametrize("seed", range(5))
def test_k_center_is_farthest_first(seed):
    vectors = unit_vectors(30, seed)
    assert k_center(vectors, 12) == by_definition(vectors, 12)


@given(st.integers(0, 20), st.integers(0, 30), st.integers(0, 9))
def test_k_center_gives_prefixes_of_distinct_rows(rows, count, seed):
    vectors = unit_vectors(rows, seed)
    chosen = k_center(vectors, count)
    assert len(set(chosen)) == len(chosen) == min(rows, count)
    assert chosen == k_center(vectors, rows)[:count]


def test_k_center_of_nothing_and_of_alike_rows():
    assert k_center(np.zeros((4, 3), dtype=np.float32), 9) == [0, 1, 2, 3]
    assert k_center(np.zeros((0, 3), dtype=np.float32), 2) == []
    assert k_center(unit_vectors(3), -1) == []
    assert k_center(np.ones((3, 1), dtype=np.float32), 2) == [0, 1]


def test_near_boundary_chooses_among_the_nearer_half():
    vectors, others = unit_vectors(20), unit_vectors(4, seed=1)
    nearness = (vectors @ others.T).max(axis=1)
    nearer = set(np.argsort(-nearness)[:10].tolist())
    assert set(near_boundary(vectors, others, 6)) <= nearer
    assert set(near_boundary(vectors, others, 10)) == nearer
    assert set(near_boundary(vectors, others, 15)) == set(np.argsort(-nearness)[:15].tolist())
    assert sorted(near_boundary(vectors, others, 50)) == list(range(20))
    for count in range(20):
        smaller, larger = (near_boundary(vectors, others, n) for n in (count, count + 1))
        assert larger[:count] == smaller


def test_near_boundary_without_a_boundary_spreads():
    vectors = unit_vectors(9)
    assert near_boundary(vectors, vectors[:0], 4) == k_center(vectors, 4)
    assert near_boundary(vectors[:0], vectors, 4) == []


groups = st.lists(
    st.tuples(st.floats(0, 1, allow_subnormal=False), st.integers(0, 30)), min_size=1, max_size=6
)


@given(groups, st.integers(0, 200))
def test_share_out_fills_and_never_takes_back(groups, count):
    weights, capacity = zip(*groups, strict=True)
    shares = share_out(count, weights, capacity)
    assert sum(shares) == min(count, sum(capacity))
    assert all(0 <= share <= room for share, room in zip(shares, capacity, strict=True))
    larger = share_out(count + 1, weights, capacity)
    assert all(one <= other for one, other in zip(shares, larger, strict=True))


@pytest.mark.parametrize(
    ("count", "weights", "capacity", "shares"),
    [
        (100, [53, 24, 23], [99, 99, 99], [53, 24, 23]),
        (3, [0.7, 0.3], [9, 9], [2, 1]),
        (10, [1, 0], [3, 10], [3, 7]),
        (4, [0, 0], [9, 9], [2, 2]),
        (5, [1], [2], [2]),
        (0, [1, 1], [5, 5], [0, 0]),
        (3, [], [], []),
    ],
)
def test_share_out(count, weights, capacity, shares):
    assert share_out(count, weights, capacity) == shares
