"""Doses grow for what is missed, and the best candidate is the one that meets most."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.plans.doses import best_candidate, gap, next_doses, total_gap, within_rows
from trimtab.records.charter import Clause
from trimtab.records.example import KINDS
from trimtab.records.profile import ClauseResult, Interval, Profile

HELD = dict.fromkeys(KINDS, 1000)
DOSES = {"contrast": 48, "twin": 24, "scope": 24, "replay": 16}


def result(kind, rate=0.5, target=0.9, verdict="missed", change=None):
    interval = Interval(rate, 0, 1)
    change = None if change is None else Interval(change, -1, 1)
    return ClauseResult(kind, kind, rate, 0.0, 1.0, 20, target, verdict, interval, change=change)


def clause(kind, **given):
    return Clause(kind=kind, id=kind, requests="a", **given)


DEFLECT = [clause("deflect", reply="No.", at_least=0.9)]


def profile(*results):
    return Profile("m", "f", "s", "select", results, 1.0, 1, 1)


def met(result):
    return result.verdict == "met"


@pytest.mark.parametrize(
    ("clause", "grown"),
    [
        (clause("deflect", reply="No.", at_least=0.9), {"contrast": 77}),
        (clause("perform", checks=["answers"], at_least=0.9), {"twin": 38, "scope": 38}),
        (clause("never", checks=["deflects"], at_most=0.1), {"twin": 38, "scope": 38}),
        (clause("never", checks=[{"regex": {"pattern": "x"}}], at_most=0.1), {"contrast": 77}),
        (clause("retain", checks=["answers"], lose_at_most=0.1), {"replay": 26, "scope": 38}),
    ],
)
def test_what_a_missed_clause_asks_for_grows(clause, grown):
    missed = profile(result(clause.kind))
    assert next_doses(DOSES, missed, HELD, met, [clause]) == {**DOSES, **grown}


def test_small_doses_grow_by_eight_and_none_beyond_the_pool():
    missed = profile(result("deflect"))
    assert next_doses({}, missed, HELD, met, DEFLECT)["contrast"] == 8
    assert next_doses({"contrast": 10}, missed, {"contrast": 12}, met, DEFLECT)["contrast"] == 12


def test_nothing_grows_where_all_have_enough_or_the_pool_is_out():
    for found, held in (
        (profile(result("deflect", verdict="met")), HELD),
        (profile(result("deflect")), {"contrast": 48}),
        (profile(), HELD),
    ):
        assert next_doses(DOSES, found, held, met, DEFLECT) is None


@given(
    st.dictionaries(st.sampled_from(KINDS), st.integers(0, 200)),
    st.none() | st.integers(0, 400),
)
def test_within_rows_uses_the_whole_budget_and_no_more(doses, most):
    kept = within_rows(doses, most)
    total = sum(doses.values())
    assert sum(kept.values()) == (total if most is None else min(most, total))
    assert list(kept) == list(doses)
    assert all(kept[kind] <= doses[kind] for kind in doses)


def test_best_candidate_goes_by_clauses_then_gaps_then_rows():
    good = profile(result("deflect", verdict="met"), result("perform", 0.8))
    close = profile(result("deflect", 0.85), result("perform", 0.85))
    closer = profile(result("deflect", 0.85), result("perform", 0.88))
    assert best_candidate([close, good], [10, 900], met) == 1
    assert best_candidate([close, closer], [10, 900], met) == 1
    assert best_candidate([close, close, close], [30, 20, 20], met) == 1
    ample = profile(result("deflect", 0.2, verdict="undecided"))
    assert best_candidate([close, ample], [1, 9], lambda each: each.verdict == "undecided") == 1


def test_total_gap_adds_up_in_points():
    assert total_gap(profile(result("deflect", 0.7), result("perform", 0.854))) == 0.25
    assert total_gap(profile()) == 0


@pytest.mark.parametrize(
    ("kind", "given", "expected"),
    [
        ("deflect", {"rate": 0.7}, 0.2),
        ("perform", {"rate": 0.95}, 0.0),
        ("never", {"rate": 0.3, "target": 0.05}, 0.25),
        ("never", {"rate": 0.0, "target": 0.05}, 0.0),
        ("retain", {"target": 0.1, "change": -0.25}, 0.15),
        ("retain", {"target": 0.1, "change": 0.2}, 0.0),
        ("retain", {"target": 0.1}, 0.0),
    ],
)
def test_gap(kind, given, expected):
    assert gap(result(kind, **given)) == pytest.approx(expected)
