"""A charter's YAML, read into a Charter; every mistake is named with its line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, get_args

import yaml
from pydantic import ValidationError

from trimtab.records.charter import Charter, Clause, ClauseKind
from trimtab.records.errors import CharterError, Where, did_you_mean, nearest_file

Place = tuple[str | int, ...]  # the keys and positions that lead to a value: ("perform", 0, "id")

CLAUSE_KINDS: tuple[ClauseKind, ...] = get_args(ClauseKind)
NOT_WRITTEN = ("clauses", "folder", "kind")  # what the record has and the file must not
CHARTER_KEYS = [*(key for key in Charter.model_fields if key not in NOT_WRITTEN), *CLAUSE_KINDS]
CLAUSE_KEYS = [key for key in Clause.model_fields if key not in NOT_WRITTEN]

# What pydantic puts into a location that no one wrote: the branch of a union, the key of a dict.
BRANCHES = ("str", "Endpoint", "dict[str,any]", "[key]")

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


class Mistake(NamedTuple):
    """What is wrong with a charter at a line, and what to do about it."""

    line: int
    what: str
    fix: str | None


@dataclass(frozen=True, slots=True)
class Sheet:
    """A charter as written: its values, the line of each key and list item, keys written twice."""

    values: dict[str, Any]
    lines: Mapping[Place, int]
    repeated: Sequence[Mistake]

    def mistake(self, place: Place, what: str, fix: str | None = None) -> Mistake:
        """A mistake at the place or, where nothing is written there, at what would hold it."""
        while place not in self.lines:
            place = place[:-1]
        return Mistake(self.lines[place], what, fix)


def load_charter(path: str | Path) -> Charter:
    """The charter in a YAML file, its clauses in the file's order.

    Paths in the file are relative to its folder, and absolute in the Charter: `folder`, every data
    file, and a model or baseline that names a folder there; other models' names stay as they are.
    Raises CharterError, which tells of every mistake that was found.
    """
    file = Path(path)
    folder = file.parent.resolve()
    sheet = _read(file)
    clauses = _clauses(sheet.values)
    draft = {key: value for key, value in sheet.values.items() if key not in CLAUSE_KINDS}
    draft |= {"clauses": list(clauses.values()), "folder": str(folder)}
    places = tuple(clauses)
    mistakes = [
        *sheet.repeated,
        *_misplaced(sheet),
        *_repeated_ids(sheet, clauses),
        *_missing_files(sheet, draft, places, folder),
    ]
    _resolve_paths(draft, folder)
    try:
        charter = Charter.model_validate(draft)
    except ValidationError as error:
        mistakes += _invalid(sheet, places, error)
    if mistakes:
        raise _charter_error(str(path), mistakes)
    return charter


def _charter_error(path: str, mistakes: list[Mistake]) -> CharterError:
    """One error for all mistakes, in the order of their lines."""
    errors = [
        CharterError(what, where=Where(path, line), fix=fix)
        for line, what, fix in sorted(mistakes, key=lambda mistake: mistake.line)
    ]
    return errors[0] if len(errors) == 1 else CharterError("\n".join(map(str, errors)))


# --- from text to values and their lines


def _read(file: Path) -> Sheet:
    text = _text(file)
    try:
        _refuse_marks(text, file)
        loader = yaml.SafeLoader(text)
        try:
            node = loader.get_single_node()
            values = loader.construct_document(node) if node else None
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        raise _syntax_error(error, file) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise CharterError(
            f"a character that YAML does not allow: {chr(error.character)!a}",
            where=Where(str(file), line),
            fix="Delete it.",
        ) from None
    except (ValueError, RecursionError) as error:  # such as a date in month 13
        raise CharterError(f"not YAML: {error}", where=str(file)) from None
    if node is None:
        raise CharterError("the charter is empty", where=str(file), fix="Begin with its name: …")
    if not isinstance(values, dict):
        raise CharterError(
            "a charter is a mapping of keys to values",
            where=Where(str(file), node.start_mark.line + 1),
            fix="Begin with its name: …",
        )
    lines: dict[Place, int] = {(): node.start_mark.line + 1}
    repeated: list[Mistake] = []
    _index(node, (), lines, repeated)
    return Sheet(values, lines, repeated)


def _text(file: Path) -> str:
    try:
        raw = file.read_bytes()
    except FileNotFoundError:
        raise CharterError(
            "there is no such charter", where=str(file), fix=nearest_file(file)
        ) from None
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise CharterError(f"the charter cannot be read: {reason}", where=str(file)) from None
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CharterError(
            f"not UTF-8: {error.reason}",
            where=Where(str(file), error.object.count(b"\n", 0, error.start) + 1),
            fix="Save the file as UTF-8.",
        ) from None


def _refuse_marks(text: str, file: Path) -> None:
    """Refuse anchors, aliases and tags: a charter needs none, and a few lines can expand to GBs."""
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if getattr(event, "anchor", None) or getattr(event, "tag", None):
            raise CharterError(
                "an anchor (&), an alias (*) or a tag (!)",
                where=Where(str(file), event.start_mark.line + 1),
                fix="Write the value itself; a text that begins with &, * or ! needs quotes.",
            )


def _syntax_error(error: yaml.MarkedYAMLError, file: Path) -> CharterError:
    mark = error.problem_mark or error.context_mark
    is_tab = "'\\t'" in (error.problem or "")
    return CharterError(
        f"not YAML: {'a tab' if is_tab else error.problem}",
        where=Where(str(file), mark.line + 1 if mark else None),
        fix="Use spaces." if is_tab else "Check the indentation, colons and quotes around it.",
    )


def _index(node: yaml.Node, place: Place, lines: dict[Place, int], repeated: list[Mistake]) -> None:
    """Fill in the line of every key and list item below `node`, and the keys written twice."""
    if isinstance(node, yaml.SequenceNode):
        for position, item in enumerate(node.value):
            lines[(*place, position)] = item.start_mark.line + 1
            _index(item, (*place, position), lines, repeated)
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inner = (*place, key.value)
            line = key.start_mark.line + 1
            if inner in lines:
                what = f"the key {key.value!r} stands at line {lines[inner]} already"
                repeated.append(Mistake(line, what, "Delete one."))
                continue
            lines[inner] = line
            _index(value, inner, lines, repeated)


# --- from the file's shape to the record's


def _clauses(values: Mapping[str, Any]) -> dict[Place, dict[str, Any]]:
    """Every clause that is a mapping, with its kind, by its place; in the order of the file."""
    return {
        (kind, position): {**item, "kind": kind}
        for kind, section in values.items()
        if kind in CLAUSE_KINDS and isinstance(section, list)
        for position, item in enumerate(section)
        if isinstance(item, dict)
    }


def _misplaced(sheet: Sheet) -> Iterator[Mistake]:
    """What the record could not tell, for it never sees the lists that clauses are written in."""
    for key in ("clauses", "folder"):
        if key in sheet.values:
            yield sheet.mistake((key,), f"unknown key {key!r}", did_you_mean(key, CHARTER_KEYS))
    items = [
        ((kind, position), item)
        for kind in CLAUSE_KINDS
        if isinstance(sheet.values.get(kind), list)
        for position, item in enumerate(sheet.values[kind])
    ]
    if not items:
        yield sheet.mistake((), "no clause", f"Add one under {', '.join(CLAUSE_KINDS)}.")
    for kind in CLAUSE_KINDS:
        if not isinstance(sheet.values.get(kind), list | None):
            yield sheet.mistake((kind,), f"{kind} must be a list of clauses", "Write - id: …")
    for place, item in items:
        if not isinstance(item, dict):
            yield sheet.mistake(place, "a clause is a mapping of keys to values", "Write - id: …")
        elif "kind" in item:
            fix = f"Leave it out: clauses under {place[0]} are of that kind."
            yield sheet.mistake((*place, "kind"), "unknown key 'kind'", fix)
