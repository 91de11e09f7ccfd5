"""What a reply does with what the user gave, on dialogues as they are held."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.probes.details import (
    asks_again,
    asks_for_missing,
    contradiction,
    counts_in,
    given_by_user,
    is_courtesy,
    parties_in,
    taken_up,
    times_in,
)
from trimtab.records.conversation import say

WISH = "A table for two in Bath at 7 pm, please"


@pytest.mark.parametrize(
    "reply",
    [
        "A table for nine in Paris at noon is booked.",
        "It is booked. You are in at 8 pm.",
        "Your booking is for 4 people.",
        "The table for two, at 7 pm, for 14.",
        "I have you at 19:30. Shall I book it?",
    ],
)
def test_another_time_or_number_of_people_contradicts(reply):
    assert contradiction(reply, WISH, WISH)


@pytest.mark.parametrize(
    "reply",
    [
        "Booked for two at seven in the evening.",
        "Booked: 19:00, two people.",
        "Your table is booked.",
        "There is no table at 7; 8 pm is free.",
        "I can't do 7 pm, but I have a table at 8 pm.",
        "Shall I book a table for 3 at 8 pm?",
        "Your table is held until 7:15 pm.",
        "The band plays at 9 pm.",
        "Your table is ready, for 2 hours and 40 pounds a head.",
    ],
)
def test_what_was_asked_for_an_offer_and_other_numbers_do_not(reply):
    assert contradiction(reply, WISH, WISH) is None


@pytest.mark.parametrize(
    "wish",
    [
        "A table for two at 7 or 8 pm",
        "Two of us, after 7 pm",
        "Two adults and two children, any time",
        "For how many is your big table? We're two. When is it free?",
        "Change my table from 7 pm to 9 pm",
        "Tonight in Bath",
    ],
)
def test_nothing_contradicts_a_user_who_leaves_room(wish):
    assert contradiction("A table for four at 9 pm is booked.", wish, wish) is None


def test_what_stands_in_another_turn_contradicts_nothing():
    known = f"{WISH} There is one at 8 pm. Fine"
    assert contradiction("Booked, at 8 pm.", WISH, known) is None
    assert contradiction("Booked, at 9 pm.", WISH, known) == "says 9:00, not 7:00"


@pytest.mark.parametrize(
    "reply",
    [
        "Which street?",
        "For when, and under which name?",
        "How many of you?",
        "Inside or outside?",
        "Shall I take it?",
        "Would 8 suit you?",
        "Does 8 pm work?",
        "Any allergies?",
        "Tell me the city.",
        "Please let me know your date.",
    ],
)
def test_a_question_to_the_user_asks_for_something(reply):
    assert asks_for_missing(reply, "Dinner, please") == reply


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "Did you know that roses are red?",
        "Have you ever seen a rose?",
        "Roses are red, aren't they?",
        "Is that right?",
        "How can I help you?",
        "Is there anything else?",
        "Let me know if I can help.",
        "What time?",
        "What time, and for how many?",
    ],
)
def test_an_idle_question_and_one_that_was_answered_do_not(reply):
    assert asks_for_missing(reply, WISH) is None


@pytest.mark.parametrize("reply", ["What time?", "How many are you, and what time is it for?"])
def test_what_the_user_gave_is_asked_again(reply):
    assert asks_again(f"Good. {reply}", WISH) == reply


@pytest.mark.parametrize(
    ("reply", "wish"),
    [
        ("What time?", "A table for two in Bath"),
        ("For how many?", "Dinner at 7 pm"),
        ("What time, and for how many?", "Dinner at 7 pm"),
        ("What time, and which street?", WISH),
        ("They are full at 7. What time would suit you?", WISH),
        ("What time?", "Change my booking for 7 pm"),
        ("I know what time.", WISH),
    ],
)
def test_what_is_missing_or_may_change_is_not(reply, wish):
    assert asks_again(reply, wish) is None


def test_a_short_answer_is_read_with_what_it_answers():
    turns = ("Dinner in Lyon", "Chez Ravel has room.")
    assert "Ravel" in given_by_user(say(*turns, "Take it!"))
    assert "Ravel" in given_by_user(say(*turns, "Yes please, that is the one we had in mind"))
    assert "Ravel" not in given_by_user(say(*turns, "We would rather have a quiet place"))


def test_a_time_is_taken_up_in_any_spelling():
    assert taken_up("At half past, or 19:00", "About 7 in the evening") == ["7:00"]
    assert taken_up("Roses are red.", WISH) == []


def test_a_courtesy_is_nothing_else():
    assert is_courtesy("Hi!")
    assert is_courtesy("Great, thanks a lot, bye.")
    assert not is_courtesy("Great!")
    assert not is_courtesy("Thanks, and a table")


@pytest.mark.parametrize(
    ("text", "times", "counts"),
    [
        ("7 p.m., 19:00 and seven o'clock", {420}, []),
        ("Midnight or noon", {0}, []),
        ("12ish for 12 guests", {0}, [12]),
        ("six pm, 4 people", {360}, [4]),
        ("at 40 Main Street", set(), [40]),
        ("3.50 a head", set(), []),
        ("9" * 5000, set(), []),
    ],
)
def test_times_and_counts(text, times, counts):
    assert times_in(text) == times
    assert counts_in(text) == counts


@given(st.text(), st.text())
def test_no_text_is_too_odd(text, given):
    contradiction(f"The table is booked. {text}", given, given)
    asks_for_missing(text, given)
    asks_again(text, given)
    taken_up(text, given)
    parties_in(text)
