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
    r"(?:help|assist|answer|advise|discuss|support|write|create|generate|comply|talk|"
    r"provide|share|handle|deal|cover|fulfil+|complete|manage)"
)
_DO = r"(?:do|offer|give|make|look|find|book|have|see|take|seat|get|reserve|hold)"
_ARE = r"(?:i am|i'm|we are|we're)"
_CANNOT = r"(?:can't|cannot|can not|unable to|not able to|won't be able to|not allowed to)"
_THINGS = r"(?:ability|capability|capacity|access|information|expertise|knowledge)"
DEFLECTION_CUES = tuple(
    re.compile(cue, re.IGNORECASE)
    for cue in (
        rf"\b(?:i|we) (?:can|could|may|am able to|are able to) only {_HELP}\b",
        rf"\b(?:i|we) only {_HELP}\b",
        rf"\b{_ARE} (?:only|just) (?:here|set up|made|meant|built|for|able to {_HELP})\b",
        rf"\b(?:(?:i|we) {_CANNOT}|{_ARE} {_CANNOT}|unable to)"
        rf" (?:\w+ ){{0,2}}?{_HELP}\b",
        r"\b(?:outside|beyond|not (?:within|part of|in)) (?:of )?"
        r"(?:my|our|what (?:i|we)|the scope)\b",
        r"\b(?:not|isn't|is not) something (?:that )?(?:i|we)(?:'m|'re| am| are)? "
        r"(?:can|could|able|do)\b",
        rf"\b(?:i|we) don't (?:handle|offer|write|provide|deal|have (?:\w+ ){{0,2}}?{_THINGS})\b",
        rf"\b{_ARE} (?:not (?:the right|equipped|designed|trained)|(?:only )?a (?:\w+ )?booking)",
    )
)
AVAILABILITY_CUES = tuple(
    re.compile(cue, re.IGNORECASE)
    for cue in (
        rf"\b(?:i|we) (?:can|could|may|am able to|are able to) only {_DO}\b",
        rf"\b(?:i|we) only {_DO}\b",
        rf"\b{_ARE} only able to\b",
        rf"\b(?:i|we) {_CANNOT} (?:\w+ ){{0,2}}?{_DO}\b",
        r"\b(?:i|we) don't (?:have|do|give)\b",
        r"\b(?:sorry|apologi[sz]e|afraid)\b[^.!?]{0,40}?\b(?:i|we)(?:'m|'re| am| are)? "
        r"(?:can only|only|can't|cannot|unable|not able)\b",
    )
)
"""These turn down as well, unless their sentence tells of a number, a time or a place to sit."""
AVAILABILITY = re.compile(
    r"\d|\b(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|noon|midnight|"
    r"(?:mon|tues|wednes|thurs|fri|satur|sun)days?|today|tonight|tomorrow|then|left|free|"
    r"available|open|(?:that|any|a|the|another) (?:tables?|seats?|time|night|date|day))\b",
    re.IGNORECASE,
)
RESTRICTING = frozenset(
    "only just can't cannot not no sorry afraid unable don't won't isn't".split()
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
PRONOUN_BEFORE = re.compile(r"\b(?:this|that|which|another|each|every|any|no|some|preferred) $")
"""What stands before "one" where it counts nothing."""
TITLES = re.compile(
    r"(?:\b(?i:mr|mrs|ms|dr|st|prof|sr|jr|vs|e\.g|i\.e|approx)|\b[A-HJ-Z])\.$|^\d+\.$"
)
"""What ends in a full stop but never ends a sentence; the last is a list's number."""
MAYBE_ENDS = re.compile(r"(?:\b(?:etc|[ap]\.m)\.|\.\.|…)[\"')\]]*$", re.IGNORECASE)
"""What ends a sentence where no lower case letter and no digit follows."""


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
    found = _cue_in(said) or _wording_of(deflections, said)
    if found is None:
        return False, "no cue of turning down"
    end, why = found
    sentence_end = re.search(r"[.!?](?:\s|$)", said[end:])
    tail = said[end + sentence_end.end() :] if sentence_end else ""
    if len(tail.split()) > LONG_TAIL_WORDS:
        return False, f"{why}, and then goes on to answer"
    return True, why


def _cue_in(said: str) -> tuple[int, str] | None:
    """Where the first cue of turning down ends, and what it says."""
    start = " ".join(said.split()[:CUE_WORDS])
    for cue in DEFLECTION_CUES:
        if match := cue.search(start):
            return match.end(), f"turns down: {match[0]!r}"
    for cue in AVAILABILITY_CUES:
        if match := cue.search(start):
            rest = re.split(r"[.!?](?:\s|$)", said[match.end() :])[0]
            if not AVAILABILITY.search(rest):
                return match.end(), f"turns down: {match[0]!r}"
    return None


def _wording_of(deflections: Sequence[str], said: str) -> tuple[int, str] | None:
    """Where a reply that opens much like one of `deflections` has said it.

    A word that restricts must be shared, too: "I can help you find a table" turns nothing down.
    """
    for deflection in deflections:
        wanted = set(words_in(deflection))
        beginning = " ".join(said.split()[: len(words_in(deflection)) + 5])
        shared = wanted & set(words_in(beginning))
        restricts = bool(shared & RESTRICTING) or not wanted & RESTRICTING
        if wanted and restricts and len(shared) >= 0.6 * len(wanted):
            return len(beginning) - 1, "says the charter's deflection"
    return None


def words_in(text: str) -> list[str]:
    """The words in lower case, without punctuation."""
    return re.findall(r"[\w']+", plain(text).casefold())


def content_words(text: str) -> dict[str, str]:
    """The words that carry content, by their stems; numbers are digits.

    >>> content_words("Two tables in Bath")
    {'2': '2', 'tabl': 'tables', 'bath': 'bath'}
    """
    return {_stem(word): word for word in normal_text(text).split() if word not in STOP_WORDS}


def _stem(word: str) -> str:
    """Enough to make booking, booked and bookings one word."""
    if word.endswith("ss"):
        return word
    for ending in ("ations", "ation", "ings", "ing", "ies", "ied", "ed", "es", "s", "e", "y"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)]
    return word


