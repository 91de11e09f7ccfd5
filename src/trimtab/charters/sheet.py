"""A charter as written: YAML's values, and the line where each of them stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from trimtab.records.errors import CharterError, Where, nearest_file

Place = tuple[str | int, ...]  # the keys and positions that lead to a value: ("perform", 0, "id")

BEGIN = "Begin with its name: …"


class Mistake(NamedTuple):
    """What is wrong with a charter at a line, and what to do about it."""

    line: int
    what: str
    fix: str | None = None


@dataclass(frozen=True, slots=True)
class Sheet:
    """The values, the line of every key and list item, and the keys that are written twice."""

    values: Mapping[str, Any]
    lines: Mapping[Place, int]
    repeated: Sequence[Mistake]

    def line_of(self, place: Place) -> int:
        """The line of the place or, where nothing is written there, of what would hold it."""
        while place not in self.lines:
            place = place[:-1]
        return self.lines[place]

    def mistake(self, place: Place, what: str, fix: str | None = None) -> Mistake:
        """A mistake at the line of the place."""
        return Mistake(self.line_of(place), what, fix)


def read_sheet(file: Path) -> Sheet:
    """The sheet in a file; CharterError where it is not a mapping in plain YAML."""
    node, values = _parse(_read(file), file)
    if node is None:
        raise CharterError("the charter is empty", where=str(file), fix=BEGIN)
    if not isinstance(values, dict):
        raise CharterError(
            "a charter is a mapping of keys to values",
            where=_where(file, node.start_mark),
            fix=BEGIN,
        )
    lines: dict[Place, int] = {(): _line(node)}
    repeated: list[Mistake] = []
    _index(node, (), lines, repeated)
    return Sheet(values, lines, repeated)


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise CharterError(
            "there is no such charter", where=str(file), fix=nearest_file(file)
        ) from None
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise CharterError(f"the charter cannot be read: {reason}", where=str(file)) from None
    except UnicodeDecodeError as error:
        raise CharterError(
            f"not UTF-8: {error.reason}",
            where=Where(str(file), error.object.count(b"\n", 0, error.start) + 1),
            fix="Save the file as UTF-8.",
        ) from None


def _parse(text: str, file: Path) -> tuple[yaml.Node | None, Any]:
    """YAML's root, with its marks, and the value of it; None of an empty text."""
    try:
        _refuse_marks(text, file)
        loader = yaml.SafeLoader(text)
        try:
            node = loader.get_single_node()
            return node, loader.construct_document(node) if node else None
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        raise _syntax_error(error, file) from None
    except yaml.reader.ReaderError as error:
        raise CharterError(
            "a character that YAML does not allow",
            where=Where(str(file), text.count("\n", 0, error.position) + 1),
            fix="Delete it.",
        ) from None
    except (ValueError, RecursionError) as error:  # the 45th of a month; a thousand brackets
        raise CharterError(
            f"not YAML: {error}", where=str(file), fix="Put texts in quotes."
        ) from None


def _refuse_marks(text: str, file: Path) -> None:
    """Refuse anchors, aliases and tags: no charter needs them, and a few can fill the memory."""
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if getattr(event, "anchor", None) or getattr(event, "tag", None):
            raise CharterError(
                "an anchor (&), an alias (*) or a tag (!)",
                where=_where(file, event.start_mark),
                fix="Write the value itself; a text that begins with &, * or ! needs quotes.",
            )


def _syntax_error(error: yaml.MarkedYAMLError, file: Path) -> CharterError:
    is_tab = "'\\t'" in (error.problem or "")
    problem = ", ".join(part for part in (error.context, error.problem) if part)
    return CharterError(
        f"not YAML: {'a tab' if is_tab else problem}",
        where=_where(file, error.problem_mark or error.context_mark),
        fix="Use spaces." if is_tab else "Check the indentation, colons and quotes around it.",
    )


def _where(file: Path, mark: Any) -> Where:
    return Where(str(file), mark.line + 1 if mark else None)


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _index(node: yaml.Node, place: Place, lines: dict[Place, int], repeated: list[Mistake]) -> None:
    """Fill in the line of every key and list item in `node`, and the keys written twice."""
    if isinstance(node, yaml.SequenceNode):
        for position, item in enumerate(node.value):
            lines[(*place, position)] = _line(item)
            _index(item, (*place, position), lines, repeated)
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inner = (*place, key.value)
            if inner in lines:
                what = f"the key {key.value!r} stands at line {lines[inner]} already"
                repeated.append(Mistake(_line(key), what, "Delete one."))
                continue
            lines[inner] = _line(key)
            _index(value, inner, lines, repeated)
