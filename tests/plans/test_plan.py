"""A plan takes rows of the pool alone, where the gaps are, and says why."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from trimtab.plans.plan import plan, with_reply
from trimtab.records.charter import Clause
from trimtab.records.conversation import say
from trimtab.records.example import KINDS, Example
from trimtab.records.probe import Probe, Suite
from trimtab.records.profile import ClauseResult, Interval, Profile
from trimtab.records.request import Request

WORDS = "poem sea moon star soup salt pan oven table booking city seven".split()
TOPICS = {"poems": WORDS[:4], "recipes": WORDS[4:8]}


class WordEncoder:
    """Counts of known words; keeps what it was asked to encode."""

    def __init__(self):
        self.seen = []

    def encode(self, texts):
        self.seen += texts
        counts = np.array(
            [[text.split().count(word) for word in WORDS] for text in texts], dtype=np.float32
        ).reshape(len(texts), len(WORDS))
        return counts / np.maximum(np.linalg.norm(counts, axis=1, keepdims=True), 1e-9)


def rows_of(kind, words, count):
    random = np.random.default_rng(len(words[0]))
    return [
        Example(say(" ".join(random.choice(words, 4)) + f" {kind} {n}", "Right."), kind=kind)
        for n in range(count)
    ]


POOL = {
    "contrast": [row for words in TOPICS.values() for row in rows_of("contrast", words, 30)],
    "twin": rows_of("twin", WORDS[3:10], 20),
    "scope": rows_of("scope", WORDS[8:], 20),
    "replay": rows_of("replay", WORDS, 20),
}
CLAUSES = (
    *(
        Clause(kind="deflect", id=topic, requests=topic, reply=f"No {topic}.", at_least=0.9)
        for topic in TOPICS
    ),
    Clause(kind="retain", id="sums", requests="sums", checks=("number",), lose_at_most=0.1),
)
SUITE = Suite(
    "s",
    CLAUSES,
    tuple(
        Probe(
            f"{clause}/{split}{n}",
            clause,
            Request(str(n), say(f"{word} please {split}"), str(n)),
            (),
            split,
        )
        for clause, words in TOPICS.items()
        for split in ("select", "final")
        for n, word in enumerate(words)
    ),
)


def profile(poems=0.9, recipes=0.9):
    def result(clause, rate):
        interval = Interval(rate, 0, 1)
        return ClauseResult(clause, "deflect", rate, 0, 1, 9, 0.9, "undecided", interval)

    return Profile(
        "m", "f", "s", "select", (result("poems", poems), result("recipes", recipes)), 1.0, 1, 1
    )


def chosen(doses, pool=POOL, encoder=None, **rates):
    return plan(profile(**rates), pool, doses, SUITE, encoder or WordEncoder())


DOSES = {"contrast": 12, "twin": 5, "scope": 4, "replay": 3}


def test_only_rows_of_the_pool_each_once_with_a_reason():
    rows = chosen(DOSES).rows
    assert Counter(row.example.kind for row in rows) == DOSES
    assert len({row.example.id for row in rows}) == len(rows)
    for row in rows:
        assert row.example in POOL[row.example.kind]
        assert row.reason


def test_contrast_goes_where_the_gaps_are():
    def shares(**rates):
        rows = chosen({"contrast": 12}, **rates).rows
        return Counter(row.clause for row in rows)

    assert shares(poems=0.3, recipes=0.6) == {"poems": 8, "recipes": 4}
    assert shares(recipes=0.0) == {"recipes": 12}
    assert shares() == {"poems": 6, "recipes": 6}


def test_contrast_goes_where_the_pool_is_wide():
    narrow = {"contrast": [*POOL["contrast"][:30], *POOL["contrast"][30:40]]}
    rows = chosen({"contrast": 12}, narrow, poems=0.0, recipes=0.0).rows
    assert Counter(row.clause for row in rows) == {"poems": 9, "recipes": 3}


def test_a_clause_keeps_what_it_had_and_what_is_added_goes_by_the_gaps_that_it_left():
    first = chosen({"contrast": 10}, poems=0.0, recipes=0.0)
    assert Counter(row.clause for row in first.rows) == {"poems": 5, "recipes": 5}
    latest = profile(poems=0.95, recipes=0.5)
    second = plan(latest, POOL, {"contrast": 16}, SUITE, WordEncoder(), first)
    assert Counter(row.clause for row in second.rows) == {"poems": 5, "recipes": 11}
    assert {row.example.id for row in first.rows} <= {row.example.id for row in second.rows}
    fewer = plan(latest, POOL, {"contrast": 4}, SUITE, WordEncoder(), first)
    assert Counter(row.clause for row in fewer.rows) == {"poems": 2, "recipes": 2}


def test_a_contrast_row_goes_to_the_clause_whose_requests_it_is_like():
    for row in chosen({"contrast": 40}).rows:
        assert set(row.example.request.split()) & set(TOPICS[row.clause])
        assert row.clause in row.reason


def test_only_select_probes_are_looked_at():
    encoder = WordEncoder()
    chosen(DOSES, encoder=encoder)
    assert any(text.endswith("please select") for text in encoder.seen)
    assert not any(text.endswith("please final") for text in encoder.seen)


@pytest.mark.parametrize("rates", [{}, {"poems": 0.11, "recipes": 0.37}])
def test_a_larger_dose_of_contrast_holds_a_smaller_one(rates):
    smaller = set()
    for dose in range(1, 60):
        ids = {row.example.id for row in chosen({"contrast": dose}, **rates).rows}
        assert len(ids) == dose
        assert smaller <= ids
        smaller = ids


def test_doses_are_those_asked_for_and_held_those_of_the_pool():
    asked = chosen({"contrast": 100, "replay": 2}, {"contrast": POOL["contrast"]})
    assert asked.doses == {"scope": 0, "contrast": 100, "twin": 0, "replay": 2}
    assert asked.held == {"scope": 0, "contrast": 60, "twin": 0, "replay": 0}
    assert len(asked.rows) == 60


def test_replay_is_for_retain_clauses_and_every_row_says_why_it():
    rows = chosen({"scope": 6, "replay": 6}).rows
    assert all("sums" in row.reason for row in rows if row.example.kind == "replay")
    assert len({(row.example.kind, row.reason) for row in rows}) == len(rows) == 12
    without = Suite("s", CLAUSES[:-1], SUITE.probes)
    assert plan(profile(), POOL, {"replay": 6}, without, WordEncoder()).rows == ()


def test_an_empty_pool_gives_an_empty_plan():
    assert chosen(DOSES, {}).rows == ()
    assert chosen({}).rows == ()
    assert chosen({}).doses == dict.fromkeys(KINDS, 0)


def test_twins_name_the_contrast_row_that_they_look_like():
    requests = [row.request for row in POOL["contrast"]]
    for row in chosen({"twin": 5}).rows:
        assert any(repr(request) in row.reason for request in requests)
    alone = chosen({"twin": 5}, {"twin": POOL["twin"]})
    assert {row.reason for row in alone.rows} == {"must still be answered"}


def test_a_contrast_request_alone_is_answered_by_its_own_clause():
    alone = [
        Example(row.messages[:1] if n % 2 else row.messages, "contrast")
        for n, row in enumerate(POOL["contrast"])
    ]
    replies = {
        (row.example.messages[-1].content, row.clause)
        for row in chosen({"contrast": 60}, {"contrast": alone}).rows
    }
    assert replies == {
        ("No poems.", "poems"),
        ("No recipes.", "recipes"),
        ("Right.", "poems"),
        ("Right.", "recipes"),
    }


def test_a_request_alone_is_given_the_reply():
    request = Example(say("A poem?"), kind="contrast", topic="poems")
    assert with_reply(request, "No.") == Example(say("A poem?", "No."), "contrast", "poems")
    own = Example(say("A poem?", "Never."), kind="contrast")
    assert with_reply(own, "No.") is own
    several = Example(say("Hi", "Hello", "A poem?"))
    assert with_reply(several, "No.").messages == say("Hi", "Hello", "A poem?", "No.")
