"""What flows hand to the stages: something that talks, encodes, or judges."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from trimtab.records.charter import Generation
from trimtab.records.conversation import Conversation
from trimtab.records.probe import Probe
from trimtab.records.reply import Judgement, Reply

Vectors = npt.NDArray[np.float32]
OnReply = Callable[[int, Reply], None]


@runtime_checkable
class Model(Protocol):
    """A language model, wherever it runs.

    `name` is what people call it; `fingerprint` changes when its weights or settings do.
    `batched` says whether a reply may depend, by rounding, on those that are made with it.
    """

    batched: bool

    @property
    def name(self) -> str: ...

    @property
    def fingerprint(self) -> str: ...

    def generate(
        self,
        conversations: Sequence[Conversation],
        generation: Generation,
        on_reply: OnReply | None = None,
    ) -> list[Reply]:
        """One reply a conversation, in their order; empty input gives none.

        `on_reply(position, reply)` is called as replies come, in any order. A reply that cannot
        be had is a Reply with `finish="error"`, not an exception.
        """
        ...

    def stream(self, conversation: Conversation, generation: Generation) -> Iterator[str]:
        """The reply to one conversation, piece by piece."""
        ...

    def log_probabilities(self, conversations: Sequence[Conversation]) -> list[list[float]]:
        """For each conversation the natural log-probability of each token of its assistant turns.

        Raises ModelError where the model cannot tell (most endpoints).
        """
        ...

    def tokenise(self, text: str) -> list[int]:
        """The text's token ids, special tokens not added; ModelError where it cannot tell."""
        ...


@runtime_checkable
class Encoder(Protocol):
    """Turns texts into vectors of length 1, so that a product is a cosine."""

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Shape (number of texts, dimensions); an empty text gives the zero vector."""
        ...


class Check(Protocol):
    """Judges one reply to one probe."""

    def __call__(self, reply: Reply, probe: Probe) -> Judgement: ...
