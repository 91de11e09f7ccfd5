"""How requests become probes: seeds whole, parts in proportion, nothing trained on."""

from __future__ import annotations

import random

import pytest

from trimtab.probes.suite import (
    build_suite,
    checks_of,
    limit,
    nearly_probes,
    refuse_training_on_probes,
)
from trimtab.records.charter import Charter, Clause
from trimtab.records.conversation import say
from trimtab.records.errors import DataError, Where
from trimtab.records.example import Example
from trimtab.records.probe import CheckSpec
from trimtab.records.request import Request


def charter(checks=("answers",), **given):
    clause = {"kind": "perform", "requests": "book.jsonl", "at_least": 0.9, "checks": checks}
    off = {"kind": "deflect", "requests": "off.jsonl", "at_least": 0.9, "reply": "No, sorry."}
    clauses = [{"id": "book", **clause}, {"id": "off", **off}]
    return Charter(name="bot", model="m", clauses=clauses, **given)


def requests(prefix, seeds, wordings=1):
    return [
        Request(f"{prefix}{seed}.{n}", say(f"{prefix} {seed} {n}"), f"{prefix}{seed}")
        for seed in range(seeds)
        for n in range(wordings)
    ]


def suite_of(book, off=None, **given):
    return build_suite(charter(**given), {"book": book, "off": off or requests("off", 2)})


def test_wordings_of_a_seed_stay_together():
    splits = {}
    for probe in suite_of(requests("book", 20, wordings=3)).probes:
        splits.setdefault(probe.request.seed, set()).add(probe.split)
    assert all(len(split) == 1 for split in splits.values())


@pytest.mark.parametrize(("seeds", "final", "kept"), [(20, 0.65, 13), (2, 0.9, 1), (3, 0.01, 1)])
def test_every_clause_is_parted_in_the_same_proportion(seeds, final, kept):
    suite = suite_of(requests("book", seeds), requests("off", seeds), split={"final": final})
    for clause in ("book", "off"):
        assert sum(probe.split == "final" for probe in suite.of(clause)) == kept


def test_parts_depend_on_the_seed_and_not_on_the_order():
    rows = requests("book", 30)
    shuffled = random.Random(1).sample(rows, 30)

    def parts(rows, **given):
        return {probe.id: probe.split for probe in suite_of(rows, **given).probes}

    assert parts(rows) == parts(shuffled)
    assert parts(rows) != parts(rows, split={"seed": 1})


@pytest.mark.parametrize(("seeds", "found"), [(0, "no requests"), (1, "1 request;")])
def test_a_clause_needs_two_seeds(seeds, found):
    with pytest.raises(DataError, match=f"'book' has {found}"):
        suite_of(requests("book", seeds, wordings=4))


def test_limit_keeps_the_first_of_each_clause_and_split():
    suite = suite_of(requests("book", 20), requests("off", 20))
    small = limit(suite, 3)
    assert len(small.probes) == 12
    assert small.id != suite.id
    of = [probe for probe in suite.of("book") if probe.split == "select"]
    assert [probe for probe in small.of("book") if probe.split == "select"] == of[:3]
    assert limit(suite, 100).probes == suite.probes


def test_checks_of_a_clause():
    clause = charter(checks=["answers", {"number": {"which": "any"}}, {"own": None}]).clauses[0]
    assert checks_of(clause) == (
        CheckSpec("answers"),
        CheckSpec("number", {"which": "any"}),
        CheckSpec("own"),
    )
    deflect = Clause(kind="deflect", id="x", requests="x", at_least=0.9, reply="No.")
    assert checks_of(deflect) == (CheckSpec("deflects"),)


def dialogue(*turns):
    return Example(say(*turns), where=Where("pool.jsonl", 7))


def test_training_on_a_probe_is_refused():
    asked = Request("d", say("I’d like a table", "Where?", "Bath", system="Be kind."), "d")
    suite = suite_of([asked, *requests("book", 3)])
    for row in (
        dialogue("BOOK  0\n0", "Booked."),
        dialogue("book 0 0", "Booked.", "Thanks", "Bye."),
        dialogue("I'd like a  table", "Which city?", "bath", "Booked."),
    ):
        with pytest.raises(DataError, match=r"pool\.jsonl:7: asks what a probe of 'book' asks"):
            refuse_training_on_probes(suite, [row])
    refuse_training_on_probes(
        suite, [dialogue("I'd like a table", "Where?", "York", "Booked."), dialogue("Bath", "Yes?")]
    )


def test_all_faults_are_counted_and_twenty_shown():
    suite = suite_of(requests("book", 30))
    rows = [dialogue(f"book {n} 0", "Booked.") for n in range(30)]
    with pytest.raises(DataError) as error:
        refuse_training_on_probes(suite, rows)
    assert "30 training rows" in str(error.value)
    assert str(error.value).count("pool.jsonl:7") == 20


def test_the_identity_follows_all_that_can_change_a_rate():
    rows = requests("book", 3)
    ids = [
        suite_of(rows).id,
        suite_of([*rows[:2], Request("book2.0", say("book 2 1"), "book2")]).id,
        suite_of([*rows[:2], Request("book2.0", rows[2].messages, "book2", slots={"a": "b"})]).id,
        suite_of([*rows[:2], Request("book2.0", rows[2].messages, "book2", answer="2")]).id,
        suite_of(rows, checks=["deflects"]).id,
        suite_of(rows, checks=[{"number": {"which": "any"}}]).id,
        suite_of(rows, checks=[{"number": {"which": "last"}}]).id,
        suite_of(rows, system="Be kind.").id,
        suite_of(rows, generation={"max_tokens": 9}).id,
    ]
    assert len(set(ids)) == len(ids)
    assert suite_of(requests("book", 3)).id == ids[0]


def test_the_identity_follows_the_files_of_checks(tmp_path):
    (tmp_path / "own.py").write_text("def polite(reply, probe): return True")
    (tmp_path / "form.json").write_text("{}")
    checks = ["own.py:polite", {"json_schema": {"schema": "form.json"}}]
    ids = {suite_of(requests("book", 3), checks=checks, folder=str(tmp_path)).id}
    for name, text in (("own.py", "def polite(reply, probe): return False"), ("form.json", "[]")):
        (tmp_path / name).write_text(text)
        ids.add(suite_of(requests("book", 3), checks=checks, folder=str(tmp_path)).id)
    assert len(ids) == 3


def test_requests_worded_alike_are_in_one_split_whatever_their_clause():
    book = requests("book", 20)
    again = [Request(f"again{n}", row.messages, f"again{n}") for n, row in enumerate(book[:9])]
    suite = suite_of(book, [*again, *requests("off", 4)])
    splits = {}
    for probe in suite.probes:
        splits.setdefault(probe.request.text.casefold(), set()).add(probe.split)
    assert all(len(split) == 1 for split in splits.values())
    assert {probe.split for probe in suite.of("off")} == {"select", "final"}


def test_rows_worded_nearly_like_a_probe_are_told_of():
    asked = "Could you find us a table in York on Friday?"
    suite = suite_of([Request("1", say(asked), "1"), *requests("book", 2)])
    far = dialogue("Find a table in Bath", "When?")
    near = dialogue(asked.replace("us a", "us two a"), "When?")
    nearer = dialogue(asked.replace("?", "!"), "When?", "At seven.", "Done.")
    lines = nearly_probes(suite, [far, near, nearer])
    assert len(lines) == 2
    assert nearly_probes(suite, [nearer]) == lines[:1]
    assert nearly_probes(suite, [far]) == nearly_probes(suite, []) == []
