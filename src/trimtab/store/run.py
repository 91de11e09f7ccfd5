"""A run: one folder with everything that a command made, and what is needed to repeat it."""

from __future__ import annotations

import reprlib
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, Self

import yaml
from filelock import FileLock, Timeout

from trimtab.records.errors import RunError, Where
from trimtab.store.files import (
    explained,
    file_hash,
    files_in,
    folder_hash,
    is_temporary,
    tidy,
    write_atomically,
)
from trimtab.store.machine import machine, versions
from trimtab.store.rows import Journal, adapter_of, read_bytes, read_json, write_json

LOCK = ".lock"
NOT_OUTPUTS = (LOCK, "inputs.json", "log.jsonl", "manifest.json", "timings.json")
DIFFERENCES_SHOWN = 3
TICK_SECONDS = 5.0
RARE_LINE_BREAKS = frozenset("\x85\u2028\u2029")  # PyYAML keeps them only between double quotes


@dataclass(frozen=True, slots=True)
class RunRecord:
    """What a run was asked to do, and whether it is done; `settings` include the defaults."""

    folder: Path
    command: str
    settings: Mapping[str, Any]
    finished: bool


@dataclass(frozen=True, slots=True)
class Manifest:
    """What came of a run.

    `inputs` and `outputs` are hashes by name, `seeds` the settings of that name, `timings` seconds
    by part of the work and in total.
    """

    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    versions: Mapping[str, str]
    seeds: Mapping[str, int]
    machine: Mapping[str, str | int | float]
    timings: Mapping[str, float]


class Run:
    """A run that this process alone may write, until `close` or the end of `with`.

    `start_run` makes it; `resumed` says that an earlier process had begun it.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any], lock: FileLock, resumed: bool):
        self.folder = folder
        self.resumed = resumed
        self._settings = settings
        self._lock = lock

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Let other processes write the run."""
        self._lock.release()

    @property
    def finished(self) -> bool:
        """Whether `finish` was reached, in this process or an earlier one."""
        return (self.folder / "manifest.json").exists()

    def log(self, event: str, **facts: object) -> None:
        """Add a line to `log.jsonl`, with the time in UTC."""
        line = {"time": datetime.now(UTC).isoformat(), "event": event, **facts}
        Journal(self.folder / "log.jsonl", dict[str, Any]).append([line])

    def hold(self, name: str, content: str) -> None:
        """Note what an input holds, by a hash; RunError where it held something else before."""
        path = self.folder / "inputs.json"
        held = read_json(path, dict[str, str]) if path.exists() else {}
        if held.setdefault(name, content) != content:
            raise RunError(
                f"{name} has changed since this run began",
                where=str(self.folder),
                fix="give another --out, or put back what was there",
            )
        write_json(path, held)

    def add_seconds(self, part: str, seconds: float) -> None:
        """Count time spent on one part of the work; restarts add up."""
        spent = self._timings()
        spent[part] = spent.get(part, 0.0) + seconds
        write_json(self.folder / "timings.json", spent)

    @contextmanager
    def timed(self, part: str) -> Iterator[Callable[[], None]]:
        """Count the time until the end as spent on one part of the work; restarts add up.

        Calling what it yields now and then keeps what has passed: a kill loses seconds of it.
        """
        counted = time.monotonic()

        def tick(at_least: float = TICK_SECONDS) -> None:
            nonlocal counted
            now = time.monotonic()
            if now - counted >= at_least:
                self.add_seconds(part, now - counted)
                counted = now

        try:
            yield tick
        finally:
            tick(0.0)

    def seconds(self, part: str) -> float:
        """Time spent on one part of the work so far, restarts included."""
        return self._timings().get(part, 0.0)

    def _timings(self) -> dict[str, float]:
        path = self.folder / "timings.json"
        return read_json(path, dict[str, float]) if path.exists() else {}

    def finish(self, inputs: Mapping[str, str | Path], seconds: float) -> None:
        """Write `manifest.json`: the run is complete.

        Inputs go by name: a Path, to a file or folder, is hashed; a text is a hash that its owner
        made, such as a model's fingerprint, and stays as it is. `seconds` is the run's total.
        """
        manifest = Manifest(
            inputs={name: hash_of(given) for name, given in inputs.items()},
            outputs={
                name: file_hash(path)
                for name, path in files_in(self.folder).items()
                if name not in NOT_OUTPUTS and not any(map(is_temporary, name.split("/")))
            },
            versions=versions(),
            seeds=seeds_in(self._settings),
            machine=machine(),
            timings={**self._timings(), "total": seconds},
        )
        write_json(self.folder / "manifest.json", manifest)


def start_run(folder: str | Path, command: str, settings: Mapping[str, Any]) -> Run:
    """Begin a run in a new or empty folder, or go on with the same run in its own.

    `settings` are all values as resolved, defaults included; records among them are written as
    plain data. RunError where the folder holds something else, a run with another command,
    settings or version of trimtab, or one that another process is writing.
    """
    folder = Path(folder)
    plain = adapter_of(dict[str, Any]).dump_python(dict(settings), mode="json")
    wanted = {"command": command, "settings": plain, "trimtab": metadata.version("trimtab")}
    with explained(folder, "written"):
        folder.mkdir(parents=True, exist_ok=True)
        refuse_files_of_others(folder)
        lock = lock_run(folder)
        try:
            resumed = (folder / "run.yaml").exists()
            if resumed:
                refuse_another_run(folder, wanted)
            tidy(folder)
            if not resumed:
                write_atomically(folder / "run.yaml", to_yaml(wanted))
        except BaseException:
            lock.release()
            raise
    return Run(folder, plain, lock, resumed)


