"""Which rows of a pool to take: spread over what they say, or near a boundary."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from trimtab.records.protocols import Vectors


def k_center(vectors: Vectors, count: int) -> list[int]:
    """Up to `count` rows, each the farthest from all before it (Gonzalez 1985, greedy).

    `vectors` has shape (rows, dimensions), each of length 1 or 0. The first row is the one nearest
    to the mean. A smaller count gives a prefix of a larger one. Rows of equal distance go in their
    order.

    >>> points = np.array([[1, 0], [0.99, 0.14], [0, 1], [-1, 0]], dtype=np.float32)
    >>> k_center(points, 3)
    [2, 0, 3]
    """
    rows = len(vectors)
    count = min(count, rows)
    if count <= 0:
        return []
    chosen = [int(np.argmax(vectors @ vectors.mean(axis=0)))]
    nearest = vectors @ vectors[chosen[0]]
    nearest[chosen] = np.inf
    while len(chosen) < count:
        farthest = int(np.argmin(nearest))
        chosen.append(farthest)
        nearest = np.maximum(nearest, vectors @ vectors[farthest])
        nearest[chosen] = np.inf
    return chosen


def near_boundary(vectors: Vectors, others: Vectors, count: int) -> list[int]:
    """Up to `count` rows that look most like the `others`, yet differ from each other.

    `k_center` chooses among the half of the rows that is nearest to any of the others; a larger
    count goes on to the other half, the nearest first. A smaller count gives a prefix of a larger
    one. Without others `k_center` chooses among all.
    """
    if not len(others) or not len(vectors):
        return k_center(vectors, count)
    nearness = (vectors @ others.T).max(axis=1)
    by_nearness = np.argsort(-nearness, kind="stable")
    half = len(vectors) // 2
    close = np.sort(by_nearness[:half])
    chosen = [int(close[row]) for row in k_center(vectors[close], count)]
    return [*chosen, *map(int, by_nearness[half:])][: max(count, 0)]


def share_out(count: int, weights: Sequence[float], capacity: Sequence[int]) -> list[int]:
    """Whole shares of `count` in proportion to the weights, none above its capacity.

    Sainte-Laguë's method: each goes where weight / (2 share + 1) is largest, so a larger count
    takes from none. What one cannot hold goes to the others, to those of weight 0 last. Adds up
    to `count`, or to the whole capacity if that is smaller.

    >>> share_out(10, [3, 1], [5, 20])
    [5, 5]
    """
    shares = [0] * len(weights)
    for _ in range(min(count, sum(capacity))):
        with_room = [i for i, room in enumerate(capacity) if shares[i] < room]
        most = max(with_room, key=lambda i: (weights[i] / (2 * shares[i] + 1), -shares[i]))
        shares[most] += 1
    return shares
