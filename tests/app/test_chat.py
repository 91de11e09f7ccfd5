"""A conversation in the terminal."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

import trimtab
from trimtab.app import chat as room
from trimtab.records.charter import Generation
from trimtab.records.conversation import Conversation
from trimtab.store import start_run

Type = Callable[..., None]


class Echo:
    """Notes what it was asked, and says its pieces."""

    def __init__(self, pieces: Sequence[str]) -> None:
        self.pieces = pieces
        self.asked: list[Conversation] = []
        self.generations: list[Generation] = []

    def stream(self, asked: Conversation, generation: Generation) -> Iterator[str]:
        self.asked.append(asked)
        self.generations.append(generation)
        yield from self.pieces


@pytest.fixture
def type_in(monkeypatch: pytest.MonkeyPatch) -> Type:
    """What the user types, a line each."""

    def type_lines(*lines: str) -> None:
        monkeypatch.setattr(sys, "stdin", io.StringIO("".join(f"{line}\n" for line in lines)))

    return type_lines


@pytest.fixture
def echo(monkeypatch: pytest.MonkeyPatch) -> Echo:
    """The model that every name stands for."""
    model = Echo(["Hel", "lo."])
    monkeypatch.setattr(room, "load_model", lambda name: model)
    return model


def turns(asked: Conversation) -> list[tuple[str, str]]:
    return [(turn.role, turn.content) for turn in asked]


def test_each_line_is_asked_with_all_that_was_said_before(
    trimtab: Any, type_in: Type, echo: Echo
) -> None:
    type_in("Hi", "How are you?")
    ran = trimtab("chat", "any")
    assert (ran.code, ran.out) == (0, "Hello.\nHello.\n")
    assert [turns(asked) for asked in echo.asked] == [
        [("user", "Hi")],
        [("user", "Hi"), ("assistant", "Hello."), ("user", "How are you?")],
    ]


def test_an_empty_line_ends(trimtab: Any, type_in: Type, echo: Echo) -> None:
    type_in("Hi", "", "never asked")
    assert trimtab("chat", "any").code == 0
    assert [turns(asked) for asked in echo.asked] == [[("user", "Hi")]]


def test_options_reach_the_model(trimtab: Any, type_in: Type, echo: Echo) -> None:
    type_in("Hi")
    trimtab("chat", "any", "--system", "Be brief.", "--max-tokens", "7", "--temperature", "0.5")
    assert turns(echo.asked[0]) == [("system", "Be brief."), ("user", "Hi")]
    assert echo.generations == [Generation(max_tokens=7, temperature=0.5)]


def test_a_reply_is_there_before_the_next_line_is_typed(tmp_path: Path) -> None:
    script = tmp_path / "script.yaml"
    script.write_text("default: Good evening to you.")
    with subprocess.Popen(
        [sys.executable, "-m", "trimtab", "chat", f"scripted:{script}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for _ in range(2):
            process.stdin.write("Hi\n")
            process.stdin.flush()
            assert process.stdout.readline() == "Good evening to you.\n"
        process.stdin.close()
        assert process.wait(30) == 0


def test_pieces_are_printed_one_by_one(
    echo: Echo, type_in: Type, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []

    class Terminal(io.StringIO):
        def flush(self) -> None:
            written.append(self.getvalue())

    type_in("Hi")
    monkeypatch.setattr(sys, "stdout", Terminal())
    trimtab.chat("any")
    assert written[:2] == ["Hel", "Hello."]


def test_two_models_answer_beside_each_other(trimtab: Any, type_in: Type, tmp_path: Path) -> None:
    names = []
    for reply in ("Yes.", "No."):
        script = tmp_path / f"{reply}yaml"
        script.write_text(f"rules: [{{when: why, say: Because {reply}}}]\ndefault: {reply!r}")
        names.append(f"scripted:{script}")
    type_in("Are you open?", "why")
    ran = trimtab("chat", names[0], "--beside", names[1])
    assert ran.out.splitlines() == [
        f"[{names[0]}] Yes.",
        f"[{names[1]}] No.",
        f"[{names[0]}] Because Yes.",
        f"[{names[1]}] Because No.",
    ]


@pytest.mark.parametrize(
    ("settings", "system"),
    [
        ({"charter": {"system": "Book tables."}}, "Book tables."),
        ({"system": "Book rooms."}, "Book rooms."),
        ({"system": None}, None),
    ],
)
def test_a_run_brings_the_system_turn_that_it_was_trained_with(
    trimtab: Any,
    type_in: Type,
    echo: Echo,
    tmp_path: Path,
    settings: dict[str, Any],
    system: str | None,
) -> None:
    start_run(tmp_path / "run", "steer", settings).close()
    type_in("Hi")
    trimtab("chat", tmp_path / "run")
    opening = [("system", system)] if system else []
    assert turns(echo.asked[0]) == [*opening, ("user", "Hi")]


def test_a_system_turn_of_one_s_own_comes_before_the_run_s(
    trimtab: Any, type_in: Type, echo: Echo, tmp_path: Path
) -> None:
    start_run(tmp_path / "run", "tune", {"system": "Book tables."}).close()
    type_in("Hi")
    trimtab("chat", tmp_path / "run", "--system", "Be brief.")
    assert turns(echo.asked[0])[0] == ("system", "Be brief.")


def test_what_a_terminal_would_obey_is_spelled_out(trimtab: Any, type_in: Type, echo: Echo) -> None:
    echo.pieces = ["red \x1b[31m", "bell \x07", "CSI \x9b2J", " \tend\n"]
    type_in("Hi", "Again")
    ran = trimtab("chat", "any")
    assert ran.out.startswith("red ⟨U+001B⟩[31mbell ⟨U+0007⟩CSI ⟨U+009B⟩2J \tend\n")
    assert turns(echo.asked[1])[1] == ("assistant", "".join(echo.pieces))


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (["--temperature", "9"], "--temperature: Input should be less than or equal to 5"),
        (["--max-tokens", "40000"], "--max-tokens: Input should be less than or equal to 32768"),
        (["--max-tokens", "0"], "--max-tokens: Input should be greater than or equal to 1"),
    ],
)
def test_an_option_out_of_range_is_one_message(
    trimtab: Any, echo: Echo, option: list[str], message: str
) -> None:
    ran = trimtab("chat", "any", *option)
    assert (ran.code, ran.err) == (2, f"error: {message}\n")


def test_an_unknown_model_is_one_message(trimtab: Any) -> None:
    ran = trimtab("chat", "smollm2-135m")
    assert ran.code == 2
    assert "Did you mean 'smollm2-135m-instruct'?" in ran.err


def test_a_reply_that_does_not_come_is_one_message(
    trimtab: Any, type_in: Type, tmp_path: Path
) -> None:
    script = tmp_path / "script.yaml"
    script.write_text("default: null")
    type_in("Hi")
    ran = trimtab("chat", f"scripted:{script}")
    assert ran.code == 2
    assert "no reply: the script says so" in ran.err
