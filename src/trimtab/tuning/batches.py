"""Which rows make up each step: filled by tokens, with lengths mixed."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

LEAST_STEPS = 40
SMALLEST_STEP, LARGEST_STEP = 256, 8192


def step_tokens_for(lengths: Sequence[int], epochs: int) -> int:
    """Tokens a step that leave at least 40 steps, within 256 and 8192.

    >>> step_tokens_for([100] * 120, epochs=2)
    600
    """
    wanted = sum(lengths) * epochs // LEAST_STEPS
    return max(SMALLEST_STEP, min(LARGEST_STEP, wanted))


def fill_steps(
    lengths: Sequence[int], *, epochs: int, step_tokens: int, seed: int
) -> list[list[int]]:
    """Row numbers for each step, epoch after epoch; every row is in exactly one step an epoch.

    The rows are ranked by length and dealt out like cards, so each step gets long and short ones:
    filling by length instead would put all short replies into one or two steps, where they hardly
    train. A step holds about `step_tokens` tokens, and never fewer than one row. Order and
    grouping follow from `seed` alone. No rows give no steps.

    >>> steps = fill_steps([10, 90, 10, 90], epochs=1, step_tokens=100, seed=0)
    >>> [sorted([10, 90, 10, 90][row] for row in step) for step in steps]
    [[10, 90], [10, 90]]
    """
    if not lengths:
        return []
    count = min(len(lengths), max(1, math.ceil(sum(lengths) / step_tokens)))
    steps: list[list[int]] = []
    for epoch in range(epochs):
        order = random.Random(f"{seed}/{epoch}")
        rows = list(range(len(lengths)))
        order.shuffle(rows)
        rows.sort(key=lambda row: lengths[row])  # stable: equal lengths stay shuffled
        hands: list[list[int]] = [[] for _ in range(count)]
        for start in range(0, len(rows), count):
            # The longest row of a round goes to the step that has the fewest tokens so far.
            by_fill = sorted(hands, key=lambda hand: sum(lengths[row] for row in hand))
            for hand, row in zip(by_fill, reversed(rows[start : start + count]), strict=False):
                hand.append(row)
        order.shuffle(hands)
        for hand in hands:
            order.shuffle(hand)
        steps += hands
    return steps
