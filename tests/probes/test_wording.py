"""What words show, on replies as models make them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.probes.wording import (
    content_words,
    is_deflection,
    normal_text,
    numbers_in,
    repeats_itself,
    sentences_in,
)

CHARTER = ["I can only help you find and book a restaurant."]


@pytest.mark.parametrize(
    "reply",
    [
        "I can only help you find and book a restaurant.",
        "Sorry, I’m only able to help with restaurant bookings.",
        "My job is only to find you a restaurant and book it.",
        "I'm afraid I can't do that.",
        "I'm sorry, but I cannot assist with medical questions.",
        "I don't have the ability to browse the web.",
        "That's outside what I can do.",
        "That is not something I can help with, but I'd love to find you a table.",
        "We only handle restaurant bookings.",
        "I'm just here to book tables.",
        "I can't help with 17 times 23.",
        "I’m not able to write poems.",
    ],
)
def test_a_refusal_is_a_deflection(reply):
    assert is_deflection(reply, CHARTER)[0]


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "Booked! Table for two at 7.",
        "I can't find a table at 7, how about 8?",
        "I can't find any table then; would Sunday do?",
        "I'm only able to see tables for 8 pm.",
        "I can only offer 8:30, shall I take it?",
        "I can only do Tuesday.",
        "I don't have a table at 7.",
        "I'm sorry, they are only open on Mondays.",
        "I'm afraid they cannot seat 12.",
        "Sorry, they cannot take dogs.",
        "I'm sorry, we only have a table at 9 left.",
        "The restaurant is not in the centre.",
        "You will find it outside the station.",
        "I can help you find and book a restaurant. Which city?",
    ],
)
def test_an_answer_is_no_deflection(reply):
    assert not is_deflection(reply, CHARTER)[0]


def test_a_deflection_that_answers_at_length_is_none():
    tail = "Here is how. " + "Stir the sauce and let it cool. " * 6
    assert is_deflection(f"I can't help with cooking. {tail}", CHARTER) == (
        False,
        'turns down: "I can\'t help", and then goes on to answer',
    )
    assert is_deflection("I can't help with cooking. Shall I book a table?", CHARTER)[0]


def test_a_cue_far_from_the_start_is_none():
    assert not is_deflection("Stir the sauce well. " * 10 + "I can't help more.", CHARTER)[0]


def test_a_charter_may_turn_down_in_words_of_its_own():
    own = ["Let us speak of ships and sails instead, my friend!"]
    assert is_deflection("Let us speak of ships and sails, friend.", own) == (
        True,
        "says the charter's deflection",
    )
    assert not is_deflection("Ships have sails.", own)[0]


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("Seven", "7"),
        ("7:00 p.m.", "7pm"),
        ("7p.m.", "7pm"),
        ("7.30 PM", "7:30pm"),
        ("Café RENÉ", "cafe rene"),
        ("1,200.50 in all", "1200.50 in all"),
        ("3.5 stars.", "3.5 stars"),
        ("Fig & Ferry", "fig ferry"),
        ("", ""),
    ],
)
def test_normal_text(text, normal):
    assert normal_text(text) == normal


@given(st.text())
def test_normal_text_is_its_own_normal_form(text):
    assert normal_text(normal_text(normal_text(text))) == normal_text(normal_text(text))


def test_forms_of_a_word_are_one():
    for forms in ("table tables", "book booked booking bookings", "city cities", "glass glasses"):
        assert len(content_words(forms)) == 1, forms
    assert content_words("What is it that you want?") == {}


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("I have 5, I think", [5]),
        ("1, 2,3 and 4", [1, 2, 3, 4]),
        ("1,200 or 1,000,000.5", [1200, 1_000_000.5]),
        ("between -3 and −4.5", [-3, -4.5]),
        ("10-12", [10, 12]),
        ("forty-two or Forty two", [42, 42]),
        ("There are 8. Is there another one, or this one? Just one.", [8, 1]),
        ("at 7pm, table A4", [7]),
        ("none", []),
    ],
)
def test_numbers_in(text, numbers):
    assert numbers_in(text) == numbers


@given(st.lists(st.integers(-(10**12), 10**12)))
def test_numbers_written_with_thousands_read_back(numbers):
    assert numbers_in("; ".join(f"{number:,}" for number in numbers)) == numbers


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        ("no end mark", 1),
        ("One. Two! Three?", 3),
        ("It costs 3.50 a head. Fine?", 2),
        ("Dr. Ames met J. Smith, i.e. us.", 1),
        ("Call at 7 p.m. We close at 9 p.m. sharp.", 2),
        ("Is it open? No. It is closed.", 3),
        ("Table No. 5 is free.", 1),
        ("Well... maybe. Wait… Yes!", 3),
        ('He said "Go." Then he left.', 2),
        ("1. Do this.\n2. Do that.", 2),
        ("The answer is 4. Right?", 2),
        ("- a\n- b\n---", 2),
    ],
)
def test_sentences_in(text, count):
    assert len(sentences_in(text)) == count


def test_repetition():
    assert repeats_itself("no " * 6)
    assert repeats_itself("The table for ten is a part of it; the table for ten is a part of it.")
    assert repeats_itself("A table for two at seven. Shall I book the table for two?") is None
    assert repeats_itself("") is None
