"""A charter's requests as probes, parted into what the loop may look at and what it may not."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from trimtab.probes.wording import plain
from trimtab.records.charter import Charter, Clause
from trimtab.records.conversation import Conversation, content_hash, with_system
from trimtab.records.errors import DataError
from trimtab.records.example import Example
from trimtab.records.probe import CheckSpec, Probe, Split, Suite
from trimtab.records.request import Request
from trimtab.store import file_hash


def build_suite(charter: Charter, requests: Mapping[str, Sequence[Request]]) -> Suite:
    """The probes of all clauses; `requests` holds each clause's, by its id.

    Requests that are worded alike, in whichever clauses, are in one split. Raises DataError for a
    clause without requests, or with too few seed requests for two splits.
    """
    probes: list[Probe] = []
    known: dict[str, Split] = {}
    for clause in charter.clauses:
        checks = checks_of(clause)
        splits = part(clause, requests[clause.id], charter, known)
        for request in requests[clause.id]:
            known.setdefault(_wording(request.messages), splits[request.seed])
        probes += [
            Probe(f"{clause.id}/{request.id}", clause.id, request, checks, splits[request.seed])
            for request in requests[clause.id]
        ]
    return Suite(_identity(charter, probes), charter.clauses, tuple(probes))


def checks_of(clause: Clause) -> tuple[CheckSpec, ...]:
    """The clause's checks; a deflect clause that names none has `deflects`."""
    named = clause.checks or ("deflects",)
    return tuple(
        CheckSpec(check) if isinstance(check, str) else CheckSpec(*_name_and_options(check))
        for check in named
    )


def _name_and_options(check: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    ((name, options),) = check.items()
    return name, options or {}


def part(
    clause: Clause,
    requests: Sequence[Request],
    charter: Charter,
    known: Mapping[str, Split] = MappingProxyType({}),
) -> dict[str, Split]:
    """Which split each seed request of a clause belongs to, with all its wordings.

    Seeds are ranked by a hash, and the first `split.final` share of them is kept back: the parts
    depend on neither order nor chance, and every clause is parted in the same proportion. A seed
    with a wording that is `known` goes where that is; the others make up the proportion.
    """
    seeds = sorted(
        {request.seed for request in requests},
        key=lambda seed: hashlib.sha256(f"{charter.split.seed}/{seed}".encode()).hexdigest(),
    )
    if len(seeds) < 2:
        raise DataError(
            f"clause {clause.id!r} has {len(seeds) or 'no'} request{'s' * (len(seeds) != 1)}; "
            "the splits select and final need one each",
            where=clause.requests,
            fix="Add requests; the more, the sooner a verdict is decided.",
        )
    final = min(len(seeds) - 1, max(1, round(charter.split.final * len(seeds))))
    placed: dict[str, Split] = {}
    for request in requests:
        if split := known.get(_wording(request.messages)):
            placed.setdefault(request.seed, split)
    wanted = final - sum(split == "final" for split in placed.values())
    free = [seed for seed in seeds if seed not in placed]
    ranked: dict[str, Split] = {
        seed: "final" if rank < wanted else "select" for rank, seed in enumerate(free)
    }
    return {**placed, **ranked}


def limit(suite: Suite, most: int) -> Suite:
    """The first `most` probes of each clause and split."""
    counts: dict[tuple[str, str], int] = {}
    kept: list[Probe] = []
    for probe in suite.probes:
        key = (probe.clause, probe.split)
        counts[key] = counts.get(key, 0) + 1
        if counts[key] <= most:
            kept.append(probe)
    return Suite(f"{suite.id}:{most}", suite.clauses, tuple(kept))


def refuse_training_on_probes(suite: Suite, examples: Sequence[Example]) -> None:
    """Raise DataError naming every row that asks what a probe asks, before anything trains.

    Equal means: the same user turns up to the last, whatever the case, spacing and quotes.
    """
    asked = {_wording(probe.request.messages): probe for probe in suite.probes}
    faults = []
    for example in examples:
        for prefix in _asked_in(example):
            if probe := asked.get(_wording(prefix)):
                faults.append(
                    f"{example.where}: asks what a probe of {probe.clause!r} asks "
                    f"({probe.request.where})"
                )
                break
    if faults:
        shown = "\n  ".join(faults[:20])
        raise DataError(
            f"{len(faults)} training rows are also probes; a model trained on them would be "
            f"measured on what it was shown:\n  {shown}",
            fix="Remove these rows from the pool.",
        )


def _asked_in(example: Example) -> list[Conversation]:
    """The conversation up to each of its user turns."""
    turns = example.messages
    return [turns[: end + 1] for end, turn in enumerate(turns) if turn.role == "user"]


NEARLY = 90
"""Of 100: characters that two wordings share in order, as rapidfuzz's `ratio` counts them."""


def nearly_probes(suite: Suite, examples: Sequence[Example]) -> list[str]:
    """A line for each row that asks, at any turn, nearly what a probe asks; the nearest first.

    >>> nearly_probes(Suite("s", (), ()), [])
    []
    """
    from rapidfuzz import process
    from rapidfuzz.fuzz import ratio

    asked = {_wording(probe.request.messages): probe.request.where for probe in suite.probes}
    found: list[tuple[float, str]] = []
    for example in examples:
        nearest = max(
            (
                match
                for prefix in {_wording(prefix) for prefix in _asked_in(example)}
                if (
                    match := process.extractOne(prefix, [*asked], scorer=ratio, score_cutoff=NEARLY)
                )
            ),
            key=lambda match: match[1],
            default=None,
        )
        if nearest:
            line = f"{example.where} is worded nearly like the probe {asked[nearest[0]]}"
            found.append((nearest[1], line))
    return [line for _, line in sorted(found, key=lambda pair: -pair[0])]


def _wording(messages: Sequence[Any]) -> str:
    users = [message.content for message in messages if message.role == "user"]
    return " / ".join(plain(text).casefold() for text in users)


def _files_of(checks: Sequence[CheckSpec]) -> Iterator[str]:
    """Files beside the charter that checks are made from: functions of one's own, JSON schemas."""
    for check in checks:
        if ".py:" in check.name:
            yield check.name.rpartition(":")[0]
        schema = check.options.get("schema")
        if check.name == "json_schema" and isinstance(schema, str):
            yield schema


def _identity(charter: Charter, probes: Sequence[Probe]) -> str:
    files = {name for clause in charter.clauses for name in _files_of(checks_of(clause))}
    content = [
        {name: file_hash(Path(charter.folder) / name) for name in files},
        charter.system,
        charter.generation.model_dump(),
        list(charter.deflections),
        [
            [
                probe.id,
                probe.split,
                content_hash(with_system(probe.request.messages, charter.system)),
                [[check.name, dict(check.options)] for check in probe.checks],
                dict(probe.request.slots),
                probe.request.answer,
            ]
            for probe in probes
        ],
    ]
    text = json.dumps(content, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
