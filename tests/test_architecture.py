"""The house: which room may import which, no cycles, and a command line that answers at once."""

from __future__ import annotations

import ast
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import trimtab

SOURCE = Path(trimtab.__file__).parent
ROOMS = {
    "records": set[str](),
    "store": {"records"},
    "charters": {"records"},
    "data": {"records", "store"},
    "models": {"records", "store"},
    "probes": {"records", "store"},
    "plans": {"records", "store"},
    "reports": {"records", "store"},
    "tuning": {"records", "store", "models"},
}
ROOMS["app"] = set(ROOMS)
TORCH_ROOMS = {"models", "tuning"}
FORBIDDEN_NAMES = {"utils", "common", "helpers", "manager", "core", "base", "types", "misc"}


def module_name(path: Path) -> str:
    parts = ("trimtab", *path.relative_to(SOURCE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(SOURCE.rglob("*.py"))}


def imports_of(path: Path) -> set[str]:
    """Every module that a file names in an import, `from a import b` as both a and a.b."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def room_of(module: str) -> str | None:
    parts = module.removesuffix(".__main__").split(".")
    return parts[1] if len(parts) > 1 else None


@pytest.mark.parametrize("module", [name for name in MODULES if room_of(name)])
def test_a_room_imports_only_the_rooms_that_it_may(module: str) -> None:
    room = room_of(module)
    assert room in ROOMS, f"{module} stands in a room that the design does not have"
    used = {room_of(name) for name in imports_of(MODULES[module]) if name.startswith("trimtab.")}
    assert used - {room, None} <= ROOMS[room]


def test_no_module_imports_itself_by_way_of_others() -> None:
    graph = {
        name: {used for used in imports_of(path) if used in MODULES and used != name}
        for name, path in MODULES.items()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"an import cycle: {' -> '.join(error.args[1])}")


@pytest.mark.parametrize("module", MODULES)
def test_torch_lives_in_models_and_tuning_alone(module: str) -> None:
    if room_of(module) in TORCH_ROOMS:
        return
    heavy = {name.split(".")[0] for name in imports_of(MODULES[module])}
    assert not heavy & {"torch", "transformers", "peft"}


def test_rooms_and_modules_are_named_after_their_work() -> None:
    names = {part for module in MODULES for part in module.split(".")}
    assert not names & FORBIDDEN_NAMES


@pytest.mark.parametrize("arguments", [["--help"], ["steer", "--help"], ["tune", "--help"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    heavy = ("torch", "transformers", "peft", "polars", "scipy", "altair", "wordllama", "pandas")
    program = (
        "import sys\n"
        f"sys.argv = ['trimtab', *{arguments!r}]\n"
        "from trimtab.app.cli import main\n"
        "try:\n    main()\nexcept SystemExit as leave:\n    assert leave.code == 0, leave.code\n"
        f"print('heavy:', sorted(set({heavy!r}) & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert "Usage: trimtab" in done.stdout
    assert done.stdout.splitlines()[-1] == "heavy: []"


def test_importing_trimtab_is_quick() -> None:
    program = (
        "import sys, trimtab; print(sorted({'torch', 'numpy', 'pydantic'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_the_api_is_the_verbs() -> None:
    for name in trimtab.__all__:
        assert callable(getattr(trimtab, name))
    with pytest.raises(AttributeError, match="no attribute 'stear'"):
        trimtab.stear  # noqa: B018
