"""All that a report tells of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from trimtab.records.charter import Charter, Clause
from trimtab.records.comparison import Comparison
from trimtab.records.plan import Doses, Plan
from trimtab.records.probe import Probe, Split
from trimtab.records.profile import Interval, Loss, Profile
from trimtab.records.reply import Reply, Score


@dataclass(frozen=True, slots=True)
class Asked:
    """What one clause asks: its checks in words, and how many probes each split has of it."""

    clause: Clause
    checks: tuple[str, ...]
    probes: Mapping[Split, int]


@dataclass(frozen=True, slots=True)
class Judged:
    """A reply and what its checks said."""

    reply: Reply
    score: Score


@dataclass(frozen=True, slots=True)
class SideBySide:
    """One probe with its reply after, and before where that was measured too."""

    probe: Probe
    after: Judged
    before: Judged | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """One turn of the loop: what was trained on, what it cost, and what came of it."""

    number: int
    doses: Doses
    rows: int
    tokens: int
    seconds: float
    profile: Profile
    chosen: bool


@dataclass(frozen=True, slots=True)
class Control:
    """Held-out loss beside a model trained for as many steps on the plan without contrast."""

    loss: Loss
    difference: Interval


@dataclass(frozen=True, slots=True)
class Cost:
    """What the run took; `tokens` are those trained on, prompts included, by part of the run."""

    tokens: Mapping[str, int]
    tuning_seconds: float
    measuring_seconds: float
    machine: str

    @property
    def tuned_tokens(self) -> int:
        """Those of all parts; 0 where nothing was trained."""
        return sum(self.tokens.values())


@dataclass(frozen=True, slots=True)
class Story:
    """A run as a report tells it. A measure run has a profile and replies, and no more.

    `before` is what steering started from. `looks` counts how often the final split was looked
    at. `repeat` are commands; `seeds` those that the run drew from, by the charter's keys.
    `ended` says why the search did, and is empty where there was none.
    """

    charter: Charter
    command: str
    date: str
    profile: Profile
    asked: tuple[Asked, ...]
    replies: tuple[SideBySide, ...]
    cost: Cost
    looks: int
    repeat: tuple[str, ...]
    seeds: Mapping[str, int]
    versions: Mapping[str, str]
    before: Profile | None = None
    comparison: Comparison | None = None
    plan: Plan | None = None
    candidates: tuple[Candidate, ...] = ()
    control: Control | None = None
    warnings: tuple[str, ...] = ()
    ended: str = ""
