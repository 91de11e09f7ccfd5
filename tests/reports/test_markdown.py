"""Markdown that GitHub shows as meant, whatever a model said."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import pytest

from reports import stories
from trimtab.records.story import Story
from trimtab.reports.markdown import render_markdown

UNESCAPED_PIPE = re.compile(r"(?<!\\)\|")


def tables(markdown: str) -> list[list[str]]:
    blocks = re.findall(r"(?:^\|.*\n)+", markdown, re.M)
    return [block.splitlines() for block in blocks]


@pytest.mark.parametrize(
    "story",
    [stories.steered, stories.measured, stories.hostile, stories.crowded, stories.bare],
)
def test_every_row_of_a_table_has_the_columns_of_its_head(story: Callable[[], Story]) -> None:
    found = tables(render_markdown(story()))
    assert found
    for lines in found:
        columns = {len(UNESCAPED_PIPE.findall(line)) for line in lines}
        assert len(columns) == 1, lines[0]
        assert re.fullmatch(r"\|( --- \|)+", lines[1])


def test_all_clauses_and_verdicts_are_told() -> None:
    markdown = render_markdown(stories.steered())
    assert "**3 of 6 clauses met on 638 final probes; mid-dialogue is missed;" in markdown
    for result in stories.AFTER.clauses:
        assert re.search(
            rf"^\| {result.clause} \| {result.kind} \| . {result.verdict} \|", markdown, re.M
        )


def test_what_a_model_says_is_code_and_cannot_close_it() -> None:
    markdown = render_markdown(stories.hostile())
    outside = re.sub(r"(`+) .*? \1(?!`)|`[^`]+`", "", markdown)
    for harm in ("<script>", "@octocat", "http://evil.test", "![x]"):
        assert harm in markdown
        assert harm not in outside.replace("\\<", "")
    assert not set("\u202e\x1b\x00") & set(markdown)


def test_line_ends_of_replies_do_not_break_a_table() -> None:
    assert "leaves` |" in render_markdown(stories.steered())
    assert "Crows on a bare branch ↵ the last light leaves" in render_markdown(stories.steered())


def test_failures_stand_first_and_the_rest_is_counted() -> None:
    markdown = render_markdown(stories.steered())
    section = markdown.split("### mid-dialogue")[1].split("###")[0]
    outcomes = re.findall(r"^\| (not as wanted|as wanted) \|", section, re.M)
    assert outcomes == ["not as wanted"] * 10 + ["as wanted"] * 2
    assert "36 of 100 replies are not as wanted. 26 of them are not shown." in section


def test_a_measure_run_has_no_training() -> None:
    markdown = render_markdown(stories.measured())
    headings = re.findall(r"^## (.*)$", markdown, re.M)
    assert headings == [
        "What was asked",
        "Clauses",
        "Replies",
        "Held-out loss",
        "Cost",
        "How to repeat it",
    ]


def test_what_was_asked_names_target_requests_probes_and_checks() -> None:
    assert (
        "| mid-dialogue | perform: must do | `answers`, `contains city, time, people` | "
        "at least 80% | `mid.jsonl` | 120 final, 60 select |"
    ) in render_markdown(stories.steered())


def test_cost_seeds_and_versions_are_told() -> None:
    markdown = render_markdown(stories.steered())
    assert "101,748 tokens trained in 6 min 31 s" in markdown
    assert "specialising 31,604, candidates 44,232, control 25,912." in markdown
    assert "Seeds: split 3, specialise 0, tune 7. Versions: python 3.11.9, trimtab" in markdown


def test_a_search_without_candidates_says_why_it_ended() -> None:
    bare = replace(stories.steered(), plan=None, candidates=(), control=None)
    assert "## Training\n\nThe search ended because the budget" in render_markdown(bare)
