"""The one training loop: steps of rows, an objective, and fp32 masters behind the passes."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from trimtab.records.charter import TuneConfig
from trimtab.records.errors import TuningError
from trimtab.tuning.checkpoints import Checkpoints
from trimtab.tuning.weights import Masters

Objective = Callable[[Any, Sequence[int]], tuple[torch.Tensor, int]]
"""From a network and row numbers to a summed loss and the number of terms in that sum."""


@dataclass(frozen=True, slots=True)
class StepReport:
    """One finished step; `loss` is the mean over the step's terms, before its update.

    `tokens` and `seconds` are the step's own, `tokens_per_second` the mean since training began
    or went on.
    """

    step: int
    steps: int
    loss: float
    terms: int
    tokens: int
    seconds: float
    learning_rate: float
    gradient_norm: float
    tokens_per_second: float


def learning_rate_at(step: int, steps: int, peak: float, warm_up: float) -> float:
    """Linear from 0 over the first `warm_up` share of steps, then half a cosine down to 0.

    Steps count from 0; the first already learns, the last still does.

    >>> [round(learning_rate_at(step, 4, 1.0, 0.25), 3) for step in range(4)]
    [1.0, 0.854, 0.5, 0.146]
    """
    rising = math.ceil(steps * warm_up)
    if step < rising:
        return peak * (step + 1) / rising
    passed = (step - rising + 1) / (steps - rising + 1)
    return peak * 0.5 * (1 + math.cos(math.pi * passed))


def train(
    network: Any,
    steps: Sequence[Sequence[Sequence[int]]],
    objective: Objective,
    *,
    count_tokens: Callable[[Sequence[int]], int],
    config: TuneConfig,
    peak: float,
    dtype: torch.dtype,
    checkpoints: Checkpoints,
    on_step: Callable[[StepReport], None],
    name_rows: Callable[[Sequence[int]], str] = str,
) -> Masters:
    """Train the network's parameters that require gradients; the masters hold the result.

    A step is a sequence of micro-batches of row numbers. Its gradient is that of the mean over
    all its terms: how rows are parted into micro-batches changes nothing but memory. Goes on
    from the latest checkpoint, repeating the undisturbed run's losses bit for bit on a CPU; a
    GPU's attention adds up in no fixed order.
    Raises TuningError, naming the step's rows, when a loss or gradient is not finite.
    """
    masters = Masters(network, dtype, config.seed)
    optimizer = torch.optim.AdamW(
        _with_decay(masters.fp32, config.weight_decay), lr=peak, betas=(0.9, 0.999), fused=True
    )
    done = checkpoints.restore(masters.fp32, optimizer)
    if done:
        masters.scatter(done)
    network.train()
    began, seen = time.monotonic(), 0
    for step in range(done, len(steps)):
        step_began = time.monotonic()
        rate = learning_rate_at(step, len(steps), peak, config.warm_up)
        for group in optimizer.param_groups:
            group["lr"] = rate
        total, terms = 0.0, 0
        torch.manual_seed(config.seed * 1_000_003 + step)  # dropout, where a network has it
        for rows in steps[step]:
            loss, count = objective(network, rows)
            loss.backward()
            masters.gather()
            total, terms = total + loss.item(), terms + count
        norm = _scale_and_clip(masters.fp32, terms, config.clip)
        rows_of_step = [row for rows in steps[step] for row in rows]
        if not (math.isfinite(total) and math.isfinite(norm)):
            raise TuningError(
                f"training diverged at step {step + 1} of {len(steps)}: loss "
                f"{total / max(terms, 1):.4g}, gradient norm {norm:.4g}; "
                f"the step's rows: {name_rows(rows_of_step)}",
                fix="Lower the learning rate, or look at these rows.",
            )
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        masters.scatter(step + 1)
        tokens = count_tokens(rows_of_step)
        seen += tokens
        on_step(
            StepReport(
                step=step + 1,
                steps=len(steps),
                loss=total / max(terms, 1),
                terms=terms,
                tokens=tokens,
                seconds=time.monotonic() - step_began,
                learning_rate=rate,
                gradient_norm=norm,
                tokens_per_second=seen / (time.monotonic() - began),
            )
        )
        if step + 1 < len(steps):
            checkpoints.save_when_due(step + 1, masters.fp32, optimizer)
    network.eval()
    return masters


def _with_decay(weights: dict[str, torch.Tensor], decay: float) -> list[dict[str, Any]]:
    """Weight decay pulls matrices alone: gains and biases have no scale to keep small."""
    matrices = [weight for weight in weights.values() if weight.ndim >= 2]
    vectors = [weight for weight in weights.values() if weight.ndim < 2]
    return [
        {"params": params, "weight_decay": pull}
        for params, pull in ((matrices, decay), (vectors, 0.0))
        if params
    ]


def _scale_and_clip(weights: dict[str, torch.Tensor], terms: int, clip: float) -> float:
    """Turn summed gradients into mean ones, no longer than `clip`; the norm before clipping."""
    gradients = [weight.grad for weight in weights.values() if weight.grad is not None]
    if not gradients:
        return 0.0
    norms = torch._foreach_norm(gradients)
    norm = float(torch.linalg.vector_norm(torch.stack(norms))) / max(terms, 1)
    scale = min(1.0, clip / norm) if norm > 0 else 1.0
    torch._foreach_mul_(gradients, scale / max(terms, 1))
    return norm
