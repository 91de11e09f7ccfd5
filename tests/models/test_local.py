"""A model on this machine: its replies, its probabilities, and what it says of broken folders."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from trimtab.models.local import LocalModel, cast_weights, dtype_for, load_local
from trimtab.records.charter import Generation
from trimtab.records.conversation import say
from trimtab.records.errors import ModelError
from trimtab.records.protocols import Model
from trimtab.records.reply import Reply

CPU = torch.device("cpu")
CONVERSATIONS = [
    say("Hello"),
    say("A table for two, please", "When?", "At eight"),
    say("Was?", system="Answer in German."),
    say("x " * 30),
]
SHORT = Generation(max_tokens=12)


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> LocalModel:
    return load_local(tiny_model, "tiny", precision="fp32", device=CPU)


def test_it_is_a_model(model: LocalModel) -> None:
    assert isinstance(model, Model)
    assert model.name == "tiny"
    assert model.max_context == 512


def test_replies_come_in_order_and_each_is_told_of_once(model: LocalModel) -> None:
    told: dict[int, Reply] = {}

    def on_reply(position: int, reply: Reply) -> None:
        assert position not in told
        told[position] = reply

    replies = model.generate(CONVERSATIONS, SHORT, on_reply)
    assert [told[n] for n in range(len(CONVERSATIONS))] == replies
    assert [model.generate([each], SHORT)[0] for each in CONVERSATIONS] == replies
    for conversation, reply in zip(CONVERSATIONS, replies, strict=True):
        assert reply.prompt_tokens == len(model.encode_prompt(conversation))
        assert (reply.finish, reply.reply_tokens) == ("length", 12)


def test_replies_do_not_depend_on_the_pieces_that_are_held_at_once(
    model: LocalModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    sampling = Generation(max_tokens=6, temperature=1.0, seed=4)
    expected = model.generate(CONVERSATIONS, sampling)
    monkeypatch.setattr("trimtab.models.local.PIECE_REPLIES", 3)
    assert model.generate(CONVERSATIONS, sampling) == expected


def test_no_conversations_give_no_replies(model: LocalModel) -> None:
    assert model.generate([], SHORT) == []


def test_what_does_not_fit_is_an_error_reply_and_the_others_come(model: LocalModel) -> None:
    long = say("word " * 600)
    told: list[int] = []
    replies = model.generate(
        [CONVERSATIONS[0], long, CONVERSATIONS[1]], SHORT, lambda n, _: told.append(n)
    )
    assert [reply.finish for reply in replies] == ["length", "error", "length"]
    assert sorted(told) == [0, 1, 2]
    assert "context of 512" in (replies[1].error or "")
    assert replies[1].text == ""
    with pytest.raises(ModelError, match="context of 512"):
        list(model.stream(long, SHORT))


def test_an_error_reply_leaves_the_samples_of_the_others_alone(model: LocalModel) -> None:
    sampling = Generation(max_tokens=6, temperature=1.0)
    fits = model.generate([say("a"), *CONVERSATIONS], sampling)
    too_long = model.generate([say("word " * 600), *CONVERSATIONS], sampling)
    assert too_long[1:] == fits[1:]


def test_a_prompt_and_reply_that_fill_the_context_are_made(model: LocalModel) -> None:
    prompt = len(model.encode_prompt(CONVERSATIONS[0]))
    (reply,) = model.generate([CONVERSATIONS[0]], Generation(max_tokens=512 - prompt))
    assert reply.finish in ("stop", "length")
    (reply,) = model.generate([CONVERSATIONS[0]], Generation(max_tokens=513 - prompt))
    assert reply.finish == "error"


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("most", [1, 12])
def test_a_stream_is_the_reply_in_pieces(model: LocalModel, temperature: float, most: int) -> None:
    for seed, conversation in enumerate(CONVERSATIONS):
        generation = Generation(max_tokens=most, temperature=temperature, seed=seed)
        pieces = list(model.stream(conversation, generation))
        assert "".join(pieces) == model.generate([conversation], generation)[0].text


@pytest.mark.parametrize("most", [1, 2, 3, 4])
def test_a_stream_cut_within_a_character_is_the_reply_too(
    model: LocalModel, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = model.tokenise("🜁🜂")
    monkeypatch.setattr("trimtab.models.local.stream", lambda *_, **__: iter(ids[:most]))
    pieces = list(model.stream(CONVERSATIONS[0], Generation(max_tokens=most)))
    assert "".join(pieces) == model.tokenizer.decode(ids[:most])


def test_a_reply_that_stops_counts_its_terminator_and_does_not_show_it(
    tiny_model: Path,
) -> None:
    model = load_local(tiny_model, "tiny", precision="fp32", device=CPU)
    (longer,) = model.generate([CONVERSATIONS[0]], SHORT)
    first = model.tokenise(longer.text)[0]
    model.network.generation_config.eos_token_id = [first, 2]
    assert model.stop_ids == {first, 2}
    (reply,) = model.generate([CONVERSATIONS[0]], SHORT)
    assert reply == Reply("", "stop", prompt_tokens=longer.prompt_tokens, reply_tokens=1)


def test_log_probabilities_are_those_of_full_logits(model: LocalModel) -> None:
    conversations = [
        say("Hello", "Hi there!"),
        say("a", "b", "c", "", "d", "e f g", system="h"),
        say("nothing to say"),
    ]
    scores = model.log_probabilities(conversations)
    for conversation, told in zip(conversations, scores, strict=True):
        encoded = model.encode_example(conversation)
        with torch.no_grad():
            logits = model.network(torch.tensor([encoded.ids])).logits[0].double()
        expected = [
            (logits[n - 1, token] - logits[n - 1].logsumexp(0)).item()
            for n, (token, learned) in enumerate(zip(encoded.ids, encoded.learned, strict=True))
            if learned
        ]
        assert told == pytest.approx(expected, abs=1e-4)
    assert scores[2] == []
    assert len(scores[0]) == len(model.tokenise("Hi there!")) + 1


def test_precision_is_as_asked_and_changes_the_fingerprint(tiny_model: Path) -> None:
    half = load_local(tiny_model, "tiny", precision="bf16", device=CPU)
    full = load_local(tiny_model, "tiny", precision="fp32", device=CPU)
    assert half.network.dtype == torch.bfloat16
    assert full.network.dtype == torch.float32
    assert half.fingerprint != full.fingerprint
    again = load_local(tiny_model, "other name", precision="fp32", device=CPU)
    assert again.fingerprint == full.fingerprint
    assert dtype_for("auto", CPU) in (torch.bfloat16, torch.float32)


def test_casting_leaves_the_rotary_frequencies_exact(tiny_model: Path) -> None:
    half = load_local(tiny_model, "tiny", precision="bf16", device=CPU)
    assert half.network.model.rotary_emb.inv_freq.dtype == torch.float32
    network = torch.nn.Linear(2, 2)
    cast_weights(network, torch.bfloat16)
    assert {weight.dtype for weight in network.parameters()} == {torch.bfloat16}


def damaged(tiny_model: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_model, tmp_path / "model"))


def test_a_fingerprint_changes_with_the_weights(
    model: LocalModel, tiny_model: Path, tmp_path: Path
) -> None:
    folder = damaged(tiny_model, tmp_path)
    assert load_local(folder, "m", precision="fp32", device=CPU).fingerprint == model.fingerprint
    content = bytearray((folder / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (folder / "model.safetensors").write_bytes(content)
    assert load_local(folder, "m", precision="fp32", device=CPU).fingerprint != model.fingerprint


@pytest.fixture
def adapter(tiny_model: Path, tmp_path: Path) -> Path:
    """A LoRA adapter of rank 2 in a folder, with the tokenizer, on a copy of the tiny model."""
    from trimtab.models.local import load_network
    from trimtab.records.charter import TuneConfig
    from trimtab.tuning.sft import with_adapter

    base = damaged(tiny_model, tmp_path)
    network, tokenizer = load_network(base)
    adapted = with_adapter(network, TuneConfig(method="lora", lora_rank=2), base)
    for name, weight in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.constant_(weight, 0.05)
    adapted.save_pretrained(tmp_path / "adapter")
    tokenizer.save_pretrained(tmp_path / "adapter")
    return tmp_path / "adapter"


def test_an_adapters_fingerprint_is_of_its_base_too(adapter: Path) -> None:
    def fingerprint() -> str:
        return load_local(adapter, "m", precision="fp32", device=CPU).fingerprint

    first = fingerprint()
    assert fingerprint() == first
    weights = adapter.with_name("model") / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert fingerprint() != first


def test_an_adapter_is_merged_by_its_formula(adapter: Path, model: LocalModel) -> None:
    from safetensors.torch import load_file

    factors = load_file(adapter / "adapter_model.safetensors")
    scale = json.loads((adapter / "adapter_config.json").read_text())["lora_alpha"] / 2
    merged = load_local(adapter, "m", precision="fp32", device=CPU).network
    name = "model.layers.1.self_attn.v_proj"
    up, down = (factors[f"base_model.model.{name}.lora_{part}.weight"] for part in "BA")
    before = model.network.get_parameter(f"{name}.weight")
    after = merged.get_parameter(f"{name}.weight")
    assert torch.allclose(after, before + scale * up @ down, atol=1e-6)
    assert not any("lora" in name for name, _ in merged.named_parameters())


def test_an_adapter_whose_base_is_gone_is_an_error_that_names_it(adapter: Path) -> None:
    shutil.rmtree(adapter.with_name("model"))
    with pytest.raises(ModelError) as caught:
        load_local(adapter, "m", precision="fp32", device=CPU)
    assert str(adapter.with_name("model")) in str(caught.value)


def cut(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])


def drop_tokenizer(folder: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()


@pytest.mark.parametrize(
    "damage",
    [
        cut,
        drop_tokenizer,
        lambda folder: (folder / "model.safetensors").unlink(),
        lambda folder: (folder / "config.json").write_text("{"),
        lambda folder: (folder / "config.json").write_text('{"model_type": "no-such-model"}'),
    ],
    ids=["cut weights", "no tokenizer", "no weights", "broken config", "unknown architecture"],
)
def test_a_broken_folder_is_a_model_error_that_names_it(
    damage: Any, tiny_model: Path, tmp_path: Path
) -> None:
    folder = damaged(tiny_model, tmp_path)
    damage(folder)
    with pytest.raises(ModelError) as caught:
        load_local(folder, "broken", device=CPU)
    assert str(folder) in str(caught.value)


def test_a_model_without_chat_template_gets_a_plain_one(tiny_model: Path, tmp_path: Path) -> None:
    folder = damaged(tiny_model, tmp_path)
    (folder / "chat_template.jinja").unlink()
    model = load_local(folder, "plain", precision="fp32", device=CPU)
    prompt = model.tokenizer.decode(model.encode_prompt(say("Hello")))
    assert prompt.endswith("### user\nHello<|im_end|>\n### assistant\n")
