"""A model whose weights are on this machine."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError

from trimtab.models.generation import generate, stream
from trimtab.models.turns import PLAIN_TEMPLATE, Encoded, encode_example, encode_prompt
from trimtab.records.charter import Generation
from trimtab.records.conversation import Conversation
from trimtab.records.errors import DataError, ModelError
from trimtab.records.protocols import OnReply
from trimtab.records.reply import Reply
from trimtab.store import fill_folder, folder_hash

Precision = Literal["auto", "bf16", "fp32"]
PIECE_REPLIES = 256
"""Conversations that are tokenised and held at once."""


class LocalModel:
    """A transformers network with its tokenizer."""

    batched = True

    def __init__(self, name: str, network: Any, tokenizer: Any, fingerprint: str) -> None:
        self.name = name
        self.fingerprint = fingerprint
        self.network = network
        self.tokenizer = tokenizer

    @property
    def stop_ids(self) -> frozenset[int]:
        """The tokens that end a reply."""
        return stop_ids_of(self.network, self.tokenizer)

    @property
    def max_context(self) -> int:
        """The longest prompt and reply together, in tokens."""
        return max_context_of(self.network, self.tokenizer)

    def encode_prompt(self, conversation: Conversation) -> list[int]:
        """The ids that stand before the next reply."""
        return encode_prompt(self.tokenizer, conversation)

    def encode_example(self, conversation: Conversation) -> Encoded:
        """The ids of a whole conversation, its assistant turns learned."""
        return encode_example(self.tokenizer, conversation, self.stop_ids)

    def tokenise(self, text: str) -> list[int]:
        """The text's ids, special tokens not added."""
        ids: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    def generate(
        self,
        conversations: Sequence[Conversation],
        generation: Generation,
        on_reply: OnReply | None = None,
    ) -> list[Reply]:
        """One reply a conversation; one longer than the context is an error reply, never cut."""
        replies: list[Reply | None] = [None] * len(conversations)

        def deliver(position: int, reply: Reply) -> None:
            replies[position] = reply
            if on_reply:
                on_reply(position, reply)

        for start in range(0, len(conversations), PIECE_REPLIES):
            prompts: dict[int, list[int]] = {}
            for position in range(start, min(start + PIECE_REPLIES, len(conversations))):
                prompt = self.encode_prompt(conversations[position])
                if len(prompt) + generation.max_tokens > self.max_context:
                    deliver(position, self._too_long(len(prompt), generation.max_tokens))
                else:
                    prompts[position] = prompt
            self._generate_piece(prompts, generation, deliver)
        return [reply for reply in replies if reply is not None]

    def _generate_piece(
        self, prompts: dict[int, list[int]], generation: Generation, deliver: OnReply
    ) -> None:
        positions = list(prompts)

        def on_row(row: int, ids: list[int], stopped: bool) -> None:
            position = positions[row]
            deliver(
                position,
                Reply(
                    text=self.tokenizer.decode(ids, skip_special_tokens=True),
                    finish="stop" if stopped else "length",
                    prompt_tokens=len(prompts[position]),
                    reply_tokens=len(ids) + stopped,
                ),
            )

        generate(
            self.network,
            [prompts[position] for position in positions],
            max_tokens=generation.max_tokens,
            stop_ids=self.stop_ids,
            temperature=generation.temperature,
            seeds=[_seed(generation, prompts[position]) for position in positions],
            on_row=on_row,
        )

    def _too_long(self, prompt_tokens: int, max_tokens: int) -> Reply:
        what = (
            f"the request has {prompt_tokens} tokens; with {max_tokens} for the reply that is "
            f"more than the model's context of {self.max_context}"
        )
        return Reply("", "error", prompt_tokens=prompt_tokens, error=what)

    def stream(self, conversation: Conversation, generation: Generation) -> Iterator[str]:
        """The reply's text in pieces, each complete characters."""
        prompt = self.encode_prompt(conversation)
        if len(prompt) + generation.max_tokens > self.max_context:
            raise ModelError(self._too_long(len(prompt), generation.max_tokens).error or "")
        ids: list[int] = []
        shown = ""
        for token in stream(
            self.network,
            prompt,
            max_tokens=generation.max_tokens,
            stop_ids=self.stop_ids,
            temperature=generation.temperature,
            seed=_seed(generation, prompt),
        ):
            ids.append(token)
            text = self.tokenizer.decode(ids, skip_special_tokens=True)
            if text.endswith("\N{REPLACEMENT CHARACTER}"):
                continue  # half of a character: the rest comes with the next token
            yield text[len(shown) :]
            shown = text
        whole = self.tokenizer.decode(ids, skip_special_tokens=True)
        if whole != shown:
            yield whole[len(shown) :]  # the limit came within a character

    def log_probabilities(self, conversations: Sequence[Conversation]) -> list[list[float]]:
        """For each conversation, of each learned token: assistant turns with their terminators.

        DataError for one that is longer than the context.
        """
        return [self._log_probabilities(self.encode_example(each)) for each in conversations]

    def _log_probabilities(self, encoded: Encoded) -> list[float]:
        if len(encoded) > self.max_context:
            raise DataError(
                f"a conversation of {len(encoded)} tokens does not fit into the model's context "
                f"of {self.max_context}"
            )
        ids = torch.tensor(encoded.ids, device=self.network.device)
        learned = torch.tensor(encoded.learned, device=self.network.device)
        before = learned.nonzero().flatten() - 1
        with torch.inference_mode():
            output = self.network(input_ids=ids[None], logits_to_keep=before, use_cache=False)
        logits = output.logits
        scores = torch.log_softmax(logits[0].float(), dim=-1)
        chosen = scores.gather(1, ids[before + 1][:, None]).flatten()
        return [float(score) for score in chosen]


