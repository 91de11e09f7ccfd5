"""What docs/*.md hold of the code's own words: `make docs` writes it there, a test compares."""

from __future__ import annotations

import inspect
import re
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined


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
    """The functions that `from trimtab import …` offers, with their docstrings."""
    import trimtab

    parts = []
    for name in trimtab.__all__:
        function = getattr(trimtab, name)
        signature = str(inspect.signature(function)).replace("trimtab.", "").replace("'", "")
        signature = re.sub(r"<.*?>", "…", signature).replace("progress: Progress = …", "progress=…")
        signature = signature.replace(": Name", ": str | Path")
        doc = inspect.getdoc(function) or ""
        parts.append(f"## `{name}`\n\n```python\n{name}{_wrapped(signature)}\n```\n\n{doc}\n")
    return "\n" + "\n".join(parts)


def _wrapped(signature: str) -> str:
    """One parameter a line where the signature is long."""
    if len(signature) < 70:
        return signature
    inside, _, returned = signature[1:].rpartition(")")
    parameters = re.split(r", (?![^\[(]*[\])])", inside)
    return "(\n" + "".join(f"    {each},\n" for each in parameters) + f"){returned}"
