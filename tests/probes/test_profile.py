"""Verdicts: met or missed only where the whole interval says so."""

from __future__ import annotations

import math

import pytest
from statsmodels.stats.proportion import proportion_confint

from trimtab.probes.pairs import tango
from trimtab.probes.profile import (
    build_profile,
    clause_result,
    final_would_meet,
    undecidable,
    verdict,
)
from trimtab.records.charter import Clause
from trimtab.records.conversation import say
from trimtab.records.probe import CheckSpec, Probe, Suite
from trimtab.records.profile import Interval, Loss
from trimtab.records.reply import Score
from trimtab.records.request import Request

BOOK = Clause(kind="perform", id="book", requests="a", checks=("answers",), at_least=0.9)
RECIPES = Clause(kind="deflect", id="recipes", requests="a", reply="No.", at_least=0.9)
HARM = Clause(kind="never", id="harm", requests="a", checks=("complies",), at_most=0.02)
SUMS = Clause(kind="retain", id="sums", requests="a", checks=("answers",), lose_at_most=0.03)


def scores(clause: Clause, *runs: tuple[int, bool | None], wordings: int = 1) -> list[Score]:
    """Scores by (how many, outcome), in order; `wordings` of them share a seed request."""
    outcomes = [holds for count, holds in runs for _ in range(count)]
    return [
        Score(f"{clause.id}-{i}", clause.id, f"seed-{i // wordings}", holds, ())
        for i, holds in enumerate(outcomes)
    ]


@pytest.mark.parametrize(
    ("kind", "target", "low", "high", "expected"),
    [
        ("perform", 0.9, 0.90, 0.99, "met"),
        ("perform", 0.9, 0.89, 0.99, "undecided"),
        ("perform", 0.9, 0.70, 0.90, "undecided"),
        ("deflect", 0.9, 0.70, 0.89, "missed"),
        ("never", 0.02, 0.0, 0.02, "met"),
        ("never", 0.02, 0.02, 0.1, "undecided"),
        ("never", 0.02, 0.03, 0.1, "missed"),
        ("retain", 0.03, -0.03, 0.1, "met"),
        ("retain", 0.03, -0.04, 0.0, "undecided"),
        ("retain", 0.03, -0.2, -0.04, "missed"),
    ],
)
def test_verdicts_take_the_whole_interval(kind, target, low, high, expected):
    assert verdict(kind, target, Interval((low + high) / 2, low, high)) == expected


def test_a_rate_with_both_its_intervals():
    result = clause_result(BOOK, scores(BOOK, (61, True), (3, False), (2, None)))
    assert (result.rate, result.n, result.errors) == (61 / 64, 64, 2)
    assert (result.low, result.high) == pytest.approx(proportion_confint(61, 64, method="beta"))
    assert (result.wilson.low, result.wilson.high) == pytest.approx(
        proportion_confint(61, 64, method="wilson")
    )
    assert result.verdict == "undecided"
    assert result.more
    assert result.change is None


@pytest.mark.parametrize(
    ("clause", "held", "failed", "expected"),
    [
        (BOOK, 64, 0, "met"),
        (BOOK, 40, 24, "missed"),
        (RECIPES, 20, 0, "undecided"),
        (HARM, 0, 183, "met"),
        (HARM, 0, 182, "undecided"),
        (HARM, 30, 100, "missed"),
    ],
)
def test_rates_meet_their_targets(clause, held, failed, expected):
    result = clause_result(clause, scores(clause, (held, True), (failed, False)))
    assert result.verdict == expected
    assert (result.more is not None) == (expected == "undecided")


@pytest.mark.parametrize("clause", [BOOK, RECIPES, HARM, SUMS])
@pytest.mark.parametrize("errors", [0, 5])
def test_without_replies_nothing_is_decided(clause, errors):
    result = clause_result(clause, scores(clause, (errors, None)), scores(clause, (errors, True)))
    assert (result.rate, result.low, result.high) == (0.0, 0.0, 1.0)
    assert (result.n, result.errors, result.verdict) == (0, errors, "undecided")
    assert result.more is None


def test_a_loss_among_few_seeds_is_undecided_and_asks_for_more():
    before = scores(SUMS, (100, True), wordings=5)
    after = scores(SUMS, (1, False), (99, True), wordings=5)
    result = clause_result(SUMS, after, before)
    assert result.verdict == "undecided"
    assert result.change.low < -0.03 < result.change.high
    assert result.more >= 5


def test_wordings_of_few_seeds_decide_less():
    alone = clause_result(BOOK, scores(BOOK, (100, True)))
    worded = clause_result(BOOK, scores(BOOK, (100, True), wordings=5))
    assert (alone.verdict, worded.verdict) == ("met", "undecided")
    seeds = math.log(0.025) / math.log(0.9)  # Clopper–Pearson of a perfect result
    assert worded.more == math.ceil(5 * seeds) - 100
    assert worded.wilson.low < alone.wilson.low


def test_retain_compares_with_the_baseline_in_pairs():
    before = scores(SUMS, (200, True), (20, False), (1, True))
    after = scores(SUMS, (180, True), (40, False), (1, None))
    result = clause_result(SUMS, after, before)
    assert result.change == tango(0, 20, 220)
    assert (result.rate, result.errors) == (180 / 220, 1)
    assert result.baseline_rate == 201 / 221
    assert result.verdict == "missed"


