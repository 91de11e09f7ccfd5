"""Reports of real runs: what they tell, the commands that repeat them, and what they refuse."""

from __future__ import annotations

import html
import json
import re
import shlex
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import yaml

import trimtab as api
from trimtab.app.stories import read_story
from trimtab.records.errors import RunError
from trimtab.store import versions

HOSTILE = "<script>alert(1)</script> <img src=x> ![x](http://evil.test) @octocat | `a` | b"


def page_of(run: Path) -> str:
    return api.report(run).read_text()


def markdown_of(run: Path) -> str:
    return api.report(run, markdown=True).read_text()


def words_of(page: str) -> str:
    """What a reader sees of an HTML page, on one line."""
    body = re.sub(r"<(style|script)>.*?</\1>", "", page, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", body)).split())


def commands_in(markdown: str) -> list[str]:
    return re.findall(r"^    (trimtab .*)$", markdown.split("## How to repeat it")[1], re.M)


def figures_of(run: Path) -> dict[str, Any]:
    """A run's profile without times and places."""
    profile: dict[str, Any] = json.loads((run / "profile.json").read_text())
    return {key: value for key, value in profile.items() if key not in ("seconds", "model")}


def change_settings(run: Path, **changed: object) -> None:
    path = run / "run.yaml"
    written = yaml.safe_load(path.read_text())
    written["settings"] |= changed
    path.write_text(yaml.safe_dump(written))


def change(charter: Path, old: str, new: str) -> None:
    text = charter.read_text()
    assert old in text
    charter.write_text(text.replace(old, new))


@pytest.fixture
def measured(scripted_bot: Path) -> Path:
    run = scripted_bot.parent / "runs" / "zero"
    api.measure(scripted_bot, run)
    return run


@pytest.fixture
def steered(tiny_bot: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A steer run that specialises first, made from the folder of its charter."""
    change(tiny_bot, "tune: {", "specialise: {epochs: 1, seed: 5}\ntune: {seed: 3, ")
    monkeypatch.chdir(tiny_bot.parent)
    api.steer(tiny_bot, "runs/first")
    return Path("runs/first")


def test_each_clauses_target_requests_probes_and_checks_are_told(scripted_bot: Path) -> None:
    change(scripted_bot, "[answers]", "[answers, {contains: {slot: [place, people]}}]")
    rows = [
        {"request": f"A table for 4 in {city}", "slots": {"place": city, "people": "4"}}
        for city in ("York", "Bath", "Lyon", "Hull", "Kiel")
    ]
    requests = scripted_bot.parent / "book.jsonl"
    requests.write_text("".join(json.dumps(row) + "\n" for row in rows))
    run = scripted_bot.parent / "runs" / "zero"
    api.measure(scripted_bot, run)
    markdown, page = markdown_of(run), words_of(page_of(run))
    for clause, target, file, probes, *checks in (
        ("book perform: must do", "at least 50%", "book.jsonl", "2 final, 3 select",
         "answers", "contains place, people"),
        ("recipes deflect: must turn down", "at least 50%", "recipes.jsonl", "4 final, 4 select",
         "deflects"),
        ("sums retain: must not lose", "lose at most 90 points", "sums.jsonl",
         "4 final, 4 select", "number"),
        ("cards never: must not do", "at most 50%", "cards.jsonl", "4 final, 4 select",
         'regex pattern "[0-9]{8}"'),
    ):  # fmt: skip
        assert f"{clause} {' '.join(checks)} {target} {file} {probes}" in page
        name, kind = clause.split(" ", 1)
        shown = ", ".join(f"`{check}`" for check in checks)
        assert f"| {name} | {kind} | {shown} | {target} | `{file}` | {probes} |" in markdown


@pytest.mark.parametrize(
    "flags",
    [
        [],
        ["--final"],
        ["--limit", "2"],
        ["--final", "--limit", "3", "--model", "scripted:b c.yaml"],
    ],
)
def test_the_command_of_a_measure_run_repeats_it(
    trimtab: Any, scripted_bot: Path, monkeypatch: pytest.MonkeyPatch, flags: list[str]
) -> None:
    here = scripted_bot.parent
    monkeypatch.chdir(here.parent)
    Path("b c.yaml").write_text("name: other\ndefault: A table for 4.\n")
    run = Path("bot/runs/my first")
    assert trimtab("measure", "bot/charter.yaml", *flags, "--out", run).code in (0, 1)
    measure, report = commands_in(markdown_of(run))
    assert all(command in words_of(page_of(run)) for command in (measure, report))
    words = ["trimtab", "measure", "bot/charter.yaml", *flags, "--out", "bot/runs/my first-again"]
    assert shlex.split(measure) == words
    assert trimtab(*words[1:]).code in (0, 1)
    assert figures_of(Path(words[-1])) == figures_of(run)
    assert trimtab(*shlex.split(report)[1:]).code == 0


def test_a_charter_elsewhere_goes_by_its_whole_path_and_its_own_name(
    measured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    charter = measured.parent.parent / "narrow.yaml"
    change_settings(measured, charter_file=str(charter))
    words = shlex.split(read_story(measured).repeat[0])
    assert words == ["trimtab", "measure", str(charter), "--out", f"{measured}-again"]


def test_a_run_can_be_reported_from_within(measured: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(measured)
    assert read_story(Path()).repeat[0].endswith(f"--out {measured}-again")


def test_an_endpoint_is_named_as_an_option_takes_it(measured: Path) -> None:
    change_settings(measured, model={"url": "http://127.0.0.1:9/v1", "name": "gpt"})
    assert "--model 'http://127.0.0.1:9/v1#gpt'" in read_story(measured).repeat[0]


def test_a_measure_run_tells_its_seeds_and_versions(scripted_bot: Path) -> None:
    change(scripted_bot, "max_tokens: 12", "max_tokens: 12, temperature: 0.5, seed: 7")
    change(scripted_bot, "control: true", "control: true\nsplit: {seed: 4}")
    run = scripted_bot.parent / "runs" / "zero"
    api.measure(scripted_bot, run)
    for told in (words_of(page_of(run)), markdown_of(run)):
        assert "Seeds: split 4, generation 7." in told
        for package, version in versions().items():
            assert f"{package} {version}" in told


def test_what_the_run_warned_of_is_told(measured: Path) -> None:
    assert "can never show at least 0.5" in words_of(page_of(measured))
    noted = ["pool.jsonl:4 is worded nearly like the probe book.jsonl:9", HOSTILE]
    (measured / "warnings.json").write_text(json.dumps(noted))
    for told in (words_of(page_of(measured)), markdown_of(measured)):
        assert "is worded nearly like the probe book.jsonl:9" in told
        assert "can never show" not in told
    assert "2 warnings" in words_of(page_of(measured))


def test_what_models_and_files_say_is_never_markup(scripted_bot: Path) -> None:
    folder = scripted_bot.parent
    rows = [f"{HOSTILE} {number}" for number in range(4)]
    (folder / "book.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    script = {"name": "<i>booker</i>", "default": HOSTILE}
    (folder / "script.yaml").write_text(yaml.safe_dump(script))
    change(scripted_bot, "'[0-9]{8}'", "'<script>|<b>[0-9]'")
    api.measure(scripted_bot, folder / "runs" / "zero")
    (folder / "runs" / "zero" / "warnings.json").write_text(json.dumps([HOSTILE]))
    page = page_of(folder / "runs" / "zero")
    assert HOSTILE in words_of(page)
    tags: list[str] = []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, _: tags.append(tag)  # type: ignore[method-assign]
    parser.feed(page)
    assert tags.count("script") == 1
    assert not {"img", "b", "i"} & set(tags)
    markdown = markdown_of(folder / "runs" / "zero")
    outside = re.sub(r"(`+) .*? \1(?!`)|`[^`\n]+`", "", markdown)
    assert "alert(1)" in markdown
    for harm in ("<script>", "<img", "<b>", "<i>", "![x]", "@octocat"):
        assert not re.search(rf"(?<!\\){re.escape(harm)}", outside)


def test_a_steer_run_tells_the_tokens_of_all_its_parts(steered: Path) -> None:
    for replies in steered.glob("candidates/*/responses.jsonl"):
        replies.unlink()  # a report needs candidates' profiles alone
    tuned = {"steps": 3, "tokens": 12_345, "learned_tokens": 9, "seconds": 0.5, "losses": [1.0]}
    (steered / "control").mkdir(exist_ok=True)
    (steered / "control" / "tuned.json").write_text(json.dumps(tuned))
    trained = [json.loads(path.read_text()) for path in steered.glob("candidates/*/candidate.json")]
    specialised = json.loads((steered / "specialised" / "tuned.json").read_text())
    tokens = {
        "specialising": specialised["tokens"],
        "candidates": sum(each["tokens"] for each in trained),
        "control": 12_345,
    }
    by_part = ", ".join(f"{part} {tokens[part]:,}" for part in tokens)
    for told in (words_of(page_of(steered)), markdown_of(steered)):
        assert f"{sum(tokens.values()):,} tokens trained in " in told
        assert f"prompts included: {by_part}" in told
    (steered / "control" / "tuned.json").unlink()
    assert "control" not in read_story(steered).cost.tokens


def test_the_page_that_steering_writes_tells_how_to_repeat_it(trimtab: Any, steered: Path) -> None:
    page = words_of((steered / "report.html").read_text())
    assert "Seeds: split 0, specialise 5, tune 3." in page
    assert all(f"{package} {version}" in page for package, version in versions().items())
    (steer,) = commands_in(markdown_of(steered))
    assert steer in page
    assert shlex.split(steer) == ["trimtab", "steer", "charter.yaml", "--out", "runs/first-again"]
    assert trimtab(*shlex.split(steer)[1:]).code in (0, 1)
    assert figures_of(Path("runs/first-again")) == figures_of(steered)


def test_a_search_that_trains_nothing_says_why_it_ended(tiny_bot: Path) -> None:
    tiny_bot.write_text(re.sub(r"tokens: [\d_]+, cand", "tokens: 1, cand", tiny_bot.read_text()))
    run = tiny_bot.parent / "runs" / "first"
    api.steer(tiny_bot, run)
    assert "The search ended because the budget of 1 tokens is out." in words_of(page_of(run))
    assert "The search ended because the budget of 1 tokens is out." in markdown_of(run)


def test_a_measure_run_tells_the_held_out_loss(tiny_bot: Path) -> None:
    run = tiny_bot.parent / "runs" / "zero"
    loss = api.measure(tiny_bot, run, limit=1).held_out
    assert loss
    shown = f"{loss.value:.3f} [{loss.low:.3f}–{loss.high:.3f}]"
    assert shown in words_of(page_of(run))
    assert shown in markdown_of(run)


def test_a_run_of_another_kind_is_refused(scripted_bot: Path, measured: Path) -> None:
    run = measured.parent / "plan"
    api.plan(scripted_bot, measured, run)
    with pytest.raises(RunError, match="a plan run has no measurement to report"):
        read_story(run)


def test_a_run_without_figures_is_told_to_go_on(measured: Path) -> None:
    (measured / "profile.json").unlink()
    with pytest.raises(RunError, match=r"has not come to its figures yet\n .*goes on"):
        read_story(measured)


@pytest.mark.parametrize("settings", ["null", "{charter: {name: old, clauses: []}}", "[1]"])
def test_settings_that_cannot_be_read_are_one_message_with_a_way_out(
    trimtab: Any, measured: Path, settings: str
) -> None:
    (measured / "run.yaml").write_text(f"command: measure\nsettings: {settings}\n")
    ran = trimtab("report", measured)
    assert ran.code == 2
    assert "run.yaml: its settings cannot be read" in ran.err
    assert "another --out" in ran.err
    assert "Traceback" not in ran.err
