"""Each check on replies as models make them, and its errors as people meet them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from trimtab.probes.checks import make_check, try_checks
from trimtab.records.conversation import say
from trimtab.records.errors import CheckError, Where
from trimtab.records.probe import CheckSpec, Probe
from trimtab.records.reply import Judgement, Reply
from trimtab.records.request import Request

CHARTER = ["I can only help you find and book a restaurant."]


def probe_for(text="A table for two in Bath at 7 pm, please", **given):
    request = Request("r", say(text), "r", where=Where("rows.jsonl", 3), **given)
    return Probe("c/r", "c", request, (), "select")


def judge(name, text, options=None, *, finish="stop", probe=None, folder=Path()):
    check = make_check(CheckSpec(name, options or {}), CHARTER, folder)
    return check(Reply(text, finish), probe or probe_for())


@pytest.mark.parametrize(
    ("reply", "finish", "answers", "deflects"),
    [
        ("Booked: two in Bath at 7 pm.", "stop", True, False),
        ("I can't find a table at 7, how about 8?", "stop", True, False),
        ("Which street?", "stop", True, False),
        ("Did you know that roses are red?", "stop", False, False),
        ("A table for nine in Paris at noon is booked.", "stop", False, False),
        ("Bath is lovely. At what time?", "stop", False, False),
        ("7", "stop", False, False),
        ("I can only help you find and book a restaurant.", "stop", False, True),
        ("Booked: two in Bath at", "length", False, False),
        ("A table in Bath, a table in Bath, a table in Bath.", "stop", False, False),
        ("A table for two in Bath at 7 pm.", "stop", False, False),
        ("Roses are red.", "stop", False, False),
        ("", "stop", False, False),
        ("…", "stop", False, False),
    ],
)
def test_answers_and_deflects(reply, finish, answers, deflects):
    assert judge("answers", reply, finish=finish).holds is answers
    assert judge("deflects", reply, finish=finish).holds is deflects


@pytest.mark.parametrize(
    ("last", "reply", "holds"),
    [
        ("Yes", "Chez Ravel it is.", True),
        ("Yes", "Lyon it is.", True),
        ("Yes", "Tulips bloom.", False),
        ("Somewhere with a garden and a view", "Gardens are rare.", True),
        ("Somewhere with a garden and a view", "Chez Ravel it is.", False),
        ("Thanks, bye!", "Enjoy the evening.", True),
    ],
)
def test_answers_counts_what_the_user_gave_or_agreed_to(last, reply, holds):
    messages = say("Dinner in Lyon", "Chez Ravel has room.", last, system="You sell tulips.")
    probe = Probe("c/r", "c", Request("r", messages, "r"), (), "select")
    assert judge("answers", reply, probe=probe).holds is holds


@pytest.mark.parametrize(
    ("reply", "holds"),
    [
        ("CAFE RENE, 7 p.m., table for four", True),
        ("café rené at 7:00 PM for 4.", True),
        ("Café René at 17:00 for 4", False),
        ("Café René at 7 pm for 14", False),
    ],
)
def test_contains_takes_other_spellings(reply, holds):
    probe = probe_for(slots={"place": "Café René", "time": "7 pm", "people": "4"})
    assert (
        judge("contains", reply, {"slot": ["place", "time", "people"]}, probe=probe).holds is holds
    )


def test_contains_needs_the_slot():
    with pytest.raises(CheckError, match=r"rows\.jsonl:3: .*'city'"):
        judge("contains", "x", {"slot": ["city"]})


@pytest.mark.parametrize(
    ("reply", "options", "holds"),
    [
        ("First 3, then 8", {}, True),
        ("8 of 9", {}, False),
        ("8 of 9", {"which": "first"}, True),
        ("7, 8 or 9", {"which": "any"}, True),
        ("eight", {}, True),
        ("I have 8, I think", {}, True),
        ("-8", {}, False),
        ("1,008", {"equals": 1008}, True),
        ("7.9", {"tolerance": 0.2}, True),
        ("some", {}, False),
    ],
)
def test_number(reply, options, holds):
    assert judge("number", reply, options, probe=probe_for(answer="8")).holds is holds


@pytest.mark.parametrize("answer", [None, "2 or 3"])
def test_number_needs_one_right_answer(answer):
    with pytest.raises(CheckError, match=r"rows\.jsonl:3: number needs one right answer"):
        judge("number", "8", probe=probe_for(answer=answer))


def test_sentences():
    assert judge("sentences", "One. Two.", {"exactly": 2}) == Judgement(True, "2 sentences")
    assert judge("sentences", "One", {"at_most": 0}) == Judgement(False, "1 sentence")
    for options in ({}, {"exactly": 1, "at_most": 1}):
        with pytest.raises(CheckError, match="either exactly or at_most"):
            judge("sentences", "One", options)


SCHEMA = {"type": "object", "required": ["city"], "properties": {"city": {"type": "string"}}}


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        ('{"city": "Bath"}', "fits the schema"),
        ('```json\n{"city": "Bath"}\n```', "fits the schema"),
        ('{"city": 3}', "$.city: 3 is not of type 'string'"),
        ("[]", "$: [] is not of type 'object'"),
        ('Here: {"city": "Bath"}', "not JSON"),
        ("[" * 100_000, "not JSON"),
    ],
)
def test_json_schema(reply, why):
    judgement = judge("json_schema", reply, {"schema": SCHEMA})
    assert judgement.why.startswith(why)
    assert judgement.holds is (why == "fits the schema")


def test_json_schema_reads_a_file_beside_the_charter(tmp_path):
    (tmp_path / "city.json").write_text('{"type": "array"}')
    assert judge("json_schema", "[]", {"schema": "city.json"}, folder=tmp_path).holds
    with pytest.raises(CheckError, match=r"absent\.json"):
        judge("json_schema", "[]", {"schema": "absent.json"}, folder=tmp_path)
    with pytest.raises(CheckError, match="not a JSON Schema"):
        judge("json_schema", "[]", {"schema": {"type": "tuple"}})


def test_regex():
    assert judge("regex", "Call 0123", {"pattern": r"\d+"}) == Judgement(True, "has '0123'")
    assert not judge("regex", "BATH", {"pattern": "bath", "ignore_case": False}).holds
    with pytest.raises(CheckError, match="no regular expression"):
        judge("regex", "x", {"pattern": "("})


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("contians", {}, "Did you mean 'contains'"),
        ("zzz", {}, "There are: answers, contains"),
        ("regex", {"patern": "x"}, "Did you mean 'pattern'"),
        ("answers", {"strict": True}, "It takes none"),
        ("regex", {}, "pattern: Field required"),
        ("contains", {}, "needs slot or text"),
    ],
)
def test_a_fault_in_a_check_is_explained(name, options, message):
    with pytest.raises(CheckError, match=message):
        make_check(CheckSpec(name, options), CHARTER, Path())


OWN = """
from __future__ import annotations
from dataclasses import dataclass
from trimtab.records.reply import Judgement

