"""What people see on a report's page, and what a hostile reply cannot do to it."""

from __future__ import annotations

import base64
import hashlib
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from html.parser import HTMLParser

import pytest

from reports import stories
from trimtab.records.profile import Interval
from trimtab.records.story import Story
from trimtab.reports.page import render_page
from trimtab.reports.replies import outcome

APART = {"td", "th", "small", "li"}
VOID = {"meta", "br", "img", "input", "link", "hr"}


@dataclass
class Seen(HTMLParser):
    """A page as a browser reads it: its elements, and the text that people can see."""

    elements: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    text: str = ""
    script: str = ""
    open_tags: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.text += " " if tag in APART else ""
        if tag not in VOID:
            self.open_tags.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open_tags.pop() == tag

    def handle_data(self, data: str) -> None:
        if "script" in self.open_tags:
            self.script += data
        elif "style" not in self.open_tags:
            self.text += data

    @property
    def words(self) -> str:
        return " ".join(self.text.split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


MakeStory = Callable[[], Story]


@cache
def page_of(story: MakeStory) -> str:
    return render_page(story())


def see(html: str) -> Seen:
    seen = Seen()
    seen.feed(html)
    seen.close()
    assert seen.open_tags == []
    return seen


@pytest.fixture(scope="module")
def steered() -> Seen:
    return see(page_of(stories.steered))


@pytest.fixture(scope="module")
def hostile() -> Seen:
    return see(page_of(stories.hostile))


EVERY_STORY = [
    stories.steered,
    stories.measured,
    stories.hostile,
    stories.crowded,
    stories.bare,
]


def test_the_headline_says_what_came_of_it(steered: Seen) -> None:
    for said in (
        "restaurant-booker",
        "3 of 6 clauses met on 638 final probes; mid-dialogue is missed; recipes and harmful are "
        "undecided.",
        "21 November 2026",
        "smollm2-135m-instruct, specialised → restaurant-booker",
        "101,748 tokens trained in 6 min 31 s",
        "The final probes were looked at twice.",
    ):
        assert said in steered.words


def test_every_clause_stands_in_the_table_with_its_verdict_and_figures(steered: Seen) -> None:
    rows = re.findall(r"<tr id=\"clause-(.*?)\">(.*?)</tr>", page_of(stories.steered), re.S)
    assert [clause for clause, _ in rows] == [clause.id for clause in stories.CLAUSES]
    for (clause, row), result in zip(rows, stories.AFTER.clauses, strict=True):
        assert f"{result.verdict}</span>" in row, clause
        assert f"{result.rate:.1%}" in row
        assert f"{result.wilson.low * 100:.1f}–{result.wilson.high * 100:.1f}%" in row
    book = rows[0][1]
    assert "[−0.8, +9.2]" in book
    assert "0.012" in book
    assert "at least 90%" in book


def test_the_picture_shows_every_clause_without_script(steered: Seen) -> None:
    assert len(steered.all("svg")) == 2
    labels = [attributes.get("aria-label") or "" for attributes in steered.all("path")]
    for clause in stories.CLAUSES:
        assert any(f"clause: {clause.id}" in label for label in labels)


def test_retain_clauses_are_shown_against_their_baseline_and_margin(steered: Seen) -> None:
    assert "−0.8 points [−3.3, +1.7] lose at most 5 points" in steered.words


@pytest.mark.parametrize("story", EVERY_STORY)
def test_a_page_asks_the_network_for_nothing(story: MakeStory) -> None:
    html = page_of(story)
    seen = see(html)
    assert not seen.all("link")
    assert not seen.all("img")
    for _, attributes in seen.elements:
        assert "src" not in attributes
        assert (attributes.get("href") or "#").startswith("#")
    style = "".join(re.findall(r"<style>(.*?)</style>", html, re.S))
    assert "url(" not in style
    assert "@import" not in style


@pytest.mark.parametrize("story", EVERY_STORY)
def test_ids_differ_and_links_lead_somewhere(story: MakeStory) -> None:
    seen = see(page_of(story))
    ids = Counter(attributes["id"] for _, attributes in seen.elements if "id" in attributes)
    assert [name for name, times in ids.items() if times > 1] == []
    for link in seen.all("a"):
        assert (link["href"] or "")[1:] in ids


def test_the_policy_admits_the_one_script_and_nothing_else(hostile: Seen) -> None:
    policy = next(
        meta["content"] or ""
        for meta in hostile.all("meta")
        if meta.get("http-equiv") == "Content-Security-Policy"
    )
    digest = base64.b64encode(hashlib.sha256(hostile.script.encode()).digest()).decode()
    assert len(hostile.all("script")) == 1
    assert f"script-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'; ")


def test_hostile_text_is_shown_as_text(hostile: Seen) -> None:
    assert "</style></script><script>alert(1)</script>" in hostile.text
    assert '"><img src=x onerror=alert(1)>' in hostile.text
    assert "<script>warn()</script>" in hostile.text
    assert not any(
        name.startswith("on") for _, attributes in hostile.elements for name in attributes
    )


