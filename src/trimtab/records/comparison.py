"""Two models on the same probes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from trimtab.records.charter import ClauseKind
from trimtab.records.profile import Interval

PairedMethod = Literal["exact McNemar, Tango", "cluster sign-flip, bootstrap"]


@dataclass(frozen=True, slots=True)
class Change:
    """How one clause's rate moved, paired by probe.

    `difference` is after minus before with its 95% interval; `gained` and `lost` count the probes
    that went from not holding to holding and back; `p_holm` is `p` corrected for all the clauses
    of the comparison. `method` names test and interval.
    """

    clause: str
    kind: ClauseKind
    before: float
    after: float
    difference: Interval
    gained: int
    lost: int
    n: int
    p: float
    p_holm: float
    method: PairedMethod


@dataclass(frozen=True, slots=True)
class Comparison:
    """Every clause that two measurements share, on the probes that both judged."""

    before: str
    after: str
    split: str
    changes: tuple[Change, ...]
    unpaired: int = 0