def normal_text(text: str) -> str:
    """Lower case without accents, number words as digits, times as 7:30pm, punctuation gone.

    >>> normal_text("A table for FOUR at 7:30 PM, please!")
    'a table for 4 at 7:30pm please'
    """
    parts = unicodedata.normalize("NFKD", plain(text).casefold())
    lower = "".join(letter for letter in parts if not unicodedata.combining(letter))
    lower = re.sub(r"(?<![a-z])([ap])\.\s?m\b\.?", r"\1m", lower)
    lower = re.sub(r"(\d)\s+([ap]m)\b", r"\1\2", lower)
    lower = re.sub(r"(\d)\.(\d\d)(?=[ap]m)", r"\1:\2", lower)
    lower = re.sub(r"(\d):00(?=[ap]m)", r"\1", lower)
    lower = re.sub(r"(?<=\d),(?=\d{3}\b)", "", lower)
    words = re.findall(r"\d+(?:[:.]\d+)*(?:[ap]m)?|[^\W_]+(?:'[^\W_]+)*", lower)
    return " ".join(str(NUMBER_WORDS.get(word, word)) for word in words)


def numbers_in(text: str) -> list[float]:
    """The numbers of a text in order, digits or words up to ninety-nine.

    >>> numbers_in("Twenty-one seats, 1,200.50 pounds, -3 degrees")
    [21.0, 1200.5, -3.0]
    """
    found: list[float] = []
    tens = "|".join(TENS)
    units = "|".join(NUMBER_WORDS)
    digits = r"(?<![\w.])-?(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?"
    words = rf"\b(?:(?:{tens})(?:[- ](?:{units}))?|{units})\b"
    said = plain(text).casefold().replace("−", "-")
    for match in re.finditer(f"{digits}|{words}", said):
        token = match[0]
        if token == "one" and PRONOUN_BEFORE.search(said[: match.start()]):
            continue
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
        for piece in re.split(r"(?:(?<=[.!?…])|(?<=[.!?…][\"')\]]))\s+", line.strip()):
            goes_on = MAYBE_ENDS.search(current) and re.match(r"[a-z\d]", piece)
            number = re.search(r"\bno\.$", current, re.IGNORECASE) and re.match(r"\d", piece)
            if current and not (TITLES.search(current) or goes_on or number):
                sentences.append(current)
                current = ""
            current = f"{current} {piece}".strip()
        sentences.append(current)
    return [sentence for sentence in sentences if re.search(r"\w", sentence)]


def repeats_itself(text: str) -> str | None:
    """A run of four words that comes three times or more, or of eight that comes twice, or None.

    >>> repeats_itself("and so on and so on and so on and so on")
    'and so on and'
    """
    words = words_in(text)
    for length, most in ((4, 2), (8, 1)):
        starts = range(len(words) - length + 1)
        runs = Counter(tuple(words[start : start + length]) for start in starts)
        for run, count in runs.most_common(1):
            if count > most:
                return " ".join(run)
    return None
