"""The command line: tables, JSON, files, and one clear message for bad input."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from trimtab import init, load_charter


def test_measure_prints_a_table_and_exits_with_1_while_undecided(
    trimtab: Any, scripted_bot: Path
) -> None:
    ran = trimtab("measure", scripted_bot, "--out", scripted_bot.parent / "runs" / "zero")
    assert ran.code == 1
    assert "recipes" in ran.out
    assert "undecided" in ran.out


def test_exit_code_0_when_every_clause_is_met(trimtab: Any, scripted_bot: Path) -> None:
    text = scripted_bot.read_text().replace("at_least: 0.5", "at_least: 0.3")
    scripted_bot.write_text(text.replace("at_most: 0.5", "at_most: 0.7"))
    ran = trimtab("measure", scripted_bot, "--out", scripted_bot.parent / "runs" / "zero")
    assert ran.code == 0, ran.out


def test_measure_final_and_limit(trimtab: Any, scripted_bot: Path) -> None:
    out = scripted_bot.parent / "runs" / "final"
    ran = trimtab("measure", scripted_bot, "--final", "--limit", "2", "--out", out, "--json")
    profile = json.loads(ran.out)
    assert profile["split"] == "final"
    assert [result["n"] for result in profile["clauses"]] == [2, 2, 2, 2]
    assert (scripted_bot.parent / ".trimtab" / "final_looks.jsonl").is_file()


def test_a_warning_is_shown(trimtab: Any, scripted_bot: Path) -> None:
    ran = trimtab("measure", scripted_bot, "--out", scripted_bot.parent / "runs" / "zero")
    assert "warning: clause 'book': 4 final probes can never show" in ran.err


@pytest.fixture
def zero(trimtab: Any, scripted_bot: Path) -> Path:
    """A measure run of the scripted model."""
    run = scripted_bot.parent / "runs" / "zero"
    assert trimtab("measure", scripted_bot, "--out", run).code == 1
    return run


@pytest.fixture
def planned(trimtab: Any, scripted_bot: Path, zero: Path) -> Path:
    """A plan run for what `zero` found missing."""
    run = zero.with_name("planned")
    assert trimtab("plan", scripted_bot, zero, "--out", run).code == 0
    return run


def test_plan_prints_doses_and_rows_with_their_reasons(
    trimtab: Any, scripted_bot: Path, zero: Path
) -> None:
    ran = trimtab("plan", scripted_bot, zero, "--out", zero.with_name("planned"))
    assert ran.code == 0
    assert "contrast     6 of 16" in ran.out
    assert "[contrast] 'Write a poem on" in ran.out
    assert ran.out.endswith(f"14 rows in {zero.with_name('planned')}/plan.jsonl\n")


def test_compare_prints_a_paired_difference_for_each_clause(
    trimtab: Any, scripted_bot: Path, zero: Path
) -> None:
    other = scripted_bot.with_name("other.yaml")
    other.write_text("default: Boil it.")
    after = zero.with_name("after")
    trimtab("measure", scripted_bot, "--model", f"scripted:{other}", "--out", after)
    ran = trimtab("compare", zero, after)
    assert ran.code == 0
    row = r"recipes +100\.0% +0\.0% +-100\.0% \[-100\.0%, -\d+\.\d%\] +0 +4 +4 "
    assert re.search(row, ran.out)
    assert "select split; 95% intervals, paired by probe" in ran.out


def test_report_writes_a_page_or_markdown_and_names_it(trimtab: Any, zero: Path) -> None:
    assert trimtab("report", zero).out == f"{zero}/report.html\n"
    assert (zero / "report.html").read_text().startswith("<!")
    assert trimtab("report", zero, "--markdown").out == f"{zero}/report.md\n"
    assert (zero / "report.md").read_text().startswith("#")


def test_a_plan_has_no_report(trimtab: Any, planned: Path) -> None:
    ran = trimtab("report", planned)
    assert ran.code == 2
    assert "Reports are made of" in ran.err


CLAUSE_KEYS = set(
    "clause kind rate low high n target verdict wilson errors more change baseline_rate".split()
)


def test_json_of_measure(trimtab: Any, scripted_bot: Path) -> None:
    out = scripted_bot.parent / "runs" / "zero"
    profile = json.loads(trimtab("measure", scripted_bot, "--out", out, "--json").out)
    assert set(profile) == set(
        "model fingerprint suite split clauses seconds prompt_tokens reply_tokens held_out".split()
    )
    assert [result["clause"] for result in profile["clauses"]] == [
        "book",
        "recipes",
        "sums",
        "cards",
    ]
    for result in profile["clauses"]:
        assert set(result) == CLAUSE_KEYS
        assert set(result["wilson"]) == {"value", "low", "high"}


def test_json_of_plan(trimtab: Any, scripted_bot: Path, zero: Path) -> None:
    ran = trimtab("plan", scripted_bot, zero, "--out", zero.with_name("planned"), "--json")
    plan = json.loads(ran.out)
    assert set(plan) == {"rows", "doses", "held"}
    assert plan["doses"] == {"scope": 3, "contrast": 6, "twin": 3, "replay": 2}
    assert len(plan["rows"]) == 14
    for row in plan["rows"]:
        assert set(row) == {"example", "reason", "clause"}
        assert set(row["example"]) == {"messages", "kind", "topic", "where"}


def test_json_of_compare(trimtab: Any, zero: Path) -> None:
    comparison = json.loads(trimtab("compare", zero, zero, "--json").out)
    assert set(comparison) == {"before", "after", "split", "changes", "unpaired"}
    for change in comparison["changes"]:
        assert set(change) == set(
            "clause kind before after difference gained lost n p p_holm method".split()
        )
        assert set(change["difference"]) == {"value", "low", "high"}


def test_tune_on_a_plan_and_on_a_file_makes_a_model(
    trimtab: Any, planned: Path, tiny_model: Path
) -> None:
    rows = planned.parent.parent / "pool_twin.jsonl"
    for data in (planned, rows):
        out = planned.with_name(f"tuned-on-{data.stem}")
        ran = trimtab("tune", tiny_model, data, "--out", out, "--epochs", "1")
        assert (ran.code, ran.out) == (0, f"the model is in {out}/model\n")
        assert (out / "model" / "config.json").is_file()


def test_tune_refuses_rows_that_ask_what_a_charter_s_probes_ask(
    trimtab: Any, scripted_bot: Path, tiny_model: Path, tmp_path: Path
) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"prompt": "How do I cook soup?", "reply": "Boil it."}\n')
    ran = trimtab("tune", tiny_model, rows, "--charter", scripted_bot, "--out", tmp_path / "tuned")
    assert ran.code == 2
    assert "rows.jsonl:1: asks what a probe of 'recipes' asks" in ran.err


def test_tune_on_a_run_without_a_plan_is_one_message(
    trimtab: Any, zero: Path, tiny_model: Path
) -> None:
    ran = trimtab("tune", tiny_model, zero, "--out", zero.with_name("tuned"))
    assert ran.code == 2
    assert "plan.jsonl" in ran.err
    assert "Traceback" not in ran.err


def test_model_list_names_licences_and_what_has_been_added(
    trimtab: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRIMTAB_CACHE", str(tmp_path))
    line = "smollm2-135m-instruct  Apache-2.0  "
    assert trimtab("model", "list").out == f"{line}not added yet\n"
    folder = tmp_path / "models" / "smollm2-135m-instruct"
    folder.mkdir(parents=True)
    (folder / "config.json").touch()
    assert trimtab("model", "list").out == f"{line}added\n"


# Where a run goes that was not told


@pytest.fixture
def unfinished(trimtab: Any, scripted_bot: Path) -> Path:
    """A measure run of an earlier day that did not reach its end."""
    assert trimtab("measure", scripted_bot).code == 1
    (run,) = (scripted_bot.parent / "runs").iterdir()
    (run / "manifest.json").unlink()
    return run.rename(run.with_name("2026-01-31-small-booker-measure"))


def test_the_only_unfinished_run_of_a_command_goes_on(
    trimtab: Any, scripted_bot: Path, unfinished: Path
) -> None:
    ran = trimtab("measure", scripted_bot)
    assert ran.out.endswith(f"the run is in {unfinished}\n")
    assert (unfinished / "manifest.json").is_file()
    assert list(unfinished.parent.iterdir()) == [unfinished]


def finish(run: Path) -> None:
    (run / "manifest.json").touch()


def begin_another(run: Path) -> None:
    shutil.copytree(run, run.with_name("2026-02-28-small-booker-measure"))


def rename(run: Path) -> None:
    run.rename(run.with_name("2026-01-31-very-small-booker-measure"))


def change_the_charter(run: Path) -> None:
    change_charter(run.parent.parent / "charter.yaml", "max_tokens: 12", "max_tokens: 13")


@pytest.mark.parametrize("change", [finish, begin_another, rename, change_the_charter])
def test_any_other_run_is_left_alone(
    trimtab: Any, scripted_bot: Path, unfinished: Path, change: Callable[[Path], None]
) -> None:
    change(unfinished)
    ran = trimtab("measure", scripted_bot)
    today = unfinished.with_name(f"{date.today().isoformat()}-small-booker-measure")
    assert ran.out.endswith(f"the run is in {today}\n")


@pytest.mark.parametrize(
    "options", [["--limit", "2"], ["--final"], ["--model", "scripted:script.yaml"]]
)
def test_a_run_with_other_options_is_left_alone(
    trimtab: Any,
    scripted_bot: Path,
    unfinished: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
) -> None:
    monkeypatch.chdir(scripted_bot.parent)
    assert trimtab("measure", scripted_bot, *options).code == 1
    assert not (unfinished / "manifest.json").exists()


# Bad input


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


def test_init_fills_the_folder_that_one_stands_in(
    trimtab: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = trimtab("init", "restaurant-booker", ".")
    assert ran.out.startswith("charter.yaml is ready.")
    assert Path("charter.yaml").samefile(tmp_path / "charter.yaml")


def test_init_from_python_gives_the_charter_s_path(tmp_path: Path) -> None:
    charter = init("restaurant-booker", tmp_path / "my-bot")
    assert charter == tmp_path / "my-bot" / "charter.yaml"
    assert load_charter(charter).name == "restaurant-booker"


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
