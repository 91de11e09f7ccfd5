"""Fixtures that load weights: the bundled model, and a tiny random one with its tokenizer."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

# Tests run beside other work, and threads that wait for each other on busy cores are slow.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture
def resize_disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Give a file system of its own a size; its folder. Skips where the test may not mount one."""
    disk = tmp_path / "disk"

    def mount(size: str) -> Path:
        options = f"size={size},remount" if disk.exists() else f"size={size}"
        disk.mkdir(exist_ok=True)
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(disk)]
        try:
            subprocess.run(command, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            pytest.skip("no permission to mount a file system")
        return disk

    yield mount
    if disk.is_mount():
        subprocess.run(["umount", str(disk)], check=True)


@pytest.fixture
def tiny_disk(resize_disk: Callable[[str], Path]) -> Path:
    """A file system of 64 KiB."""
    return resize_disk("64k")


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
