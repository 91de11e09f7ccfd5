"""A row of a data file, as read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trimtab.records.conversation import Conversation
from trimtab.records.errors import Where


@dataclass(frozen=True, slots=True)
class Row:
    """A conversation, the columns that were not part of it, and where it stands."""

    messages: Conversation
    columns: Mapping[str, Any]
    where: Where
