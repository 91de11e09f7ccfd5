"""The OpenAI chat API on the wire: what is asked, and what an answer's bytes mean."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from trimtab.records.charter import Generation
from trimtab.records.conversation import Conversation
from trimtab.records.reply import Finish, Reply


class AnswerMessage(BaseModel):
    content: str | None = None
    tool_calls: list[Any] | None = None


class Choice(BaseModel):
    message: AnswerMessage
    finish_reason: str | None = None


class Usage(BaseModel):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class Answer(BaseModel):
    """The parts of a `chat.completion` that a Reply is made of; all others are ignored."""

    choices: list[Choice] = Field(min_length=1)
    usage: Usage | None = None


class Delta(BaseModel):
    content: str | None = None


class DeltaChoice(BaseModel):
    delta: Delta
    finish_reason: str | None = None


class Event(BaseModel):
    """The parts of a `chat.completion.chunk` that matter; its choices may be empty."""

    choices: list[DeltaChoice]


@dataclass(frozen=True, slots=True)
class Piece:
    """What one line of a streamed answer adds to the reply, and whether the reply ends there."""

    text: str = ""
    last: bool = False


def write_body(
    name: str, conversation: Conversation, generation: Generation, *, stream: bool = False
) -> bytes:
    """The body that asks the model called `name` for the next turn.

    A greedy request carries no seed: some servers refuse one. Lone surrogates stay JSON escapes.

    >>> from trimtab.records.conversation import say
    >>> write_body("tiny", say("hello"), Generation(max_tokens=8))
    b'{"model": "tiny", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 8, \
"temperature": 0.0}'
    """
    body: dict[str, Any] = {
        "model": name,
        "messages": [message.as_dict() for message in conversation],
        "max_tokens": generation.max_tokens,
        "temperature": generation.temperature,
    }
    if generation.temperature > 0:
        body["seed"] = generation.seed
    if stream:
        body["stream"] = True
    return json.dumps(body).encode()


def read_reply(content: bytes) -> Reply:
    """The reply in an answer's body; its text is the calls as JSON where it only calls tools.

    Every finish reason but "length" counts as a stop. Raises ValueError, in words for a person,
    where the body is not JSON, has another shape, or holds no reply.

    >>> read_reply(b'{"choices": [{"message": {"content": "hi"}, "finish_reason": "length"}]}')
    Reply(text='hi', finish='length', prompt_tokens=0, reply_tokens=0, error=None)
    >>> read_reply(b'{"choices": []}')
    Traceback (most recent call last):
    ValueError: choices: List should have at least 1 item after validation, not 0
    """
    try:
        answer = Answer.model_validate_json(content)
    except ValidationError as error:
        raise ValueError(_in_words(error)) from None
    choice, usage = answer.choices[0], answer.usage or Usage()
    finish: Finish = "length" if choice.finish_reason == "length" else "stop"
    return Reply(
        _text(choice),
        finish,
        prompt_tokens=usage.prompt_tokens or 0,
        reply_tokens=usage.completion_tokens or 0,
    )


def read_piece(line: bytes) -> Piece:
    """What one line of a streamed answer holds; comments and blank lines hold nothing.

    Raises ValueError, in words for a person, where an event is not a piece of a reply.

    >>> read_piece(b'data: {"choices": [{"delta": {"content": "hi"}}]}')
    Piece(text='hi', last=False)
    >>> read_piece(b"data: [DONE]")
    Piece(text='', last=True)
    >>> read_piece(b": keep-alive")
    Piece(text='', last=False)
    """
    field, _, value = line.partition(b":")
    if field != b"data":
        return Piece()
    if value.strip() == b"[DONE]":
        return Piece(last=True)
    try:
        event = Event.model_validate_json(value)
    except ValidationError as error:
        raise ValueError(_in_words(error)) from None
    if not event.choices:
        return Piece()
    choice = event.choices[0]
    return Piece(choice.delta.content or "", last=choice.finish_reason is not None)


def _text(choice: Choice) -> str:
    content, tool_calls = choice.message.content, choice.message.tool_calls
    if not content and tool_calls:
        return json.dumps(tool_calls, ensure_ascii=False)
    if content is None:
        raise ValueError(f"no content, finish_reason {choice.finish_reason!r}")
    return content


def _in_words(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    return f"{place}: {first['msg']}" if place else first["msg"]
