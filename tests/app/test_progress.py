"""What a long command shows while it works."""

from __future__ import annotations

import io
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from types import SimpleNamespace
from typing import TextIO

import pytest

from trimtab.app import progress
from trimtab.app.progress import Bars, Lines, Silent, for_terminal


class Clock:
    """Seconds that pass when told."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=clock.monotonic))
    return clock


def test_lines_tell_rate_and_time_left_every_ten_seconds(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    with Lines().stage("tuning", 1000, "steps") as stage:
        for _ in range(6):
            clock.now += 4
            stage.advance(20, "loss 1.5")
        clock.now += 76
        stage.advance(880)
    assert capsys.readouterr().err.splitlines() == [
        "tuning …",
        "tuning: 60 of 1,000 steps, 5.0/s, 188 s left  loss 1.5",
        "tuning: 120 of 1,000 steps, 5.0/s, 176 s left  loss 1.5",
        "tuning: 1,000 steps in 100 s (10.0/s)",
    ]


def test_lines_wait_until_they_know_how_much_there_is(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    with Lines().stage("tuning", None, "steps") as stage:
        clock.now += 20
        stage.advance(1)
        stage.expect(3)
        clock.now += 20
        stage.advance(1)
    assert capsys.readouterr().err.splitlines() == [
        "tuning …",
        "tuning: 2 of 3 steps, 0.1/s, 20 s left",
        "tuning: 2 steps in 40 s (0.1/s)",
    ]


def test_silence(capsys: pytest.CaptureFixture[str]) -> None:
    silent = Silent()
    silent.say("hello")
    with silent.stage("tuning", None, "steps") as stage:
        stage.expect(3)
        stage.advance(1, "loss 1.5")
    assert capsys.readouterr() == ("", "")


class Terminal:
    """A pseudo-terminal, and what was written to it."""

    def __init__(self) -> None:
        self.master, slave = os.openpty()
        self.file: TextIO = os.fdopen(slave, "w")
        self._content = b""
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        with suppress(OSError):  # Linux's word for: nobody can write to it any more
            while chunk := os.read(self.master, 4096):
                self._content += chunk

    def close(self) -> str:
        self.file.close()
        self._reader.join()
        os.close(self.master)
        return self._content.decode()


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    terminal = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    yield terminal
    if not terminal.file.closed:
        terminal.close()


def test_bars_on_a_terminal_show_count_rate_time_left_and_note(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", terminal.file)
    bars = for_terminal()
    assert isinstance(bars, Bars)
    bars.say("warning: [few] probes")
    with bars.stage("tuning candidate 1", None, "steps") as stage:
        stage.expect(4)
        for _ in range(4):
            stage.advance(1, "loss [1.5]")
    shown = terminal.close()
    assert "warning: [few] probes" in shown
    last = shown.rsplit("tuning candidate 1", 1)[1]
    for part in ("4/4", "steps", "/s", "left", "0:00:00", "loss [1.5]"):
        assert part in last


def test_no_bars_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert isinstance(for_terminal(), Lines)