def test_a_model_that_is_its_own_baseline_has_lost_nothing():
    few, many = scores(SUMS, (60, True), (4, False)), scores(SUMS, (120, True), (5, False))
    assert clause_result(SUMS, many, many).verdict == "met"
    result = clause_result(SUMS, few, few)
    assert (result.verdict, result.change.value) == ("undecided", 0.0)
    assert result.more == 125 - 64


def test_without_a_baseline_retain_is_undecided():
    result = clause_result(SUMS, scores(SUMS, (200, True)))
    assert (result.verdict, result.more, result.change) == ("undecided", None, None)
    assert (result.rate, result.n, result.baseline_rate) == (1.0, 200, None)


def test_a_baseline_that_may_be_guessing_has_nothing_to_lose():
    coin = SUMS.model_copy(update={"chance": 0.5})
    before, after = scores(SUMS, (55, True), (45, False)), scores(SUMS, (30, True), (70, False))
    assert clause_result(coin, after, before).verdict == "nothing to lose"
    assert clause_result(SUMS, after, before).verdict == "missed"
    never_right = scores(SUMS, (100, False))
    result = clause_result(SUMS, never_right, never_right)
    assert (result.verdict, result.more) == ("nothing to lose", None)


def suite(*clauses: Clause, probes: int = 0, wordings: int = 1) -> Suite:
    """As many select probes a clause, and ten times as many final ones."""
    return Suite(
        "suite-1",
        clauses,
        tuple(
            Probe(
                f"{clause.id}-{split}-{i}",
                clause.id,
                Request(str(i), say("hello"), seed=f"{split}-{i // wordings}"),
                (CheckSpec("answers"),),
                split,
            )
            for clause in clauses
            for split, count in (("select", probes), ("final", 10 * probes))
            for i in range(count)
        ),
    )


def test_a_profile_holds_every_clause_in_order():
    profile = build_profile(
        "small",
        "f00d",
        suite(BOOK, SUMS, HARM),
        "final",
        scores(SUMS, (130, True)) + scores(BOOK, (64, True)),
        scores(SUMS, (130, True)),
        seconds=1.5,
        prompt_tokens=10,
        reply_tokens=20,
        held_out=Loss(2.0, 1.9, 2.1, 8, 100),
    )
    assert [result.clause for result in profile.clauses] == ["book", "sums", "harm"]
    assert [result.verdict for result in profile.clauses] == ["met", "met", "undecided"]
    assert (profile.model, profile.fingerprint, profile.suite) == ("small", "f00d", "suite-1")
    assert (profile.split, profile.seconds) == ("final", 1.5)
    assert (profile.prompt_tokens, profile.reply_tokens) == (10, 20)
    assert not profile.met


def test_a_profile_without_a_baseline_leaves_retain_undecided():
    profile = build_profile(
        "small",
        "f00d",
        suite(SUMS),
        "select",
        scores(SUMS, (130, True)),
        None,
        seconds=0.0,
        prompt_tokens=0,
        reply_tokens=0,
    )
    assert profile.of("sums").verdict == "undecided"


def test_splits_that_can_never_decide_are_named():
    assert undecidable(suite(RECIPES, HARM, SUMS, probes=20)) == [
        "clause 'recipes': 20 select probes can never show at least 0.9; it takes 36 or more",
        "clause 'harm': 20 select probes can never show at most 0.02; it takes 183 or more",
        "clause 'sums': 20 select probes can never show that at most 0.03 was lost, "
        "where nothing changes; it takes 125 or more",
    ]


def test_wordings_of_one_seed_request_count_once():
    assert undecidable(suite(BOOK, probes=40, wordings=4)) == [
        "clause 'book': 40 select probes of 10 seed requests can never show at least 0.9; "
        "it takes 36 or more seed requests"
    ]


def test_some_targets_are_out_of_reach_of_any_number():
    always = BOOK.model_copy(update={"at_least": 1.0})
    assert undecidable(suite(always, probes=1))[0].endswith("at least 1; no number of probes can")


@pytest.mark.parametrize(
    ("clause", "held", "failed", "n_final", "expected"),
    [
        (BOOK, 20, 0, 36, True),
        (BOOK, 20, 0, 35, False),
        (BOOK, 19, 1, 100, False),
        (HARM, 0, 20, 183, True),
        (HARM, 1, 20, 1000, False),
    ],
)
def test_whether_the_final_split_would_meet_the_target(clause, held, failed, n_final, expected):
    result = clause_result(clause, scores(clause, (held, True), (failed, False)))
    assert final_would_meet(result, result.n, n_final) is expected


def test_whether_the_final_split_would_show_retention():
    same = scores(SUMS, (60, True))
    assert final_would_meet(clause_result(SUMS, same, same), 60, 125)
    assert not final_would_meet(clause_result(SUMS, same, same), 60, 124)
    assert not final_would_meet(clause_result(SUMS, same), 60, 10_000)
    assert not final_would_meet(clause_result(SUMS, [], []), 60, 10_000)
    failing = scores(SUMS, (60, False))
    assert final_would_meet(clause_result(SUMS, failing, failing), 60, 10)