def _seed(generation: Generation, prompt: Sequence[int]) -> int:
    """Of one prompt's draws: its own, whatever else is asked for and in whichever order."""
    text = f"{generation.seed} {list(prompt)}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big")


def stop_ids_of(network: Any, tokenizer: Any) -> frozenset[int]:
    """The tokens that end a turn, of the generation config and of the tokenizer."""
    configured = network.generation_config.eos_token_id
    ids = configured if isinstance(configured, list) else [configured]
    return frozenset(token for token in [*ids, tokenizer.eos_token_id] if token is not None)


def max_context_of(network: Any, tokenizer: Any) -> int:
    """The longest conversation in tokens; 2**31 where neither of both knows a limit."""
    limit = getattr(network.config, "max_position_embeddings", None)
    return min(int(limit or 2**31), int(tokenizer.model_max_length))


def best_device() -> torch.device:
    """CUDA where there is one, else Apple's, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def dtype_for(precision: Precision, device: torch.device) -> torch.dtype:
    """The type of the passes; auto takes bf16 where the device computes in it natively."""
    if precision == "auto":
        precision = "bf16" if _has_fast_bf16(device) else "fp32"
    return torch.bfloat16 if precision == "bf16" else torch.float32


def _has_fast_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
    return False


def load_local(
    source: str | Path,
    name: str,
    *,
    precision: Precision = "auto",
    device: torch.device | None = None,
) -> LocalModel:
    """Load a folder or a hub id; a folder that holds a LoRA adapter is merged into its base.

    Raises ModelError where there are no weights, or transformers cannot read them.
    """
    device = device or best_device()
    dtype = dtype_for(precision, device)
    folder = Path(source)
    if folder.is_dir():
        _require_weights(folder)
    network, tokenizer = load_network(source)
    fingerprint = fingerprint_of(source, network, dtype)
    cast_weights(network, dtype)  # before it moves: fp32 weights may not fit onto the device
    network.to(device).eval()
    return LocalModel(name, network, tokenizer, fingerprint)


def load_network(source: str | Path) -> tuple[Any, Any]:
    """The network in fp32 on the CPU, adapters merged, and the tokenizer with a chat template."""
    from transformers import AutoModelForCausalLM

    base = base_of(source)
    below = load_network(base)[0] if base else None
    with quietly(), _readable(source):
        if below is not None:
            from peft import PeftModel

            network = PeftModel.from_pretrained(below, str(source)).merge_and_unload()
        else:
            network = AutoModelForCausalLM.from_pretrained(str(source), dtype=torch.float32)
    return network, load_tokenizer(source)


def load_tokenizer(source: str | Path) -> Any:
    """The tokenizer, with a plain chat template where it has none."""
    from transformers import AutoTokenizer

    with quietly(), _readable(source):
        tokenizer = AutoTokenizer.from_pretrained(str(source))
    if tokenizer.chat_template is None:
        tokenizer.chat_template = PLAIN_TEMPLATE
    return tokenizer


def base_of(source: str | Path) -> str | None:
    """The model that a folder's LoRA adapter belongs to, or None where there is no adapter.

    The base may be an adapter in turn: one training can follow another.
    """
    adapter = Path(source) / "adapter_config.json"
    if not adapter.is_file():
        return None
    with _readable(source):
        return str(json.loads(adapter.read_text())["base_model_name_or_path"])


def copy_model(source: str | Path, folder: Path) -> None:
    """Put a model into a folder: a folder's files as they are, a hub id's as transformers saves."""
    with fill_folder(folder) as filling:
        if Path(source).is_dir():
            shutil.copytree(source, filling, dirs_exist_ok=True)
        else:
            network, tokenizer = load_network(source)
            network.save_pretrained(filling)
            tokenizer.save_pretrained(filling)


def cast_weights(network: Any, dtype: torch.dtype) -> None:
    """Cast the parameters alone: `network.to(dtype)` would round the rotary frequencies too."""
    for weight in network.parameters():
        weight.data = weight.data.to(dtype)


def _require_weights(folder: Path) -> None:
    names = {path.suffix for path in folder.iterdir()}
    if not names & {".safetensors", ".bin"}:
        raise ModelError(
            "this folder has no weights",
            where=str(folder),
            fix="A model folder holds config.json, *.safetensors and the tokenizer's files.",
        )


def fingerprint_of(source: str | Path, network: Any, dtype: torch.dtype) -> str:
    """Of the files of a folder (and of the base that an adapter names), or a hub id's commit."""
    content = ""
    part: str | Path | None = source
    while part is not None:
        content += (
            folder_hash(part)
            if Path(part).is_dir()
            else f"{part}@{getattr(network.config, '_commit_hash', None)}"
        )
        part = base_of(part)
    return hashlib.sha256(f"{content} {dtype}".encode()).hexdigest()[:16]


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Without the libraries' own bars, and without what they tell each other of deprecations."""
    from transformers.utils import logging

    was_on = logging.is_progress_bar_enabled()
    verbosity = logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        logging.set_verbosity(verbosity)
        if was_on:
            logging.enable_progress_bar()


@contextlib.contextmanager
def _readable(source: str | Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
        raise ModelError(
            f"the model cannot be loaded: {reason}",
            where=str(source),
            fix="Name the bundled model (smollm2-135m-instruct), a folder, or a hub id.",
        ) from error
