"""Which rows of a pool to take: spread over what they say, or near a boundary."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from trimtab.records.protocols import Vectors


def k_center(vectors: Vectors, count: int, taken: Vectors | None = None) -> list[int]:
    """Up to `count` rows, each the farthest from all before it (Gonzalez 1985, greedy).

    `vectors` has shape (rows, dimensions), each of length 1 or 0; `taken` are vectors that count
    as chosen already. The first row, where nothing is taken, is the one nearest to the mean. A
    smaller count gives a prefix of a larger one. Rows of equal distance go in their order.

    >>> points = np.array([[1, 0], [0.99, 0.14], [0, 1], [-1, 0]], dtype=np.float32)
    >>> k_center(points, 3)
    [2, 3, 0]
    """
    rows = len(vectors)
    count = min(count, rows)
    if count <= 0:
        return []
    chosen: list[int] = []
    if taken is not None and len(taken):
        nearest = (vectors @ taken.T).max(axis=1)
    else:
        first = int(np.argmax(vectors @ vectors.mean(axis=0)))
        chosen.append(first)
        nearest = vectors @ vectors[first]
    nearest[chosen] = np.inf
    while len(chosen) < count:
        farthest = int(np.argmin(nearest))
        chosen.append(farthest)
        nearest = np.maximum(nearest, vectors @ vectors[farthest])
        nearest[chosen] = np.inf
    return chosen


def near_boundary(vectors: Vectors, others: Vectors, count: int) -> list[int]:
    """Up to `count` rows that look most like the `others`, yet differ from each other.

    Half of the rows, and never fewer than `count`, are kept for their nearness to any of the
    others; `k_center` chooses among them. Without others it chooses among all.
    """
    if not len(others) or not len(vectors):
        return k_center(vectors, count)
    nearness = (vectors @ others.T).max(axis=1)
    keep = max(count, len(vectors) // 2)
    close = np.sort(np.argsort(-nearness, kind="stable")[:keep])
    return [int(close[row]) for row in k_center(vectors[close], count)]


def share_out(count: int, weights: Sequence[float], capacity: Sequence[int]) -> list[int]:
    """Whole shares of `count` in proportion to the weights, none above its capacity.

    Largest remainders first; what one cannot hold goes to the others. Adds up to `count`, or to
    the whole capacity if that is smaller.

    >>> share_out(10, [3, 1], [5, 20])
    [5, 5]
    """
    shares = [0] * len(weights)
    while (left := min(count, sum(capacity)) - sum(shares)) > 0:
        open_ = [i for i, room in enumerate(capacity) if shares[i] < room]
        total = sum(weights[i] for i in open_) or float(len(open_))
        exact = {
            i: left * ((weights[i] / total) if sum(weights[j] for j in open_) else 1 / total)
            for i in open_
        }
        added = {i: min(int(exact[i]), capacity[i] - shares[i]) for i in open_}
        if not any(added.values()):
            by_remainder = sorted(open_, key=lambda i: (-exact[i], i))[:left]
            added = dict.fromkeys(by_remainder, 1)
        for i, more in added.items():
            shares[i] += more
    return shares
