"""Figures and findings in words that a manager reads and an engineer can check."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path

from trimtab.records.charter import ClauseKind
from trimtab.records.probe import SPLITS
from trimtab.records.profile import ClauseResult, Interval, Loss, Verdict
from trimtab.records.story import Asked, Control, Cost, Story

SIGNS: dict[Verdict, str] = {"met": "✓", "missed": "✗", "undecided": "?", "nothing to lose": "–"}
DUTIES: dict[ClauseKind, str] = {
    "perform": "must do",
    "deflect": "must turn down",
    "retain": "must not lose",
    "never": "must not do",
}
BIDI_CONTROLS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
MOST_NAMED = 4


def visible(text: str) -> str:
    """The text with characters that hide or reorder it spelled out; line ends and tabs stay.

    >>> visible("safe\\u202egpj.exe\\x1b[0m\\r\\nnext")
    'safe⟨U+202E⟩gpj.exe⟨U+001B⟩[0m\\nnext'
    """
    return "".join(
        f"⟨U+{ord(character):04X}⟩" if _hides(character) else character
        for character in text.replace("\r\n", "\n")
    )


def _hides(character: str) -> bool:
    if character in "\n\t":
        return False
    return character in BIDI_CONTROLS or unicodedata.category(character) in ("Cc", "Cs")


def clip(text: str, characters: int = 2000) -> str:
    """The text's beginning, with a count of what was left out.

    >>> clip("a long reply", 6)
    'a long … (6 more characters)'
    """
    left_out = len(text) - characters
    return f"{text[:characters]} … ({count(left_out)} more characters)" if left_out > 0 else text


def count(number: int) -> str:
    """
    >>> count(204800)
    '204,800'
    """
    return f"{number:,}"


def plural(number: int, noun: str) -> str:
    """
    >>> plural(1, "clause"), plural(1200, "clause"), plural(2, "reply")
    ('1 clause', '1,200 clauses', '2 replies')
    """
    if number == 1:
        return f"1 {noun}"
    return f"{count(number)} {noun[:-1]}ies" if noun[-1] == "y" else f"{count(number)} {noun}s"


def percent(share: float) -> str:
    """
    >>> percent(0.9333), percent(1)
    ('93.3%', '100.0%')
    """
    return f"{share:.1%}"


def rate(result: ClauseResult) -> str:
    """The rate alone; a dash where no reply was judged."""
    return percent(result.rate) if result.n else "–"


def span(interval: Interval | ClauseResult) -> str:
    """The bounds of a rate, in percent.

    >>> span(Interval(0.9, 0.8512, 0.94))
    '85.1–94.0%'
    """
    return f"{interval.low * 100:.1f}–{interval.high * 100:.1f}%"


def rate_and_span(result: ClauseResult | None) -> str:
    """The rate with Wilson's interval, for example "93.3% [87.4–96.6%]"."""
    return f"{rate(result)} [{span(result.wilson)}]" if result and result.n else "–"


def points(difference: float) -> str:
    """A difference of two rates, in percentage points.

    >>> points(-0.0125), points(0.45)
    ('−1.2', '+45.0')
    """
    return f"{difference * 100:+.1f}".replace("-", "−")


def bounds(difference: Interval) -> str:
    """
    >>> bounds(Interval(-0.01, -0.025, 0.005))
    '[−2.5, +0.5]'
    """
    return f"[{points(difference.low)}, {points(difference.high)}]"


def moved(difference: Interval) -> str:
    """
    >>> moved(Interval(-0.01, -0.025, 0.005))
    '−1.0 points [−2.5, +0.5]'
    """
    return f"{points(difference.value)} points {bounds(difference)}"


def loss(measured: Loss) -> str:
    """
    >>> loss(Loss(1.41234, 1.37, 1.4551, rows=120, tokens=6210))
    '1.412 [1.370–1.455]'
    """
    return f"{measured.value:.3f} [{measured.low:.3f}–{measured.high:.3f}]"


def control_sentence(control: Control) -> str:
    """What contrast did to the loss, and the harm that the difference's interval rules out.

    >>> control = Control(Loss(1.4, 1.3, 1.5, 10, 90), Interval(0.011, -0.002, 0.024))
    >>> for part in control_sentence(control).split(": "):
    ...     print(part)
    Beside it, held-out loss differs by +0.011 nats per token [−0.002, +0.024]
    harm above 2.4% in perplexity is ruled out.
    """
    value, low, high = (
        f"{nats:+.3f}".replace("-", "−")
        for nats in (control.difference.value, control.difference.low, control.difference.high)
    )
    worst = max(0.0, math.expm1(control.difference.high))
    return (
        f"Beside it, held-out loss differs by {value} nats per token [{low}, {high}]: "
        f"harm above {percent(worst)} in perplexity is ruled out."
    )


