"""The verbs end to end, with a scripted model or a tiny random one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import trimtab
from trimtab.charters import load_charter
from trimtab.records.charter import TuneConfig
from trimtab.records.errors import DataError, RunError
from trimtab.records.profile import Profile
from trimtab.store import read_json

FIGURES = ("profile.json", "outcome.json", "plan.jsonl", "scores.jsonl")


def test_measure_gives_every_clause_a_rate_an_interval_and_a_verdict(scripted_bot: Path) -> None:
    out = scripted_bot.parent / "runs" / "zero"
    profile = trimtab.measure(scripted_bot, out)
    assert {result.clause: result.rate for result in profile.clauses} == {
        "book": 1.0,
        "recipes": 1.0,
        "sums": 1.0,
        "cards": 0.0,
    }
    written = json.loads((out / "profile.json").read_text())
    assert written["split"] == "select"
    for clause in written["clauses"]:
        assert {"kind", "rate", "low", "high", "n", "target", "verdict"} <= clause.keys()
    names = {path.name for path in out.iterdir()}
    assert {"run.yaml", "manifest.json", "responses.jsonl", "scores.jsonl"} <= names


def test_the_splits_share_no_probe_and_final_looks_are_counted(scripted_bot: Path) -> None:
    runs = scripted_bot.parent / "runs"
    trimtab.measure(scripted_bot, runs / "a")
    trimtab.measure(scripted_bot, runs / "b", final=True)
    trimtab.measure(scripted_bot, runs / "b", final=True)
    asked = [
        {
            json.loads(line)["probe"]
            for line in (runs / name / "scores.jsonl").read_text().split("\n")
            if line
        }
        for name in ("a", "b")
    ]
    assert not asked[0] & asked[1]
    looks = (scripted_bot.parent / ".trimtab" / "final_looks.jsonl").read_text().splitlines()
    assert len(looks) == 1


def test_a_finished_run_is_read_and_another_one_is_refused(scripted_bot: Path) -> None:
    out = scripted_bot.parent / "runs" / "zero"
    first = trimtab.measure(scripted_bot, out)
    assert trimtab.measure(scripted_bot, out) == first
    with pytest.raises(Exception, match="holds another run"):
        trimtab.measure(scripted_bot, out, limit=2)


def test_plan_takes_rows_from_the_pool_alone_each_with_a_reason(scripted_bot: Path) -> None:
    runs = scripted_bot.parent / "runs"
    trimtab.measure(scripted_bot, runs / "zero")
    plan = trimtab.plan(scripted_bot, runs / "zero", runs / "plan")
    assert dict(plan.doses) == {"scope": 3, "contrast": 6, "twin": 3, "replay": 2}
    assert all(row.reason for row in plan.rows)
    sources = {Path(row.example.where.path).name for row in plan.rows}
    assert sources == {f"pool_{kind}.jsonl" for kind in ("scope", "contrast", "twin", "replay")}
    contrast = [row.example for row in plan.rows if row.example.kind == "contrast"]
    assert all("only help" in row.messages[-1].content for row in contrast)


def test_steer_ends_with_final_figures_a_model_and_a_report(tiny_bot: Path) -> None:
    out = tiny_bot.parent / "runs" / "first"
    profile = trimtab.steer(tiny_bot, out)
    assert profile.split == "final"
    assert profile.held_out is not None
    outcome = read_json(out / "outcome.json", dict[str, object])
    assert outcome["chosen"] in (1, 2)
    assert outcome["control"]
    before = read_json(out / "before" / "profile.json", Profile)
    # The tiny model learns what it is taught: whatever it is asked, it turns it down.
    assert before.of("recipes").rate == 0.0
    assert profile.of("recipes").rate == 1.0
    assert (out / "model" / "config.json").is_file()
    assert (out / "report.html").read_text().startswith("<!")
    assert trimtab.report(out, markdown=True).read_text().startswith("#")
    assert trimtab.steer(tiny_bot, out) == profile
    zero = out.parent / "zero"
    trimtab.measure(tiny_bot, zero)
    comparison = trimtab.compare(zero, out)
    assert comparison.split == "select"
    assert {change.clause for change in comparison.changes} == {
        "book",
        "recipes",
        "sums",
        "cards",
    }


def test_steer_keeps_the_start_where_candidates_only_make_it_worse(tiny_bot: Path) -> None:
    text = tiny_bot.read_text()
    tiny_bot.write_text(text.replace("epochs: 8", "epochs: 1").replace("0.02", "1.0e-9"))
    out = tiny_bot.parent / "runs" / "first"
    trimtab.steer(tiny_bot, out)
    outcome = read_json(out / "outcome.json", dict[str, object])
    assert outcome["chosen"] == 0
    assert outcome["candidates"]
    assert (out / "model" / "config.json").is_file()
    assert "start" in trimtab.report(out, markdown=True).read_text()


def test_compare_refuses_runs_that_were_judged_in_different_ways(scripted_bot: Path) -> None:
    runs = scripted_bot.parent / "runs"
    trimtab.measure(scripted_bot, runs / "a")
    trimtab.measure(scripted_bot, runs / "few", limit=2)
    assert trimtab.compare(runs / "few", runs / "a").changes
    scripted_bot.write_text(scripted_bot.read_text().replace("[answers]", "[deflects]"))
    trimtab.measure(scripted_bot, runs / "b")
    with pytest.raises(RunError, match="different requests or checks"):
        trimtab.compare(runs / "a", runs / "b")


def test_tune_trains_a_plan_and_holds_to_its_rows_and_weights(tiny_bot: Path) -> None:
    runs = tiny_bot.parent / "runs"
    trimtab.measure(tiny_bot, runs / "zero")
    trimtab.plan(tiny_bot, runs / "zero", runs / "plan")
    config = TuneConfig(epochs=1, step_tokens=256)
    model = load_charter(tiny_bot).model
    folder = trimtab.tune(model, runs / "plan", runs / "tuned", config)
    tuned = read_json(runs / "tuned" / "tuned.json", dict[str, object])
    assert (folder / "config.json").is_file()
    assert len(tuned["losses"]) == tuned["steps"]
    assert trimtab.tune(model, runs / "plan", runs / "tuned", config) == folder
    with pytest.raises(RunError, match="holds another run"):
        trimtab.tune(model, runs / "plan", runs / "tuned", config, system="Be brief.")
    probe = (tiny_bot.parent / "book.jsonl").read_text().splitlines()[0]
    rows = tiny_bot.parent / "rows.jsonl"
    rows.write_text(json.dumps({"prompt": json.loads(probe), "completion": "For whom?"}) + "\n")
    with pytest.raises(DataError, match="asks what a probe of 'book' asks"):
        trimtab.tune(model, rows, runs / "own", config, charter=tiny_bot)


def test_rows_that_do_not_fit_are_named_before_anything_is_trained(tiny_bot: Path) -> None:
    with (tiny_bot.parent / "held_out.jsonl").open("a") as file:
        turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "so " * 600}]
        file.write(json.dumps({"messages": turns}) + "\n")
    with pytest.raises(DataError, match=r"held_out.jsonl:9: \d+ tokens do not fit"):
        trimtab.steer(tiny_bot, tiny_bot.parent / "runs" / "first")


def steer_in_a_process(charter: Path, out: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "trimtab", "steer", str(charter), "--out", str(out)]
    return subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        start_new_session=True,
    )


def figures(run: Path) -> dict[str, object]:
    """What a run found, without times and places."""

    def without_times(value: object) -> object:
        if isinstance(value, dict):
            volatile = {"seconds", "model"}
            return {k: without_times(v) for k, v in value.items() if k not in volatile}
        return [without_times(each) for each in value] if isinstance(value, list) else value

    return {
        name: [without_times(json.loads(line)) for line in (run / name).read_text().splitlines()]
        if name.endswith("jsonl")
        else without_times(json.loads((run / name).read_text()))
        for name in FIGURES
    }


def test_kill_9_at_any_moment_and_steering_ends_with_the_same_figures(tiny_bot: Path) -> None:
    runs = tiny_bot.parent / "runs"
    undisturbed = steer_in_a_process(tiny_bot, runs / "undisturbed")
    began = time.monotonic()
    assert undisturbed.wait(300) in (0, 1)
    whole = time.monotonic() - began
    for attempt in range(1, 6):
        process = steer_in_a_process(tiny_bot, runs / "killed")
        try:
            process.wait(whole * (0.25 + 0.1 * attempt))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            continue
        break
    assert steer_in_a_process(tiny_bot, runs / "killed").wait(300) in (0, 1)
    assert figures(runs / "killed") == figures(runs / "undisturbed")
