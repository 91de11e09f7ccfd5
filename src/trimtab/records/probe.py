"""A request with the checks that judge its reply, and sets of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from trimtab.records.charter import Clause
from trimtab.records.request import Request

Split = Literal["select", "final"]
SPLITS: tuple[Split, ...] = get_args(Split)


@dataclass(frozen=True, slots=True)
class CheckSpec:
    """A check by name, with its options: `{contains: {slot: [city]}}` in a charter."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        inside = ", ".join(f"{key}: {value}" for key, value in self.options.items())
        return f"{self.name}({inside})" if inside else self.name


@dataclass(frozen=True, slots=True)
class Probe:
    """One request of one clause; the reply passes when all `checks` hold."""

    id: str
    clause: str
    request: Request
    checks: tuple[CheckSpec, ...]
    split: Split


@dataclass(frozen=True, slots=True)
class Suite:
    """The probes of some clauses; `id` changes whenever any request or check does."""

    id: str
    clauses: tuple[Clause, ...]
    probes: tuple[Probe, ...]

    def of(self, clause: str) -> tuple[Probe, ...]:
        """The probes of one clause, in the order of their file."""
        return tuple(probe for probe in self.probes if probe.clause == clause)
