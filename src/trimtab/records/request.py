"""Something a user asks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from trimtab.records.conversation import Conversation, last_user_text
from trimtab.records.errors import Where


@dataclass(frozen=True, slots=True)
class Request:
    """A conversation whose next turn is the assistant's.

    `seed` names the request that this one rewords: all wordings of one seed stay in one split.
    `slots` (what the user gave) and `answer` (what is right) serve the checks that ask for them.
    """

    id: str
    messages: Conversation
    seed: str
    topic: str | None = None
    slots: Mapping[str, str] = field(default_factory=dict)
    answer: str | None = None
    where: Where | None = None

    @property
    def text(self) -> str:
        """What the user said last."""
        return last_user_text(self.messages)
