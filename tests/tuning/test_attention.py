"""Packed rows attend as each would alone, by transformers' own eager attention."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoModelForCausalLM
from transformers.models.gemma2 import Gemma2Config
from transformers.models.gemma3 import Gemma3TextConfig
from transformers.models.llama import LlamaConfig
from transformers.models.qwen2 import Qwen2Config

from trimtab.models.turns import Encoded
from trimtab.tuning import attention
from trimtab.tuning.sft import isolated_rows, response_loss

SIZES = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
}
CONFIGS = {
    "llama": LlamaConfig(**SIZES),
    "qwen2": Qwen2Config(**SIZES),
    "gemma2, softcap and a sliding window": Gemma2Config(**SIZES, head_dim=8, sliding_window=6),
    "gemma3, a sliding window": Gemma3TextConfig(**SIZES, head_dim=8, sliding_window=6),
}
LENGTHS = (9, 1, 30, 2, 17)


def rows_of(seed):
    random = torch.Generator().manual_seed(seed)
    return [
        Encoded(
            tuple(torch.randint(5, 64, (length,), generator=random).tolist()),
            (False, *[True] * (length - 1)),
        )
        for length in LENGTHS
    ]


def gradients(network):
    found = {name: weight.grad.clone() for name, weight in network.named_parameters()}
    network.zero_grad()
    return found


@pytest.mark.parametrize("flash_from", [1, 300])
@pytest.mark.parametrize("family", CONFIGS)
def test_loss_and_gradients_are_those_of_separate_rows(family, flash_from, monkeypatch):
    monkeypatch.setattr(attention, "FLASH_FROM", flash_from)
    torch.manual_seed(1)
    network = AutoModelForCausalLM.from_config(CONFIGS[family], attn_implementation="eager")
    network.eval()
    rows = [row for row in rows_of(0) if len(row) > 1]
    alone = sum(response_loss(network, [row])[0] for row in rows)
    alone.backward()
    expected = gradients(network)

    with isolated_rows(network) as can:
        assert can
        assert network.config._attn_implementation == attention.PACKED
        packed, terms = response_loss(network, rows)
        packed.backward()
    assert network.config._attn_implementation == "eager"
    assert terms == sum(len(row) - 1 for row in rows)
    torch.testing.assert_close(packed, alone, rtol=1e-5, atol=1e-5)
    for name, gradient in gradients(network).items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-4, atol=1e-5, msg=name)


def test_what_is_saved_names_no_attention_of_ours(tmp_path):
    network = AutoModelForCausalLM.from_config(CONFIGS["llama"])
    with isolated_rows(network):
        pass
    network.save_pretrained(tmp_path)
    assert attention.PACKED not in (tmp_path / "config.json").read_text()
