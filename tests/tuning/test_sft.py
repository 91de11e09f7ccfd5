"""Supervised tuning: the loss is the replies' own, and what is saved is what was trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from trimtab.models.local import load_local, load_network
from trimtab.models.turns import Encoded
from trimtab.records.charter import TuneConfig
from trimtab.records.conversation import Message, say
from trimtab.records.errors import DataError, TuningError, Where
from trimtab.records.example import Example
from trimtab.tuning.loop import StepReport
from trimtab.tuning.sft import (
    count_tokens,
    encode_rows,
    isolated_rows,
    response_loss,
    split_by_tokens,
    tune,
)

CPU = torch.device("cpu")
WORDS = "a table for two at eight in the garden please with cake and no candles".split()
EXAMPLES = [
    Example(say(f"{' '.join(WORDS[: n % 5 + 1])}?", " ".join(WORDS[n % 7 : n % 7 + n % 4 + 2])))
    for n in range(10)
]


@pytest.fixture(scope="module")
def network(tiny_model: Path) -> Any:
    return load_network(tiny_model)[0].eval()


@pytest.fixture(scope="module")
def rows(network: Any, tokenizer: Any) -> list[Encoded]:
    two_turns = Example(say("Hi", "Hello!", "Bye", "See you."))
    return encode_rows(network, tokenizer, [*EXAMPLES[:3], two_turns])


def by_hand(network: Any, row: Encoded) -> torch.Tensor:
    """One row's summed loss from full logits: the token at n is predicted from those before n."""
    logits = network(input_ids=torch.tensor([row.ids])).logits[0].double()
    losses = [
        logits[n - 1].logsumexp(0) - logits[n - 1, row.ids[n]]
        for n in range(len(row.ids))
        if row.learned[n]
    ]
    return torch.stack(losses).sum()