@dataclass
class Limit:
    words: int

def short(reply, probe, words=3):
    return len(reply.text.split()) <= Limit(words).words

def polite(reply, probe):
    return Judgement("please" in reply.text, "looks for please")

def wrong(reply, probe):
    return "yes"

def first(reply, probe):
    return reply.text.split()[0] == "Yes"
"""


def test_a_check_of_ones_own(tmp_path):
    (tmp_path / "own.py").write_text(OWN)
    assert judge("own.py:short", "a b c d", folder=tmp_path) == Judgement(False, "own.py:short")
    assert judge("own.py:short", "a b c d", {"words": 4}, folder=tmp_path).holds
    assert judge("own.py:polite", "please", folder=tmp_path).why == "looks for please"
    with pytest.raises(CheckError, match=r"rows\.jsonl:3: .*own\.py:wrong' gave 'yes'"):
        judge("own.py:wrong", "a", folder=tmp_path)
    with pytest.raises(CheckError, match="unexpected keyword argument 'word'"):
        judge("own.py:short", "a", {"word": 4}, folder=tmp_path)
    with pytest.raises(CheckError, match="no function 'long'"):
        judge("own.py:long", "a", folder=tmp_path)
    with pytest.raises(CheckError, match=r"absent\.py:f' .*not there\n  Did you mean 'own\.py'"):
        judge("absent.py:f", "a", folder=tmp_path)
    (tmp_path / "broken.py").write_text("1 / 0")
    with pytest.raises(CheckError, match=r"broken\.py: cannot be imported: ZeroDivisionError"):
        judge("broken.py:f", "a", folder=tmp_path)


def test_a_check_of_ones_own_that_fails_is_named_with_the_row(tmp_path):
    (tmp_path / "own.py").write_text(OWN)
    fault = r"rows\.jsonl:3: the check 'own\.py:first' fails on the reply '': IndexError.* at .*:20"
    with pytest.raises(CheckError, match=fault):
        judge("own.py:first", "", folder=tmp_path)


def test_checks_are_tried_on_every_probe():
    checks = {"c": [make_check(CheckSpec("contains", {"slot": ["city"]}), CHARTER, Path())]}
    try_checks(checks, [probe_for(slots={"city": "Bath"})])
    with pytest.raises(CheckError, match=r"rows\.jsonl:3: .*'city'"):
        try_checks(checks, [probe_for(slots={"city": "Bath"}), probe_for()])


def test_an_installed_check_is_found(tmp_path, monkeypatch):
    (tmp_path / "shouting_checks.py").write_text(
        "def shouts(reply, probe):\n    return reply.text.isupper()\n"
    )
    info = tmp_path / "shouting-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: shouting\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[trimtab.checks]\nshouts = shouting_checks:shouts\nbroken = no_such_module:f\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert judge("shouts", "YES") == Judgement(True, "shouts")
    with pytest.raises(CheckError, match="no_such_module:f: cannot be imported"):
        judge("broken", "x")
    with pytest.raises(CheckError, match="Did you mean 'shouts'"):
        judge("shoust", "x")
    sys.modules.pop("shouting_checks")
