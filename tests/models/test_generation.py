"""Batched generation gives what each prompt gives alone, and what transformers gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from trimtab.models.generation import BATCH_ROWS, CLOSE, generate, stream

STOPS = frozenset(range(0, 49152, 12))
"""One token in twelve: random networks, too, then stop at many lengths."""


@pytest.fixture(scope="module")
def network(tiny_model: Path) -> Any:
    from trimtab.models.local import load_network

    return load_network(tiny_model)[0].eval()


def make_prompts(count: int, seed: int = 0) -> list[list[int]]:
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, 40, (count,), generator=generator).tolist()
    return [torch.randint(3, 49152, (n,), generator=generator).tolist() for n in lengths]


def collect(network: Any, prompts: list[list[int]], **options: Any) -> dict[int, list[Any]]:
    """Ids and whether they stopped by position; fails where a position is told of twice."""
    told: dict[int, list[Any]] = {}

    def on_row(position: int, ids: list[int], stopped: bool) -> None:
        assert position not in told
        told[position] = [list(ids), stopped]

    seed = options.pop("seed", 0)
    options = {"max_tokens": 20, "stop_ids": STOPS, "temperature": 0.0, **options}
    generate(network, prompts, on_row=on_row, seeds=range(seed, seed + len(prompts)), **options)
    assert sorted(told) == list(range(len(prompts)))
    return told


def by_transformers(network: Any, prompt: list[int], stops: list[int], most: int) -> list[Any]:
    """What `generate` of transformers says to one prompt, as `collect` tells it."""
    inputs = torch.tensor([prompt])
    said = network.generate(
        inputs,
        attention_mask=torch.ones_like(inputs),
        do_sample=False,
        max_new_tokens=most,
        eos_token_id=stops,
        pad_token_id=0,
    )[0, len(prompt) :].tolist()
    stopped = said[-1] in stops
    return [said[:-1] if stopped else said, stopped]


def test_greedy_batches_say_what_transformers_says(network: Any) -> None:
    prompts = make_prompts(24)
    told = collect(network, prompts)
    assert len({len(ids) for ids, _ in told.values()}) > 3  # rows left the batch at many steps
    assert {stopped for _, stopped in told.values()} == {True, False}
    for position, prompt in enumerate(prompts):
        assert told[position] == by_transformers(network, prompt, sorted(STOPS), 20)


def test_greedy_batches_say_what_each_prompt_says_alone(network: Any) -> None:
    prompts = make_prompts(BATCH_ROWS + 6, seed=1)  # two batches
    told = collect(network, prompts)
    for position, prompt in enumerate(prompts[::4]):
        assert collect(network, [prompt])[0] == told[4 * position]


def test_no_prompts_give_no_calls(network: Any) -> None:
    assert collect(network, []) == {}


def test_a_stop_id_ends_a_row_and_is_left_out(network: Any) -> None:
    prompt = make_prompts(8, seed=2)[3]
    ids, stopped = collect(network, [prompt], stop_ids=frozenset())[0]
    assert (len(ids), stopped) == (20, False)
    last_new = max(ids.index(token) for token in ids)
    assert last_new > 0
    cut, stopped = collect(network, [prompt], stop_ids={ids[last_new]})[0]
    assert (cut, stopped) == (ids[:last_new], True)


def test_a_row_whose_first_token_stops_it_is_empty(network: Any) -> None:
    (prompt,) = make_prompts(1, seed=2)
    ids, _ = collect(network, [prompt], max_tokens=1, stop_ids=frozenset())[0]
    assert collect(network, [prompt], stop_ids=set(ids))[0] == [[], True]


def test_sampling_repeats_with_its_seed_and_differs_with_another(network: Any) -> None:
    prompts = make_prompts(12, seed=3)
    once = collect(network, prompts, temperature=1.0, seed=5)
    assert collect(network, prompts, temperature=1.0, seed=5) == once
    assert collect(network, prompts, temperature=1.0, seed=600) != once


def test_sampling_gives_rows_with_the_same_prompt_draws_of_their_own(network: Any) -> None:
    told = collect(network, [[5, 6, 7]] * 8, temperature=1.0, stop_ids=frozenset())
    assert len({tuple(ids) for ids, _ in told.values()}) == 8


def test_samples_do_not_depend_on_the_batch(network: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    prompts = make_prompts(12, seed=4)
    together = collect(network, prompts, temperature=0.8)
    monkeypatch.setattr("trimtab.models.generation.BATCH_ROWS", 5)
    assert collect(network, prompts, temperature=0.8) == together


def test_samples_come_as_often_as_the_softmax_says(network: Any) -> None:
    prompt = [11, 12, 13]
    with torch.inference_mode():
        logits = network(torch.tensor([prompt])).logits[0, -1].double()
    chances = torch.softmax(logits / 0.1, dim=-1)
    top = int(chances.argmax())
    told = collect(network, [prompt] * 200, max_tokens=1, temperature=0.1, stop_ids=frozenset())
    share = sum(ids == [top] for ids, _ in told.values()) / 200
    chance = chances[top].item()
    assert 0.02 < chance < 0.98
    assert abs(share - chance) < 4 * (chance * (1 - chance) / 200) ** 0.5


@pytest.mark.parametrize("temperature", [0.0, 0.9])
def test_a_stream_says_what_a_batch_of_one_says(network: Any, temperature: float) -> None:
    for prompt in make_prompts(6, seed=5):
        options: dict[str, Any] = {"max_tokens": 20, "stop_ids": STOPS, "seed": 3}
        streamed = list(stream(network, prompt, temperature=temperature, **options))
        told = collect(network, [prompt], temperature=temperature, **options)
        assert streamed == told[0][0]


def other_architectures() -> dict[str, Any]:
    """Small configs whose attention or positions differ from Llama's."""
    from transformers import Gemma2Config, Gemma3TextConfig, GPT2Config, MistralConfig, Qwen3Config

    sizes: dict[str, Any] = {
        "vocab_size": 200,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "initializer_range": 0.3,
        "pad_token_id": 0,
    }
    return {
        "sliding window": MistralConfig(**sizes, sliding_window=8),
        "soft-capped logits": Gemma2Config(**sizes, sliding_window=8),
        "two kinds of layers": Gemma3TextConfig(**sizes, sliding_window=8),
        "normalised heads": Qwen3Config(**sizes),
        "learned positions": GPT2Config(
            vocab_size=200, n_embd=32, n_layer=2, n_head=4, n_positions=128
        ),
    }


