"""The forms in which a row can hold a conversation.

- Chat: `messages`, turns with `role` and `content`; or ShareGPT's `conversations`, turns with
  `from` and `value`. Either column may hold either sort of turn.
- A request with its reply: `request` + `reply`, `prompt` + `completion`, `response` or `reply`,
  `question` + `answer`. Each is a text or a list of turns.
- Alpaca: `instruction` with `input`, `output` or both. `input` follows the instruction after a
  blank line; `history` holds earlier [request, reply] pairs.
- A request alone: `request`, `prompt`, `text`, or a row that is a bare text.

The first form of `FORMS` that fits is taken; one that needs a column which the user mapped comes
before the others. A `system` column opens a conversation of any form that has no system turn. A
column that is null counts as absent.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from trimtab.data.files import parse_json
from trimtab.records.conversation import (
    ROLES,
    Conversation,
    Message,
    Role,
    ToolCall,
    say,
    with_system,
)
from trimtab.records.errors import DataError, did_you_mean

Record = Mapping[str, Any]

SPEAKERS: dict[str, Role] = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "function_call": "assistant",
    "observation": "tool",
    "tool": "tool",
    "system": "system",
}


@dataclass(frozen=True, slots=True)
class Form:
    """A row fits that has all of `needs`; `read` makes a conversation of these and of `takes`."""

    needs: tuple[str, ...]
    read: Callable[[Record], Conversation]
    takes: tuple[str, ...] = ()


def converse(record: Record, preferred: Collection[str] = ()) -> tuple[Conversation, Record]:
    """The record's conversation and the columns that are not part of it.

    Forms that need a `preferred` column are tried first. Errors name no place.

    >>> messages, columns = converse({"prompt": "Hello", "completion": "Hi", "topic": "greeting"})
    >>> [message.content for message in messages], columns
    (['Hello', 'Hi'], {'topic': 'greeting'})
    """
    forms = sorted(FORMS, key=lambda form: not any(name in preferred for name in form.needs))
    form = next((form for form in forms if all(name in record for name in form.needs)), None)
    if form is None:
        raise DataError(
            f"no conversation in the columns {', '.join(record) or '(none)'}",
            fix="Map its columns (columns: {prompt: …, completion: …}), or use one of these forms: "
            + ", ".join(" + ".join(form.needs) for form in FORMS)
            + ".",
        )
    messages = form.read(record)
    if not messages:
        raise DataError("the conversation has no turns", fix="Fill the row or delete it.")
    system = _text(record, "system") if "system" in record else ""
    used = {*form.needs, *form.takes, "system"}
    rest = {name: value for name, value in record.items() if name not in used}
    return with_system(messages, system or None), rest


def json_type(value: Any) -> str:
    """What a value is, in words.

    >>> json_type([1]), json_type(True), json_type(None)
    ('a list', 'true or false', 'null')
    """
    for kind, words in JSON_TYPES.items():
        if isinstance(value, kind):
            return words
    return f"a {type(value).__name__}"


JSON_TYPES: dict[type, str] = {
    Mapping: "an object",
    list: "a list",
    str: "a text",
    bool: "true or false",  # before int, of which it is one
    int: "a number",
    float: "a number",
    type(None): "null",
}


def _pair(request: str, reply: str) -> Form:
    def read(record: Record) -> Conversation:
        return (*_turns(record, request, "user"), *_turns(record, reply, "assistant"))

    return Form((request, reply), read)


def _alone(request: str) -> Form:
    return Form((request,), lambda record: _turns(record, request, "user"))


def _chat(column: str) -> Form:
    return Form((column,), lambda record: _conversation(_unpacked(record[column]), column))


def _alpaca(record: Record) -> Conversation:
    request = _text(record, "instruction")
    if "input" in record and (context := _text(record, "input")).strip():
        request = f"{request}\n\n{context}"
    turns = (*_history(record), Message("user", request))
    if "output" not in record:
        return turns
    return (*turns, Message("assistant", _text(record, "output")))


def _history(record: Record) -> Conversation:
    pairs = _unpacked(record.get("history", []))
    if not isinstance(pairs, list) or not all(map(_is_exchange, pairs)):
        raise DataError(
            "history is not a list of pairs of texts", fix='Write [["request", "reply"], …].'
        )
    return say(*(text for pair in pairs for text in pair))


def _is_exchange(pair: Any) -> bool:
    return isinstance(pair, list) and len(pair) == 2 and all(isinstance(text, str) for text in pair)


FORMS: tuple[Form, ...] = (
    _chat("messages"),
    _chat("conversations"),
    _pair("request", "reply"),
    _alone("request"),
    Form(("instruction", "output"), _alpaca, takes=("input", "history")),
    Form(("instruction", "input"), _alpaca, takes=("history",)),
    _pair("prompt", "completion"),
    _pair("prompt", "response"),
    _pair("prompt", "reply"),
    _alone("prompt"),
    _pair("question", "answer"),
    _alone("text"),
)

FORM_COLUMNS = frozenset(
    ["system", *(name for form in FORMS for name in (*form.needs, *form.takes))]
)


def _text(record: Record, column: str) -> str:
    value = record[column]
    if not isinstance(value, str):
        raise DataError(f"{column} is {json_type(value)}, not a text", fix="Write it as a text.")
    return value


def _turns(record: Record, column: str, role: Role) -> Conversation:
    """One turn of `role` from a text, or the turns that a list holds."""
    if isinstance(record[column], list):
        return _conversation(record[column], column)
    return (Message(role, _text(record, column)),)


def _unpacked(value: Any) -> Any:
    """The value that a cell of a table holds as JSON text; any other value as it is."""
    return parse_json(value) if isinstance(value, str) else value


def _conversation(turns: Any, column: str) -> Conversation:
    if not isinstance(turns, list):
        raise DataError(
            f"{column} is {json_type(turns)}, not a list of turns",
            fix='Write [{"role": "user", "content": …}, …].',
        )
    return tuple(_numbered_turn(turn, number) for number, turn in enumerate(turns, start=1))


def _numbered_turn(turn: Any, number: int) -> Message:
    try:
        return _turn(turn)
    except DataError as error:
        raise DataError(f"turn {number}: {error.what}", fix=error.fix) from None


def _turn(turn: Any) -> Message:
    if not isinstance(turn, Mapping):
        raise DataError(
            f"{json_type(turn)}, not an object", fix="Give it role and content, or from and value."
        )
    turn = {name: value for name, value in turn.items() if value is not None}
    if "role" in turn:
        return _chat_turn(turn)
    if "from" in turn:
        return _sharegpt_turn(turn)
    raise DataError("it has no role", fix="Give it role and content, or from and value.")


def _chat_turn(turn: Record) -> Message:
    role = _text(turn, "role")
    if role not in ROLES:
        raise DataError(f"unknown role {role!r}", fix=did_you_mean(role, ROLES))
    calls = _tool_calls(turn.get("tool_calls", []))
    if calls and role != "assistant":
        raise DataError(
            f"tool_calls in a turn of the {role}", fix="Only the assistant calls tools."
        )
    content = "" if calls and "content" not in turn else _content(turn)
    if role != "tool":
        return Message(role, content, tool_calls=calls)
    return Message(
        role,
        content,
        tool_call_id=_text(turn, "tool_call_id") if "tool_call_id" in turn else None,
        name=_text(turn, "name") if "name" in turn else None,
    )


def _sharegpt_turn(turn: Record) -> Message:
    speaker = _text(turn, "from")
    if speaker not in SPEAKERS:
        raise DataError(f"unknown speaker {speaker!r}", fix=did_you_mean(speaker, SPEAKERS))
    if "value" not in turn:
        raise DataError("it has no value", fix="Write what is said as its value.")
    if speaker == "function_call":
        calls = _unpacked(turn["value"])
        calls = calls if isinstance(calls, list) else [calls]
        return Message("assistant", "", tool_calls=_tool_calls(calls))
    return Message(SPEAKERS[speaker], _text(turn, "value"))


def _content(turn: Record) -> str:
    """What the turn says: a text, or the texts of its parts joined as they are."""
    if "content" not in turn:
        raise DataError("it has no content", fix="Write what is said as its content.")
    if isinstance(turn["content"], list):
        return "".join(map(_part, turn["content"]))
    return _text(turn, "content")


def _part(part: Any) -> str:
    if not isinstance(part, Mapping):
        raise DataError(
            f"a part of its content is {json_type(part)}, not an object",
            fix='Write {"type": "text", "text": …}.',
        )
    if part.get("type") != "text" or "text" not in part:
        raise DataError(
            f"a part of its content has the type {part.get('type')!r}",
            fix="Leave the part out: only text is read.",
        )
    return _text(part, "text")


def _tool_calls(calls: Any) -> tuple[ToolCall, ...]:
    if not isinstance(calls, list):
        raise DataError(
            f"tool_calls is {json_type(calls)}, not a list",
            fix='Write [{"function": {"name": …, "arguments": …}}, …].',
        )
    return tuple(map(_tool_call, calls))


def _tool_call(call: Any) -> ToolCall:
    """A call in OpenAI's form, or its `function` part alone, as ShareGPT has it."""
    function = call.get("function", call) if isinstance(call, Mapping) else call
    if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
        raise DataError("a tool call without a name", fix="Write {name: …, arguments: …}.")
    arguments = function.get("arguments")
    if not isinstance(arguments, str):
        # A Parquet file can hold dates here, which JSON writes as texts.
        arguments = json.dumps(arguments or {}, ensure_ascii=False, default=str)
    return ToolCall(
        name=function["name"],
        arguments=arguments,
        id=_text(call, "id") if call.get("id") is not None else None,
    )
