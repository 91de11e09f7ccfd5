"""Records as JSON and JSONL: what is written reads back equal."""

from __future__ import annotations

import json
import mmap
import os
import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter, ValidationError

from trimtab.records.errors import RunError, Where
from trimtab.store.files import explained, sync, write_atomically

T = TypeVar("T")

# Building one takes milliseconds, using it microseconds.
adapter_of: Callable[[Any], TypeAdapter[Any]] = cache(TypeAdapter)


def to_json(record: object, *, indent: int | None = None) -> str:
    """A record, or plain data that may hold records, as JSON; on one line without `indent`.

    Keys that a pydantic model was not given are left out, because a charter's clause refuses
    some of them even at their default. ValueError for what JSON does not have, such as NaN or
    infinity, and for a field that holds another type than it declares.

    >>> from trimtab.records.profile import Interval
    >>> to_json(Interval(0.5, 0.25, 0.75))
    '{"value": 0.5, "low": 0.25, "high": 0.75}'
    """
    data = adapter_of(type(record)).dump_python(
        record, mode="json", exclude_unset=True, warnings="error"
    )
    return json.dumps(data, ensure_ascii=False, allow_nan=False, indent=indent)


def from_json(text: bytes, type_: type[T], where: Where) -> T:
    """The record that `text` holds; RunError with file and line where it holds none.

    >>> from trimtab.records.profile import Interval
    >>> from_json(b'{"value": 0.5, "low": 0.25}', Interval, Where("a.jsonl", 7))
    Traceback (most recent call last):
    trimtab.records.errors.RunError: a.jsonl:7: high: Field required
      mend it, or delete the file and run the command that wrote it again
    """
    try:
        record: T = adapter_of(type_).validate_json(text)
    except ValidationError as error:
        raise broken(error, where) from error
    return record


def broken(error: ValidationError, where: Where) -> RunError:
    """The first thing wrong with a text; an error of JSON's syntax knows its own line."""
    first = error.errors(include_url=False)[0]
    field = ".".join(map(str, first["loc"]))
    what = f"{field}: {first['msg']}" if field else first["msg"]
    if place := re.search(r" at line (\d+) column (\d+)$", what):
        what = f"{what[: place.start()]} (column {place[2]})"
        where = Where(where.path, where.line or int(place[1]))
    fix = "mend it, or delete the file and run the command that wrote it again"
    return RunError(what, where=where, fix=fix)


def write_json(path: str | Path, record: object) -> None:
    """Write one record atomically, indented for people."""
    write_atomically(path, to_json(record, indent=2) + "\n")


def read_json(path: str | Path, type_: type[T]) -> T:
    """What `write_json` wrote; RunError where the file is missing or broken."""
    return from_json(read_bytes(path), type_, Where(str(path)))


def write_jsonl(path: str | Path, records: Iterable[object]) -> None:
    """Write records atomically, one a line; none give an empty file."""
    write_atomically(path, to_jsonl(records))


def read_jsonl(path: str | Path, type_: type[T]) -> list[T]:
    """What `write_jsonl` wrote; RunError where the file is missing or broken."""
    return from_jsonl(read_bytes(path), type_, path)


def to_jsonl(records: Iterable[object]) -> bytes:
    return "".join(to_json(record) + "\n" for record in records).encode()


def from_jsonl(text: bytes, type_: type[T], path: str | Path) -> list[T]:
    # Not splitlines: a JSON text may hold other line separators, such as U+2028.
    lines = text.removesuffix(b"\n").split(b"\n") if text else []
    return [
        from_json(line, type_, Where(str(path), number)) for number, line in enumerate(lines, 1)
    ]


def read_bytes(path: str | Path) -> bytes:
    path = Path(path)
    with explained(path, "read"):
        return path.read_bytes()


class Journal(Generic[T]):
    """Records of one type, one a line, that only grow in number: work goes on where it stopped.

    A row counts once its line is whole, so a kill during `append` loses rows of that call alone.
    One process at a time may append.
    """

    def __init__(self, path: str | Path, type_: type[T]):
        self.path = Path(path)
        self.type_ = type_

    def read(self) -> list[T]:
        """The complete rows in order, none where the file is missing; RunError if one is broken."""
        with explained(self.path, "read"):
            end = end_of_lines(self.path)
        return from_jsonl(read_bytes(self.path)[:end], self.type_, self.path) if end else []

    def append(self, rows: Iterable[T]) -> None:
        """Add rows; they are on the disk when this returns. RunError, and none added, if not."""
        text = to_jsonl(rows)
        with explained(self.path, "written"):
            is_new = not self.path.exists()
            end = end_of_lines(self.path)
            try:
                with self.path.open("ab") as file:
                    file.truncate(end)
                    file.write(text)
                    file.flush()
                    os.fsync(file.fileno())
            except BaseException:
                with suppress(OSError):
                    os.truncate(self.path, end)
                raise
            if is_new:
                sync(self.path.parent)


def end_of_lines(path: Path) -> int:
    """The offset after the last newline: what follows is torn. 0 where there is no file."""
    if not path.exists() or path.stat().st_size == 0:
        return 0
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return content.rfind(b"\n") + 1
