"""What is said: messages, and conversations made of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

Role = Literal["system", "user", "assistant", "tool"]
ROLES: tuple[Role, ...] = get_args(Role)


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call of a tool by the assistant; `arguments` is JSON text, as models write it."""

    name: str
    arguments: str = "{}"
    id: str | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """One turn. `tool_calls` belong to assistant turns, `tool_call_id` and `name` to tool turns."""

    role: Role
    content: str
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    name: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """The message in the chat form that templates and endpoints take, without empty keys."""
        message: dict[str, Any] = {"role": self.role, "content": self.content}
        if self.tool_calls:
            message["tool_calls"] = [
                {
                    "type": "function",
                    **({"id": call.id} if call.id else {}),
                    "function": {"name": call.name, "arguments": call.arguments},
                }
                for call in self.tool_calls
            ]
        if self.tool_call_id:
            message["tool_call_id"] = self.tool_call_id
        if self.name:
            message["name"] = self.name
        return message


Conversation = tuple[Message, ...]


def say(*contents: str, system: str | None = None) -> Conversation:
    """A conversation whose turns alternate, the user's first; empty input gives an empty one.

    >>> [message.role for message in say("hello", "hi", "bye", system="Be brief.")]
    ['system', 'user', 'assistant', 'user']
    """
    turns = tuple(
        Message("assistant" if position % 2 else "user", content)
        for position, content in enumerate(contents)
    )
    return (Message("system", system), *turns) if system is not None else turns


def content_hash(conversation: Sequence[Message]) -> str:
    """A hash of what is said, 16 hexadecimal digits; equal conversations have equal hashes."""
    text = json.dumps([message.as_dict() for message in conversation], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def last_user_text(conversation: Sequence[Message]) -> str:
    """What the user said last, or an empty text.

    >>> last_user_text(say("a", "b", "c"))
    'c'
    """
    return next((m.content for m in reversed(conversation) if m.role == "user"), "")


def with_system(conversation: Conversation, system: str | None) -> Conversation:
    """The conversation opened by `system`, unless it brings a system turn of its own.

    >>> with_system(say("hello"), "Be brief.")[0].content
    'Be brief.'
    """
    if system is None or (conversation and conversation[0].role == "system"):
        return conversation
    return (Message("system", system), *conversation)
