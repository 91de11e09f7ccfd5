"""A charter's file, read into a Charter."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from trimtab.charters.sheet import Mistake, Place, Sheet, read_sheet
from trimtab.charters.wording import CHARTER_KEYS, CLAUSE_KINDS, put_in_words
from trimtab.records.charter import SCRIPTED, Charter
from trimtab.records.errors import CharterError, Where, did_you_mean, nearest_file

# What pydantic puts into a location that no one wrote: the branch of a union, the key of a dict.
BRANCHES = ("str", "Endpoint", "dict[str,any]", "[key]")


def load_charter(path: str | Path) -> Charter:
    """The charter in a YAML file, its clauses in the file's order.

    Paths in the file are relative to its folder, and absolute in the Charter: `folder`, every data
    file, and a model or baseline that names a folder there or a script; other models' names stay.
    Raises CharterError, which tells of every mistake that was found.
    """
    file = Path(path)
    folder = file.parent.resolve()
    sheet = read_sheet(file)
    clauses = _clauses(sheet)
    places = tuple(clauses)
    draft = {key: value for key, value in sheet.values.items() if key not in CLAUSE_KINDS}
    draft |= {"clauses": list(clauses.values()), "folder": str(folder)}
    mistakes = [
        *sheet.repeated,
        *_misplaced(sheet),
        *_repeated_ids(sheet, clauses),
        *_nameless_models(sheet, draft),
        *_missing_files(sheet, draft, places, folder),
    ]
    _resolve_paths(draft, folder)
    try:
        charter = Charter.model_validate(draft)
    except ValidationError as error:
        mistakes += _invalid(sheet, places, error)
    else:
        mistakes += _without_effect(sheet, charter)
    if mistakes:
        raise _charter_error(str(path), mistakes)
    return charter


def where_of_check(path: str | Path, clause: str, position: int) -> Where:
    """Where the charter at `path`, which is valid, names a check of the clause with that id."""
    sheet = read_sheet(Path(path))
    place = next(place for place, item in _clauses(sheet).items() if item["id"] == clause)
    return Where(str(path), sheet.line_of((*place, "checks", position)))


def _charter_error(path: str, mistakes: list[Mistake]) -> CharterError:
    """One error for all mistakes, in the order of their lines."""
    errors = [
        CharterError(mistake.what, where=Where(path, mistake.line), fix=mistake.fix)
        for mistake in sorted(mistakes, key=lambda mistake: mistake.line)
    ]
    return errors[0] if len(errors) == 1 else CharterError("\n".join(map(str, errors)))


def _clauses(sheet: Sheet) -> dict[Place, dict[str, Any]]:
    """Every clause that is a mapping, with its kind, by its place; in the order of the file."""
    return {
        (kind, position): {**item, "kind": kind}
        for kind, section in sheet.values.items()
        if kind in CLAUSE_KINDS and isinstance(section, list)
        for position, item in enumerate(section)
        if isinstance(item, dict)
    }


def _misplaced(sheet: Sheet) -> Iterator[Mistake]:
    """Mistakes that the record cannot tell, as it never sees the lists that hold the clauses."""
    for key in ("clauses", "folder"):
        if key in sheet.values:
            yield sheet.mistake((key,), f"unknown key {key!r}", did_you_mean(key, CHARTER_KEYS))
    if not any(sheet.values.get(kind) for kind in CLAUSE_KINDS):
        yield sheet.mistake((), "no clause", f"Write one under {', '.join(CLAUSE_KINDS)}.")
    for kind in CLAUSE_KINDS:
        section = sheet.values.get(kind)
        if isinstance(section, list):
            yield from _misplaced_items(sheet, kind, section)
        elif section is not None:
            yield sheet.mistake((kind,), f"{kind} must be a list of clauses", "Write - id: …")


def _misplaced_items(sheet: Sheet, kind: str, section: list[Any]) -> Iterator[Mistake]:
    for position, item in enumerate(section):
        if not isinstance(item, dict):
            what = "a clause is a mapping of keys to values"
            yield sheet.mistake((kind, position), what, "Write - id: …")
        elif "kind" in item:
            fix = f"Leave it out: the clauses under {kind} are of that kind."
            yield sheet.mistake((kind, position, "kind"), "unknown key 'kind'", fix)


def _repeated_ids(sheet: Sheet, clauses: Mapping[Place, dict[str, Any]]) -> Iterator[Mistake]:
    lines: dict[str, int] = {}
    for place, clause in clauses.items():
        name = clause.get("id")
        if not isinstance(name, str):
            continue
        if name in lines:
            what = f"the id {name!r} stands at line {lines[name]} already"
            yield sheet.mistake((*place, "id"), what, "Give each clause an id of its own.")
        else:
            lines[name] = sheet.lines[(*place, "id")]


def _data_files(draft: Mapping[str, Any]) -> Iterator[tuple[dict[str, Any], str, Place]]:
    """Every mapping that names a data file, the key that does, and the mapping's place."""
    pool = draft.get("pool")
    files = enumerate(pool if isinstance(pool, list) else [])
    named: list[tuple[Any, str, Place]] = [
        *((clause, "requests", ("clauses", n)) for n, clause in enumerate(draft["clauses"])),
        *((file, "path", ("pool", n)) for n, file in files),
        (draft.get("held_out"), "path", ("held_out",)),
    ]
    for mapping, key, place in named:
        if isinstance(mapping, dict) and isinstance(mapping.get(key), str):
            yield mapping, key, place


