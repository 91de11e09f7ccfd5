"""The loop gives what a plain AdamW loop gives, whatever its batches, passes and interruptions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from trimtab.models.turns import Encoded
from trimtab.records.charter import TuneConfig
from trimtab.records.errors import TuningError
from trimtab.tuning.checkpoints import Checkpoints
from trimtab.tuning.loop import StepReport, learning_rate_at, train
from trimtab.tuning.sft import response_loss

Steps = list[list[list[int]]]


def make_rows(count: int = 12) -> list[Encoded]:
    """Rows of 8 to 30 ids of which the last third is learned."""
    generator = torch.Generator().manual_seed(3)
    rows = []
    for _ in range(count):
        length = int(torch.randint(8, 31, (1,), generator=generator))
        ids = torch.randint(3, 2000, (length,), generator=generator).tolist()
        rows.append(Encoded(tuple(ids), tuple(n >= 2 * length // 3 for n in range(length))))
    return rows


ROWS = make_rows()


def run(
    tiny_model: Path,
    steps: Steps,
    tmp_path: Path,
    *,
    dtype: torch.dtype = torch.float32,
    peak: float = 1e-3,
    objective: Any = None,
    on_step: Any = lambda _: None,
    **options: Any,
) -> tuple[dict[str, torch.Tensor], list[StepReport]]:
    """Train the tiny model on ROWS; the masters as they end, and a report a step."""
    from trimtab.models.local import load_network

    network, _ = load_network(tiny_model)
    reports: list[StepReport] = []

    def note(report: StepReport) -> None:
        on_step(report)
        reports.append(report)

    config = TuneConfig(**options)
    masters = train(
        network,
        steps,
        objective or (lambda net, numbers: response_loss(net, [ROWS[n] for n in numbers])),
        count_tokens=lambda numbers: sum(len(ROWS[n]) for n in numbers),
        config=config,
        peak=peak,
        dtype=dtype,
        checkpoints=Checkpoints(tmp_path / "scratch", "x", config.checkpoint_seconds),
        on_step=note,
    )
    return {name: weight.detach().clone() for name, weight in masters.fp32.items()}, reports


def furthest(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    assert one.keys() == other.keys()
    return max(float((one[name] - other[name]).abs().max()) for name in one)


def hand_written(
    tiny_model: Path, steps: Sequence[Sequence[int]], rates: Sequence[float], decay: float
) -> tuple[dict[str, torch.Tensor], list[float]]:
    """The same training, row after row with torch's own parts: no packing, masters or batches."""
    from transformers import AutoModelForCausalLM

    network = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32).train()
    weights = dict(network.named_parameters())
    groups = [
        {"params": [w for w in weights.values() if w.dim() > 1], "weight_decay": decay},
        {"params": [w for w in weights.values() if w.dim() == 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.999), eps=1e-8, foreach=False)
    losses = []
    for step, rate in zip(steps, rates, strict=True):
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.zero_grad()
        terms = sum(sum(ROWS[n].learned) for n in step)
        total = torch.zeros(())
        for n in step:
            ids = torch.tensor([ROWS[n].ids])
            labels = torch.where(torch.tensor([ROWS[n].learned]), ids, -100)
            logits = network(input_ids=ids).logits
            total = total + torch.nn.functional.cross_entropy(
                logits[0, :-1], labels[0, 1:], ignore_index=-100, reduction="sum"
            )
        loss = total / terms
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    return {name: weight.detach() for name, weight in weights.items()}, losses


def test_the_rate_rises_in_a_line_and_falls_in_half_a_cosine() -> None:
    rates = [learning_rate_at(step, 8, 2e-4, 0.25) for step in range(8)]
    falling = [1e-4 * (1 + math.cos(math.pi * n / 7)) for n in range(1, 7)]
    assert rates == pytest.approx([1e-4, 2e-4, *falling])


def test_without_warm_up_the_first_step_is_below_the_peak_and_the_last_above_zero() -> None:
    assert learning_rate_at(0, 1, 1.0, 0.0) == pytest.approx(0.5)
    assert learning_rate_at(0, 3, 1.0, 0.0) == pytest.approx(0.5 + 0.5 * math.cos(math.pi / 4))
    assert learning_rate_at(2, 3, 1.0, 0.0) == pytest.approx(0.5 - 0.5 * math.cos(math.pi / 4))


def test_it_trains_as_a_hand_written_loop_does(tiny_model: Path, tmp_path: Path) -> None:
    steps = [[0, 1, 2], [3, 4], [5, 6, 7, 8], [9], [0, 10, 11], [2, 5]]
    rates = [1e-3 * 0.5 * (1 + math.cos(math.pi * n / 6)) for n in range(1, 6)]
    expected, losses = hand_written(tiny_model, steps, [1e-3, *rates], decay=0.1)
    masters, reports = run(
        tiny_model, [[step] for step in steps], tmp_path, weight_decay=0.1, clip=1.0
    )
    assert [report.loss for report in reports] == pytest.approx(losses, rel=1e-5)
    assert furthest(masters, expected) < 5e-5  # of weights that moved by up to 4e-3
    assert max(report.gradient_norm for report in reports) > 1.0  # some steps were clipped


def test_parting_a_step_into_micro_batches_changes_rounding_alone(
    tiny_model: Path, tmp_path: Path
) -> None:
    steps = [[0, 1, 2, 3], [4, 5, 6, 7]]
    whole, told = run(tiny_model, [[step] for step in steps], tmp_path)
    parted, told_parted = run(tiny_model, [[[n] for n in step] for step in steps], tmp_path)
    uneven, _ = run(tiny_model, [[step[:1], step[1:]] for step in steps], tmp_path)
    for other in (parted, uneven):
        # AdamW's first steps go by a gradient's sign, which rounding can turn where it is near 0.
        changes = torch.cat([(whole[name] - other[name]).abs().flatten() for name in whole])
        assert (changes > 2e-5).double().mean() < 1e-5
    assert [r.loss for r in told] == pytest.approx([r.loss for r in told_parted], rel=1e-5)
    assert [r.terms for r in told] == [sum(sum(ROWS[n].learned) for n in step) for step in steps]
    assert [r.tokens for r in told] == [sum(len(ROWS[n]) for n in step) for step in steps]


def one_weight(gradients: Sequence[tuple[float, float, int]], clip: float) -> tuple[Any, float]:
    """A step on a network of two weights whose micro-batches have these gradients and terms."""
    network = torch.nn.Linear(2, 1, bias=False)
    with torch.no_grad():
        network.weight.zero_()
    seen: list[float] = []

    def objective(net: Any, rows: Sequence[int]) -> tuple[torch.Tensor, int]:
        a, b, terms = gradients[rows[0]]
        return (net.weight * torch.tensor([[a, b]])).sum(), terms

    train(
        network,
        [[[n] for n in range(len(gradients))]],
        objective,
        count_tokens=len,
        config=TuneConfig(clip=clip),
        peak=0.1,
        dtype=torch.float32,
        checkpoints=Checkpoints(Path("unused"), "x", 60),
        on_step=lambda report: seen.append(report.gradient_norm),
    )
    return network.weight.grad, seen[0]


def test_the_gradient_is_the_mean_over_all_terms_of_the_step() -> None:
    _, norm = one_weight([(3.0, 0.0, 1), (0.0, 24.0, 5)], clip=100.0)
    assert norm == pytest.approx(math.hypot(3.0, 24.0) / 6)


def test_clipping_scales_the_mean_gradient_down_to_its_bound() -> None:
    from trimtab.tuning.loop import _scale_and_clip

    weight = torch.zeros(2)
    weight.grad = torch.tensor([30.0, 40.0])  # over 5 terms: a mean of norm 10
    assert _scale_and_clip({"w": weight}, terms=5, clip=2.0) == pytest.approx(10.0)
    assert weight.grad.tolist() == pytest.approx([1.2, 1.6])
    weight.grad = torch.tensor([3.0, 4.0])
    assert _scale_and_clip({"w": weight}, terms=5, clip=2.0) == pytest.approx(1.0)
    assert weight.grad.tolist() == pytest.approx([0.6, 0.8])


def test_bf16_passes_learn_as_fp32_passes_do(tiny_model: Path, tmp_path: Path) -> None:
    steps: Steps = [[[n % 12, (n + 5) % 12, (n + 7) % 12]] for n in range(60)]
    _, exact = run(tiny_model, steps, tmp_path / "fp32")
    masters, rounded = run(tiny_model, steps, tmp_path / "bf16", dtype=torch.bfloat16)
    assert exact[-1].loss < 0.7 * exact[0].loss
    assert all(weight.dtype == torch.float32 for weight in masters.values())
    for one, other in zip(exact, rounded, strict=True):
        assert other.loss == pytest.approx(one.loss, abs=0.02 * exact[0].loss)


def test_small_rates_move_the_masters_behind_bf16_passes(tiny_model: Path, tmp_path: Path) -> None:
    steps: Steps = [[[n % 12]] for n in range(5)]
    before, _ = run(tiny_model, [], tmp_path)
    masters, _ = run(tiny_model, steps, tmp_path, dtype=torch.bfloat16, peak=1e-6, warm_up=0.0)
    name = "model.layers.0.mlp.up_proj.weight"
    moved = (masters[name] - before[name]).abs()
    assert (moved > 0).double().mean() > 0.9
    assert moved.max() < 6e-6  # five steps of at most about the rate each


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_an_interrupted_training_ends_bit_for_bit_as_an_undisturbed_one(
    tiny_model: Path, tmp_path: Path, dtype: torch.dtype
) -> None:
    steps: Steps = [[[n % 12, (n + 5) % 12], [(n + 7) % 12]] for n in range(8)]
    expected, told = run(tiny_model, steps, tmp_path / "undisturbed", dtype=dtype)
    options: dict[str, Any] = {"dtype": dtype, "checkpoint_seconds": 1e-9}

    def stop(report: StepReport) -> None:
        if report.step == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tiny_model, steps, tmp_path, on_step=stop, **options)
    masters, rest = run(tiny_model, steps, tmp_path, **options)
    assert [report.step for report in rest] == [5, 6, 7, 8]
    assert [report.loss for report in rest] == [report.loss for report in told[4:]]
    assert [report.gradient_norm for report in rest] == [r.gradient_norm for r in told[4:]]
    assert furthest(masters, expected) == 0.0