def padded(network: Any, rows: list[Encoded]) -> torch.Tensor:
    """The rows' summed loss as a padded batch with transformers' own labels gives it."""
    longest = max(len(row) for row in rows)
    ids = torch.tensor([list(row.ids) + [0] * (longest - len(row)) for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
    labels = torch.full_like(ids, -100)
    for place, row in enumerate(rows):
        for n, (token, learned) in enumerate(zip(row.ids, row.learned, strict=True)):
            labels[place, n] = token if learned else -100
    mean = network(input_ids=ids, attention_mask=mask, labels=labels).loss
    return mean * sum(sum(row.learned) for row in rows)


def test_the_loss_of_packed_rows_is_the_sum_of_each_rows_own(
    network: Any, rows: list[Encoded]
) -> None:
    loss, terms = response_loss(network, rows)
    assert terms == sum(sum(row.learned) for row in rows)
    assert loss.item() == pytest.approx(sum(by_hand(network, r).item() for r in rows), rel=1e-5)
    assert loss.item() == pytest.approx(padded(network, rows).item(), rel=1e-5)


def test_packed_rows_have_the_gradient_of_rows_apart(network: Any, rows: list[Encoded]) -> None:
    gradients = []
    for loss in (response_loss(network, rows)[0], padded(network, rows)):
        network.zero_grad()
        loss.backward()
        gradients.append({n: w.grad.clone() for n, w in network.named_parameters()})
    network.zero_grad()
    for name, gradient in gradients[0].items():
        assert torch.allclose(gradient, gradients[1][name], rtol=1e-3, atol=1e-4), name


def test_what_one_row_says_is_unseen_by_the_others(network: Any, rows: list[Encoded]) -> None:
    """The loss of the other rows, hence their gradient, stays when one row's ids change."""
    silent = Encoded(rows[1].ids, (False,) * len(rows[1]))
    changed = Encoded(tuple(token + 1 for token in silent.ids), silent.learned)
    with torch.no_grad():
        losses = [
            response_loss(network, [rows[0], middle, rows[2]])[0].item()
            for middle in (silent, changed)
        ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


def test_networks_that_mix_packed_rows_are_told_apart(network: Any) -> None:
    from transformers import AutoModelForCausalLM, BloomConfig, GPT2Config

    with torch.random.fork_rng():
        torch.manual_seed(0)
        mixing = AutoModelForCausalLM.from_config(
            BloomConfig(vocab_size=50, hidden_size=16, n_layer=2, n_head=2)
        )
        parting = AutoModelForCausalLM.from_config(
            GPT2Config(vocab_size=50, n_embd=16, n_layer=2, n_head=2, n_positions=64)
        )
    for each, can in ((network, True), (parting, True), (mixing, False)):
        with isolated_rows(each) as isolated:
            assert isolated is can


def test_a_step_is_parted_so_that_no_part_is_too_large() -> None:
    assert split_by_tokens([4, 2, 0, 1, 3], [5, 5, 5, 20, 5], 10) == [[4, 2], [0, 1], [3]]
    assert split_by_tokens([0, 1], [5, 5], 1) == [[0], [1]]


def config(**options: Any) -> TuneConfig:
    settings = {"precision": "fp32", "step_tokens": 128, "epochs": 2, "learning_rate": 1e-3}
    return TuneConfig.model_validate(settings | options)


def logits_of(folder: Path) -> torch.Tensor:
    model = load_local(folder, "tuned", precision="fp32", device=CPU)
    with torch.inference_mode():
        return model.network(torch.arange(3, 40)[None]).logits[0]


def test_training_lowers_the_loss_and_the_saved_model_has_it(
    tiny_model: Path, tokenizer: Any, tmp_path: Path
) -> None:
    tuned = tune(
        tiny_model, EXAMPLES, config(epochs=8), tmp_path / "m", scratch=tmp_path / "s", device=CPU
    )
    before, after = (load_local(p, "m", precision="fp32") for p in (tiny_model, tmp_path / "m"))
    conversations = [each.messages for each in EXAMPLES]
    means = [
        sum(map(sum, scores)) / sum(map(len, scores))
        for scores in (m.log_probabilities(conversations) for m in (before, after))
    ]
    assert means[1] > means[0] + 1
    assert -means[1] < tuned.losses[0]
    assert tuned.steps == len(tuned.losses)
    assert tuned.tokens == 8 * count_tokens(tiny_model, EXAMPLES)
    assert tuned.learned_tokens == sum(map(len, after.log_probabilities(conversations)))
    assert not (tmp_path / "s").exists()
    network = after.network
    assert network.get_output_embeddings().weight is network.get_input_embeddings().weight
    assert network.dtype == torch.float32
    assert after.encode_prompt(say("Hello")) == before.encode_prompt(say("Hello"))


def test_bf16_passes_save_the_masters_in_fp32(tiny_model: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    tune(
        tiny_model,
        EXAMPLES,
        config(precision="bf16", learning_rate=1e-6),
        tmp_path / "m",
        scratch=tmp_path / "s",
        device=CPU,
    )
    saved, first = (load_file(p / "model.safetensors") for p in (tmp_path / "m", tiny_model))
    assert saved.keys() == first.keys()
    assert {weight.dtype for weight in saved.values()} == {torch.float32}
    moved = max(float((saved[name] - first[name]).abs().max()) for name in saved)
    assert 0 < moved < 3e-5  # rounded copies would be off by up to 2e-3


@pytest.mark.parametrize("method", ["full", "lora"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_tuning_twice_after_an_interruption_is_tuning_once(
    method: str, precision: str, tiny_model: Path, tmp_path: Path
) -> None:
    settings = config(method=method, precision=precision, checkpoint_seconds=1e-9)

    def stop(report: StepReport) -> None:
        if report.step == 4:
            raise KeyboardInterrupt

    def tuned(name: str, **options: Any) -> Any:
        place = {"scratch": tmp_path / f"{name}-scratch", "device": CPU}
        return tune(tiny_model, EXAMPLES, settings, tmp_path / name, **place, **options)

    once = tuned("once")
    with pytest.raises(KeyboardInterrupt):
        tuned("twice", on_step=stop)
    assert not (tmp_path / "twice").exists()
    twice = tuned("twice")
    weights = "adapter_model" if method == "lora" else "model"
    one, other = (
        (tmp_path / name / f"{weights}.safetensors").read_bytes() for name in ("once", "twice")
    )
    assert one == other
    assert once.losses[-len(twice.losses) :] == twice.losses


def test_a_checkpoint_of_other_rows_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    def stop(report: StepReport) -> None:
        if report.step == 2:
            raise KeyboardInterrupt

    place: dict[str, Any] = {"scratch": tmp_path / "s", "device": CPU}
    settings = config(checkpoint_seconds=1e-9)
    with pytest.raises(KeyboardInterrupt):
        tune(tiny_model, EXAMPLES, settings, tmp_path / "m", on_step=stop, **place)
    with pytest.raises(TuningError, match="another training"):
        tune(tiny_model, EXAMPLES[:-1], settings, tmp_path / "m", **place)


@pytest.mark.parametrize("steps", [1, 3, 9])
def test_the_number_of_steps_can_be_given(steps: int, tiny_model: Path, tmp_path: Path) -> None:
    reports: list[StepReport] = []
    tuned = tune(
        tiny_model,
        EXAMPLES[:4],
        config(epochs=1),
        tmp_path / "m",
        scratch=tmp_path / "s",
        on_step=reports.append,
        exact_steps=steps,
        device=CPU,
    )
    assert tuned.steps == len(reports) == steps
    assert tuned.tokens == sum(report.tokens for report in reports)


def test_lora_trains_both_factors_and_its_adapter_says_the_same_when_loaded(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from safetensors.torch import load_file

    from trimtab.tuning import sft

    trained: list[torch.Tensor] = []

    def save(network: Any, *rest: Any) -> None:
        with torch.inference_mode():
            trained.append(network(torch.arange(3, 40)[None]).logits[0])
        keep(network, *rest)

    keep = sft.save_model
    monkeypatch.setattr(sft, "save_model", save)
    settings = config(method="lora", learning_rate=1e-2)
    tune(tiny_model, EXAMPLES, settings, tmp_path / "m", scratch=tmp_path / "s", device=CPU)
    saved = load_file(tmp_path / "m" / "adapter_model.safetensors")
    up = [weight for name, weight in saved.items() if "lora_B" in name]
    assert len(up) == 14  # seven linear layers in each of two blocks
    assert all(weight.abs().max() > 0 for weight in up)
    assert torch.allclose(logits_of(tmp_path / "m"), trained[0], atol=1e-4)
    assert (logits_of(tmp_path / "m") - logits_of(tiny_model)).abs().max() > 0.1


def test_an_adapter_trained_on_an_adapter_keeps_both(tiny_model: Path, tmp_path: Path) -> None:
    """Specialising, then steering: the second adapter's base is the first, not what lies below."""
    first, second = tmp_path / "first", tmp_path / "second"
    loud, quiet = config(method="lora", learning_rate=1e-2), config(method="lora", epochs=1)
    place: dict[str, Any] = {"scratch": tmp_path / "s", "device": CPU}
    tune(tiny_model, EXAMPLES, loud, first, **place)
    tune(first, EXAMPLES[:1], quiet.model_copy(update={"learning_rate": 1e-9}), second, **place)
    assert torch.allclose(logits_of(second), logits_of(first), atol=1e-3)
    assert (logits_of(second) - logits_of(tiny_model)).abs().max() > 0.1


def test_faulty_rows_are_named_by_their_places(network: Any, tokenizer: Any) -> None:
    faulty = [
        Example(say("Hi", "Hello!"), where=Where("good.jsonl", 1)),
        Example(say("long", "word " * 600), where=Where("rows.jsonl", 7)),
        Example(say("no reply"), where=Where("rows.jsonl", 9)),
        Example(say("a", "b<|im_end|>"), where=Where("more.parquet", row=3)),
        Example((Message("assistant", "I begin."),)),
    ]
    with pytest.raises(DataError) as caught:
        encode_rows(network, tokenizer, faulty)
    text = str(caught.value)
    assert "good.jsonl" not in text
    assert "rows.jsonl:7: " in text
    assert "context of 512" in text
    assert "rows.jsonl:9: no assistant turn" in text
    assert "more.parquet, row 3: an assistant turn holds the text of a terminator" in text
    assert "row 5: " in text


def test_a_row_that_just_fits_into_the_context_is_taken(network: Any, tokenizer: Any) -> None:
    shortest = len(encode_rows(network, tokenizer, [Example(say("x", " word"))])[0])
    fits = Example(say("x", " word" * (512 - shortest + 1)))
    assert len(encode_rows(network, tokenizer, [fits])[0]) == 512
    with pytest.raises(DataError, match="513 tokens"):
        encode_rows(network, tokenizer, [Example(say("x", " word" * (512 - shortest + 2)))])


def test_no_rows_are_an_error(network: Any, tokenizer: Any) -> None:
    with pytest.raises(DataError, match="no rows"):
        encode_rows(network, tokenizer, [])


def test_tokens_are_counted_as_training_counts_them(tiny_model: Path, rows: list[Encoded]) -> None:
    assert count_tokens(tiny_model, EXAMPLES[:3]) == sum(len(row) for row in rows[:3])
