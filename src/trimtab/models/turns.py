"""Conversations to token ids: the same ids in training and in use, and which of them are learned.

A chat template renders text; this module cuts that text where assistant turns begin, and
tokenises each piece by itself. So a reply is trained after exactly the ids that stand before it
when it is generated, whatever a tokenizer would merge across the border.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from trimtab.records.conversation import Conversation, Message
from trimtab.records.errors import ModelError

# For models that come without one (pre-trained only): roles as headings, one terminator a turn.
PLAIN_TEMPLATE = (
    "{% if bos_token %}{{ bos_token }}{% endif %}"
    "{% for message in messages %}"
    "{{ '### ' + message['role'] + '\n' + message['content'] + eos_token + '\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '### assistant\n' }}{% endif %}"
)


@dataclass(frozen=True, slots=True)
class Encoded:
    """Token ids, and for each whether the model learns to say it."""

    ids: tuple[int, ...]
    learned: tuple[bool, ...]

    def __len__(self) -> int:
        return len(self.ids)


def encode_prompt(tokenizer: Any, conversation: Conversation) -> list[int]:
    """The ids that stand before the next reply; nothing in them is learned."""
    text = _render(tokenizer, conversation, reply=True)
    return [token for piece, _ in _pieces(tokenizer, conversation, text) for token in piece]


def encode_example(
    tokenizer: Any, conversation: Conversation, stop_ids: Collection[int]
) -> Encoded:
    """The ids of a whole conversation; assistant turns are learned, each with its terminator.

    Raises ModelError where the template ends a turn without one of `stop_ids` (the model would
    never learn to stop), or where a turn's text holds a terminator (it would learn to stop early).
    """
    ids: list[int] = []
    learned: list[bool] = []
    text = _render(tokenizer, conversation, reply=False)
    for piece, is_reply in _pieces(tokenizer, conversation, text):
        ends = [position for position, token in enumerate(piece) if token in stop_ids]
        if is_reply and len(ends) != 1:
            raise ModelError(
                "the chat template ends an assistant turn without a terminator"
                if not ends
                else "an assistant turn holds the text of a terminator",
                fix="Set eos_token_id in generation_config.json to the token that ends a turn."
                if not ends
                else "Remove the special token from the row's text.",
            )
        count = ends[0] + 1 if is_reply else 0
        ids += piece
        learned += [position < count for position in range(len(piece))]
    return Encoded(tuple(ids), tuple(learned))


def count_ids(tokenizer: Any, conversation: Conversation) -> int:
    """How many ids `encode_example` gives."""
    text = _render(tokenizer, conversation, reply=False)
    return sum(len(piece) for piece, _ in _pieces(tokenizer, conversation, text))


def _render(tokenizer: Any, conversation: Conversation, *, reply: bool) -> str:
    text: str = tokenizer.apply_chat_template(
        [_template_form(message) for message in conversation],
        tokenize=False,
        add_generation_prompt=reply,
    )
    for message in conversation:
        for call in message.tool_calls:
            if call.name not in text:
                raise ModelError(
                    f"the model's chat template does not show tool calls ({call.name!r} is lost)",
                    fix="Use a model whose template knows tools, or leave these rows out.",
                )
    return text


def _template_form(message: Message) -> dict[str, Any]:
    """Templates want a call's arguments as an object, where they are one."""
    import json

    form = message.as_dict()
    for call in form.get("tool_calls", []):
        try:
            call["function"]["arguments"] = json.loads(call["function"]["arguments"])
        except ValueError:
            continue
    return form


def _pieces(tokenizer: Any, conversation: Conversation, text: str) -> list[tuple[list[int], bool]]:
    """The rendered text, tokenised piece by piece, each with whether it is an assistant turn."""
    pieces: list[tuple[list[int], bool]] = []
    position = 0
    for turn, message in enumerate(conversation):
        if message.role != "assistant":
            continue
        if turn == 0:
            raise ModelError(
                "a conversation cannot open with the assistant's turn",
                fix="Begin with a user or system turn.",
            )
        start = _render(tokenizer, conversation[:turn], reply=True)
        end = _render(tokenizer, conversation[: turn + 1], reply=False)
        if not (text.startswith(start) and text.startswith(end) and position <= len(start)):
            raise ModelError(
                "the model's chat template rewrites earlier turns, so that what is trained "
                "would not be what is used",
                fix="Use conversations with one assistant turn.",
            )
        pieces.append((_tokenise(tokenizer, text[position : len(start)]), False))
        pieces.append((_tokenise(tokenizer, text[len(start) : len(end)]), True))
        position = len(end)
    pieces.append((_tokenise(tokenizer, text[position:]), False))
    return pieces


def _tokenise(tokenizer: Any, text: str) -> list[int]:
    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids
