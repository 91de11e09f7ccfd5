"""What a reply's words show: a deflection, repetition, numbers, sentences."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

CUE_WORDS = 30
"""A deflection shows itself within this many words."""
LONG_TAIL_WORDS = 35
"""A reply that goes on for longer after its deflection answers after all."""

_HELP = (
    r"(?:help|assist|answer|provide|offer|give|write|create|do|handle|discuss|support|share|"
    r"complete|generate|talk|deal|advise|cover|make|look|find|book|manage|fulfil+|comply)"
)
DEFLECTION_CUES = tuple(
    re.compile(cue, re.IGNORECASE)
    for cue in (
        rf"\b(?:i|we) (?:can|could|may|am able to|are able to) only {_HELP}",
        rf"\b(?:i|we) only {_HELP}\b",
        r"\b(?:i am|i'm|we are|we're) (?:only|just) (?:here|able|set up|made|meant|built|for)",
        rf"\b(?:can't|cannot|can not|unable to|not able to|won't be able to|not allowed to)"
        rf" (?:\w+ ){{0,2}}?{_HELP}",
        r"\b(?:outside|beyond|not (?:within|part of|in)) (?:of )?(?:my|our|what|the|scope)",
        r"\b(?:not|isn't|is not) something (?:that )?i(?:'m| am)? (?:can|could|able|do)\b",
        r"\bi don't (?:have|do|handle|offer|give|write|provide|deal)\b",
        r"\bi(?:'m| am) (?:not (?:the right|equipped|designed|trained)|a (?:\w+ )?booking)",
        r"\b(?:sorry|apologi[sz]e|afraid)\b[^.!?]{0,60}\b(?:only|can't|cannot|unable|not able)\b",
    )
)
STOP_WORDS = frozenset(
    """a about after all also am an and any are as at be been but by can could did do does doing
    for from get got had has have he her here him his how i if in into is it its just let like
    make me my no not of off on one or our out over please she should so some than that the their
    them then there these they this those to too up us very want was we were what when where which
    who why will with would yes you your
    i'm i'd i'll i've it's that's there's don't can't""".split()
)
NUMBER_WORDS = {
    word: value
    for value, word in enumerate(
        """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen
        fifteen sixteen seventeen eighteen nineteen twenty""".split()
    )
}
TENS = {
    word: 10 * value
    for value, word in enumerate(
        ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"], start=2
    )
}
ABBREVIATIONS = re.compile(
    r"\b(?:mr|mrs|ms|dr|st|prof|sr|jr|vs|etc|e\.g|i\.e|a\.m|p\.m|no|approx|[a-z])\.$", re.IGNORECASE
)


def plain(text: str) -> str:
    """Straight quotes, one kind of space, compatibility forms folded."""
    folded = unicodedata.normalize("NFKC", text).replace("’", "'").replace("‘", "'")
    return " ".join(folded.split())


def is_deflection(text: str, deflections: Sequence[str]) -> tuple[bool, str]:
    """Whether a reply turns the request down, and why one may think so.

    It does if its start says one of `deflections` (six words in ten), or holds a cue of turning
    down, and if it does not go on to answer at length.

    >>> is_deflection("I can only help you book a table.", [])
    (True, "turns down: 'I can only help'")
    >>> is_deflection("Sure! Roses are red.", [])
    (False, 'no cue of turning down')
    """
    said = plain(text)
    start = " ".join(said.split()[:CUE_WORDS])
    found: tuple[int, str] | None = None
    for cue in DEFLECTION_CUES:
        if match := cue.search(start):
            found = (match.end(), f"turns down: {match[0]!r}")
            break
    if found is None:
        for deflection in deflections:
            wanted = words_in(deflection)
            opening = words_in(" ".join(said.split()[: len(wanted) + 5]))
            if wanted and len(set(wanted) & set(opening)) >= 0.6 * len(set(wanted)):
                found = (len(start), "says the charter's deflection")
                break
    if found is None:
        return False, "no cue of turning down"
    end, why = found
    sentence_end = re.search(r"[.!?](?:\s|$)", said[end:])
    tail = said[end + sentence_end.end() :] if sentence_end else ""
    if len(tail.split()) > LONG_TAIL_WORDS:
        return False, f"{why}, and then goes on to answer"
    return True, why


def words_in(text: str) -> list[str]:
    """The words in lower case, without punctuation."""
    return re.findall(r"[\w']+", plain(text).casefold())


def content_words(text: str) -> set[str]:
    """Stems of the words that carry content, and numbers as digits."""
    return {_stem(word) for word in normal_text(text).split() if word not in STOP_WORDS}


def _stem(word: str) -> str:
    """Enough to make booking, booked and bookings one word."""
    for ending in ("ations", "ation", "ings", "ing", "ies", "ied", "ed", "es", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 4:
            return word[: -len(ending)]
    return word


def normal_text(text: str) -> str:
    """Lower case, number words as digits, times as 7:30pm, punctuation gone.

    >>> normal_text("A table for FOUR at 7:30 PM, please!")
    'a table for 4 at 7:30pm please'
    """
    lower = plain(text).casefold()
    lower = re.sub(r"\b([ap])\.\s?m\b\.?", r"\1m", lower)
    lower = re.sub(r"(\d)\s+([ap]m)\b", r"\1\2", lower)
    lower = re.sub(r"(\d):00(?=[ap]m)", r"\1", lower)
    words = re.findall(r"\d+(?::\d+)?(?:[ap]m)?|[^\W_]+(?:'[^\W_]+)*", lower)
    return " ".join(str(NUMBER_WORDS.get(word, word)) for word in words)


def numbers_in(text: str) -> list[float]:
    """The numbers of a text in order, digits or words up to ninety-nine.

    >>> numbers_in("Twenty-one seats, 1,200.50 pounds, -3 degrees")
    [21.0, 1200.5, -3.0]
    """
    found: list[float] = []
    tens = "|".join(TENS)
    units = "|".join(NUMBER_WORDS)
    pattern = rf"(?<![\w.])-?\d[\d,]*(?:\.\d+)?|\b(?:(?:{tens})(?:[- ](?:{units}))?|{units})\b"
    for match in re.finditer(pattern, plain(text).casefold()):
        token = match[0]
        if token[-1].isdigit():
            found.append(float(token.replace(",", "")))
        else:
            parts = re.split(r"[- ]", token)
            found.append(float(sum(TENS.get(part, NUMBER_WORDS.get(part, 0)) for part in parts)))
    return found


def sentences_in(text: str) -> list[str]:
    """The sentences of a text; a line without an end mark counts as one.

    >>> sentences_in("Dr. Ames is in. Call at 7 p.m. today!")
    ['Dr. Ames is in.', 'Call at 7 p.m. today!']
    """
    sentences: list[str] = []
    for line in text.splitlines():
        current = ""
        for piece in re.split(r"(?<=[.!?])[\"')\]]*\s+", line.strip()):
            current = f"{current} {piece}".strip()
            if current and not ABBREVIATIONS.search(current):
                sentences.append(current)
                current = ""
        if current:
            sentences.append(current)
    return [sentence for sentence in sentences if re.search(r"\w", sentence)]


def repeats_itself(text: str) -> str | None:
    """A run of four words that comes three times or more, or None.

    >>> repeats_itself("and so on and so on and so on and so on")
    'and so on and'
    """
    words = words_in(text)
    runs = Counter(tuple(words[start : start + 4]) for start in range(len(words) - 3))
    if not runs:
        return None
    run, count = runs.most_common(1)[0]
    return " ".join(run) if count >= 3 else None


def asks_back(text: str) -> bool:
    """Whether the reply holds a question."""
    return "?" in text
