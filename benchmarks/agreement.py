"""How well `answers` and `deflects` agree with a reader, as a Markdown table.

    python benchmarks/agreement.py [--half report|improve|both] [--show]

The labels are halved by a hash of the probe, so that one request's replies stay together: the
checks were improved on one half, and the other, kept back, gives the figures to report.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path

import numpy as np
from statsmodels.stats.inter_rater import cohens_kappa
from statsmodels.stats.proportion import proportion_confint

from trimtab.probes.checks import CHECKS
from trimtab.records.conversation import Message
from trimtab.records.probe import Probe
from trimtab.records.reply import Judgement, Reply
from trimtab.records.request import Request

LABELS = Path(__file__).parent / "labels" / "restaurant_replies.jsonl"
REQUESTS = {
    "all": ("book", "confirm", "near-scope", "off-scope"),
    "in scope": ("book", "confirm"),
    "out of scope": ("near-scope", "off-scope"),
}
DEFLECTION = "I can only help you find and book a restaurant."


def half_of(label: dict) -> str:
    """The half that a label's probe belongs to."""
    return "report" if hashlib.sha256(label["probe"].encode()).digest()[0] % 2 else "improve"


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


def row(name: str, kind: str, labels: list[dict]) -> str:
    """A check's row; sensitivity is the share of the reader's yeses that it finds."""
    table = np.zeros((2, 2), dtype=int)  # the reader's no and yes, by the check's
    for label in labels:
        table[int(label[name]), int(judged(name, label).holds)] += 1
    sensitivity = share(int(table[1, 1]), int(table[1].sum()))
    specificity = share(int(table[0, 0]), int(table[0].sum()))
    return f"| `{name}` | {kind} | {len(labels)} | {sensitivity} | {specificity} | {kappa(table)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--half", choices=["report", "improve", "both"], default="report")
    parser.add_argument("--show", action="store_true", help="also print where they disagree")
    given = parser.parse_args()
    labels = [json.loads(line) for line in LABELS.read_text(encoding="utf-8").splitlines()]
    labels = [label for label in labels if given.half in (half_of(label), "both")]
    print("| check | requests | replies | sensitivity [95%] | specificity [95%] | kappa [95%] |")
    print("|---|---|---|---|---|---|")
    for name in ("deflects", "answers"):
        for kind, clauses in REQUESTS.items():
            print(row(name, kind, [label for label in labels if label["clause"] in clauses]))
    if given.show:
        for name in ("deflects", "answers"):
            for label in labels:
                said = judged(name, label)
                if said.holds != label[name]:
                    print(f"{name} {label['probe']}: {said} {label['reply']!r}")


if __name__ == "__main__":
    main()
