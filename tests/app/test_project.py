"""A faulty check is told of when a charter is opened, before a model is asked anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from trimtab.app.project import open_project
from trimtab.records.errors import CheckError


def complaint(charter: Path, old: str, new: str) -> str:
    """What opening the charter says once `old` is `new`."""
    text = charter.read_text()
    assert text.count(old) == 1
    charter.write_text(text.replace(old, new))
    with pytest.raises(CheckError) as caught:
        open_project(charter)
    return str(caught.value).replace(f"{charter.parent}/", "")


@pytest.mark.parametrize(
    ("checks", "line", "said"),
    [
        ("[anwsers]", 0, "there is no check 'anwsers'\n  Did you mean 'answers'?"),
        (
            "\n      - answers\n      - {regex: {patern: a}}",
            2,
            "the check 'regex' has no option 'patern'\n  Did you mean 'pattern'?",
        ),
        (
            "[{json_schema: {schema: city.json}}]",
            0,
            "json_schema: the schema city.json cannot be read",
        ),
        (
            "['owm.py:f']",
            0,
            "the check 'owm.py:f' names a file that is not there\n  Did you mean 'own.py'?",
        ),
        ("['own.py:g']", 0, "own.py has no function 'g'"),
    ],
)
def test_a_check_that_cannot_be_made_is_named_with_its_line(
    scripted_bot: Path, checks: str, line: int, said: str
) -> None:
    (scripted_bot.parent / "own.py").write_text("def f(reply, probe):\n    return True\n")
    line += scripted_bot.read_text().split("[answers]")[0].count("\n") + 1
    told = complaint(scripted_bot, "[answers]", checks)
    assert told.startswith(f"charter.yaml:{line}: {said}")


@pytest.mark.parametrize(
    ("checks", "said"),
    [
        (
            "[answers, {contains: {slot: [city]}}]",
            "book.jsonl:1: contains asks for the slot 'city', which this request lacks",
        ),
        ("[{number: }]", "book.jsonl:1: number needs one right answer"),
        ("['own.py:f']", "book.jsonl:1: the check 'own.py:f' fails on the reply '': KeyError"),
    ],
)
def test_a_row_that_a_check_cannot_judge_is_named_with_its_line(
    scripted_bot: Path, checks: str, said: str
) -> None:
    (scripted_bot.parent / "own.py").write_text(
        "def f(reply, probe):\n    return probe.request.slots['city'] in reply.text\n"
    )
    assert complaint(scripted_bot, "[answers]", checks).startswith(said)
