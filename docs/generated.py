"""What docs/*.md hold of the code's own words: `make docs` writes it there, a test compares."""

from __future__ import annotations

import inspect
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

SOURCE = Path(__file__).parent.parent / "src" / "trimtab"
TYPE_NAME = re.compile(r"\b[A-Z]\w+")


def cli() -> str:
    """Every command with its arguments and options, in Markdown."""
    import typer
    from typer.cli import get_docs_for_click
    from typer.main import get_command

    from trimtab.app.cli import app

    command = get_command(app)
    text = get_docs_for_click(
        obj=command, ctx=typer.Context(command, info_name="trimtab"), name="trimtab"
    )
    # Typer cuts its lists of commands short; each has a section of its own below.
    without_lists = re.sub(r"\*\*Commands\*\*:\n\n(\* .*\n)+\n", "", text)
    return "\n" + without_lists.split("\n", 1)[1].strip() + "\n"


def json_keys() -> str:
    """The keys of what `--json` prints, and of the records in it."""
    from trimtab.records.comparison import Change, Comparison
    from trimtab.records.plan import Plan, PlanRow
    from trimtab.records.profile import ClauseResult, Profile

    records = {
        "`measure`": Profile,
        "its `clauses`": ClauseResult,
        "`plan`": Plan,
        "its `rows`": PlanRow,
        "`compare`": Comparison,
        "its `changes`": Change,
    }
    lines = [
        f"| {what} | `{record.__module__}.{record.__name__}` "
        f"| {', '.join(f'`{field.name}`' for field in fields(record))} |"
        for what, record in records.items()
    ]
    return "\n".join(["", "| of | record | keys |", "|---|---|---|", *lines, ""])


def table(config: type[BaseModel], *, without: tuple[str, ...] = ()) -> str:
    """A config's keys, what they may be, their defaults and what they mean."""
    lines = ["", "| key | value | default | |", "|---|---|---|---|"]
    for key, info in config.model_fields.items():
        if key in without:
            continue
        value = _value(config.model_json_schema()["properties"][key])
        lines.append(f"| `{key}` | {value} | {_default(info)} | {info.description or ''} |")
    return "\n".join([*lines, ""])


def _value(schema: dict[str, Any]) -> str:
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_value(each) for each in schema["anyOf"]))
    if "enum" in schema:
        return ", ".join(f"`{word}`" for word in schema["enum"])
    if "$ref" in schema:
        return f"see {schema['$ref'].rsplit('/', 1)[-1]}"
    names = {"integer": "whole number", "string": "text", "array": "list", "object": "mapping"}
    limits = {"minimum": "≥ ", "exclusiveMinimum": "> ", "maximum": "≤ ", "exclusiveMaximum": "< "}
    bounds = ", ".join(f"{sign}{schema[key]:g}" for key, sign in limits.items() if key in schema)
    name = names.get(schema.get("type", ""), schema.get("type", "any"))
    return f"{name}, {bounds}" if bounds else name


def _default(info: Any) -> str:
    if info.default is PydanticUndefined:
        return "required" if info.default_factory is None else "none"
    if info.default is None:
        return "null"
    if isinstance(info.default, BaseModel):
        return "see below"
    if isinstance(info.default, bool):
        return f"`{str(info.default).lower()}`"
    if isinstance(info.default, dict):
        return "`{" + ", ".join(f"{key}: {value}" for key, value in info.default.items()) + "}`"
    return f"`{info.default}`" if info.default != () else "none"


def python_api() -> str:
    """The functions that `from trimtab import …` offers, and the types that they speak of."""
    import trimtab

    parts, spoken_of = [], ""
    for name in trimtab.__all__:
        function = getattr(trimtab, name)
        signature = str(inspect.signature(function)).replace("trimtab.", "").replace("'", "")
        signature = re.sub(r"<.*?>", "…", signature).replace("progress: Progress = …", "progress=…")
        signature = signature.replace(": Name", ": str | Path")
        spoken_of += signature
        doc = inspect.getdoc(function) or ""
        parts.append(f"## `{name}`\n\n```python\n{name}{_wrapped(signature)}\n```\n\n{doc}\n")
    return "\n" + "\n".join(parts) + _types(spoken_of)


def _types(text: str) -> str:
    """The types of ours that a text names, and those that they stand for: where and what."""
    code = {file: file.read_text() for file in sorted(SOURCE.rglob("*.py"))}
    lines: dict[str, str] = {}
    names = TYPE_NAME.findall(text)
    while names:
        name = names.pop()
        definition = rf'^(?:{name} = (.+)|class {name}\b.*:\n    """(.+?)(?:"""|$))'
        found = {file: re.search(definition, text, re.MULTILINE) for file, text in code.items()}
        for file, match in found.items():
            if match and name not in lines:
                stands_for, doc = match.groups()
                module = ".".join(file.relative_to(SOURCE.parent).with_suffix("").parts)
                what = "`" + stands_for.replace("|", "\\|") + "`" if stands_for else doc
                lines[name] = f"| `{name}` | `{module}` | {what} |"
                names += TYPE_NAME.findall(stands_for or "")
    table = ["## Types", "", "| type | is in | |", "|---|---|---|", *sorted(lines.values())]
    return "\n" + "\n".join(table) + "\n"


def _wrapped(signature: str) -> str:
    """One parameter a line where the signature is long."""
    if len(signature) < 70:
        return signature
    inside, _, returned = signature[1:].rpartition(")")
    parameters = re.split(r", (?![^\[(]*[\])])", inside)
    return "(\n" + "".join(f"    {each},\n" for each in parameters) + f"){returned}"