def test_dropout_repeats_after_an_interruption(tmp_path: Path) -> None:
    def tried(stop_at: int | None, folder: Path) -> torch.Tensor:
        torch.manual_seed(1)
        linear = torch.nn.Linear(16, 1)
        network = torch.nn.Sequential(torch.nn.Dropout(0.5), linear)
        torch.manual_seed(stop_at or 0)  # what ran before a training has no say in it

        def objective(net: Any, rows: Sequence[int]) -> tuple[torch.Tensor, int]:
            return net(torch.ones(4, 16)).square().sum(), 4

        def stop(report: StepReport) -> None:
            if report.step == stop_at:
                raise KeyboardInterrupt

        train(
            network,
            [[[0]]] * 6,
            objective,
            count_tokens=len,
            config=TuneConfig(),
            peak=0.1,
            dtype=torch.float32,
            checkpoints=Checkpoints(folder, "x", 1e-9),
            on_step=stop,
        )
        return linear.weight.detach().clone()

    expected = tried(None, tmp_path / "undisturbed")
    with pytest.raises(KeyboardInterrupt):
        tried(4, tmp_path / "stopped")
    assert torch.equal(tried(None, tmp_path / "stopped"), expected)


def test_a_loss_that_is_not_a_number_stops_training_and_names_the_rows(
    tiny_model: Path, tmp_path: Path
) -> None:
    def objective(net: Any, numbers: Sequence[int]) -> tuple[torch.Tensor, int]:
        loss, terms = response_loss(net, [ROWS[n] for n in numbers])
        return (loss * float("nan") if 7 in numbers else loss), terms

    with pytest.raises(TuningError, match=r"step 2 of 3.*rows: \[2, 7\]"):
        run(tiny_model, [[[0, 1]], [[2], [7]], [[3]]], tmp_path, objective=objective)


def test_a_gradient_that_is_not_finite_stops_training_before_it_does_harm(
    tmp_path: Path,
) -> None:
    with pytest.raises(TuningError, match="gradient norm inf"):
        one_weight([(float("inf"), 0.0, 1)], clip=1.0)
