"""From a profile and a pool to the rows to train on, each with its reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from trimtab.plans.select import k_center, near_boundary, share_out
from trimtab.records.conversation import Message
from trimtab.records.example import KINDS, Example, Kind
from trimtab.records.plan import Doses, Plan, PlanRow
from trimtab.records.probe import Probe, Suite
from trimtab.records.profile import ClauseResult, Profile
from trimtab.records.protocols import Encoder, Vectors

Pool = Mapping[Kind, Sequence[Example]]


def plan(
    profile: Profile,
    pool: Pool,
    doses: Doses,
    suite: Suite,
    encoder: Encoder,
    previous: Plan | None = None,
) -> Plan:
    """Choose `doses` rows from the pool, kind by kind.

    Contrast rows go to the deflect clauses in proportion to how far each is from its target (all
    alike when none is short) times the rows that the pool has for it: the wider what is asked,
    the more of them it takes. Where `previous` is the plan that gave the profile, each clause
    keeps what it had there, and what is added goes by the gaps that it left. A clause's rows are
    spread over what they ask; one that is a request alone is answered by its reply. Twins come
    from the boundary to the contrast rows in the pool; scope and replay rows are spread. Only
    *select* probes are looked at. A larger dose of contrast holds a smaller one where the profile
    is the same.
    """
    chosen = {
        "contrast": _contrast(profile, pool.get("contrast", ()), doses, suite, encoder, previous),
        "twin": _twins(pool, doses, encoder),
        "scope": _spread(pool.get("scope", ()), doses.get("scope", 0), encoder, SCOPE_REASON),
        "replay": _replay(pool.get("replay", ()), doses.get("replay", 0), suite, encoder),
    }
    held: dict[Kind, int] = {kind: len(pool.get(kind, ())) for kind in KINDS}
    rows = tuple(row for kind in KINDS for row in chosen[kind])
    return Plan(rows, {kind: doses.get(kind, 0) for kind in KINDS}, held)


SCOPE_REASON = "keeps the task in view"


def _contrast(
    profile: Profile,
    rows: Sequence[Example],
    doses: Doses,
    suite: Suite,
    encoder: Encoder,
    previous: Plan | None,
) -> list[PlanRow]:
    deflect = [result for result in profile.clauses if result.kind == "deflect"]
    count = doses.get("contrast", 0)
    if not (rows and deflect and count):
        return []
    vectors = encoder.encode([row.request for row in rows])
    owners = _nearest_clause(vectors, deflect, suite, encoder)
    groups = [np.flatnonzero(owners == number) for number in range(len(deflect))]
    sizes = [len(group) for group in groups]
    gaps = [max(0.0, result.target - result.rate) for result in deflect]
    replies = {clause.id: clause.reply or "" for clause in suite.clauses}
    wanted = gaps if any(gaps) else [1.0] * len(deflect)
    weights = [gap * size for gap, size in zip(wanted, sizes, strict=True)]
    had = Counter(row.clause for row in previous.rows) if previous else Counter[str | None]()
    kept = [min(had[result.clause], size) for result, size in zip(deflect, sizes, strict=True)]
    kept = share_out(count, kept, kept)  # all of it, unless the dose is smaller than it was
    room = [size - share for size, share in zip(sizes, kept, strict=True)]
    added = share_out(count - sum(kept), weights, room)
    shares = [share + more for share, more in zip(kept, added, strict=True)]
    planned: list[PlanRow] = []
    for result, group, share in zip(deflect, groups, shares, strict=True):
        for place in k_center(vectors[group], share):
            row = with_reply(rows[int(group[place])], replies[result.clause])
            topic = f", on {row.topic}" if row.topic else ""
            reason = (
                f"asks what {result.clause} turns down{topic}; "
                f"{result.rate:.0%} is deflected, {result.target:.0%} is wanted"
            )
            planned.append(PlanRow(row, reason, result.clause))
    return planned


def _nearest_clause(
    vectors: Vectors, deflect: Sequence[ClauseResult], suite: Suite, encoder: Encoder
) -> npt.NDArray[np.intp]:
    """For each row the deflect clause whose *select* requests it is most like, by the mean of 5."""
    likeness = [
        _mean_of_best(vectors @ encoder.encode(_requests(suite.of(result.clause))).T, 5)
        for result in deflect
    ]
    owners: npt.NDArray[np.intp] = np.argmax(np.stack(likeness), axis=0)
    return owners


def _requests(probes: Sequence[Probe]) -> list[str]:
    return [probe.request.text for probe in probes if probe.split == "select"]


def _mean_of_best(scores: Vectors, count: int) -> Vectors:
    best = np.sort(scores, axis=1)[:, -count:]
    return np.asarray(best.mean(axis=1), dtype=np.float32)


def _twins(pool: Pool, doses: Doses, encoder: Encoder) -> list[PlanRow]:
    rows, count = pool.get("twin", ()), doses.get("twin", 0)
    if not rows or not count:
        return []
    vectors = encoder.encode([_user_text(row) for row in rows])
    others = encoder.encode([row.request for row in pool.get("contrast", ())])
    planned = []
    for place in near_boundary(vectors, others, count):
        like = ""
        if len(others):
            nearest = int(np.argmax(others @ vectors[place]))
            like = f": looks like {pool['contrast'][nearest].request[:60]!r}"
        planned.append(PlanRow(rows[place], f"must still be answered{like}"))
    return planned


def _replay(rows: Sequence[Example], count: int, suite: Suite, encoder: Encoder) -> list[PlanRow]:
    """Replay protects what retain clauses name; without one it has nothing to protect."""
    retain = [clause.id for clause in suite.clauses if clause.kind == "retain"]
    if not retain:
        return []
    return _spread(rows, count, encoder, f"protects what {' and '.join(retain)} must not lose")


def _spread(rows: Sequence[Example], count: int, encoder: Encoder, purpose: str) -> list[PlanRow]:
    """Rows spread over what their users say, each with how far it is from those before it."""
    if not rows or count <= 0:
        return []
    vectors = encoder.encode([_user_text(row) for row in rows])
    chosen = k_center(vectors, count)
    planned = [PlanRow(rows[chosen[0]], f"{purpose}: most like all of its kind")]
    for done, place in enumerate(chosen[1:], start=1):
        alike = float((vectors[chosen[:done]] @ vectors[place]).max())
        reason = f"{purpose}: unlike the {done} before it (likeness at most {alike:.2f})"
        planned.append(PlanRow(rows[place], reason))
    return planned


def _user_text(row: Example) -> str:
    return " ".join(turn.content for turn in row.messages if turn.role == "user")


def with_reply(example: Example, reply: str) -> Example:
    """A request alone, answered by `reply`; an example that has its own reply stays as it is."""
    if example.is_answered:
        return example
    messages = (*example.messages, Message("assistant", reply))
    return Example(messages, example.kind, example.topic, example.where)
