"""Data files, read into rows; rows, made into examples to train on and requests to ask."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from trimtab.data.files import Placed, parse_json, read_values
from trimtab.data.formats import FORM_COLUMNS, converse, json_type
from trimtab.records.conversation import Conversation, Role, content_hash
from trimtab.records.errors import DataError, Where, did_you_mean
from trimtab.records.example import Example, Kind
from trimtab.records.request import Request
from trimtab.records.row import Row

OUR_COLUMNS = FORM_COLUMNS | {"id", "seed", "topic", "slots", "answer"}

MAY_COME_AFTER: dict[Role, tuple[Role | None, ...]] = {
    "system": (None,),
    "user": (None, "system", "assistant"),
    "assistant": (None, "system", "user", "tool"),
    "tool": ("assistant", "tool"),
}


def load_rows(path: str | Path, columns: Mapping[str, str] = {}) -> list[Row]:
    """The rows of a JSONL, JSON (a list), Parquet or CSV file, in order; at least one.

    `trimtab.data.formats` lists the forms that a row may have. `columns` maps our column names
    to the file's. A row's `where` has the line where it begins, or its number in a Parquet file
    and in a JSON file without line breaks between rows. Raises DataError, naming file and line,
    for whatever cannot be read.
    """
    values = read_values(path)
    _check_mapping(columns, values, str(path))
    return [_row(value, where, columns) for value, where in values]


def examples_from(rows: Iterable[Row], kind: Kind | None = None) -> list[Example]:
    """The rows as examples; each ends with the assistant's turn.

    A contrast row may end with the user's: the clause that it is chosen for has the reply. The
    topic is the column `topic` or, failing that, `intent`.
    """
    return [_example(row, kind) for row in rows]


def requests_from(rows: Iterable[Row]) -> list[Request]:
    """The rows as requests; each ends where the assistant's turn is due.

    Columns: `id` (else the conversation's hash), `seed` (else the id), `topic` or `intent`,
    `slots` (an object of texts), `answer`. Numbers among them become texts.
    """
    places: dict[str, Where] = {}
    requests = []
    for row in rows:
        request = _request(row)
        if request.id in places:
            twin = f"the id {request.id!r}" if "id" in row.columns else "the same request"
            raise DataError(
                f"{twin} stands at {places[request.id]} already",
                where=row.where,
                fix="Delete one, or give each an id of its own.",
            )
        places[request.id] = row.where
        requests.append(request)
    return requests


def _check_mapping(columns: Mapping[str, str], values: Iterable[Placed], path: str) -> None:
    """Refuse names that are not ours, and columns that no row of the file has."""
    if not columns:
        return
    held = {name for value, _ in values if isinstance(value, dict) for name in value}
    for ours, theirs in columns.items():
        if ours not in OUR_COLUMNS:
            raise DataError(
                f"columns: unknown name {ours!r}",
                where=path,
                fix=did_you_mean(ours, sorted(OUR_COLUMNS)),
            )
        if theirs not in held:
            raise DataError(
                f"columns: the file has no column {theirs!r}",
                where=path,
                fix=did_you_mean(theirs, sorted(held)),
            )


def _row(value: Any, where: Where, columns: Mapping[str, str]) -> Row:
    if isinstance(value, str):
        value = {"request": value}
    if not isinstance(value, dict):
        raise DataError(
            f"a row is {json_type(value)}, not an object or a text",
            where=where,
            fix='Write {"prompt": …, "completion": …}.',
        )
    try:
        messages, rest = converse(_renamed(value, columns), preferred=columns)
    except DataError as error:
        raise DataError(error.what, where=where, fix=error.fix) from None
    return Row(messages, rest, where)


def _renamed(record: Mapping[str, Any], columns: Mapping[str, str]) -> dict[str, Any]:
    """The record under our names, without its nulls; a mapped name hides one of the file's."""
    moved = set(columns.values())
    kept = {name: value for name, value in record.items() if name not in moved}
    mapped = {ours: record.get(theirs) for ours, theirs in columns.items()}
    return {name: value for name, value in {**kept, **mapped}.items() if value is not None}


def _example(row: Row, kind: Kind | None) -> Example:
    _check_turns(row.messages, row.where)
    if row.messages[-1].role != "assistant" and kind != "contrast":
        raise DataError(
            f"no reply to learn: the last turn is of the {row.messages[-1].role}",
            where=row.where,
            fix="Add the assistant's turn, or name the column that holds it: columns: {reply: …}.",
        )
    return Example(row.messages, kind=kind, topic=_topic(row), where=row.where)


def _request(row: Row) -> Request:
    _check_turns(row.messages, row.where)
    if row.messages[-1].role == "assistant":
        raise DataError(
            "a request ends with the user's turn, and this row with the assistant's",
            where=row.where,
            fix="Cut the last turn, or read the prompt alone: columns: {request: prompt}.",
        )
    name = _column_text(row, "id") or content_hash(row.messages)
    return Request(
        id=name,
        messages=row.messages,
        seed=_column_text(row, "seed") or name,
        topic=_topic(row),
        slots=_slots(row),
        answer=_column_text(row, "answer"),
        where=row.where,
    )


def _check_turns(messages: Conversation, where: Where) -> None:
    """Refuse turns out of order, turns that say nothing, and a conversation without a user."""
    before: Role | None = None
    for number, message in enumerate(messages, start=1):
        if before not in MAY_COME_AFTER[message.role]:
            after = f"after one of the {before}" if before else "at the start"
            raise DataError(
                f"turn {number}: a turn of the {message.role} {after}",
                where=where,
                fix="A system turn comes first; then user and assistant take turns, the "
                "assistant's tools between.",
            )
        speaks = message.role in ("user", "assistant")
        if speaks and not message.content.strip() and not message.tool_calls:
            raise DataError(
                f"turn {number}: the {message.role} says nothing",
                where=where,
                fix="Fill the turn, or delete the row.",
            )
        before = message.role
    if all(message.role != "user" for message in messages):
        raise DataError("no turn of the user", where=where, fix="Add one, or delete the row.")


def _topic(row: Row) -> str | None:
    return _column_text(row, "topic") or _column_text(row, "intent")


def _slots(row: Row) -> dict[str, str]:
    slots = row.columns.get("slots", {})
    if isinstance(slots, str):
        slots = parse_json(slots, row.where)
    if not isinstance(slots, dict):
        raise DataError(
            f"slots is {json_type(slots)}, not an object",
            where=row.where,
            fix='Write {"city": "Porto", "people": 2}.',
        )
    return {
        name: _as_text(value, f"the slot {name!r}", row.where)
        for name, value in slots.items()
        if value is not None
    }


def _column_text(row: Row, column: str) -> str | None:
    value = row.columns.get(column)
    return None if value is None else _as_text(value, column, row.where)


def _as_text(value: Any, what: str, where: Where) -> str:
    """A text as it is and a finite number as text: `5` gives "5", `5.0` gives "5.0"."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
        raise DataError(
            f"{what} is {json_type(value)}, not a text or a number",
            where=where,
            fix="Write it as a text.",
        )
    if isinstance(value, float) and not math.isfinite(value):
        raise DataError(f"{what} is {value}", where=where, fix="Write a number, or leave it out.")
    return str(value)
