"""Asking goes on where it stopped, and says all it hears; judging keeps errors apart."""

from __future__ import annotations

import pytest

from trimtab.models.scripted import ScriptedModel
from trimtab.probes.measure import PIECE_PROBES, Answered, ask, judge
from trimtab.records.charter import Generation
from trimtab.records.conversation import say
from trimtab.records.errors import CheckError, Where
from trimtab.records.probe import CheckSpec, Probe
from trimtab.records.reply import Judgement, Reply
from trimtab.records.request import Request
from trimtab.store import Journal

ECHO = ScriptedModel([(r"(.+)", r"You said \1")])


class Batched(ScriptedModel):
    batched = True


def probe_for(name, text):
    request = Request(name, say(text), name, topic="t", where=Where("rows.jsonl", 3))
    return Probe(f"c/{name}", "c", request, (CheckSpec("answers"),), "select")


PROBES = [probe_for(f"{n}", "word " * (n % 7) + str(n)) for n in range(PIECE_PROBES + 5)]


@pytest.fixture
def journal(tmp_path):
    return Journal(tmp_path / "asking.jsonl", Answered)


def put(journal, model=ECHO, probes=PROBES, **given):
    return ask(model, probes, system=None, generation=Generation(), journal=journal, **given)


def test_every_probe_has_its_own_reply_in_the_order_asked_for(journal):
    replies = put(journal)
    assert list(replies) == [probe.id for probe in PROBES]
    assert all(replies[p.id].text == f"You said {p.request.text}" for p in PROBES)


def test_longest_first(journal):
    put(journal)
    lengths = [len(PROBES[int(row.probe[2:])].request.text) for row in journal.read()]
    assert lengths == sorted(lengths, reverse=True)


def test_no_probes_no_replies(journal):
    assert put(journal, probes=[]) == {}


def test_a_finished_piece_is_not_asked_again_and_a_torn_one_is(journal):
    undisturbed = put(journal, Batched([(r"(.+)", r"You said \1")]))
    lines = journal.path.read_bytes().splitlines(keepends=True)
    journal.path.write_bytes(b"".join(lines[: PIECE_PROBES + 2]) + lines[PIECE_PROBES + 2][:20])
    heard = []
    other = Batched([], default="another model")
    replies = put(journal, other, on_reply=lambda probe, reply: heard.append((probe.id, reply)))
    again = [name for name, reply in replies.items() if reply.text == "another model"]
    assert len(again) == 5
    assert all(replies[name] == undisturbed[name] for name in replies if name not in again)
    assert dict(heard) == replies
    assert len(heard) == len(PROBES)
    assert put(journal, ScriptedModel([], default=None)) == replies


def test_replies_that_stand_alone_are_kept_one_by_one(journal):
    class Interrupted(ScriptedModel):
        def generate(self, conversations, generation, on_reply=None):
            super().generate(conversations[:7], generation, on_reply)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        put(journal, Interrupted([], default="before"))
    assert len(journal.read()) == 7
    said = [reply.text for reply in put(journal, ScriptedModel([], default="after")).values()]
    assert (said.count("before"), said.count("after")) == (7, len(PROBES) - 7)


def test_on_reply_hears_each_probe_once(journal):
    heard = []
    replies = put(journal, on_reply=lambda probe, reply: heard.append((probe.id, reply)))
    assert sorted(name for name, _ in heard) == sorted(replies)
    assert dict(heard) == replies


def test_error_replies_are_asked_again_and_replace_no_good_one(journal):
    two = [probe_for("a", "hello there"), probe_for("b", "bye")]
    shaky = ScriptedModel([("hello", "Hi!")], default=None)
    assert put(journal, shaky, two)["c/b"].finish == "error"
    shakier = ScriptedModel([("bye", "Bye!")], default=None)
    replies = put(journal, shakier, two)
    assert [reply.text for reply in replies.values()] == ["Hi!", "Bye!"]
    assert put(journal, ScriptedModel([], default=None), two) == replies


def test_judge_joins_all_checks_and_keeps_errors_apart():
    probe = probe_for("a", "hello")
    two = Probe(probe.id, "c", probe.request, (CheckSpec("x"), CheckSpec("y")), "select")

    def yes(reply, probe):
        return Judgement(True, "fine")

    def no(reply, probe):
        return Judgement(False, "short")

    score = judge(two, Reply("hi", "stop"), [yes, no])
    assert (score.holds, score.whys, score.topic) == (False, ("fine", "short"), "t")
    assert judge(two, Reply("hi", "stop"), [yes, yes]).holds is True
    lost = judge(two, Reply("", "error", error="timed out"), [yes, yes])
    assert (lost.holds, lost.whys) == (None, ("timed out",))


def test_a_check_that_fails_is_named_with_the_row():
    def broken(reply, probe):
        return 1 / 0

    with pytest.raises(CheckError, match=r"rows\.jsonl:3: the check answers .*ZeroDivision"):
        judge(probe_for("a", "hello"), Reply("hi", "stop"), [broken])
