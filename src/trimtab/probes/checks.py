"""Checks: each judges one reply and says why. A new one is a function and a line in CHECKS."""

from __future__ import annotations

import importlib.util
import inspect
import json
import re
import reprlib
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Literal

import jsonschema
from pydantic import Field, ValidationError, model_validator

from trimtab.probes.details import (
    asks_again,
    asks_for_missing,
    contradiction,
    given_by_user,
    is_courtesy,
    taken_up,
)
from trimtab.probes.wording import (
    content_words,
    is_deflection,
    normal_text,
    numbers_in,
    repeats_itself,
    sentences_in,
)
from trimtab.records.charter import Strict
from trimtab.records.errors import CheckError, did_you_mean, nearest_file
from trimtab.records.probe import CheckSpec, Probe
from trimtab.records.protocols import Check
from trimtab.records.reply import Judgement, Reply

Factory = Callable[[Mapping[str, Any], Sequence[str], Path], Check]
"""From a check's options and the charter's deflections and folder to the check."""


class NoOptions(Strict):
    """Of a check that takes none."""


class ContainsOptions(Strict):
    """`slot` names values that the request's row gives, `text` gives them itself."""

    slot: tuple[str, ...] = ()
    text: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _has_something_to_look_for(self) -> ContainsOptions:
        if not (self.slot or self.text):
            raise ValueError("contains needs slot or text")
        return self


class RegexOptions(Strict):
    """`pattern` is searched for anywhere, `ignore_case` by default."""

    pattern: str
    ignore_case: bool = True


class NumberOptions(Strict):
    """`equals`, or else the row's `answer`; `which` number of the reply is taken."""

    equals: float | None = None
    which: Literal["last", "first", "any"] = "last"
    tolerance: float = Field(1e-6, ge=0)


class SentencesOptions(Strict):
    """How many sentences a reply has."""

    exactly: int | None = Field(None, ge=0)
    at_most: int | None = Field(None, ge=0)

    @model_validator(mode="after")
    def _one_of_both(self) -> SentencesOptions:
        if (self.exactly is None) == (self.at_most is None):
            raise ValueError("sentences needs either exactly or at_most")
        return self


class JsonSchemaOptions(Strict):
    """A JSON Schema, written out, or a file's path (relative to the charter)."""

    schema_: dict[str, Any] | str = Field(alias="schema")


def deflects(options: Mapping[str, Any], deflections: Sequence[str], folder: Path) -> Check:
    """The reply turns the request down, and does not go on to answer it."""
    _read(NoOptions, "deflects", options)

    def check(reply: Reply, probe: Probe) -> Judgement:
        return Judgement(*is_deflection(reply.text, deflections))

    return check


def answers(options: Mapping[str, Any], deflections: Sequence[str], folder: Path) -> Check:
    """No deflection, not degenerate, ends by itself, and uses what the user gave.

    A reply uses it that takes up a word of the user's and adds to the request, or asks for what is
    missing, and settles no other time or number of people.
    """
    _read(NoOptions, "answers", options)

    def check(reply: Reply, probe: Probe) -> Judgement:
        deflected, why = is_deflection(reply.text, deflections)
        if deflected:
            return Judgement(False, why)
        if not re.search(r"\w", reply.text):
            return Judgement(False, "says nothing")
        if reply.finish != "stop":
            return Judgement(False, "does not end by itself")
        if repeated := repeats_itself(reply.text):
            return Judgement(False, f"repeats itself: {repeated!r}")
        request, given = probe.request, given_by_user(probe.request.messages)
        own = content_words(reply.text)
        if own and own.keys() <= content_words(request.text).keys() and "?" not in reply.text:
            return Judgement(False, "only repeats the request")
        known = " ".join(turn.content for turn in request.messages)
        if wrong := contradiction(reply.text, given, known):
            return Judgement(False, wrong)
        if again := asks_again(reply.text, given):
            return Judgement(False, f"asks again {again!r}")
        if words := taken_up(reply.text, given):
            return Judgement(True, f"takes up {', '.join(words[:4])}")
        if question := asks_for_missing(reply.text, given):
            return Judgement(True, f"asks {question!r}")
        if is_courtesy(request.text):
            return Judgement(True, "the user gave nothing to take up")
        return Judgement(False, "takes up nothing that the user gave")

    return check


