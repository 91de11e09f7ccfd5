"""Every run that measured a final request is counted, and no run twice."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from trimtab.app.looks import LOOKS, count_looks, note_look
from trimtab.app.project import Project, open_project
from trimtab.records.errors import RunError
from trimtab.store import start_run

Look = Callable[..., Project]


@pytest.fixture
def look(scripted_bot: Path) -> Look:
    """Note that a run looks at a charter's final requests, or the first of each clause."""

    def note(name: str, limit: int | None = None) -> Project:
        project = open_project(scripted_bot, limit)
        with start_run(scripted_bot.parent / "runs" / name, "measure", {"limit": limit}) as run:
            note_look(project, run)
        return project

    return note


def looks_at(project: Project) -> int:
    return count_looks(project.charter.folder, project.suite)


def lines(charter: Path) -> list[dict[str, Any]]:
    text = (charter.parent / LOOKS).read_text()
    return [json.loads(line) for line in text.splitlines()]


def test_a_suite_that_nobody_measured_was_not_looked_at(scripted_bot: Path) -> None:
    assert looks_at(open_project(scripted_bot)) == 0


def test_a_run_that_goes_on_looks_once(look: Look) -> None:
    assert [looks_at(look("zero")) for _ in range(3)] == [1, 1, 1]


def test_a_run_that_was_deleted_and_made_again_looks_again(look: Look, scripted_bot: Path) -> None:
    look("zero")
    shutil.rmtree(scripted_bot.parent / "runs" / "zero")
    assert looks_at(look("zero")) == 2


def test_a_run_that_was_moved_has_looked_already(look: Look, scripted_bot: Path) -> None:
    runs = scripted_bot.parent / "runs"
    look("zero")
    (runs / "zero").rename(runs / "moved")
    assert looks_at(look("moved")) == 1


def test_a_look_at_some_requests_counts_for_the_whole_suite_and_the_other_way(look: Look) -> None:
    some = look("some", limit=1)
    whole = look("whole")
    assert some.suite.id != whole.suite.id
    assert looks_at(some) == looks_at(whole) == 2


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("max_tokens: 12", "max_tokens: 13"),
        ("[answers]", "[answers, {sentences: {at_most: 3}}]"),
    ],
)
def test_a_look_counts_though_the_charter_changed(
    look: Look, scripted_bot: Path, old: str, new: str
) -> None:
    before = look("before")
    scripted_bot.write_text(scripted_bot.read_text().replace(old, new))
    after = look("after")
    assert after.suite.id != before.suite.id
    assert looks_at(after) == 2


def test_requests_are_a_few_digits_each(look: Look, scripted_bot: Path) -> None:
    project = look("zero")
    (line,) = lines(scripted_bot)
    final = [probe for probe in project.suite.probes if probe.split == "final"]
    assert len(line["requests"]) == len(final) == 16
    assert all(len(request) == 8 for request in line["requests"])


def test_looks_at_other_requests_do_not_count(look: Look) -> None:
    project = look("zero")
    others = tuple(probe for probe in project.suite.probes if probe.split == "select")
    elsewhere = replace(
        project.suite,
        id="other",
        probes=tuple(replace(probe, split="final") for probe in others),
    )
    assert count_looks(project.charter.folder, elsewhere) == 0


def test_a_line_of_an_early_version_counts_for_its_suite(look: Look, scripted_bot: Path) -> None:
    project = open_project(scripted_bot)
    path = scripted_bot.parent / LOOKS
    path.parent.mkdir()
    row = {"time": "2026-01-01T00:00:00+00:00", "suite": project.suite.id, "run": "/runs/old"}
    path.write_text(json.dumps(row) + "\n")
    assert looks_at(project) == 1
    assert looks_at(look("zero")) == 2


def test_a_look_waits_while_another_process_writes_its_line(look: Look, scripted_bot: Path) -> None:
    path = scripted_bot.parent / LOOKS
    path.parent.mkdir()
    with ThreadPoolExecutor(1) as other:
        with FileLock(path.with_suffix(".lock")):
            waiting = other.submit(look, "zero")
            with pytest.raises(TimeoutError):
                waiting.result(timeout=0.5)
            assert not path.exists()
        assert looks_at(waiting.result(timeout=30)) == 1


def test_a_file_in_the_way_is_one_message(look: Look, scripted_bot: Path) -> None:
    (scripted_bot.parent / ".trimtab").touch()
    with pytest.raises(RunError, match="a file stands where a folder is needed"):
        look("zero")
