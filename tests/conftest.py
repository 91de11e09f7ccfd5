"""Fixtures that load weights: the bundled model, and a tiny random one with its tokenizer."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

# Tests run beside other work, and threads that wait for each other on busy cores are slow.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def bundled() -> Path:
    """The folder of the bundled model, fetched and converted where it is not there yet."""
    from trimtab.models.bundled import add_model

    return add_model("smollm2-135m-instruct")


@pytest.fixture(scope="session")
def tokenizer(bundled: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(bundled)


@pytest.fixture(scope="session")
def tiny_model(tokenizer: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a random two-layer Llama with the bundled tokenizer; read it, never write."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("models") / "tiny"
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        initializer_range=0.1,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = LlamaForCausalLM(config)
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