def contains(options: Mapping[str, Any], deflections: Sequence[str], folder: Path) -> Check:
    """All the values asked for stand in the reply; case, spaces and digits as words are alike."""
    wanted = _read(ContainsOptions, "contains", options)

    def check(reply: Reply, probe: Probe) -> Judgement:
        missing_slots = [name for name in wanted.slot if name not in probe.request.slots]
        if missing_slots:
            raise CheckError(
                f"contains asks for the slot {missing_slots[0]!r}, which this request lacks",
                where=probe.request.where,
                fix="Add it to the row's slots.",
            )
        values = [*wanted.text, *(probe.request.slots[name] for name in wanted.slot)]
        text = f" {normal_text(reply.text)} "
        missing = [value for value in values if f" {normal_text(value)} " not in text]
        if missing:
            return Judgement(False, f"lacks {', '.join(missing)}")
        return Judgement(True, f"has {', '.join(values)}")

    return check


def regex(options: Mapping[str, Any], deflections: Sequence[str], folder: Path) -> Check:
    """The pattern is found in the reply."""
    wanted = _read(RegexOptions, "regex", options)
    try:
        pattern = re.compile(wanted.pattern, re.IGNORECASE if wanted.ignore_case else 0)
    except re.error as error:
        raise CheckError(f"regex: {wanted.pattern!r} is no regular expression: {error}") from None

    def check(reply: Reply, probe: Probe) -> Judgement:
        found = pattern.search(reply.text)
        return Judgement(True, f"has {found[0]!r}") if found else Judgement(False, "no match")

    return check


def number(options: Mapping[str, Any], deflections: Sequence[str], folder: Path) -> Check:
    """The reply's number is the right one; number words count."""
    wanted = _read(NumberOptions, "number", options)

    def check(reply: Reply, probe: Probe) -> Judgement:
        right = wanted.equals if wanted.equals is not None else _answer_of(probe)
        found = numbers_in(reply.text)
        if not found:
            return Judgement(False, "no number")
        taken = {"last": found[-1:], "first": found[:1], "any": found}[wanted.which]
        if any(abs(each - right) <= wanted.tolerance for each in taken):
            return Judgement(True, f"says {right:g}")
        return Judgement(False, f"says {', '.join(f'{each:g}' for each in taken)}, not {right:g}")

    return check


def sentences(options: Mapping[str, Any], deflections: Sequence[str], folder: Path) -> Check:
    """The reply has so many sentences."""
    wanted = _read(SentencesOptions, "sentences", options)

    def check(reply: Reply, probe: Probe) -> Judgement:
        count = len(sentences_in(reply.text))
        holds = count == wanted.exactly if wanted.at_most is None else count <= wanted.at_most
        return Judgement(holds, f"{count} sentence{'' if count == 1 else 's'}")

    return check


def json_schema(options: Mapping[str, Any], deflections: Sequence[str], folder: Path) -> Check:
    """The whole reply is JSON that fits the schema; a code fence around it is allowed."""
    wanted = _read(JsonSchemaOptions, "json_schema", options)
    schema = _schema_of(wanted.schema_, folder)
    try:
        jsonschema.Draft202012Validator.check_schema(schema)
    except jsonschema.SchemaError as error:
        raise CheckError(f"json_schema: not a JSON Schema: {error.message}") from None
    validator = jsonschema.Draft202012Validator(schema)

    def check(reply: Reply, probe: Probe) -> Judgement:
        fenced = re.fullmatch(r"\s*```(?:json)?\s*\n(.*?)\n?```\s*", reply.text, re.DOTALL)
        try:
            value = json.loads(fenced[1] if fenced else reply.text)
        except (ValueError, RecursionError) as error:  # the latter from a reply of brackets alone
            return Judgement(False, f"not JSON: {error}")
        fault = jsonschema.exceptions.best_match(validator.iter_errors(value))
        return (
            Judgement(False, f"{fault.json_path}: {fault.message}")
            if fault
            else Judgement(True, "fits the schema")
        )

    return check


CHECKS: dict[str, Factory] = {
    "answers": answers,
    "contains": contains,
    "deflects": deflects,
    "json_schema": json_schema,
    "number": number,
    "regex": regex,
    "sentences": sentences,
}


