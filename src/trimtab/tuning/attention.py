"""Attention over rows that are packed end to end: each looks at itself alone.

The mask that transformers makes for packed rows is as wide as all of them together, so its cost
grows with the square of a step. Here it grows with the rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from trimtab.models.local import quietly

PACKED = "trimtab_packed"
FLASH_FROM = 300
"""On a CPU the fused kernel's backward is slower than plain products for shorter rows."""


def use_attention(network: Any, name: str) -> None:
    """Let a network attend by one of transformers' implementations, or by `PACKED`.

    A network whose attention cannot be chosen stays as it is.
    """
    from transformers import AttentionInterface, AttentionMaskInterface

    AttentionInterface.register(PACKED, attend_packed)
    AttentionMaskInterface.register(PACKED, lambda *_, **__: None)
    with quietly():
        network.set_attn_implementation(name)


def attend_packed(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    row_lengths: Sequence[int],
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    softcap: float | None = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Causal attention within each row; shapes and arguments as transformers gives them.

    Query, key and value have shape (1, heads, tokens, head size), key and value perhaps fewer
    heads; the result has (1, tokens, heads, head size). `row_lengths` adds up to the tokens.
    """
    scale = scaling if scaling is not None else query.shape[-1] ** -0.5
    rows = zip(*(each.split(list(row_lengths), dim=2) for each in (query, key, value)), strict=True)
    attended = [
        _attend(*row, scale=scale, dropout=dropout, window=sliding_window, softcap=softcap)
        for row in rows
    ]
    return torch.cat(attended, dim=2).transpose(1, 2), None


def _attend(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    *,
    scale: float,
    dropout: float,
    window: int | None,
    softcap: float | None,
) -> torch.Tensor:
    _, heads, length, size = query.shape
    plain = softcap is None and (window is None or window >= length)
    if plain and (query.device.type != "cpu" or length >= FLASH_FROM):
        return torch.nn.functional.scaled_dot_product_attention(
            query, key, value, dropout_p=dropout, is_causal=True, scale=scale, enable_gqa=True
        )
    # Query heads that share a key head are folded into its rows: no copies of keys and values.
    shared = heads // key.shape[1]
    folded = query.reshape(1, key.shape[1], shared * length, size)
    scores = ((folded * scale) @ key.transpose(2, 3)).view(1, heads, length, length)
    if softcap is not None:
        scores = softcap * torch.tanh(scores / softcap)
    places = torch.arange(length, device=query.device)
    behind = places[:, None] - places
    hidden = behind < 0
    if window is not None:
        hidden = hidden | (behind >= window)
    scores = scores.masked_fill(hidden, float("-inf"))
    weights = torch.softmax(scores, dim=-1, dtype=torch.float32).to(value.dtype)
    weights = torch.nn.functional.dropout(weights, dropout)
    attended = weights.view(1, key.shape[1], shared * length, length) @ value
    return attended.view(1, heads, length, size)
