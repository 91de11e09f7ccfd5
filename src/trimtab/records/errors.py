"""The one exception tree: what was wrong, where, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Where:
    """A place in a file that a person can open; `row` counts from 1 where lines would not help.

    >>> str(Where("charter.yaml", 7))
    'charter.yaml:7'
    >>> str(Where("rows.parquet", row=3))
    'rows.parquet, row 3'
    >>> str(Where("rows.parquet"))
    'rows.parquet'
    """

    path: str
    line: int | None = None
    row: int | None = None

    def __str__(self) -> str:
        if self.line is not None:
            return f"{self.path}:{self.line}"
        return self.path if self.row is None else f"{self.path}, row {self.row}"


class TrimtabError(Exception):
    """Base of every error that trimtab raises on purpose; the command line exits with 2.

    >>> print(TrimtabError("no rows", where=Where("a.jsonl", 3), fix="Add one."))
    a.jsonl:3: no rows
      Add one.
    """

    def __init__(self, what: str, *, where: Where | str | None = None, fix: str | None = None):
        self.what = what
        self.where = str(where) if where is not None else None
        self.fix = fix
        super().__init__(what)

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        return f"{place}{self.what}" + (f"\n  {self.fix}" if self.fix else "")


class CharterError(TrimtabError):
    """A charter that cannot be read or does not make sense."""


class DataError(TrimtabError):
    """A data file, or a row of one, that cannot be used."""


class CheckError(TrimtabError):
    """A check that does not exist, or was given options it does not take."""


class ModelError(TrimtabError):
    """A model that cannot be found, loaded or asked for what was wanted."""


class RunError(TrimtabError):
    """A run folder that is missing, broken, or belongs to another run."""


class TuningError(TrimtabError):
    """Training that cannot start, or had to stop."""


def did_you_mean(word: str, valid: Iterable[str]) -> str:
    """What to do about a misspelt word: take the nearest valid one, or any of them.

    >>> did_you_mean("at_lest", ["at_least", "at_most"])
    "Did you mean 'at_least'?"
    >>> did_you_mean("colour", ["at_least", "at_most"])
    'There are: at_least, at_most.'
    """
    names = list(valid)
    near = get_close_matches(word, names, n=1)
    return f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(names)}."


def nearest_file(missing: Path) -> str:
    """What to do about a file that is not there: take the one with the nearest name."""
    folder = missing.parent
    try:
        names = sorted(file.name for file in folder.iterdir())
    except (OSError, ValueError):
        return f"There is no folder {folder}."
    near = get_close_matches(missing.name, names, n=1, cutoff=0.0)
    return f"Did you mean {near[0]!r}?" if near else f"The folder {folder} is empty."
