"""A model whose replies are written down: for tests, and for trying trimtab out."""

from __future__ import annotations

import hashlib
import json
import re
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

import yaml
from pydantic import ValidationError

from trimtab.records.charter import Generation, Strict
from trimtab.records.conversation import Conversation, last_user_text
from trimtab.records.errors import ModelError, Where
from trimtab.records.protocols import OnReply
from trimtab.records.reply import Finish, Reply


class Rule(Strict):
    """What to say when a regular expression matches; null: no reply comes."""

    when: str
    say: str | None


class Script(Strict):
    """A script's file."""

    name: str = "scripted"
    default: str | None = "…"
    rules: tuple[Rule, ...] = ()


class ScriptedModel:
    r"""Says what the first rule says whose regular expression is found in the last user text.

    Case does not matter; `\1` and `\g<name>` stand for what a group matched. Where no rule
    matches, the default is said. None in place of a reply: it does not come, which gives a Reply
    with `finish="error"`. A token is a word; white space at the end is lost.

    >>> from trimtab.records.conversation import say
    >>> model = ScriptedModel([(r"table for (\w+)", r"A table for \1, booked.")], default="Sorry.")
    >>> for reply in model.generate([say("A Table for two?"), say("Hello")], Generation()):
    ...     print(reply.finish, reply.text)
    stop A table for two, booked.
    stop Sorry.
    """

    batched = False

    def __init__(
        self,
        rules: Sequence[tuple[str, str | None]],
        default: str | None = "…",
        name: str = "scripted",
    ):
        self._rules = [
            (_compile(when, say, number), say) for number, (when, say) in enumerate(rules, 1)
        ]
        self._default = default
        self._name = name

    @classmethod
    def from_file(cls, path: str | Path) -> Self:
        """The model in a YAML file `{name, default, rules: [{when, say}]}`.

        Raises ModelError, naming the file, where it is missing or makes no sense.
        """
        script = _read_script(Path(path))
        try:
            rules = [(rule.when, rule.say) for rule in script.rules]
            return cls(rules, default=script.default, name=script.name)
        except ModelError as error:
            raise ModelError(error.what, where=str(path), fix=error.fix) from None

    @property
    def name(self) -> str:
        return self._name

    @property
    def fingerprint(self) -> str:
        """A hash of all that it can say."""
        rules = [(pattern.pattern, say) for pattern, say in self._rules]
        return hashlib.sha256(json.dumps([rules, self._default]).encode()).hexdigest()[:16]

    def generate(
        self,
        conversations: Sequence[Conversation],
        generation: Generation,
        on_reply: OnReply | None = None,
    ) -> list[Reply]:
        """The scripted replies; one longer than `max_tokens` words is cut there."""
        replies = []
        for position, conversation in enumerate(conversations):
            reply = self._reply(conversation, generation.max_tokens)
            replies.append(reply)
            if on_reply:
                on_reply(position, reply)
        return replies

    def stream(self, conversation: Conversation, generation: Generation) -> Iterator[str]:
        """The reply word by word; ModelError where none comes."""
        reply = self._reply(conversation, generation.max_tokens)
        if reply.error is not None:
            raise ModelError(reply.error, where=self.name)
        yield from _words(reply.text)

    def log_probabilities(self, conversations: Sequence[Conversation]) -> list[list[float]]:
        """Made up: -1 for every word of an assistant turn."""
        return [
            [-1.0 for turn in turns if turn.role == "assistant" for _ in _words(turn.content)]
            for turns in conversations
        ]

    def tokenise(self, text: str) -> list[int]:
        """A hash of each word, from 0 to 2³² - 1, the same in every process.

        >>> ScriptedModel([]).tokenise("to be or not to be")[:3]
        [3616002756, 734694925, 498562439]
        """
        return [zlib.crc32(word.encode()) for word in text.split()]

    def _reply(self, conversation: Conversation, max_tokens: int) -> Reply:
        prompt_tokens = sum(len(_words(turn.content)) for turn in conversation)
        text = self._say(last_user_text(conversation))
        if text is None:
            return Reply("", "error", prompt_tokens, error="no reply: the script says so")
        words = _words(text)
        said = words[:max_tokens]
        finish: Finish = "length" if len(words) > max_tokens else "stop"
        return Reply("".join(said), finish, prompt_tokens, len(said))

    def _say(self, asked: str) -> str | None:
        for pattern, say in self._rules:
            if match := pattern.search(asked):
                return None if say is None else match.expand(say)
        return self._default


def _words(text: str) -> list[str]:
    r"""The words, each with the white space before it.

    >>> _words("to be\n or")
    ['to', ' be', '\n or']
    """
    return re.findall(r"\s*\S+", text)


def _compile(when: str, say: str | None, number: int) -> re.Pattern[str]:
    """The rule's pattern; ModelError, naming the rule, where it or the reply's groups are wrong."""
    try:
        pattern = re.compile(when, re.IGNORECASE)
    except re.error as error:
        raise ModelError(
            f"rule {number}: {when!r} is not a regular expression: {error}",
            fix=r"Write special characters as themselves with a backslash: \?",
        ) from None
    try:
        pattern.sub(say or "", "")  # reads the groups even where nothing matches
    except (re.error, IndexError) as error:
        raise ModelError(
            f"rule {number}: the reply {say!r} cannot be filled in: {error}",
            fix=r"A backslash names a group of the rule, as \1 or \g<name>; write \\ for itself.",
        ) from None
    return pattern


def _read_script(path: Path) -> Script:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"cannot be read: {error}", where=str(path)) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = Where(str(path), mark.line + 1 if mark else None)
        raise ModelError(f"not YAML: {getattr(error, 'problem', error)}", where=where) from None
    try:
        return Script.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        raise ModelError(
            f"{place}: {first['msg']}",
            where=str(path),
            fix="A script has the keys name, default and rules; a rule has when and say.",
        ) from None
