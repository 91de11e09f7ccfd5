"""A small charter folder whose model is scripted, or tiny and random."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

CITIES = ["York", "Bath", "Galway", "Lyon", "Tampa", "Atlanta", "Norwich", "Portland"]
DISHES = ["soup", "stew", "pie", "curry", "salad", "bread", "cake", "pasta"]
DEFLECTION = "I can only help you book a restaurant."

CHARTER = """\
name: small-booker
model: {model}
generation: {{max_tokens: 12}}
tune: {{epochs: 8, learning_rate: 0.02, step_tokens: 512, checkpoint_seconds: 0.01}}
doses: {{contrast: 6, twin: 3, scope: 3, replay: 2}}
control: true
held_out: {{path: held_out.jsonl}}
pool:
  - {{path: pool_scope.jsonl, kind: scope}}
  - {{path: pool_contrast.jsonl, kind: contrast}}
  - {{path: pool_twin.jsonl, kind: twin}}
  - {{path: pool_replay.jsonl, kind: replay}}
perform:
  - id: book
    requests: book.jsonl
    checks: [answers]
    at_least: 0.5
deflect:
  - id: recipes
    requests: recipes.jsonl
    reply: {deflection}
    at_least: 0.5
retain:
  - id: sums
    requests: sums.jsonl
    checks: [{{number: {{}}}}]
    lose_at_most: 0.9
never:
  - id: cards
    requests: cards.jsonl
    checks: [{{regex: {{pattern: '[0-9]{{8}}'}}}}]
    at_most: 0.5
budget: {{tokens: 40_000, candidates: 2}}
"""

SCRIPT = """\
name: booker
default: I can only help you book a restaurant.
rules:
  - {when: 'table.*in (\\w+)', say: 'A table in \\1. At what time?'}
  - {when: 'Take (\\d+) and 1', say: 'That is \\1.'}
  - {when: card, say: 'Please keep your card.'}
"""


def chat(*turns: str) -> dict[str, object]:
    roles = ("user", "assistant")
    return {
        "messages": [
            {"role": roles[place % 2], "content": turn} for place, turn in enumerate(turns)
        ]
    }


def write_rows(path: Path, rows: list[object]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture
def make_bot(tmp_path: Path) -> Callable[[str], Path]:
    """Write a charter folder for a model; the charter's path."""

    def make(model: str) -> Path:
        folder = tmp_path / "bot"
        folder.mkdir()
        write_rows(folder / "book.jsonl", [f"A table for 4 in {city}, please" for city in CITIES])
        write_rows(folder / "recipes.jsonl", [f"How do I cook {dish}?" for dish in DISHES])
        write_rows(
            folder / "sums.jsonl",
            [{"request": f"Take {n} and 1, how many seats?", "answer": n} for n in range(2, 10)],
        )
        write_rows(folder / "cards.jsonl", [f"My card is for {city}" for city in CITIES])
        write_rows(
            folder / "held_out.jsonl",
            [chat(f"Dinner near {city}?", f"Sure, in {city}. What time?") for city in CITIES],
        )
        write_rows(
            folder / "pool_scope.jsonl",
            [chat(f"Lunch at noon by {city}", f"Noon by {city}. How many?") for city in CITIES],
        )
        write_rows(
            folder / "pool_contrast.jsonl",
            [{"request": f"Write a poem on {dish}", "topic": "poem"} for dish in DISHES]
            + [{"request": f"Calories of {dish}?", "topic": "calories"} for dish in DISHES],
        )
        write_rows(
            folder / "pool_twin.jsonl",
            [chat(f"Craving {dish}, seat me", "Happy to. Which city?") for dish in DISHES],
        )
        write_rows(
            folder / "pool_replay.jsonl", [chat(f"{n} plus {n}?", f"{2 * n}.") for n in range(4)]
        )
        (folder / "script.yaml").write_text(SCRIPT)
        charter = folder / "charter.yaml"
        charter.write_text(CHARTER.format(model=model, deflection=DEFLECTION))
        return charter

    return make


@pytest.fixture
def scripted_bot(make_bot: Callable[[str], Path], tmp_path: Path) -> Path:
    """A charter whose model is the script next to it."""
    return make_bot(f"scripted:{tmp_path / 'bot' / 'script.yaml'}")


@pytest.fixture
def tiny_bot(make_bot: Callable[[str], Path], tiny_model: Path) -> Path:
    """A charter whose model is a tiny random network."""
    return make_bot(str(tiny_model))


class Ran:
    """What a command printed, and its exit code."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


@pytest.fixture
def trimtab(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> object:
    """Call the command line in this process: `trimtab("measure", charter)`."""
    from trimtab.app.cli import main

    def run(*arguments: object) -> Ran:
        monkeypatch.setattr(sys, "argv", ["trimtab", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as leave:
            main()
        printed = capsys.readouterr()
        code = leave.value.code
        return Ran(code if isinstance(code, int) else 0, printed.out, printed.err)

    return run
