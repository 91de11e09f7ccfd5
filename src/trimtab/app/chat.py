"""A conversation in the terminal, with one model or with two side by side."""

from __future__ import annotations

import sys
from pathlib import Path

from trimtab.models.load import load_model
from trimtab.records.charter import Generation
from trimtab.records.conversation import Conversation, Message, with_system
from trimtab.records.protocols import Model
from trimtab.reports.wording import visible
from trimtab.store import read_run

LONG_REPLIES = Generation(max_tokens=256)


def chat(
    model: str,
    *,
    beside: str | None = None,
    system: str | None = None,
    generation: Generation = LONG_REPLIES,
) -> None:
    """Read what the user says, line by line, and print each model's reply as it comes.

    An empty line or the end of the input ends. `system` is the system turn; a run's own, unless
    given. Characters that a terminal would obey are spelled out.
    """
    names = [model, *([beside] if beside else [])]
    models = [load_model(name) for name in names]
    systems = [system if system is not None else system_of(name) for name in names]
    histories: list[Conversation] = [() for _ in names]
    while (line := _read_line()).strip():
        for place, name in enumerate(names):
            asked = (*histories[place], Message("user", line.strip()))
            if beside:
                print(f"[{name}] ", end="")
            said = _print_reply(models[place], with_system(asked, systems[place]), generation)
            histories[place] = (*asked, Message("assistant", said))


def system_of(name: str) -> str | None:
    """The system turn that a run's model was trained with, None for anything but a run."""
    if not (Path(name) / "run.yaml").is_file():
        return None
    settings = read_run(name).settings
    charter = settings.get("charter") or {}
    system: str | None = settings.get("system") or charter.get("system")
    return system


def _read_line() -> str:
    if sys.stdin.isatty():
        print("> ", end="", flush=True)
    return sys.stdin.readline()


def _print_reply(model: Model, asked: Conversation, generation: Generation) -> str:
    said = ""
    for piece in model.stream(asked, generation):
        print(visible(piece), end="", flush=True)
        said += piece
    print(flush=True)
    return said
