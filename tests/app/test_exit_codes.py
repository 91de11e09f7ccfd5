"""How a command ends: 2 for what a user can mend, 70 for our own faults, 130 when interrupted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from trimtab.app import flows

# Background jobs ignore an interrupt, and so would the processes that they start.
MAIN = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from trimtab.app.cli import main
main()
"""


def start(*arguments: object, **options: Any) -> subprocess.Popen[str]:
    """The command line in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", MAIN, *map(str, arguments)],
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        **options,
    )


def raising(error: BaseException) -> Callable[..., Any]:
    def fail(*_: object, **__: object) -> None:
        raise error

    return fail


# 2: what the operating system refuses


def init_into_a_file(trimtab: Any, charter: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    return trimtab("init", "restaurant-booker", charter)


def add_to_no_cache(trimtab: Any, charter: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("TRIMTAB_CACHE", "/proc/nope")
    return trimtab("model", "add", "smollm2-135m-instruct")


def look_beside_a_file(trimtab: Any, charter: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    (charter.parent / ".trimtab").touch()
    return trimtab("measure", charter, "--final", "--out", charter.parent / "runs" / "zero")


@pytest.mark.parametrize(
    ("command", "where", "fix"),
    [
        (init_into_a_file, "charter.yaml: ", "a file stands where a folder is needed"),
        (add_to_no_cache, "/proc/nope/models: ", "TRIMTAB_CACHE"),
        (look_beside_a_file, "final_looks.jsonl: ", "a file stands where a folder is needed"),
    ],
)
def test_a_place_that_cannot_be_written_is_one_message(
    trimtab: Any,
    scripted_bot: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: Callable[..., Any],
    where: str,
    fix: str,
) -> None:
    ran = command(trimtab, scripted_bot, monkeypatch)
    assert ran.code == 2
    message = ran.err[ran.err.index("error: ") :]
    assert where in message
    assert fix in message
    assert "Traceback" not in ran.err


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            PermissionError(13, "Permission denied", "/vault"),
            "error: /vault: Permission denied\n"
            "  change its permissions or its folder's, or give another path\n",
        ),
        (
            ConnectionResetError("the peer has gone"),
            "error: the peer has gone\n  check the path or address, and try again\n",
        ),
    ],
)
def test_any_other_error_of_the_operating_system_is_one_message(
    trimtab: Any, monkeypatch: pytest.MonkeyPatch, error: OSError, message: str
) -> None:
    monkeypatch.setattr(flows, "report", raising(error))
    ran = trimtab("report", "run")
    assert (ran.code, ran.err) == (2, message)


def test_output_that_cannot_be_written_is_one_message() -> None:
    with Path("/dev/full").open("w") as full:
        process = start("model", "list", stdout=full, stderr=subprocess.PIPE)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 2
    assert said.startswith("error: No space left on device\n")
    assert "Traceback" not in said


def test_a_reader_that_has_left_is_no_error() -> None:
    read, write = os.pipe()
    os.close(read)
    process = start("model", "list", stdout=write, stderr=subprocess.PIPE)
    os.close(write)
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (141, "")


# 70: our own faults


def test_a_fault_of_ours_shows_its_traceback_and_is_not_a_missed_clause(
    trimtab: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flows, "report", raising(ZeroDivisionError("a rate of nothing")))
    ran = trimtab("report", "run")
    assert ran.code == 70
    assert "Traceback" in ran.err
    assert "ZeroDivisionError: a rate of nothing" in ran.err
    assert "report it" in ran.err


# 130: interrupted


def test_an_interrupt_says_that_the_same_command_goes_on(
    trimtab: Any, scripted_bot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flows, "measure", raising(KeyboardInterrupt()))
    ran = trimtab("measure", scripted_bot, "--out", scripted_bot.parent / "my zero")
    assert (ran.code, ran.err) == (130, "interrupted; the same command goes on from here\n")


def test_a_command_that_does_not_go_on_promises_nothing(
    trimtab: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flows, "report", raising(KeyboardInterrupt()))
    ran = trimtab("report", "run")
    assert (ran.code, ran.err) == (130, "interrupted\n")


def test_steering_that_was_interrupted_goes_on_also_after_midnight(tiny_bot: Path) -> None:
    runs = tiny_bot.parent / "runs"
    with start("steer", tiny_bot, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        while not process.stderr.readline().startswith("tuning candidate 1"):
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()
    assert process.returncode == 130
    (begun,) = runs.iterdir()
    assert not (begun / "manifest.json").exists()
    assert said.endswith(
        "interrupted; the same command goes on from here:\n"
        f"  trimtab steer {tiny_bot} --out {begun}\n"
    )
    yesterday = begun.rename(runs / "2026-01-31-small-booker")
    again = start("steer", tiny_bot, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    told, _ = again.communicate(timeout=300)
    assert again.returncode in (0, 1)
    assert f"report: {yesterday}/report.html" in told
    assert list(runs.iterdir()) == [yesterday]
    assert (yesterday / "report.html").is_file()
