"""Held-out loss: how surprised a model is by replies it should not forget."""

from __future__ import annotations

from collections.abc import Sequence

from trimtab.probes.intervals import bootstrap_ratio
from trimtab.records.errors import DataError
from trimtab.records.profile import Interval, Loss

Rows = Sequence[Sequence[float]]


def bootstrap_loss(log_probabilities: Rows, seed: int = 0) -> Loss:
    """Mean nats per token over all rows' tokens, with a bootstrap interval over the rows.

    A row is the natural log-probabilities of one conversation's reply tokens; rows without tokens
    do not count. Raises DataError for fewer than two rows with tokens: they have no interval.

    >>> bootstrap_loss([[-1.0, -3.0], [-2.0]]).value
    2.0
    """
    rows = [row for row in log_probabilities if row]
    _need_two(rows)
    sizes = [len(row) for row in rows]
    mean = bootstrap_ratio([-sum(row) for row in rows], sizes, seed=seed)
    return Loss(mean.value, mean.low, mean.high, rows=len(rows), tokens=sum(sizes))


def loss_difference(before: Rows, after: Rows, seed: int = 0) -> Interval:
    """After minus before in nats per token, each row resampled with its own counterpart.

    Both sides hold the same conversations in the same order, tokenised alike; DataError where
    they do not, or where fewer than two rows have tokens.
    """
    if [len(row) for row in before] != [len(row) for row in after]:
        raise DataError(
            "the two losses are of different tokens and cannot be paired",
            fix="compare models with one tokenizer on the same held-out file",
        )
    pairs = [pair for pair in zip(before, after, strict=True) if pair[0]]
    _need_two(pairs)
    rises = [sum(then) - sum(now) for then, now in pairs]
    return bootstrap_ratio(rises, [len(then) for then, _ in pairs], seed=seed)


def _need_two(rows: Sequence[object]) -> None:
    if len(rows) < 2:
        raise DataError(
            f"held-out loss needs two conversations or more with replies, not {len(rows)}",
            fix="add conversations to the held_out file",
        )