def p_value(p: float) -> str:
    """
    >>> p_value(0.00004), p_value(0.0312)
    ('< 0.001', '0.031')
    """
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def duration(seconds: float) -> str:
    """
    >>> duration(8.42), duration(200), duration(7260)
    ('8.4 s', '3 min 20 s', '2 h 1 min')
    """
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def goal(kind: ClauseKind, target: float) -> str:
    """
    >>> goal("perform", 0.9), goal("retain", 0.025)
    ('at least 90%', 'lose at most 2.5 points')
    """
    number = f"{target * 100:.4g}"
    return {
        "perform": f"at least {number}%",
        "deflect": f"at least {number}%",
        "retain": f"lose at most {number} points",
        "never": f"at most {number}%",
    }[kind]


def file_name(path: str) -> str:
    """
    >>> file_name("/home/ann/booker/data/recipes.jsonl")
    'recipes.jsonl'
    """
    return Path(path).name


def probes_of(asked: Asked) -> str:
    """How many probes a clause has, for example "100 final, 54 select"."""
    return ", ".join(f"{count(asked.probes[split])} {split}" for split in reversed(SPLITS))


def more_probes(result: ClauseResult) -> str:
    """How many more probes would decide the verdict; empty where it is decided or has none."""
    if result.verdict != "undecided" or not result.n:
        return ""
    return f"about {count(result.more)}" if result.more is not None else "over a million"


def verdict_sentence(story: Story) -> str:
    """The outcome in one sentence, for example

    "5 of 6 clauses met on 640 final probes; recipes is undecided."
    """
    results = story.profile.clauses
    probes = plural(sum(result.n for result in results), f"{story.profile.split} probe")
    if len(results) == 1:
        return f"The clause {results[0].clause} is {results[0].verdict} on {probes}."
    met = len(_named(results, "met"))
    share = "All" if met == len(results) else f"{met} of"
    parts = [
        f"{share} {plural(len(results), 'clause')} met on {probes}",
        _sentence_part(_named(results, "missed"), "missed"),
        _sentence_part(_named(results, "undecided"), "undecided"),
        _sentence_part(_named(results, "nothing to lose"), "at chance, with nothing to lose"),
    ]
    return "; ".join(filter(None, parts)) + "."


def _named(results: Sequence[ClauseResult], verdict: Verdict) -> list[str]:
    return [result.clause for result in results if result.verdict == verdict]


def _sentence_part(clauses: Sequence[str], outcome: str) -> str:
    if not clauses:
        return ""
    named = listed(clauses) if len(clauses) <= MOST_NAMED else str(len(clauses))
    return f"{named} {'is' if len(clauses) == 1 else 'are'} {outcome}"


def listed(names: Sequence[str]) -> str:
    """
    >>> listed(["book", "recipes", "poems"])
    'book, recipes and poems'
    """
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def pairs(values: Mapping[str, object]) -> str:
    """
    >>> pairs({"split": 0, "tune": 7})
    'split 0, tune 7'
    """
    return ", ".join(f"{name} {value}" for name, value in values.items())


def failures(failing: int, probes: int, unanswered: int) -> str:
    """
    >>> failures(5, 120, 2)
    '5 of 120 replies are not as wanted, of which 2 never came.'
    """
    missing = f", of which {count(unanswered)} never came" if unanswered else ""
    verb = "is" if failing == 1 else "are"
    return f"{count(failing)} of {plural(probes, 'reply')} {verb} not as wanted{missing}."


def looks_sentence(story: Story) -> str:
    """How often the final probes were looked at, and what the shown figures are worth."""
    times = {0: "not looked at", 1: "looked at once", 2: "looked at twice"}.get(
        story.looks, f"looked at {count(story.looks)} times"
    )
    sentence = f"The final probes were {times}."
    if story.profile.split == "select":
        return f"{sentence} These are select figures, which the search may have been fitted to."
    return sentence


def tokens_by_part(cost: Cost) -> str:
    """For example "specialising 18,320, candidates 25,912"."""
    return pairs({part: count(tokens) for part, tokens in cost.tokens.items()})


def made_with(story: Story) -> str:
    """The seeds and versions that a second run needs for the same figures."""
    return f"Seeds: {pairs(story.seeds)}. Versions: {pairs(story.versions)}."


def choice_sentence(story: Story) -> str:
    """By what the search chose its candidate, or that it kept none."""
    if any(candidate.chosen for candidate in story.candidates):
        return (
            "Rates are on select probes, by which the candidate was chosen; the clauses' figures "
            f"are on {story.profile.split} probes."
        )
    return "Rates are on select probes. None was chosen: the model stays as it was before."


def cost_line(cost: Cost) -> str:
    """What the run took, in one line."""
    measuring = f"{duration(cost.measuring_seconds)} of measuring"
    if not cost.tuned_tokens:
        return f"{measuring} on {cost.machine}"
    tuning = f"{count(cost.tuned_tokens)} tokens trained in {duration(cost.tuning_seconds)}"
    return f"{tuning} and {measuring} on {cost.machine}"
