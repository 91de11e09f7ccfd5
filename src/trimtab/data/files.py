"""Data files of four extensions, read into values that know their places."""

from __future__ import annotations

import codecs
import csv
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

from trimtab.records.errors import DataError, Where, nearest_file

Placed = tuple[Any, Where]

LONGEST_CELL = 2**31 - 1  # characters; the csv module's own limit, 131,072, is a long document
BETWEEN_ROWS = " \t\r\n,"


def read_values(path: str | Path) -> list[Placed]:
    """The file's rows as plain values, each with its place; never an empty list.

    A place is the line where the row begins; the row's number in a Parquet file, and in a JSON
    file where several rows share a line. An empty cell of a CSV file is None, as a null is in the
    other formats. Raises DataError.
    """
    file = Path(path)
    raw = _read(file)
    read = READERS.get(file.suffix.lower())
    if read is None:
        ending = f"ends in {file.suffix!r}" if file.suffix else "has no extension"
        raise DataError(
            f"the file's name {ending}, which is not read",
            where=str(path),
            fix=f"Make it one of {', '.join(READERS)}.",
        )
    if not raw.strip():
        raise DataError("the file is empty", where=str(path), fix="Give it a row at least.")
    values = list(read(raw, str(path)))
    if not values:
        raise DataError("the file has no rows", where=str(path), fix="Give it one at least.")
    return values


def parse_json(text: str, where: Where | None = None) -> Any:
    """The text's value; DataError where it is not JSON or holds what UTF-8 cannot."""
    value = _loads(text, where)
    if "\\u" in text:
        _refuse_lone_surrogates(value, where)
    return value


def _read(file: Path) -> bytes:
    """The file's bytes, a byte-order mark taken off."""
    try:
        return file.read_bytes().removeprefix(codecs.BOM_UTF8)
    except FileNotFoundError:
        raise DataError("there is no such file", where=str(file), fix=nearest_file(file)) from None
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise DataError(f"the file cannot be read: {reason}", where=str(file)) from None


def _decode(raw: bytes, path: str, line: int = 1) -> str:
    """The text of bytes that begin at `line`."""
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise DataError(
            f"not UTF-8: byte 0x{raw[error.start]:02x}",
            where=Where(path, line + raw.count(b"\n", 0, error.start)),
            fix="Save the file as UTF-8.",
        ) from None


def _jsonl(raw: bytes, path: str) -> Iterator[Placed]:
    for line, row in enumerate(raw.split(b"\n"), start=1):
        if row.strip():
            where = Where(path, line)
            yield parse_json(_decode(row, path, line), where), where


def _json(raw: bytes, path: str) -> Iterator[Placed]:
    text = _decode(raw, path)
    rows = _loads(text, Where(path))
    if not isinstance(rows, list):
        raise DataError(
            "not a list of rows",
            where=path,
            fix="Write [row, row, …]; a file with one row a line has the extension .jsonl.",
        )
    has_escapes = "\\u" in text
    for row, where in zip(rows, _json_places(text, path, len(rows)), strict=True):
        if has_escapes:
            _refuse_lone_surrogates(row, where)
        yield row, where


def _json_places(text: str, path: str, rows: int) -> list[Where]:
    """Where each row of a list begins; the text is known to be such a list."""
    decoder = json.JSONDecoder()
    line, counted, position = 1, 0, text.index("[") + 1
    lines = []
    for _ in range(rows):
        while text[position] in BETWEEN_ROWS:
            position += 1
        line, counted = line + text.count("\n", counted, position), position
        lines.append(line)
        _, position = decoder.raw_decode(text, position)
    if len(set(lines)) < rows:
        return [Where(path, row=row) for row in range(1, rows + 1)]
    return [Where(path, line) for line in lines]


def _csv(raw: bytes, path: str) -> Iterator[Placed]:
    csv.field_size_limit(LONGEST_CELL)
    reader = csv.reader(io.StringIO(_decode(raw, path), newline=""), strict=True)
    header: list[str] = []
    while True:
        where = Where(path, reader.line_num + 1)
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise DataError(f"not CSV: {error}", where=where, fix="Check its quotes.") from None
        if not header:
            header = cells
            _refuse_twins(header, where)
        elif cells:
            if len(cells) != len(header):
                raise DataError(
                    f"cells in the row: {len(cells)}, in the header: {len(header)}",
                    where=where,
                    fix="Quote cells that hold a comma or a line break.",
                )
            yield {name: cell or None for name, cell in zip(header, cells, strict=True)}, where


def _parquet(raw: bytes, path: str) -> Iterator[Placed]:
    import polars as pl

    try:
        table = pl.read_parquet(io.BytesIO(raw))
    # A panic inside Polars is no Exception, and damaged files can cause one.
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise DataError(
            f"not a readable Parquet file: {str(error).partition(chr(10))[0]}",
            where=path,
            fix="Write it again.",
        ) from None
    for number, row in enumerate(table.iter_rows(named=True), start=1):
        yield row, Where(path, row=number)


READERS: dict[str, Callable[[bytes, str], Iterator[Placed]]] = {
    ".jsonl": _jsonl,
    ".json": _json,
    ".parquet": _parquet,
    ".csv": _csv,
}


def _loads(text: str, where: Where | None) -> Any:
    """The text's value; where `where` has no line, an error names the line in the text."""
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        if where and where.line is None:
            where = Where(where.path, error.lineno)
        raise DataError(
            f"not JSON: {error.msg} (column {error.colno})", where=where, fix="Correct the JSON."
        ) from None
    except RecursionError:
        raise DataError("nested too deeply", where=where, fix="Flatten it.") from None
    except ValueError as error:
        raise DataError(f"not JSON: {error}", where=where, fix="Correct the number.") from None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _refuse_lone_surrogates(value: Any, where: Where | None) -> None:
    """Refuse a value that UTF-8 cannot hold: JSON can spell half a character as `\\ud83d`."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise DataError(
            "half of a surrogate pair, which is no character",
            where=where,
            fix="Write the whole character instead of its \\ud… escape.",
        ) from None
    except RecursionError:
        raise DataError("nested too deeply", where=where, fix="Flatten it.") from None


def _refuse_twins(header: list[str], where: Where) -> None:
    for name in header:
        if header.count(name) > 1:
            raise DataError(f"two columns are called {name!r}", where=where, fix="Rename one.")
