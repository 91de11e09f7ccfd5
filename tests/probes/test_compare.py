"""Two measurements, paired by probe."""

from __future__ import annotations

import pytest
from statsmodels.stats.contingency_tables import mcnemar

from trimtab.probes.compare import compare
from trimtab.probes.pairs import tango
from trimtab.records.charter import Clause
from trimtab.records.errors import RunError
from trimtab.records.reply import Score

BOOK = Clause(kind="perform", id="book", requests="a", checks=("answers",), at_least=0.9)
RECIPES = Clause(kind="deflect", id="recipes", requests="a", reply="No.", at_least=0.9)


def scores(clause: Clause, outcomes: list[bool | None], wordings: int = 1) -> list[Score]:
    return [
        Score(f"{clause.id}-{i}", clause.id, f"seed-{i // wordings}", holds, ())
        for i, holds in enumerate(outcomes)
    ]


BEFORE = scores(BOOK, [True] * 18 + [False] * 2) + scores(RECIPES, [False] * 12)
AFTER = scores(BOOK, [True] * 17 + [False] * 3) + scores(RECIPES, [True] * 12)


def test_every_clause_gets_its_paired_change():
    comparison = compare("base", "tuned", "select", [BOOK, RECIPES], BEFORE, AFTER)
    assert (comparison.before, comparison.after) == ("base", "tuned")
    assert (comparison.split, comparison.unpaired) == ("select", 0)
    book, recipes = comparison.changes
    assert (book.clause, book.kind, book.n, book.gained, book.lost) == ("book", "perform", 20, 0, 1)
    assert (book.before, book.after) == (18 / 20, 17 / 20)
    assert book.difference == tango(0, 1, 20)
    assert book.p == 1.0
    assert (recipes.before, recipes.after, recipes.gained) == (0.0, 1.0, 12)
    assert recipes.p == pytest.approx(mcnemar([[0, 0], [12, 0]], exact=True).pvalue)


def test_p_is_corrected_over_the_clauses_compared():
    book, recipes = compare("a", "b", "select", [BOOK, RECIPES], BEFORE, AFTER).changes
    assert recipes.p_holm == pytest.approx(2 * recipes.p)
    assert book.p_holm == 1.0


def test_probes_that_one_side_judged_are_counted_not_compared():
    before = scores(BOOK, [True, True, None, None, True])
    after = scores(BOOK, [True, False, True, None])
    comparison = compare("a", "b", "final", [BOOK], before, after)
    assert comparison.changes[0].n == 2
    assert comparison.unpaired == 2  # the third and the fifth; the fourth was judged by neither


def test_a_clause_without_pairs_is_left_out():
    before = [*BEFORE, *scores(RECIPES, [None] * 12)]
    after = scores(BOOK, [True] * 20)
    comparison = compare("a", "b", "select", [RECIPES, BOOK], before, after)
    assert [change.clause for change in comparison.changes] == ["book"]
    assert comparison.unpaired == 12


def test_several_wordings_of_a_seed_are_resampled_together():
    before, after = scores(BOOK, [True] * 20, 2), scores(BOOK, [True] * 17 + [False] * 3, 2)
    change = compare("a", "b", "select", [BOOK], before, after).changes[0]
    assert change.method == "cluster sign-flip, bootstrap"
    assert change.p == 0.5  # two clusters moved, both down: two of four flips


def test_nothing_in_common_is_an_error():
    with pytest.raises(RunError, match=r"base and tuned have no judged probe in common\n.*same"):
        compare("base", "tuned", "select", [BOOK], BEFORE, [])
