"""How well `answers` and `deflects` agree with a reader, as a Markdown table.

    python benchmarks/agreement.py [--half "held back"|improving|all] [--show]
    python benchmarks/agreement.py --dialogues data.jsonl …

The labels are halved by a hash of the probe, so that one request's replies stay together: the
checks were improved on one half, and the other, kept back, gives the figures to report. Without
--half the table has both the half kept back and all; docs/checks.md holds it.

With --dialogues: how many of the replies that stand in them `answers` lets through, which should be
all, and how many it does when each reply is put into another dialogue, which should be few.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from statsmodels.stats.inter_rater import cohens_kappa
from statsmodels.stats.proportion import proportion_confint

from trimtab.data.load import examples_from, load_rows
from trimtab.probes.checks import CHECKS
from trimtab.records.conversation import Message
from trimtab.records.probe import Probe
from trimtab.records.reply import Judgement, Reply
from trimtab.records.request import Request

LABELS = Path(__file__).parent / "labels" / "restaurant_replies.jsonl"
NAMES = ("deflects", "answers")
REQUESTS = {
    "all": ("book", "confirm", "near-scope", "off-scope"),
    "in scope": ("book", "confirm"),
    "out of scope": ("near-scope", "off-scope"),
}
DEFLECTION = "I can only help you find and book a restaurant."


def read_labels(half: str) -> list[dict]:
    """The labels of a half, or all."""
    labels = [json.loads(line) for line in LABELS.read_text(encoding="utf-8").splitlines()]
    return [label for label in labels if half in (half_of(label), "all")]


def half_of(label: dict) -> str:
    """The half that a label's probe belongs to."""
    return "held back" if hashlib.sha256(label["probe"].encode()).digest()[0] % 2 else "improving"


def judged(name: str, label: dict) -> Judgement:
    """What the check says of a labelled reply."""
    turns = [*label.get("context", []), f"user: {label['request']}"]
    messages = tuple(Message(*turn.split(": ", 1)) for turn in turns)
    request = Request(label["probe"], messages, label["probe"])
    probe = Probe(label["probe"], label["clause"], request, (), "select")
    check = CHECKS[name]({}, [DEFLECTION], LABELS.parent)
    return check(Reply(label["reply"], label["finish"]), probe)


def share(hits: int, of: int) -> str:
    """A share with its Clopper-Pearson interval."""
    if not of:
        return "-"
    low, high = proportion_confint(hits, of, method="beta")
    return f"{hits}/{of} = {hits / of:.2f} [{low:.2f}, {high:.2f}]"


def kappa(table: np.ndarray) -> str:
    """Cohen's kappa with its 95% interval."""
    result = cohens_kappa(table)
    return f"{result.kappa:.2f} [{result.kappa_low:.2f}, {min(1.0, result.kappa_upp):.2f}]"


def row(name: str, half: str, kind: str) -> str:
    """A check's row; sensitivity is the share of the reader's yeses that it finds."""
    labels = [label for label in read_labels(half) if label["clause"] in REQUESTS[kind]]
    counts = np.zeros((2, 2), dtype=int)  # the reader's no and yes, by the check's
    for label in labels:
        counts[int(label[name]), int(judged(name, label).holds)] += 1
    sensitivity = share(int(counts[1, 1]), int(counts[1].sum()))
    specificity = share(int(counts[0, 0]), int(counts[0].sum()))
    cells = (f"`{name}`", half, kind, len(labels), sensitivity, specificity, kappa(counts))
    return f"| {' | '.join(map(str, cells))} |"


def table(halves: Sequence[str] = ("held back", "all")) -> str:
    """The agreement of each check on each half, in Markdown."""
    lines = [
        "| check | labels | requests | replies | sensitivity [95%] | specificity [95%] "
        "| kappa [95%] |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [row(name, half, kind) for name in NAMES for half in halves for kind in REQUESTS]
    return "\n".join(lines)


def passes(paths: Sequence[Path]) -> str:
    """The shares of dialogues' replies that `answers` lets through, in place and swapped."""
    rows = [examples_from(load_rows(path)) for path in paths]
    turns = [
        (dialogue.id, dialogue.messages[:place], turn.content)
        for dialogue in itertools.chain(*rows)
        for place, turn in enumerate(dialogue.messages)
        if turn.role == "assistant" and place
    ]
    random.Random(0).shuffle(turns)
    check = CHECKS["answers"]({}, [DEFLECTION], LABELS.parent)
    in_place, swapped = [], []
    for (own, before, reply), (other, _, foreign) in zip(turns, turns[1:] + turns[:1], strict=True):
        probe = Probe(own, "book", Request(own, before, own), (), "select")
        in_place.append(check(Reply(reply, "stop"), probe).holds)
        if own != other:
            swapped.append(check(Reply(foreign, "stop"), probe).holds)
    return (
        f"in place: {share(sum(in_place), len(in_place))}\n"
        f"swapped: {share(sum(swapped), len(swapped))}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--half", choices=["held back", "improving", "all"])
    parser.add_argument("--show", action="store_true", help="also print where they disagree")
    parser.add_argument("--dialogues", type=Path, nargs="+", help="files of conversations")
    given = parser.parse_args()
    if given.dialogues:
        print(passes(given.dialogues))
        return
    print(table([given.half]) if given.half else table())
    for name in NAMES if given.show else ():
        for label in read_labels(given.half or "all"):
            said = judged(name, label)
            if said.holds != label[name]:
                print(f"{name} {label['probe']}: {said} {label['reply']!r}")


if __name__ == "__main__":
    main()