def _named_models(draft: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The keys whose value is a model's name, and the name."""
    for key in ("model", "baseline"):
        name = draft.get(key)
        if isinstance(name, str):
            yield key, name


def _nameless_models(sheet: Sheet, draft: Mapping[str, Any]) -> Iterator[Mistake]:
    for key, name in _named_models(draft):
        if not name.strip():
            yield sheet.mistake((key,), "a model needs a name", f"Write {key}: …")


def _missing_files(
    sheet: Sheet, draft: Mapping[str, Any], places: Sequence[Place], folder: Path
) -> Iterator[Mistake]:
    named = [
        *((mapping[key], (*_written(at, places), key)) for mapping, key, at in _data_files(draft)),
        *(
            (name.removeprefix(SCRIPTED), (key,))
            for key, name in _named_models(draft)
            if name.startswith(SCRIPTED)
        ),
    ]
    for name, place in named:
        if not os.path.isfile(folder / name):  # noqa: PTH113 - Path.is_file raises for too long a name
            yield sheet.mistake(place, f"there is no file {name!r}", nearest_file(folder / name))


def _resolve_paths(draft: dict[str, Any], folder: Path) -> None:
    """Make data files absolute, and models that are scripts or folders."""
    for mapping, key, _ in _data_files(draft):
        mapping[key] = str(folder / mapping[key])
    for key, name in _named_models(draft):
        if name.startswith(SCRIPTED):
            draft[key] = f"{SCRIPTED}{folder / name.removeprefix(SCRIPTED)}"
        elif name and os.path.isdir(folder / name):  # noqa: PTH112
            draft[key] = str((folder / name).resolve())


def _without_effect(sheet: Sheet, charter: Charter) -> Iterator[Mistake]:
    """Keys that are written and change nothing, as the rest of the charter stands.

    The record cannot tell: read back from a run, it has every default as if it were written.
    """
    pooled = {file.kind for file in charter.pool}
    if charter.control and not charter.held_out:
        fix = "Name conversations whose loss to compare: held_out: {path: …}."
        yield sheet.mistake(("control",), "control has no effect without held_out", fix)
    if ("generation", "seed") in sheet.lines and not charter.generation.temperature:
        fix = "Leave it out, or give a temperature."
        yield sheet.mistake(
            ("generation", "seed"), "seed has no effect where temperature is 0", fix
        )
    if charter.specialise and not pooled & {"scope", "replay"}:
        what = "specialise has no effect without a pool file of kind scope or replay"
        yield sheet.mistake(("specialise",), what, "Add one under pool.")
    for kind, dose in charter.doses.items():
        place = ("doses", kind)
        if place not in sheet.lines or not dose:
            continue
        if kind not in pooled:
            what = f"a dose of {kind} has no effect without a pool file of that kind"
            yield sheet.mistake(place, what, "Add one under pool, or leave the dose out.")
        elif kind == "contrast" and not charter.deflections:
            what = "a dose of contrast has no effect without a deflect clause"
            yield sheet.mistake(place, what, "Leave it out.")


def _written(location: Place, places: Sequence[Place]) -> Place:
    """Where the file has what the record has at `location`; `places` are those of its clauses."""
    if len(location) > 1 and location[0] == "clauses":
        location = (*places[int(location[1])], *location[2:])
    return tuple(part for part in location if part not in BRANCHES)


def _invalid(sheet: Sheet, places: Sequence[Place], error: ValidationError) -> Iterator[Mistake]:
    """The mistakes that the record found."""
    for detail in error.errors(include_url=False):
        if detail["loc"] == ("clauses",) or _is_other_branch(detail):
            continue  # what is wrong with the clauses together was found before
        place = _written(detail["loc"], places)
        if detail["type"] == "value_error":
            message = str(detail["ctx"]["error"])
            yield sheet.mistake(_named_key(sheet, place, message), message)
        else:
            yield sheet.mistake(place, *put_in_words(detail, place))


def _is_other_branch(detail: ErrorDetails) -> bool:
    """Whether this is about the half of "a text or a mapping" that was not meant.

    Where neither was, the half about the text speaks for both.
    """
    branch = detail["loc"][-1]
    return branch in ("Endpoint", "dict[str,any]") or (
        branch == "str" and isinstance(detail["input"], dict)
    )


def _named_key(sheet: Sheet, place: Place, message: str) -> Place:
    """The place of the first key at `place` that the message names, or `place` itself."""
    keys = ((*place, word) for word in re.findall(r"\w+", message))
    return next((key for key in keys if key in sheet.lines), place)