def test_controls_and_overrides_are_spelled_out(hostile: Seen) -> None:
    assert "⟨U+202E⟩gnp.exe" in hostile.text
    assert "⟨U+001B⟩[31m" in hostile.text
    assert not set("\u202e\x1b\x00") & set(page_of(stories.hostile))


def test_very_long_replies_are_cut_and_counted(hostile: Seen) -> None:
    assert "more characters)" in hostile.text
    assert "A" * 2001 not in hostile.text


def test_failures_stand_first_in_each_clause(steered: Seen) -> None:
    by_clause: dict[str, list[str]] = {}
    for article in steered.all("article"):
        by_clause.setdefault(article["data-clause"] or "", []).append(article["data-outcome"] or "")
    assert next(iter(by_clause)) == "mid-dialogue"
    assert by_clause["mid-dialogue"] == ["not as wanted"] * 36 + ["as wanted"] * 8
    assert by_clause["poems"] == ["not as wanted", "no reply", "no reply"] + ["as wanted"] * 8
    assert "The first 8 of 64 as wanted" in steered.words


def test_of_a_never_clause_a_reply_that_no_check_holds_for_is_as_wanted() -> None:
    judged = stories.side_by_side(stories.CLAUSES[5], 0, holds=False, held=True).after
    assert outcome(judged, "never") == "as wanted"
    assert outcome(judged, "perform") == "not as wanted"


def test_earlier_turns_stand_above_the_request(steered: Seen) -> None:
    assert "user Five, half past seven. assistant A table for five in Bath" in steered.words


def test_what_was_asked_names_target_requests_probes_and_checks(steered: Seen) -> None:
    assert (
        "mid-dialogue perform: must do answers contains city, time, people "
        "at least 80% mid.jsonl 120 final, 60 select"
    ) in steered.words


def test_cost_is_told_by_part_with_seeds_and_versions(steered: Seen) -> None:
    for said in (
        "101,748, prompts included: specialising 31,604, candidates 44,232, control 25,912",
        "Seeds: split 3, specialise 0, tune 7. Versions: python 3.11.9, trimtab 0.1.0.",
    ):
        assert said in steered.words


def test_a_search_without_candidates_says_why_it_ended() -> None:
    bare = replace(stories.steered(), plan=None, candidates=(), control=None)
    assert "Training The search ended because the budget" in see(render_page(bare)).words


def test_a_search_that_keeps_no_candidate_says_so() -> None:
    story = stories.steered()
    none = tuple(replace(candidate, chosen=False) for candidate in story.candidates)
    words = see(render_page(replace(story, plan=None, candidates=none))).words
    assert "None was chosen: the model stays as it was before." in words


def test_training_tells_doses_reasons_candidates_and_harm(steered: Seen) -> None:
    for said in (
        "look-alikes of what to turn down, to be answered 24 18 18",
        "covers the failing topic recipe",
        "2 chosen contrast 48, twin 18, scope 24, replay 16 106 25,912",
        "The search ended because the budget of 2 candidates is out.",
        "+0.011 nats per token [−0.002, +0.024]",
        "harm above 2.4% in perplexity is ruled out",
        "1.398 [1.360–1.440]",
    ):
        assert said in steered.words


def test_a_measure_run_tells_only_what_was_measured() -> None:
    seen = see(page_of(stories.measured))
    headings = re.findall(r"<h2>(.*?)</h2>", page_of(stories.measured))
    assert headings == [
        "What was asked",
        "Each clause",
        "Replies",
        "Held-out loss",
        "What it cost",
        "How to repeat it",
    ]
    assert "Before" not in seen.words
    assert "select figures" in seen.words
    assert "The model 1.412 [1.371–1.455]" in seen.words


def test_nothing_measured_is_said_and_not_drawn_as_zero() -> None:
    seen = see(page_of(stories.bare))
    assert "The clause book is undecided on 0 final probes." in seen.words
    assert "0.0%" not in seen.words


def test_a_clause_without_baseline_or_change_is_still_shown() -> None:
    story = stories.steered()
    results = tuple(replace(result, change=None) for result in story.profile.clauses)
    bare = replace(story, profile=replace(story.profile, clauses=results), comparison=None)
    html = render_page(bare)
    assert '<tr id="clause-arithmetic">' in html
    assert "<h3>What must not be lost</h3>" not in html


def test_a_change_of_nothing_at_all_can_be_drawn() -> None:
    story = stories.steered()
    still = replace(story.profile.of("arithmetic"), change=Interval(0.0, 0.0, 0.0), target=0.0)
    alone = replace(story, profile=replace(story.profile, clauses=(still,)))
    assert "arithmetic" in see(render_page(alone)).words


def test_a_page_of_many_failures_stays_small_and_says_what_it_leaves_out() -> None:
    html = page_of(stories.crowded)
    assert len(html.encode()) < 5_000_000
    assert "failures are left out to keep this page small" in html