@pytest.mark.parametrize("name", other_architectures())
def test_other_architectures_say_in_batches_what_transformers_says(name: str) -> None:
    from transformers import AutoModelForCausalLM

    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = AutoModelForCausalLM.from_config(other_architectures()[name]).eval()
    generator = torch.Generator().manual_seed(0)
    prompts = [torch.randint(3, 200, (n,), generator=generator).tolist() for n in (5, 9, 14, 30)]
    told = collect(network, prompts, stop_ids={7, 11, 13, 17, 19})
    for position, prompt in enumerate(prompts):
        assert told[position] == by_transformers(network, prompt, [7, 11, 13, 17, 19], 20)


REQUESTS = (
    "Name three colours.|What is 7 times 8?|Where is Lima?|Write a haiku.|Say hello in French.|"
    "Who wrote Hamlet?|What is a verb?|Spell cat.|Is water wet?|Count to five.|Name a fruit.|"
    "What is the capital of Italy?|Tell me a joke.|What day follows Monday?|Define entropy.|Why?"
).split("|")


@pytest.mark.model
def test_the_bundled_model_says_in_batches_what_transformers_says(bundled: Path) -> None:
    from trimtab.models.local import load_local
    from trimtab.records.conversation import say

    model = load_local(bundled, "bundled", precision="fp32", device=torch.device("cpu"))
    prompts = [model.encode_prompt(say(request)) for request in REQUESTS]
    options: dict[str, Any] = {"max_tokens": 24, "stop_ids": model.stop_ids}
    told = collect(model.network, prompts, **options)
    longest = max(map(len, prompts))
    said = model.network.generate(
        torch.tensor([[0] * (longest - len(prompt)) + prompt for prompt in prompts]),
        attention_mask=torch.tensor(
            [[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts]
        ),
        do_sample=False,
        max_new_tokens=24,
        pad_token_id=0,
    )[:, longest:].tolist()
    (stop,) = model.stop_ids
    for position, ids in enumerate(said):
        stopped = stop in ids
        assert told[position] == [ids[: ids.index(stop)] if stopped else ids, stopped]
    for position, prompt in enumerate(prompts):
        (alone,) = collect(model.network, [prompt], **options).values()
        assert alone == told[position]
    assert told[0] == by_transformers(model.network, prompts[0], [stop], 24)


@pytest.mark.model
def test_batches_in_bf16_differ_only_where_two_tokens_are_as_good_as_equal(bundled: Path) -> None:
    from trimtab.models.local import load_local
    from trimtab.records.conversation import say

    model = load_local(bundled, "bundled", precision="bf16", device=torch.device("cpu"))
    prompts = [model.encode_prompt(say(request)) for request in REQUESTS[:8]]
    told = collect(model.network, prompts, max_tokens=12, stop_ids=model.stop_ids)
    tokens = differing = 0
    for position, prompt in enumerate(prompts):
        said, _ = told[position]
        with torch.inference_mode():
            logits = model.network(torch.tensor([prompt + said])).logits[0].float()
        for n, token in enumerate(said):
            alone = logits[len(prompt) + n - 1]
            tokens += 1
            differing += token != int(alone.argmax())
            assert alone.max() - alone[token] <= CLOSE
    assert tokens > 60
    assert differing <= tokens // 10
