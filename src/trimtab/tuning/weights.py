"""fp32 master weights behind the working copies that the passes use."""

from __future__ import annotations

from typing import Any

import torch

from trimtab.models.local import cast_weights

NOISE_NUMBERS = 1 << 20


class Masters:
    """The trainable weights of a network in fp32, whatever type its passes use.

    Takes a network in fp32 and casts it to `dtype`. Where that is bf16, the working copies are
    rounded stochastically after every step: rounded to nearest, updates smaller than the bf16
    grid vanish from the passes, and at 2e-5 half of the learning with them. The noise follows
    from (seed, step) alone, so a resumed run rounds as the undisturbed one did.
    """

    def __init__(self, network: Any, dtype: torch.dtype, seed: int) -> None:
        self.working: dict[str, torch.nn.Parameter] = {
            name: weight for name, weight in network.named_parameters() if weight.requires_grad
        }
        # Casting gives a parameter new storage; the old one, still fp32, stays here.
        self.fp32: dict[str, torch.Tensor] = {
            name: weight if dtype == torch.float32 else weight.data
            for name, weight in self.working.items()
        }
        self._seed = seed
        self._separate = dtype != torch.float32
        if self._separate:
            cast_weights(network, dtype)
            self.scatter(step=0)

    def gather(self) -> None:
        """Add the working copies' gradients to the masters', in fp32, and drop them."""
        if not self._separate:
            return
        for name, weight in self.working.items():
            if weight.grad is None:
                continue
            master, gradient = self.fp32[name], weight.grad.float()
            master.grad = gradient if master.grad is None else master.grad.add_(gradient)
            weight.grad = None

    def scatter(self, step: int) -> None:
        """Round the masters into the working copies."""
        if not self._separate:
            return
        device = next(iter(self.working.values())).device
        generator = torch.Generator(device=device).manual_seed(self._seed * 1_000_003 + step)
        noise = torch.randint(
            0, 1 << 16, (NOISE_NUMBERS,), dtype=torch.int32, device=device, generator=generator
        )
        for name, weight in self.working.items():
            round_stochastically(self.fp32[name], weight.data, noise)


def round_stochastically(source: torch.Tensor, target: torch.Tensor, noise: torch.Tensor) -> None:
    """Write fp32 `source` into bf16 `target`, up or down with chance proportional to nearness.

    `noise` holds integers in [0, 2^16), reused every len(noise) elements. bf16 is the upper half
    of fp32, so adding noise to the lower half and cutting that off rounds without bias.

    >>> noise = torch.arange(1 << 16, dtype=torch.int32)
    >>> third = torch.full((1 << 16,), 1 / 3)
    >>> rounded = torch.empty(1 << 16, dtype=torch.bfloat16)
    >>> round_stochastically(third, rounded, noise)
    >>> round(rounded.double().mean().item(), 6), len(rounded.unique())
    (0.333333, 2)
    """
    flat, out = source.view(-1), target.view(-1)
    for start in range(0, flat.numel(), noise.numel()):
        bits = flat[start : start + noise.numel()].view(torch.int32)
        dithered = bits.add(noise[: bits.numel()]).bitwise_and_(-65536)
        out[start : start + bits.numel()].copy_(dithered.view(torch.float32))
