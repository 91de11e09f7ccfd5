"""What a long command shows: every stage, its rate, and the time left."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

LINE_SECONDS = 10.0


class Stage(Protocol):
    """A piece of work under way."""

    def expect(self, total: float) -> None:
        """Say how much there is to do, where that was not known at the start."""
        ...

    def advance(self, amount: float, note: str = "") -> None: ...


class Progress(Protocol):
    """Where flows say what they are doing."""

    def say(self, line: str) -> None: ...

    def stage(self, name: str, total: float | None, unit: str) -> AbstractContextManager[Stage]: ...


class Silent:
    """Shows nothing: the Python API's default."""

    def say(self, line: str) -> None:
        pass

    @contextmanager
    def stage(self, name: str, total: float | None, unit: str) -> Iterator[Stage]:
        yield self

    def expect(self, total: float) -> None:
        pass

    def advance(self, amount: float, note: str = "") -> None:
        pass


class Lines:
    """A line at each stage's start and end, and one every ten seconds: for logs and pipes."""

    def say(self, line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    @contextmanager
    def stage(self, name: str, total: float | None, unit: str) -> Iterator[Stage]:
        self.say(f"{name} …")
        stage = _LineStage(self, name, total, unit)
        yield stage
        self.say(f"{name}: {stage.summary()}")


class _LineStage:
    def __init__(self, lines: Lines, name: str, total: float | None, unit: str) -> None:
        self._lines, self._name, self._total, self._unit = lines, name, total, unit
        self._done = 0.0
        self._began = self._shown = time.monotonic()

    def expect(self, total: float) -> None:
        self._total = total

    def advance(self, amount: float, note: str = "") -> None:
        self._done += amount
        now = time.monotonic()
        if self._total and now - self._shown >= LINE_SECONDS and self._done < self._total:
            self._shown = now
            rate = self._done / (now - self._began)
            left = (self._total - self._done) / rate if rate else 0
            self._lines.say(
                f"{self._name}: {self._done:,.0f} of {self._total:,.0f} {self._unit}, "
                f"{rate:,.1f}/s, {left:,.0f} s left{'  ' + note if note else ''}"
            )

    def summary(self) -> str:
        seconds = time.monotonic() - self._began
        rate = self._done / seconds if seconds else 0.0
        return f"{self._done:,.0f} {self._unit} in {seconds:.0f} s ({rate:,.1f}/s)"


class Bars:
    """A bar with rate and time left, on a terminal."""

    def say(self, line: str) -> None:
        from rich.console import Console

        Console(stderr=True).print(line, highlight=False, markup=False)

    @contextmanager
    def stage(self, name: str, total: float | None, unit: str) -> Iterator[Stage]:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )
        from rich.progress import Progress as RichProgress

        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn(unit),
            TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", markup=False),
        )
        with RichProgress(*columns, console=Console(stderr=True)) as bars:
            task = bars.add_task(name, total=total, rate="", note="")
            began = time.monotonic()
            done = 0.0

            class Bar:
                def expect(self, total: float) -> None:
                    bars.update(task, total=total)

                def advance(self, amount: float, note: str = "") -> None:
                    nonlocal done
                    done += amount
                    rate = done / max(time.monotonic() - began, 1e-9)
                    bars.update(task, completed=round(done), rate=f"{rate:,.1f}/s", note=note)

            yield Bar()


def for_terminal() -> Progress:
    """Bars on a terminal, lines elsewhere."""
    return Bars() if sys.stderr.isatty() else Lines()
