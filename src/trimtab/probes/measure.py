"""Put probes to a model and judge its replies, going on where an earlier measure stopped."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from trimtab.records.charter import Generation
from trimtab.records.conversation import content_hash, with_system
from trimtab.records.errors import CheckError
from trimtab.records.probe import Probe
from trimtab.records.protocols import Check, Model
from trimtab.records.reply import Reply, Score
from trimtab.store import Journal

PIECE_PROBES = 128
"""Replies that are made in batches are kept on disk every so many probes."""


@dataclass(frozen=True, slots=True)
class Answered:
    """A probe's reply, as `responses.jsonl` holds it."""

    probe: str
    reply: Reply


def ask(
    model: Model,
    probes: Sequence[Probe],
    *,
    system: str | None,
    generation: Generation,
    journal: Journal[Answered],
    on_reply: Callable[[Probe, Reply], None] = lambda *_: None,
) -> dict[str, Reply]:
    """A reply for each probe, by its id; probes of two clauses that ask the same are asked once.

    Probes are asked longest first. Each reply goes into the journal as it comes; those of a
    batched model go piece by piece, and a piece that a kill interrupted is asked again as a whole,
    so that its batches, and so its replies, are those of an undisturbed run. Error replies are
    asked for again.
    """
    replies = {row.probe: row.reply for row in journal.read() if row.reply.finish != "error"}
    alike: dict[str, list[Probe]] = {}
    for probe in probes:
        alike.setdefault(content_hash(probe.request.messages), []).append(probe)
    asked = [same[0] for same in alike.values()]
    by_length = sorted(asked, key=lambda probe: -sum(map(len, _texts(probe))))
    for piece in _pieces(by_length, replies, model.batched):
        if all(probe.id in replies for probe in piece):
            for probe in piece:
                on_reply(probe, replies[probe.id])
            continue

        def heard(position: int, reply: Reply, piece: Sequence[Probe] = piece) -> None:
            if not model.batched:
                journal.append([Answered(piece[position].id, reply)])
            on_reply(piece[position], reply)

        said = model.generate(
            [with_system(probe.request.messages, system) for probe in piece], generation, heard
        )
        rows = [Answered(probe.id, reply) for probe, reply in zip(piece, said, strict=True)]
        if model.batched:
            journal.append(rows)
        for row in rows:
            if row.reply.finish != "error" or row.probe not in replies:
                replies[row.probe] = row.reply
    for same in alike.values():
        for probe in same[1:]:
            replies[probe.id] = replies[same[0].id]
            on_reply(probe, replies[probe.id])
    return {probe.id: replies[probe.id] for probe in probes}


def _pieces(
    probes: Sequence[Probe], replies: Mapping[str, Reply], batched: bool
) -> list[Sequence[Probe]]:
    """What to ask at once: the same pieces whenever work goes on or, unbatched, what is missing."""
    if not batched:
        there = [probe for probe in probes if probe.id in replies]
        return [there, [probe for probe in probes if probe.id not in replies]]
    return [probes[start : start + PIECE_PROBES] for start in range(0, len(probes), PIECE_PROBES)]


def judge(probe: Probe, reply: Reply, checks: Sequence[Check]) -> Score:
    """All checks of a probe on its reply; a reply that never came is neither pass nor fail."""
    if reply.finish == "error":
        whys: tuple[str, ...] = (reply.error or "no reply",)
        return Score(
            probe.id, probe.clause, probe.request.seed, None, whys, topic=probe.request.topic
        )
    judgements = []
    for spec, check in zip(probe.checks, checks, strict=True):
        try:
            judgements.append(check(reply, probe))
        except CheckError:
            raise
        except Exception as error:
            raise CheckError(
                f"the check {spec} failed on a reply: {error!r}", where=probe.request.where
            ) from error
    return Score(
        probe=probe.id,
        clause=probe.clause,
        seed=probe.request.seed,
        holds=all(judgement.holds for judgement in judgements),
        whys=tuple(judgement.why for judgement in judgements),
        topic=probe.request.topic,
    )


def _texts(probe: Probe) -> list[str]:
    return [message.content for message in probe.request.messages]