def make_check(spec: CheckSpec, deflections: Sequence[str], folder: Path) -> Check:
    """The check that a spec names: one of CHECKS, an entry point, or `file.py:function`.

    A function of one's own takes (reply, probe, **options) and gives a Judgement, or a bool.
    CheckError for an unknown name, with the nearest one, or for options that it does not take.
    """
    if ".py:" in spec.name:
        return _own_check(spec, folder)
    if spec.name in CHECKS:
        return CHECKS[spec.name](spec.options, deflections, folder)
    installed = {point.name: point for point in entry_points(group="trimtab.checks")}
    if spec.name in installed:
        try:
            function = installed[spec.name].load()
        except Exception as error:
            where = installed[spec.name].value
            raise CheckError(f"cannot be imported: {error!r}", where=where) from error
        return _as_check(function, spec)
    known = sorted({*CHECKS, *installed})
    raise CheckError(f"there is no check {spec.name!r}", fix=did_you_mean(spec.name, known))


def try_checks(checks: Mapping[str, Sequence[Check]], probes: Iterable[Probe]) -> None:
    """Judge an empty reply to every probe by its clause's checks, which are `checks[clause]`.

    A row without the slot or the answer that a check needs thus gives its CheckError at once.
    """
    nothing = Reply("", "stop")
    for probe in probes:
        for check in checks[probe.clause]:
            check(nothing, probe)


def _own_check(spec: CheckSpec, folder: Path) -> Check:
    file, _, name = spec.name.rpartition(":")
    path = folder / file
    module_spec = importlib.util.spec_from_file_location(f"trimtab_check_{path.stem}", path)
    if not path.is_file() or module_spec is None or module_spec.loader is None:
        raise CheckError(
            f"the check {spec.name!r} names a file that is not there", fix=nearest_file(path)
        )
    module = importlib.util.module_from_spec(module_spec)
    sys.modules[module_spec.name] = module  # dataclasses look their module up there
    try:
        module_spec.loader.exec_module(module)
    except Exception as error:
        raise CheckError(f"cannot be imported: {error!r}", where=str(path)) from error
    if not callable(getattr(module, name, None)):
        raise CheckError(f"{file} has no function {name!r}")
    return _as_check(getattr(module, name), spec)


def _as_check(function: Callable[..., Any], spec: CheckSpec) -> Check:
    with suppress(ValueError):  # some built-in functions have no signature
        try:
            inspect.signature(function).bind("reply", "probe", **spec.options)
        except TypeError as error:
            raise CheckError(f"the check {spec.name!r}: {error}") from None

    def check(reply: Reply, probe: Probe) -> Judgement:
        try:
            said = function(reply, probe, **spec.options)
        except Exception as error:
            last = traceback.extract_tb(error.__traceback__)[-1]
            raise CheckError(
                f"the check {spec.name!r} fails on the reply {reprlib.repr(reply.text)}: "
                f"{error!r} at {last.filename}:{last.lineno}",
                where=probe.request.where,
            ) from error
        if isinstance(said, Judgement):
            return said
        if isinstance(said, bool):
            return Judgement(said, spec.name)
        raise CheckError(
            f"the check {spec.name!r} gave {said!r}, not a Judgement or a bool",
            where=probe.request.where,
        )

    return check


def _read(options_type: type[Any], name: str, options: Mapping[str, Any]) -> Any:
    try:
        return options_type.model_validate(dict(options))
    except ValidationError as error:
        # A misspelt option also lacks the one that was meant: the spelling is what to mend.
        first = min(error.errors(), key=lambda fault: fault["type"] != "extra_forbidden")
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            known = [field.alias or key for key, field in options_type.model_fields.items()]
            raise CheckError(
                f"the check {name!r} has no option {key!r}",
                fix=did_you_mean(key, known) if known else "It takes none.",
            ) from None
        message = first["msg"].removeprefix("Value error, ")
        raise CheckError(f"the check {name!r}: {key + ': ' if key else ''}{message}") from None


def _answer_of(probe: Probe) -> float:
    found = numbers_in(probe.request.answer or "")
    if len(found) != 1:
        raise CheckError(
            f"number needs one right answer, and this request's row gives {probe.request.answer!r}",
            where=probe.request.where,
            fix="Add answer to the row, or equals to the check.",
        )
    return found[0]


def _schema_of(given: dict[str, Any] | str, folder: Path) -> Any:
    if isinstance(given, dict):
        return given
    try:
        return json.loads((folder / given).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckError(f"json_schema: the schema {given} cannot be read: {error}") from None
