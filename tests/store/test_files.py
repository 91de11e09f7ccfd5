"""Files and folders are whole or not there, whatever happens while they are written."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from trimtab.records.errors import RunError
from trimtab.store import (
    file_hash,
    fill_folder,
    folder_hash,
    recover_folder,
    write_atomically,
)
from trimtab.store.files import tidy


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def python(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


# Killed by itself at the n-th time that the operating system renames, opens or deletes something.
KILLED_AT = """
    import os, signal, sys
    from pathlib import Path
    from trimtab.store import fill_folder, write_atomically

    path, step = Path(sys.argv[1]), int(sys.argv[2])
    steps = 0

    def die_at_step(event, arguments):
        global steps
        if event in ("os.rename", "os.mkdir", "os.remove", "os.rmdir", "open", "shutil.rmtree"):
            steps += 1
            if steps == step:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(die_at_step)
"""
WRITES_FILE = """
    write_atomically(path, "new")
"""
FILLS_FOLDER = """
    with fill_folder(path) as folder:
        for name in "ab":
            (folder / name).write_text("new")
"""


class TestWriteAtomically:
    def test_writes_text_and_bytes(self, tmp_path):
        write_atomically(tmp_path / "text", "naïve")
        write_atomically(tmp_path / "bytes", b"\xff")
        assert (tmp_path / "text").read_bytes() == "naïve".encode()
        assert (tmp_path / "bytes").read_bytes() == b"\xff"
        assert names(tmp_path) == ["bytes", "text"]

    def test_a_kill_at_any_step_leaves_the_old_file_or_the_new(self, tmp_path):
        path = tmp_path / "file"
        found = []
        for step in range(1, 100):
            path.write_text("old")
            done = python(KILLED_AT + WRITES_FILE, path, step)
            found.append(path.read_text())
            if done.returncode == 0:
                break
        assert found[0] == "old"
        assert found[-1] == "new"
        assert set(found) == {"old", "new"}
        tidy(tmp_path)
        assert names(tmp_path) == ["file"]

    def test_a_limit_on_file_size_leaves_the_old_file_and_says_what_to_do(self, tmp_path):
        path = tmp_path / "file"
        path.write_text("old")
        done = python(
            """
            import resource, signal, sys
            from trimtab.records.errors import RunError
            from trimtab.store import write_atomically

            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
            try:
                write_atomically(sys.argv[1], "new" * 1000)
            except RunError as error:
                print(error)
            """,
            path,
        )
        assert done.stdout.startswith(f"{path}: cannot be written: ")
        assert "File too large" in done.stdout
        assert "ulimit -f" in done.stdout
        assert path.read_text() == "old"
        assert names(tmp_path) == ["file"]

    def test_a_full_disk_leaves_the_old_file_and_says_what_to_do(self, tiny_disk):
        path = tiny_disk / "file"
        write_atomically(path, "old")
        with pytest.raises(RunError, match=r"No space left on device(.|\n)*free some space"):
            write_atomically(path, b"new" * 100_000)
        assert path.read_text() == "old"
        assert names(tiny_disk) == ["file"]

    def test_a_missing_folder_is_named(self, tmp_path):
        path = tmp_path / "nowhere" / "file"
        with pytest.raises(RunError, match="No such file or directory") as caught:
            write_atomically(path, "new")
        assert caught.value.where == str(path)
        assert caught.value.fix == "check the name, and that its folder exists"

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
    def test_a_folder_that_may_not_be_written_is_named(self, tmp_path):
        tmp_path.chmod(0o500)
        with pytest.raises(RunError, match=r"Permission denied(.|\n)*change its permissions"):
            write_atomically(tmp_path / "file", "new")


class TestFillFolder:
    def test_makes_a_folder_with_its_parents(self, tmp_path):
        with fill_folder(tmp_path / "deep" / "model") as folder:
            (folder / "weights").write_text("new")
            assert not (tmp_path / "deep" / "model").exists()
        assert (tmp_path / "deep" / "model" / "weights").read_text() == "new"
        assert names(tmp_path / "deep") == ["model"]

    def test_replaces_a_folder_as_a_whole(self, tmp_path):
        path = tmp_path / "model"
        path.mkdir()
        (path / "old").write_text("old")
        with fill_folder(path) as folder:
            (folder / "new").write_text("new")
            assert names(path) == ["old"]
        assert names(path) == ["new"]
        assert names(tmp_path) == ["model"]

    @pytest.mark.parametrize("raised", [ValueError, KeyboardInterrupt])
    def test_an_exception_leaves_what_stood_there(self, tmp_path, raised):
        path = tmp_path / "model"
        path.mkdir()
        (path / "old").write_text("old")

        def fill_half() -> None:
            with fill_folder(path) as folder:
                (folder / "new").write_text("half")
                raise raised

        with pytest.raises(raised):
            fill_half()
        assert names(path) == ["old"]
        assert names(tmp_path) == ["model"]

    def test_a_full_disk_leaves_what_stood_there(self, tiny_disk):
        path = tiny_disk / "model"
        with fill_folder(path) as folder:
            (folder / "weights").write_text("old")
        with pytest.raises(RunError, match="No space left on device"), fill_folder(path) as folder:
            (folder / "weights").write_bytes(b"new" * 100_000)
        assert (path / "weights").read_text() == "old"
        assert names(tiny_disk) == ["model"]

    def test_a_full_disk_is_told_of_also_where_a_library_in_rust_meets_it(self, tiny_disk):
        numbers = {"a": np.zeros(100_000)}
        complaint = pytest.raises(RunError, match=r"No space left on device\n  free some space")
        with complaint, fill_folder(tiny_disk / "model") as folder:
            save_file(numbers, folder / "weights.safetensors")
        assert names(tiny_disk) == []

    def test_a_file_in_its_place_is_left_alone(self, tmp_path):
        path = tmp_path / "model"
        path.write_text("mine")
        with pytest.raises(RunError, match="is a file"), fill_folder(path):
            pass
        assert path.read_text() == "mine"

    def test_a_kill_at_any_step_leaves_the_old_folder_or_the_new(self, tmp_path):
        found = []
        needed_recovery = 0
        for step in range(1, 100):
            path = tmp_path / str(step) / "model"
            path.mkdir(parents=True)
            for name in "ab":
                (path / name).write_text("old")
            done = python(KILLED_AT + FILLS_FOLDER, path, step)
            needed_recovery += not path.exists()
            recover_folder(path)
            assert names(path) == ["a", "b"]
            found.append({(path / name).read_text() for name in "ab"})
            tidy(path.parent)
            assert names(path.parent) == ["model"]
            if done.returncode == 0:
                break
        assert found[0] == {"old"}
        assert found[-1] == {"new"}
        assert all(contents in ({"old"}, {"new"}) for contents in found)
        assert needed_recovery == 1

    def test_tidying_recovers_folders_at_any_depth(self, tmp_path):
        aside = tmp_path / "checkpoints" / ".last.aside"
        aside.mkdir(parents=True)
        (aside / "state").write_text("complete")
        (tmp_path / "checkpoints" / ".last.0badcafe.partial").mkdir()
        tidy(tmp_path)
        assert names(tmp_path / "checkpoints") == ["last"]
        assert (tmp_path / "checkpoints" / "last" / "state").read_text() == "complete"


class TestHashes:
    def test_a_file_has_the_hash_of_its_content(self, tmp_path):
        (tmp_path / "file").write_bytes(b"abc")
        # FIPS 180-2, appendix B.1
        assert file_hash(tmp_path / "file") == (
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        )

    def test_a_missing_file_is_named(self, tmp_path):
        with pytest.raises(RunError, match="cannot be read"):
            file_hash(tmp_path / "file")

    def test_a_folder_has_the_hash_of_its_names_and_contents(self, tmp_path):
        (tmp_path / "in").mkdir()
        (tmp_path / "in" / "b").write_bytes(b"")
        (tmp_path / "a").write_bytes(b"abc")
        text = "".join(
            f"{name}\0{hashlib.sha256(content).hexdigest()}"
            for name, content in (("a", b"abc"), ("in/b", b""))
        )
        assert folder_hash(tmp_path) == hashlib.sha256(text.encode()).hexdigest()

    def test_any_change_of_name_or_content_changes_the_hash(self, tmp_path):
        def hash_of(**files: str) -> str:
            with fill_folder(tmp_path / "folder") as folder:
                for name, content in files.items():
                    (folder / name).write_text(content)
            return folder_hash(tmp_path / "folder")

        hashes = [hash_of(), hash_of(a="1"), hash_of(b="1"), hash_of(a="2"), hash_of(a="1", b="")]
        assert len(set(hashes)) == len(hashes)
        assert hash_of(a="1") == hashes[1]

    def test_a_link_counts_as_its_file_and_an_empty_folder_as_nothing(self, tmp_path):
        for name in ("plain", "linked"):
            (tmp_path / name).mkdir()
        (tmp_path / "plain" / "file").write_text("content")
        (tmp_path / "linked" / "file").symlink_to(tmp_path / "plain" / "file")
        (tmp_path / "linked" / "empty").mkdir()
        assert folder_hash(tmp_path / "plain") == folder_hash(tmp_path / "linked")

    def test_a_missing_folder_is_named(self, tmp_path):
        with pytest.raises(RunError, match="is not a folder"):
            folder_hash(tmp_path / "nowhere")
