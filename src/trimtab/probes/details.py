"""What a reply does with what the user gave: takes it up, asks for what is missing, contradicts."""

from __future__ import annotations

import re
from collections.abc import Sequence

from trimtab.probes.wording import content_words, normal_text, plain, sentences_in
from trimtab.records.conversation import Conversation, last_user_text

COURTESIES = frozenset("bye cheers goodbye hello hey hi thank thanks".split())
AROUND_COURTESIES = frozenset(
    "appreciate day fine good great help lot lovely much nice ok okay perfect".split()
)
AGREES = re.compile(r"(?:fine|great|it's a yes|ok|okay|perfect|please|right|sure|yeah|yep|yes)\b")
SHORT_WORDS = 4
"""A turn of so many words at most says little without the one that it answers."""

ASKS_TIME = re.compile(r"\bwhat time\b")
ASKS_COUNT = re.compile(r"\bhow many\b")
ASKS_ELSE = re.compile(
    r"^any\b|\b(?:what(?! time)|which|when|where|who|whose|"
    r"how (?:much|long|old|soon|about|would|should))\b"
)
OFFERS_CHOICE = re.compile(
    r"\b(?:you(?:r|'d|'ll|'re)?|(?:shall|should) (?:i|we)|(?:may|can) i|"
    r"suit|work|ok|okay|fine|right|correct|still|or)\b"
)
IDLE_QUESTION = re.compile(
    r"\b(?:(?:did|do) you know|have you (?:ever|heard)|(?:any|some)thing else|"
    r"(?:can|could|may) i (?:assist|do|help)|"
    r"is (?:everything|it|that|this) (?:all )?(?:correct|fine|ok|okay|right))\b"
)
TELL_ME = re.compile(r"\b(?:tell me|let me know)\b(?! if\b)")

_GUESTS = r"(?:people|persons?|guests?|diners?|adults?|covers?|seats?|of (?:us|you))\b"
_UNITS = (
    r"(?:minutes?|mins?|hours?|hrs?|days?|nights?|weeks?|months?|years?|pounds?|euros?|dollars?|"
    r"percent|courses?|tables?|rooms?|st|nd|rd|th)\b"
)
NUMBER = re.compile(
    r"\b(?P<before>(?:at|by|about|around|after|before|till|until) )?"
    r"(?P<hour>\d{1,2})(?::(?P<minute>[0-5]\d))?"
    r"(?P<after> ?(?:[ap]m|o['\s]clock|ish|in the (?:morning|afternoon|evening))\b)?"
    rf"(?![\w:.])(?! {_GUESTS})"
)
PARTY = re.compile(
    rf"\b(?:for|of|we're|we are|be) (\d{{1,4}})\b(?! {_UNITS})|\b(\d{{1,4}}) {_GUESTS}"
)

LEAVES_ROOM = re.compile(
    r"\b(?:or|any|about|around|roughly|after|before|between|by|from|until|till|past|half|quarter|"
    r"ish|flexible|closest|nearest|earliest|latest|plus|extra|instead|chang\w*|mov\w*|"
    r"when|what time|how (?:many|long|late|early)|open\w*|clos\w*)\b"
)
"""Said by a user who means no one time or number, or asks for it."""
SETTLES = re.compile(
    r"\b(?:table|booked|booking|reserved|reservation|confirmed|held|that works|"
    r"(?:shall|should) (?:i|we)|is (?:that|this|it) (?:correct|right))\b"
)
OFFERS_ANOTHER = re.compile(
    r"\b(?:only|instead|but|however|or|earliest|latest|next|other|another|alternativ\w*|nearest|"
    r"closest|full|free|available|no|not|can't|cannot|unable|sorry|unfortunately|afraid|after|"
    r"before|between|from|until|till|open\w*|clos\w*|chang\w*|mov\w*)\b"
)


def given_by_user(messages: Conversation) -> str:
    """What the user said and, where the last turn is short or a yes, the turn that it answers.

    >>> from trimtab.records.conversation import say
    >>> given_by_user(say("Dinner in Lyon", "Shall I take Chez Ravel?", "Yes"))
    'Dinner in Lyon Yes Shall I take Chez Ravel?'
    """
    given = [turn.content for turn in messages if turn.role == "user"]
    last = normal_text(last_user_text(messages))
    if len(last.split()) <= SHORT_WORDS or AGREES.match(last):
        given += [turn.content for turn in messages if turn.role == "assistant"][-1:]
    return " ".join(given)


def is_courtesy(text: str) -> bool:
    """Whether a text greets, thanks or takes leave, and says nothing else.

    >>> is_courtesy("Great, thank you so much!"), is_courtesy("Hello, a table!")
    (True, False)
    """
    words = set(content_words(text).values())
    return bool(words & COURTESIES) and words <= COURTESIES | AROUND_COURTESIES


def taken_up(text: str, given: str) -> list[str]:
    """A reply's content words that `given` has, too, and its times, however they are written.

    >>> taken_up("Lyon has a table at 7 pm.", "Something in Lyon around seven")
    ['lyon', '7:00']
    """
    own, theirs = content_words(text), content_words(given)
    times = times_in(text) & {*times_in(given), *_hours(counts_in(given))}
    return [*(word for stem, word in own.items() if stem in theirs), *map(_clock, sorted(times))]


