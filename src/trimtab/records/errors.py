"""The one exception tree: what was wrong, where, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Where:
    """A place in a file that a person can open.

    >>> str(Where("charter.yaml", 7))
    'charter.yaml:7'
    >>> str(Where("rows.parquet"))
    'rows.parquet'
    """

    path: str
    line: int | None = None

    def __str__(self) -> str:
        return self.path if self.line is None else f"{self.path}:{self.line}"


class TrimtabError(Exception):
    """Base of every error that trimtab raises on purpose; the command line exits with 2.

    >>> print(TrimtabError("no rows", where=Where("a.jsonl", 3), fix="add one"))
    a.jsonl:3: no rows
      add one
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
