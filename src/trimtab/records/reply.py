"""What a model says to a request, and what a check says of that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Finish = Literal["stop", "length", "error"]


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply. `finish` is how it ended: by itself, at the token limit, or never came.

    A reply that did not come carries the reason in `error` and is neither a pass nor a fail.
    """

    text: str
    finish: Finish
    prompt_tokens: int = 0
    reply_tokens: int = 0
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Judgement:
    """Whether a check holds for a reply, and why, in words a person can verify."""

    holds: bool
    why: str


@dataclass(frozen=True, slots=True)
class Score:
    """The outcome of one probe: `holds` is None when no reply came."""

    probe: str
    clause: str
    seed: str
    holds: bool | None
    whys: tuple[str, ...]
    topic: str | None = None