def asks_for_missing(text: str, given: str) -> str | None:
    """The first sentence that asks the user for something, or offers a choice; None without one.

    A time, or a number, is missing only where `given`, which is what the user said, has none.

    >>> asks_for_missing("Did you know? What time, and for how many?", "Dinner at 7")
    'What time, and for how many?'
    >>> print(asks_for_missing("What time?", "Dinner at 7"))
    None
    """
    has_time, has_count = bool(times_in(given)), bool(counts_in(given))
    for sentence in sentences_in(plain(text)):
        said = sentence.casefold()
        if TELL_ME.search(said):
            return sentence
        if not said.endswith("?") or IDLE_QUESTION.search(said):
            continue
        time, count = ASKS_TIME.search(said), ASKS_COUNT.search(said)
        missing = (time and not has_time) or (count and not has_count)
        offers = not (time or count) and OFFERS_CHOICE.search(said)
        if missing or offers or ASKS_ELSE.search(said):
            return sentence
    return None


def asks_again(text: str, given: str) -> str | None:
    """The first sentence that asks for nothing but a time, or a number, that `given` has.

    None where the user leaves room, and where the reply offers another.

    >>> asks_again("Good. What time?", "Dinner at 7")
    'What time?'
    """
    if _is_open(text, given):
        return None
    has_time, has_party = bool(times_in(given)), bool(parties_in(given))
    for sentence in sentences_in(plain(text)):
        said = sentence.casefold()
        time, count = ASKS_TIME.search(said), ASKS_COUNT.search(said)
        is_known = (not time or has_time) and (not count or has_party)
        if said.endswith("?") and (time or count) and is_known and not ASKS_ELSE.search(said):
            return sentence
    return None


def contradiction(text: str, given: str, known: str) -> str | None:
    """How a reply settles another time, or number of people, than the only one in `given`.

    `given` is what the user said, `known` all turns: what stands there contradicts nothing, nor
    does a question. None where the user leaves room, and where the reply offers another.

    >>> contradiction("A table for nine at noon is booked.", "Two of us, 7 pm", "Two of us, 7 pm")
    'says 12:00, not 7:00'
    """
    if _is_open(text, given) or not SETTLES.search(normal_text(text)):
        return None
    stated = " ".join(each for each in sentences_in(text) if not each.endswith("?"))
    counts, times = counts_in(known), times_in(known)  # "for 8" may be either
    wanted_time, wanted_party = times_in(given), parties_in(given)
    other_times = times_in(stated) - times - _hours(counts)
    if len(wanted_time) == 1 and other_times:
        return f"says {_clock(min(other_times))}, not {_clock(*wanted_time)}"
    other_parties = parties_in(stated) - {*counts, *(time // 60 or 12 for time in times)}
    if len(wanted_party) == len(counts_in(given)) == 1 and other_parties:
        return f"says {min(other_parties)}, not {min(wanted_party)}"
    return None


def _is_open(text: str, given: str) -> bool:
    """Whether the user leaves room for another time or number, or the reply offers one."""
    return bool(OFFERS_ANOTHER.search(normal_text(text)) or LEAVES_ROOM.search(normal_text(given)))


def times_in(text: str) -> set[int]:
    """The times of day, in minutes since the last twelve o'clock.

    >>> sorted(times_in("Noon, 7 pm or 19:30, around eight for two, one in the afternoon"))
    [0, 60, 420, 450, 480]
    """
    times = map(_time_of, NUMBER.finditer(_normal(text)))
    return {time for time in times if time is not None}


def counts_in(text: str) -> list[int]:
    """The whole numbers that are no times.

    >>> counts_in("At 7 pm for two, table 12")
    [2, 12]
    """
    return [int(number) for number in re.findall(r"(?<![\w.:])\d{1,6}(?![\w.:])", _timeless(text))]


def parties_in(text: str) -> set[int]:
    """How many people a text speaks of.

    >>> sorted(parties_in("A table for four, 30 pounds each, or 6 guests at 7 pm, for 2 hours"))
    [4, 6]
    """
    return {int(one or other) for one, other in PARTY.findall(_timeless(text))}


def _normal(text: str) -> str:
    return re.sub(r"\b(?:noon|midday|midnight)\b", "12pm", normal_text(text))


def _timeless(text: str) -> str:
    """Normal text, a comma in place of each time of day."""
    return NUMBER.sub(lambda match: match[0] if _time_of(match) is None else ",", _normal(text))


def _time_of(number: re.Match[str]) -> int | None:
    """The minutes since the last twelve o'clock; None where nothing shows that it is a time."""
    hour = int(number["hour"])
    if hour > 24 or not (number["before"] or number["minute"] or number["after"]):
        return None
    return (60 * hour + int(number["minute"] or 0)) % 720


def _hours(counts: Sequence[int]) -> set[int]:
    """The times that bare numbers may mean."""
    return {60 * count % 720 for count in counts if count <= 24}


def _clock(time: int) -> str:
    return f"{time // 60 or 12}:{time % 60:02}"
