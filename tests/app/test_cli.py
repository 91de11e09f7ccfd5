"""The command line: exit codes, JSON, and one clear message for bad input."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def test_measure_prints_a_table_and_exits_with_1_while_undecided(
    trimtab: Any, scripted_bot: Path
) -> None:
    ran = trimtab("measure", scripted_bot, "--out", scripted_bot.parent / "runs" / "zero")
    assert ran.code == 1
    assert "recipes" in ran.out
    assert "undecided" in ran.out


def test_measure_json_is_the_profile(trimtab: Any, scripted_bot: Path) -> None:
    ran = trimtab("measure", scripted_bot, "--out", scripted_bot.parent / "r", "--json")
    assert json.loads(ran.out)["clauses"][0]["clause"] == "book"


def test_exit_code_0_when_every_clause_is_met(trimtab: Any, scripted_bot: Path) -> None:
    text = scripted_bot.read_text().replace("at_least: 0.5", "at_least: 0.3")
    scripted_bot.write_text(text.replace("at_most: 0.5", "at_most: 0.7"))
    ran = trimtab("measure", scripted_bot, "--out", scripted_bot.parent / "runs" / "zero")
    assert ran.code == 0, ran.out


def change_charter(charter: Path, old: str, new: str) -> int:
    """Replace a text in a charter; the line where it stood."""
    text = charter.read_text()
    assert old in text
    charter.write_text(text.replace(old, new, 1))
    return text[: text.index(old)].count("\n") + 1


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("at_least: 0.5", "at_leest: 0.5", "at_least"),
        ("at_least: 0.5", "at_least: 1.5", "1"),
        ("book.jsonl", "bookk.jsonl", "book.jsonl"),
    ],
)
def test_a_wrong_charter_is_named_by_file_and_line(
    trimtab: Any, scripted_bot: Path, old: str, new: str, message: str
) -> None:
    line = change_charter(scripted_bot, old, new)
    ran = trimtab("measure", scripted_bot, "--out", scripted_bot.parent / "runs" / "zero")
    assert ran.code == 2
    assert f"charter.yaml:{line}" in ran.err
    assert message in ran.err
    assert "Traceback" not in ran.err
    assert not (scripted_bot.parent / "runs").exists()


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("book.jsonl", "", "book.jsonl"),
        ("book.jsonl", '"one"\n{"request": \n', "book.jsonl:2"),
        ("pool_scope.jsonl", '{"request": "no reply"}\n', "pool_scope.jsonl:1"),
        (
            "pool_twin.jsonl",
            '{"messages": [{"role": "user", "content": "a table for 4  in york, PLEASE"},'
            ' {"role": "assistant", "content": "Yes."}]}\n',
            "pool_twin.jsonl:1",
        ),
    ],
)
def test_bad_rows_are_named_by_file_and_line(
    trimtab: Any, scripted_bot: Path, file: str, content: str, message: str
) -> None:
    (scripted_bot.parent / file).write_text(content)
    ran = trimtab("measure", scripted_bot, "--out", scripted_bot.parent / "runs" / "zero")
    assert ran.code == 2
    assert message in ran.err
    assert "Traceback" not in ran.err


def test_an_unknown_check_names_the_nearest(trimtab: Any, scripted_bot: Path) -> None:
    change_charter(scripted_bot, "[answers]", "[anwsers]")
    ran = trimtab("measure", scripted_bot, "--out", scripted_bot.parent / "runs" / "zero")
    assert ran.code == 2
    assert "answers" in ran.err


@pytest.mark.parametrize(
    "model", ["no-such-model", "smollm2-135m", "http://127.0.0.1:9/v1#gpt", "scripted:none.yaml"]
)
def test_a_model_that_is_not_there(trimtab: Any, scripted_bot: Path, model: str) -> None:
    out = scripted_bot.parent / "runs" / "zero"
    ran = trimtab("measure", scripted_bot, "--model", model, "--out", out)
    assert ran.code == 2
    assert ran.err.count("error:") == 1


def test_a_model_folder_without_weights(trimtab: Any, scripted_bot: Path, tmp_path: Path) -> None:
    folder = tmp_path / "empty-model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    out = scripted_bot.parent / "runs" / "zero"
    ran = trimtab("measure", scripted_bot, "--model", folder, "--out", out)
    assert ran.code == 2
    assert "no weights" in ran.err


def test_a_row_longer_than_the_context_is_named(trimtab: Any, tiny_bot: Path) -> None:
    rows = tiny_bot.parent / "long.jsonl"
    turns = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "word " * 9000}]
    rows.write_text(json.dumps({"messages": turns}) + "\n")
    model = next(
        line.split(" ", 1)[1]
        for line in tiny_bot.read_text().splitlines()
        if line.startswith("model: ")
    )
    ran = trimtab("tune", model, rows, "--out", tiny_bot.parent / "runs" / "tuned")
    assert ran.code == 2
    assert "long.jsonl:1" in ran.err
    assert "context" in ran.err


def test_an_option_without_effect_is_an_error(trimtab: Any, scripted_bot: Path) -> None:
    ran = trimtab("tune", "m", "d", "--out", "o", "--lora-rank", "8")
    assert ran.code == 2
    assert "lora_rank has no effect" in ran.err


def test_init_makes_a_folder_and_leaves_others_alone(trimtab: Any, tmp_path: Path) -> None:
    folder = tmp_path / "my-bot"
    assert trimtab("init", "restaurant-booker", folder).code == 0
    assert (folder / "charter.yaml").is_file()
    assert trimtab("init", "restaurant-booker", folder).code == 2
    ran = trimtab("init", "restaurant-boker", tmp_path / "x")
    assert ran.code == 2
    assert "restaurant-booker" in ran.err


def test_a_place_that_takes_no_files_is_one_message(trimtab: Any, scripted_bot: Path) -> None:
    ran = trimtab("measure", scripted_bot, "--out", "/proc/no-room/zero")
    assert ran.code == 2
    assert "Traceback" not in ran.err


@pytest.mark.parametrize("size", ["16k", "9m", "30m"])
def test_a_full_disk_stops_steering_and_with_more_room_it_goes_on(
    trimtab: Any, tiny_bot: Path, resize_disk: Callable[[str], Path], size: str
) -> None:
    run = resize_disk(size) / "first"
    ran = trimtab("steer", tiny_bot, "--out", run)
    assert ran.code == 2
    assert "No space left on device\n  free some space" in ran.err
    assert "Traceback" not in ran.err
    assert not list(run.rglob(".*.partial"))
    resize_disk("400m")
    assert trimtab("steer", tiny_bot, "--out", run).code in (0, 1)
    assert (run / "report.html").is_file()
