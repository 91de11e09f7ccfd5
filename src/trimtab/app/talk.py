"""A conversation in the terminal, with one model or with two side by side."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from trimtab.models.load import load_model
from trimtab.records.charter import Generation
from trimtab.records.conversation import Conversation, Message, with_system
from trimtab.records.protocols import Model
from trimtab.store import read_run


def talk(names: Sequence[str], system: str | None, max_tokens: int, temperature: float) -> None:
    """Read what the user says, line by line, and stream each model's reply."""
    generation = Generation(max_tokens=max_tokens, temperature=temperature)
    models = [load_model(name) for name in names]
    systems = [system if system is not None else system_of(name) for name in names]
    histories: list[Conversation] = [() for _ in models]
    while (line := _read_line()).strip():
        for place, model in enumerate(models):
            asked = (*histories[place], Message("user", line))
            if len(models) > 1:
                print(f"[{names[place]}] ", end="")
            said = _stream(model, with_system(asked, systems[place]), generation)
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


def _stream(model: Model, asked: Conversation, generation: Generation) -> str:
    said = ""
    for piece in model.stream(asked, generation):
        print(piece, end="", flush=True)
        said += piece
    print()
    return said
