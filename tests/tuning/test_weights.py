"""Masters keep in fp32 what bf16 copies would lose."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from trimtab.tuning.weights import Masters, round_stochastically


def layer(rows: int = 4, columns: int = 8) -> Any:
    network = torch.nn.Linear(columns, rows)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in network.parameters():
            weight.normal_(generator=generator)
    return network


def neighbours(number: float) -> tuple[float, float]:
    """The bf16 numbers just below and above, by truncating to 8 bits of significand."""
    import math

    _, exponent = math.frexp(number)
    grid = 2.0 ** (exponent - 8)
    return math.floor(number / grid) * grid, math.ceil(number / grid) * grid


@pytest.mark.parametrize("number", [1.003, -1.003, 3.14159e-8, -271.8, 65280.5])
def test_rounding_goes_to_a_neighbour_and_is_right_on_average(number: float) -> None:
    exact = torch.full((1 << 16,), number)
    target = torch.empty(1 << 16, dtype=torch.bfloat16)
    round_stochastically(exact, target, torch.arange(1 << 16, dtype=torch.int32))
    value = exact[0].item()
    low, high = neighbours(value)
    assert set(target.float().unique().tolist()) == {low, high}
    assert target.double().mean().item() == pytest.approx(value, rel=1e-6)


def test_numbers_of_the_grid_stay_as_they_are() -> None:
    exact = torch.tensor([0.0, 1.0, -1.5, 2.0**-126, 0.0078125])
    target = torch.empty(5, dtype=torch.bfloat16)
    noise = torch.full((5,), (1 << 16) - 1, dtype=torch.int32)
    round_stochastically(exact, target, noise)
    assert target.float().tolist() == exact.tolist()


def test_noise_shorter_than_the_weights_is_used_again() -> None:
    exact = torch.full((3, 5), 1.003)
    target = torch.empty(3, 5, dtype=torch.bfloat16)
    round_stochastically(exact, target, torch.tensor([0, 65535], dtype=torch.int32))
    low, high = neighbours(exact[0, 0].item())
    assert target.flatten().float().tolist() == [low, high] * 7 + [low]


def test_in_fp32_the_masters_are_the_weights() -> None:
    network = layer()
    masters = Masters(network, torch.float32, seed=0)
    assert masters.fp32["weight"] is network.weight
    masters.gather()
    masters.scatter(1)
    assert network.weight.dtype == torch.float32


def test_in_bf16_the_masters_keep_the_exact_weights() -> None:
    network, exact = layer(), layer().weight.detach().clone()
    masters = Masters(network, torch.bfloat16, seed=0)
    assert network.weight.dtype == torch.bfloat16
    assert torch.equal(masters.fp32["weight"], exact)
    assert (network.weight.float() - exact).abs().max() <= exact.abs().max() / 128


def test_gradients_of_micro_batches_are_summed_in_fp32() -> None:
    network = layer()
    masters = Masters(network, torch.bfloat16, seed=0)
    for gradient in (1.0, 2.0**-10, 2.0**-10):  # in bf16 the small ones would vanish
        network.weight.grad = torch.full_like(network.weight, gradient)
        masters.gather()
        assert network.weight.grad is None
    assert masters.fp32["weight"].grad is not None
    assert masters.fp32["weight"].grad.unique().tolist() == [1.0 + 2.0**-9]


def test_frozen_weights_are_cast_but_have_no_master() -> None:
    network = layer()
    network.bias.requires_grad_(False)
    masters = Masters(network, torch.bfloat16, seed=0)
    assert list(masters.fp32) == ["weight"]
    assert network.bias.dtype == torch.bfloat16


def test_noise_follows_from_seed_and_step_alone() -> None:
    def rounded(seed: int, step: int, after: int | None = None) -> torch.Tensor:
        network = layer(64, 64)
        masters = Masters(network, torch.bfloat16, seed)
        for each in (after, step):
            if each is not None:
                masters.scatter(each)
        return network.weight.detach().clone()

    assert torch.equal(rounded(1, 7), rounded(1, 7, after=3))
    assert not torch.equal(rounded(1, 7), rounded(1, 8))
    assert not torch.equal(rounded(1, 7), rounded(2, 7))


def test_updates_below_the_bf16_grid_reach_the_passes_on_average() -> None:
    network = torch.nn.Linear(256, 256, bias=False)
    with torch.no_grad():
        network.weight.fill_(1.0)  # whose grid is 2^-7 above
    masters = Masters(network, torch.bfloat16, seed=0)
    update = 1e-6
    for step in range(1, 101):
        masters.fp32["weight"] += update
        masters.scatter(step)
    moved = network.weight.double().mean().item() - 1.0
    expected = masters.fp32["weight"].double().mean().item() - 1.0
    assert expected == pytest.approx(100 * update, rel=0.05)
    deviation = (2.0**-7 * expected / 256**2) ** 0.5  # of a mean of 65,536 yes-or-no roundings
    assert abs(moved - expected) < 4 * deviation
