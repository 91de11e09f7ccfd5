"""Which replies a report shows: failures first, and of the rest a few of each clause."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal

from markupsafe import escape

from trimtab.records.charter import Clause, ClauseKind
from trimtab.records.profile import ClauseResult
from trimtab.records.story import Judged, SideBySide, Story
from trimtab.reports.clauses import result_in
from trimtab.reports.wording import clip, visible

Outcome = Literal["as wanted", "not as wanted", "no reply"]
Move = Literal["better", "worse", "same"]

MOST_PASSING = 8
MOST_BYTES = 2_500_000
MARKUP_BYTES = 1_200


@dataclass(frozen=True, slots=True)
class Shown:
    """One probe's replies; `number` is its place in the story, from 1, and its anchor."""

    number: int
    probe: SideBySide
    outcome: Outcome
    earlier: Outcome | None
    move: Move | None


@dataclass(frozen=True, slots=True)
class ClauseReplies:
    """What is shown of one clause; `failing`, `passing` and `unanswered` count all there are.

    Failing are replies that are not as wanted, or never came: those that got worse stand first.
    """

    clause: Clause
    result: ClauseResult | None
    failures: tuple[Shown, ...]
    passes: tuple[Shown, ...]
    failing: int
    passing: int
    unanswered: int


def replies_by_clause(
    story: Story, most_passing: int = MOST_PASSING, most_bytes: int = MOST_BYTES
) -> list[ClauseReplies]:
    """The clauses that have replies, the missed ones first, then the undecided ones.

    Failures are all shown unless their texts pass the clause's share of `most_bytes`.
    """
    of_clause: dict[str, list[Shown]] = {}
    kinds = {clause.id: clause.kind for clause in story.charter.clauses}
    for number, probe in enumerate(story.replies, start=1):
        clause = probe.probe.clause
        of_clause.setdefault(clause, []).append(_shown(number, probe, kinds[clause]))
    shelves = [
        _shelf(
            clause,
            result_in(story.profile, clause.id),
            of_clause[clause.id],
            most_passing,
            most_bytes // len(of_clause),
        )
        for clause in story.charter.clauses
        if clause.id in of_clause
    ]
    return sorted(shelves, key=_urgency)


def outcome(judged: Judged, kind: ClauseKind) -> Outcome:
    """Whether a reply is as the clause wants it: of a never clause no check should hold."""
    if judged.score.holds is None:
        return "no reply"
    return "as wanted" if judged.score.holds != (kind == "never") else "not as wanted"


def _shown(number: int, probe: SideBySide, kind: ClauseKind) -> Shown:
    now = outcome(probe.after, kind)
    earlier = outcome(probe.before, kind) if probe.before else None
    return Shown(number, probe, now, earlier, _move(earlier, now))


def _move(earlier: Outcome | None, now: Outcome) -> Move | None:
    if earlier is None or "no reply" in (earlier, now):
        return None
    if earlier == now:
        return "same"
    return "better" if now == "as wanted" else "worse"


def _shelf(
    clause: Clause,
    result: ClauseResult | None,
    replies: Sequence[Shown],
    most_passing: int,
    most_bytes: int,
) -> ClauseReplies:
    failing = [shown for shown in replies if shown.outcome != "as wanted"]
    passing = [shown for shown in replies if shown.outcome == "as wanted"]
    failing.sort(key=lambda shown: (shown.outcome == "no reply", shown.move != "worse"))
    return ClauseReplies(
        clause=clause,
        result=result,
        failures=tuple(_within(failing, most_bytes)),
        passes=tuple(passing[:most_passing]),
        failing=len(failing),
        passing=len(passing),
        unanswered=sum(shown.outcome == "no reply" for shown in failing),
    )


def _within(replies: Sequence[Shown], most_bytes: int) -> Iterable[Shown]:
    """The first replies whose sizes on the page add up to no more, and always one."""
    totals = accumulate(_bytes_on_page(shown.probe) for shown in replies)
    fitting = sum(total <= most_bytes for total in totals)
    return replies[: max(1, fitting)]


def _bytes_on_page(probe: SideBySide) -> int:
    judged = [side for side in (probe.after, probe.before) if side]
    texts = [message.content for message in probe.probe.request.messages]
    texts += [side.reply.text for side in judged]
    texts += [why for side in judged for why in side.score.whys]
    written = (str(escape(visible(clip(text)))).encode() for text in texts)
    return MARKUP_BYTES + sum(len(text) for text in written)


def _urgency(shelf: ClauseReplies) -> int:
    verdict = shelf.result.verdict if shelf.result else "met"
    return {"missed": 0, "undecided": 1}.get(verdict, 2)
