"""What pydantic finds wrong with a charter, in plain words."""

from __future__ import annotations

import json
import re
import reprlib
from collections.abc import Sequence
from typing import Any, get_args

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from trimtab.charters.sheet import Place
from trimtab.records.charter import Charter, Clause, ClauseKind
from trimtab.records.errors import did_you_mean
from trimtab.records.example import KINDS

CLAUSE_KINDS: tuple[ClauseKind, ...] = get_args(ClauseKind)
NOT_WRITTEN = ("clauses", "folder", "kind")  # keys of the records that are none of the file
CHARTER_KEYS = [*(key for key in Charter.model_fields if key not in NOT_WRITTEN), *CLAUSE_KINDS]
CLAUSE_KEYS = [key for key in Clause.model_fields if key not in NOT_WRITTEN]

WANTED = {
    "string_type": "a text",
    "string_unicode": "a text",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "greater_than": "more than {gt:g}",
    "greater_than_equal": "{ge:g} or more",
    "less_than": "less than {lt:g}",
    "less_than_equal": "{le:g} or less",
    "literal_error": "{expected}",
}
WANTED_PATTERNS = {
    "id": "letters, digits, - and _, a letter or digit first",
    "name": "letters, digits, -, _ and ., a letter or digit first",
    "url": "an address that begins with http:// or https://",
}


def put_in_words(detail: ErrorDetails, place: Place) -> tuple[str, str | None]:
    """What is wrong at a place of the file, and what to do about it."""
    kind, is_key = detail["type"], detail["loc"][-1] == "[key]"
    if kind == "missing":
        return f"{place[-1]} is missing", f"Add {place[-1]}: …"
    if kind in ("extra_forbidden", "invalid_key") or (is_key and kind == "literal_error"):
        return f"unknown key {place[-1]!r}", did_you_mean(str(place[-1]), valid_keys(place[:-1]))
    name = "a key" if is_key else _name(place)
    wanted = _wanted(detail, name)
    if wanted is None:
        return f"{name}: {detail['msg']}", None
    return f"{name} must be {wanted}, not {_shown(detail['input'])}", _advice(detail)


def valid_keys(place: Place) -> Sequence[str]:
    """The keys that may be written in the mapping at `place`."""
    if not place:
        return CHARTER_KEYS
    section = str(place[0])
    if section in CLAUSE_KINDS:
        return CLAUSE_KEYS
    if section == "doses":
        return KINDS
    annotation = Charter.model_fields[section].annotation
    return [
        key
        for part in (annotation, *get_args(annotation))
        if isinstance(part, type) and issubclass(part, BaseModel)
        for key in part.model_fields
    ]


def _name(place: Place) -> str:
    last = place[-1]
    return last if isinstance(last, str) else f"item {last + 1} of {place[-2]}"


def _wanted(detail: ErrorDetails, name: str) -> str | None:
    if detail["loc"][-1] == "str":  # speaks for both branches of a union
        return "a text or a mapping"
    if detail["type"] == "string_pattern_mismatch":
        return WANTED_PATTERNS.get(name)
    wanted = WANTED.get(detail["type"])
    return wanted and wanted.format(**detail.get("ctx", {}))


def _shown(value: Any) -> str:
    """A value as YAML would have it, cut where it is long."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    return reprlib.repr(value) if isinstance(value, str | int | float | list | dict) else str(value)


def _advice(detail: ErrorDetails) -> str | None:
    kind, value = detail["type"], detail["input"]
    if kind == "literal_error":
        return did_you_mean(str(value), re.findall(r"'([^']+)'", detail["ctx"]["expected"]))
    if kind == "less_than_equal" and detail["ctx"]["le"] == 1:
        return "Rates are shares: 0.9 is 90%."
    if kind == "string_type" and not isinstance(value, list | dict | None):
        return "Put it in quotes."
    return None
