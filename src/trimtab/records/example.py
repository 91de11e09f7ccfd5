"""A conversation to train on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from trimtab.records.conversation import Conversation, content_hash, last_user_text
from trimtab.records.errors import Where

Kind = Literal["scope", "contrast", "twin", "replay"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True, slots=True)
class Example:
    """The model learns this conversation's assistant turns.

    `topic` says what it is about, where the data says so; `where` names its file and line.
    """

    messages: Conversation
    kind: Kind | None = None
    topic: str | None = None
    where: Where | None = None

    @property
    def id(self) -> str:
        """The hash of what is said: an example has no other identity."""
        return content_hash(self.messages)

    @property
    def is_answered(self) -> bool:
        """Whether it ends with the assistant's turn; a contrast row may be a request alone."""
        return self.messages[-1].role == "assistant"

    @property
    def request(self) -> str:
        """What its user said last."""
        return last_user_text(self.messages)
