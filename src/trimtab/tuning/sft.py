"""Supervised tuning: the model learns the assistant turns of examples."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

from trimtab.models.local import (
    base_of,
    best_device,
    dtype_for,
    fingerprint_of,
    load_network,
    load_tokenizer,
    max_context_of,
    quietly,
    stop_ids_of,
)
from trimtab.models.turns import Encoded, count_ids, encode_example
from trimtab.records.charter import TuneConfig
from trimtab.records.errors import DataError, ModelError
from trimtab.records.example import Example
from trimtab.store import Journal, fill_folder
from trimtab.tuning.attention import PACKED, use_attention
from trimtab.tuning.batches import fill_steps, step_tokens_for
from trimtab.tuning.checkpoints import Checkpoints
from trimtab.tuning.loop import StepReport, train

REFERENCE_PARAMETERS, REFERENCE_RATE = 135e6, 3e-4
SIZE_EXPONENT = 0.86  # 3e-4 at 135M falls to 1e-5 at 7B
LORA_FACTOR = 10.0
MICRO_TOKENS = 4096


@dataclass(frozen=True, slots=True)
class Tuned:
    """What a training made and took, restarts included, and the values that it resolved.

    `tokens` are all that passed, `learned_tokens` those of assistant turns in one epoch;
    `losses` is the mean loss of each step before its update.
    """

    steps: int
    tokens: int
    learned_tokens: int
    seconds: float
    losses: tuple[float, ...]
    learning_rate: float
    step_tokens: int
    precision: str


def default_learning_rate(parameters: int, method: str) -> float:
    """3e-4 for a full tuning of 135 million parameters, falling with size; LoRA takes ten times.

    >>> f"{default_learning_rate(135_000_000, 'full'):.0e}"
    '3e-04'
    >>> f"{default_learning_rate(7_000_000_000, 'full'):.0e}"
    '1e-05'
    """
    rate: float = REFERENCE_RATE * (REFERENCE_PARAMETERS / parameters) ** SIZE_EXPONENT
    return min(rate * (LORA_FACTOR if method == "lora" else 1.0), 3e-3)


def tune(
    source: str | Path,
    examples: Sequence[Example],
    config: TuneConfig,
    out: Path,
    *,
    scratch: Path,
    on_step: Callable[[StepReport], None] = lambda _: None,
    exact_steps: int | None = None,
    device: torch.device | None = None,
) -> Tuned:
    """Train the model at `source` (a folder or hub id) on `examples`, and write it to `out`.

    `exact_steps` makes it that many, repeating rows where needed; otherwise `config.epochs`
    decides. `scratch` holds checkpoints and the steps' reports while training runs, from which a
    second call goes on. Raises DataError naming every row that is longer than the model's context
    or teaches nothing.
    """
    network, tokenizer = load_network(source)
    rows = encode_rows(network, tokenizer, examples)
    lengths = [len(row) for row in rows]
    step_tokens = config.step_tokens or step_tokens_for(lengths, config.epochs)
    steps = fill_steps(lengths, epochs=config.epochs, step_tokens=step_tokens, seed=config.seed)
    if exact_steps is not None:
        epochs = math.ceil(exact_steps * config.epochs / len(steps))
        steps = fill_steps(lengths, epochs=epochs, step_tokens=step_tokens, seed=config.seed)
        steps = steps[:exact_steps]
    device = device or best_device()
    dtype = dtype_for(config.precision, device)
    peak = config.learning_rate or default_learning_rate(network.num_parameters(), config.method)
    identity = hashlib.sha256(
        json.dumps(
            [
                fingerprint_of(source, network, dtype),
                config.model_dump(exclude={"checkpoint_seconds"}),
                steps,
                [[row.ids, row.learned] for row in rows],
            ]
        ).encode()
    ).hexdigest()
    torch.manual_seed(config.seed)
    trainable = with_adapter(network, config, source) if config.method == "lora" else network
    trainable.to(device)
    checkpoints = Checkpoints(scratch, identity, config.checkpoint_seconds)
    scratch.mkdir(parents=True, exist_ok=True)
    journal = Journal(scratch / "steps.jsonl", StepReport)

    def note(report: StepReport) -> None:
        journal.append([report])
        on_step(report)

    with isolated_rows(trainable) as packs:
        micro_tokens = MICRO_TOKENS if packs else 1
        masters = train(
            trainable,
            [split_by_tokens(step, lengths, micro_tokens) for step in steps],
            lambda net, numbers: response_loss(net, [rows[number] for number in numbers]),
            count_tokens=lambda numbers: sum(lengths[number] for number in numbers),
            config=config,
            peak=peak,
            dtype=dtype,
            checkpoints=checkpoints,
            on_step=note,
            name_rows=lambda numbers: ", ".join(str(examples[n].where or n) for n in numbers),
        )
    save_model(trainable, masters.fp32, tokenizer, out)
    reports = {report.step: report for report in journal.read()}  # repeated ones: the last counts
    checkpoints.clear()
    return Tuned(
        steps=len(steps),
        tokens=sum(lengths[row] for step in steps for row in step),
        learned_tokens=sum(sum(row.learned) for row in rows),
        seconds=sum(report.seconds for report in reports.values()),
        losses=tuple(reports[step].loss for step in sorted(reports)),
        learning_rate=peak,
        step_tokens=step_tokens,
        precision=str(dtype).removeprefix("torch."),
    )


def require_fitting(source: str | Path, examples: Sequence[Example]) -> None:
    """DataError with all rows that cannot be trained on, before any weights are loaded."""
    from transformers import AutoConfig, GenerationConfig

    tokenizer = load_tokenizer(source)
    base = source
    while below := base_of(base):
        base = below
    with quietly():
        config = AutoConfig.from_pretrained(str(base))
        try:
            generation = GenerationConfig.from_pretrained(str(base))
        except OSError:
            generation = GenerationConfig.from_model_config(config)
    described = SimpleNamespace(config=config, generation_config=generation)
    encode_rows(described, tokenizer, examples)


def encode_rows(network: Any, tokenizer: Any, examples: Sequence[Example]) -> list[Encoded]:
    """Each example's ids; DataError with all rows that cannot be trained on, and why.

    Of the network its configs alone are looked at.
    """
    stop_ids = stop_ids_of(network, tokenizer)
    context = max_context_of(network, tokenizer)
    rows: list[Encoded] = []
    faults: list[str] = []
    for number, example in enumerate(examples):
        place = example.where or f"row {number + 1}"
        try:
            row = encode_example(tokenizer, example.messages, stop_ids)
        except ModelError as error:
            faults.append(f"{place}: {error.what}")
            continue
        if len(row) > context:
            faults.append(
                f"{place}: {len(row)} tokens do not fit into the model's context of {context}"
            )
        elif not any(row.learned):
            faults.append(f"{place}: no assistant turn, so nothing to learn")
        rows.append(row)
    if not examples:
        raise DataError("there are no rows to train on", fix="Name a plan or a file with rows.")
    if faults:
        shown = "\n  ".join(faults[:20])
        more = f"\n  and {len(faults) - 20} more" if len(faults) > 20 else ""
        raise DataError(f"{len(faults)} rows cannot be trained on:\n  {shown}{more}")
    return rows


def count_tokens(source: str | Path, examples: Sequence[Example]) -> int:
    """How many tokens one epoch over the examples is."""
    tokenizer = load_tokenizer(source)
    return sum(count_ids(tokenizer, each.messages) for each in examples)


def response_loss(network: Any, rows: Sequence[Encoded]) -> tuple[torch.Tensor, int]:
    """Summed cross-entropy of the learned tokens, and their number; rows packed end to end.

    Positions start anew at each row, and attention stays inside it (`isolated_rows`). Logits are
    made only where the next token is learned.
    """
    device = network.device
    ids = torch.tensor([token for row in rows for token in row.ids], device=device)
    learned = torch.tensor([flag for row in rows for flag in row.learned], device=device)
    positions = torch.cat([torch.arange(len(row), device=device) for row in rows])
    before = learned.nonzero().flatten() - 1
    own = network.config._attn_implementation == PACKED
    logits = network(
        input_ids=ids[None],
        position_ids=positions[None],
        logits_to_keep=before,
        use_cache=False,
        **({"row_lengths": [len(row) for row in rows]} if own else {}),
    ).logits[0]
    loss = torch.nn.functional.cross_entropy(logits.float(), ids[before + 1], reduction="sum")
    return loss, len(before)


@contextmanager
def isolated_rows(network: Any) -> Iterator[bool]:
    """Make packed rows free of each other while it lasts; yields whether the network can do that.

    Its attention becomes `attend_packed` where that gives the same loss. Failing that, most
    networks part rows where positions start anew; those without position ids (OPT, Bloom,
    state-space models) do not.
    """
    usual = network.config._attn_implementation
    network.eval()  # dropout would make a difference of its own
    alone = _probe_loss(network, [AFTER])
    for implementation in (PACKED, usual):
        use_attention(network, implementation)
        packed = _probe_loss(network, [BEFORE, AFTER])
        if math.isclose(alone, packed, rel_tol=1e-5):
            break
    try:
        yield math.isclose(alone, packed, rel_tol=1e-5)
    finally:
        use_attention(network, usual)


BEFORE = Encoded((5, 6, 7, 8), (False, False, False, False))
AFTER = Encoded((9, 10, 11), (False, True, True))


def _probe_loss(network: Any, rows: Sequence[Encoded]) -> float:
    """The loss, or nan where attention is not passed on what the network was given."""
    try:
        with torch.no_grad(), quietly():
            return float(response_loss(network, rows)[0])
    except TypeError:
        return math.nan


def split_by_tokens(
    step: Sequence[int], lengths: Sequence[int], most_tokens: int
) -> list[list[int]]:
    """Part a step into micro-batches of at most `most_tokens`, or of one longer row.

    >>> split_by_tokens([0, 1, 2], [3, 3, 9], most_tokens=6)
    [[0, 1], [2]]
    """
    parts: list[list[int]] = [[]]
    for row in step:
        if parts[-1] and sum(lengths[each] for each in parts[-1]) + lengths[row] > most_tokens:
            parts.append([])
        parts[-1].append(row)
    return parts


def with_adapter(network: Any, config: TuneConfig, source: str | Path) -> Any:
    """The network frozen, with a LoRA adapter on all linear layers but the vocabulary's."""
    from peft import LoraConfig, get_peft_model

    rank = config.lora_rank or 16
    lora = LoraConfig(
        r=rank,
        lora_alpha=config.lora_alpha or 2 * rank,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    with quietly():
        adapted = get_peft_model(network, lora)
    # What was loaded, which may be an adapter itself; peft would name what lies below that one.
    base = str(Path(source).resolve()) if Path(source).is_dir() else str(source)
    adapted.peft_config["default"].base_model_name_or_path = base
    return adapted


def save_model(
    network: Any, masters: dict[str, torch.Tensor], tokenizer: Any, folder: Path
) -> None:
    """Write the masters (not the rounded copies), config, generation config and tokenizer."""
    adapter = hasattr(network, "get_base_model")
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if name in masters:
                weight.data = masters[name].data
            elif not adapter:  # an adapter's base is not written
                weight.data = weight.data.float()
    with fill_folder(folder) as filling, quietly():
        if adapter:
            # An adapter, without the vocabulary; left to itself, peft asks the hub about that.
            network.save_pretrained(filling, save_embedding_layers=False)
        else:
            network.save_pretrained(filling)
        tokenizer.save_pretrained(filling)