def read_run(folder: str | Path) -> RunRecord:
    """What a run's folder says of it; RunError where it holds no run."""
    folder = Path(folder)
    found = read_run_file(folder)
    finished = (folder / "manifest.json").exists()
    return RunRecord(folder, found["command"], found["settings"], finished)


def read_run_file(folder: Path) -> dict[str, Any]:
    path = folder / "run.yaml"
    if not path.exists():
        fix = "give the folder of a run: the --out of a trimtab command"
        raise RunError("is not a run: it has no run.yaml", where=str(folder), fix=fix)
    fix = "give another --out, and run the command again"
    try:
        found = yaml.safe_load(read_bytes(path))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = Where(str(path), mark.line + 1 if mark else None)
        raise RunError("is not YAML any more", where=where, fix=fix) from error
    if not isinstance(found, dict) or not {"command", "settings"} <= found.keys():
        raise RunError("lacks its command or settings", where=str(path), fix=fix)
    return found


def refuse_files_of_others(folder: Path) -> None:
    """A folder that is neither empty nor a run belongs to someone."""
    names = {path.name for path in folder.iterdir()}
    if "run.yaml" in names:
        return
    foreign = sorted(name for name in names if name != LOCK and not is_temporary(name))
    if foreign:
        what = f"holds {foreign[0]} and no run.yaml: it is not a run, and stays as it is"
        raise RunError(what, where=str(folder), fix="give another --out")


def refuse_another_run(folder: Path, wanted: Mapping[str, Any]) -> None:
    """What a folder holds must come from one command with one set of settings."""
    found = read_run_file(folder)
    if found == wanted:
        return
    old, new = leaves(found), leaves(wanted)
    changed = [
        f"{key}: {shown(old, key)} → {shown(new, key)}"
        for key in {**old, **new}
        if (key in old, old.get(key)) != (key in new, new.get(key))
    ]
    more = [f"{len(changed) - DIFFERENCES_SHOWN} more"] if len(changed) > DIFFERENCES_SHOWN else []
    what = "holds another run: " + ", ".join(changed[:DIFFERENCES_SHOWN] + more)
    raise RunError(what, where=str(folder), fix="give another --out")


def shown(values: Mapping[str, object], key: str) -> str:
    return reprlib.repr(values[key]) if key in values else "absent"


def lock_run(folder: Path) -> FileLock:
    """Hold the run until the lock is released or the process ends, however it ends."""
    lock = FileLock(folder / LOCK, blocking=False, thread_local=False)
    try:
        lock.acquire()
    except Timeout as error:
        fix = "wait for it to end, or give another --out"
        what = "is being written by another process"
        raise RunError(what, where=str(folder), fix=fix) from error
    return lock


def hash_of(given: str | Path) -> str:
    if isinstance(given, str):
        return given
    return folder_hash(given) if given.is_dir() else file_hash(given)


def seeds_in(settings: Mapping[str, Any]) -> dict[str, int]:
    """All whole numbers that are called seed, or stand in a list of seeds.

    >>> seeds_in({"tune": {"seed": 7, "epochs": 2}, "seeds": [0, 1], "columns": {"seed": "group"}})
    {'tune.seed': 7, 'seeds.0': 0, 'seeds.1': 1}
    """
    return {
        key: value
        for key, value in leaves(settings).items()
        if isinstance(value, int) and not {"seed", "seeds"}.isdisjoint(key.split("."))
    }


def leaves(value: object, prefix: str = "") -> dict[str, Any]:
    """Nested data laid flat, in order; an empty mapping or list is a leaf.

    >>> leaves({"tune": {"seed": 7, "rates": [1, 2]}, "pool": []})
    {'tune.seed': 7, 'tune.rates.0': 1, 'tune.rates.1': 2, 'pool': []}
    """
    inside: list[tuple[Any, Any]] = []
    if isinstance(value, Mapping):
        inside = list(value.items())
    elif isinstance(value, list):
        inside = list(enumerate(value))
    if not inside:
        return {prefix: value}
    flat: dict[str, Any] = {}
    for key, item in inside:
        flat |= leaves(item, f"{prefix}.{key}" if prefix else str(key))
    return flat


class ReadableDumper(yaml.SafeDumper):
    """Texts of several lines stand as they are, not as one escaped line."""


def represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    if not RARE_LINE_BREAKS.isdisjoint(text):
        style = '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


ReadableDumper.add_representer(str, represent_text)


def to_yaml(data: Mapping[str, Any]) -> str:
    """The data as YAML for people, in its own order.

    >>> print(to_yaml({"system": "Be brief.\\nBe kind.", "rate": 1e-4}), end="")
    system: |-
      Be brief.
      Be kind.
    rate: 0.0001
    """
    return yaml.dump(data, Dumper=ReadableDumper, sort_keys=False, allow_unicode=True, width=100)
