"""Files and folders that are whole or not there, and hashes of what they hold.

What is being written has a temporary name next to its final one, and is renamed when complete.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from trimtab.records.errors import RunError

PARTIAL = ".partial"  # half written or half deleted: of no use to anyone
ASIDE = ".aside"  # a complete folder, until its successor stands in its place

NO_SPACE = "free some space, or give another --out"
FILE_IN_THE_WAY = "a file stands where a folder is needed: move it, or give another path"
NO_PERMISSION = "change its permissions or its folder's, or give another path"
FIXES = {
    errno.ENOSPC: NO_SPACE,
    errno.EDQUOT: NO_SPACE,
    errno.EFBIG: "raise the limit on file sizes (ulimit -f), or give another --out",
    errno.EROFS: "its file system is read-only: give another --out",
    errno.EACCES: NO_PERMISSION,
    errno.EPERM: NO_PERMISSION,
    errno.EEXIST: FILE_IN_THE_WAY,
    errno.ENOTDIR: FILE_IN_THE_WAY,
    errno.ENOENT: "check the name, and that its folder exists",
}
OS_ERROR_IN_RUST = re.compile(r"\(os error (\d+)\)")


@contextmanager
def explained(path: Path, action: Literal["read", "written"]) -> Iterator[None]:
    """An OSError raised inside becomes a RunError about `path` that says what to do.

    So does the operating system's error that a library in Rust passes on in its own type.
    """
    try:
        yield
    except OSError as error:
        fix = FIXES.get(error.errno or 0)
        raise RunError(f"cannot be {action}: {error}", where=str(path), fix=fix) from error
    except Exception as error:
        if not (found := OS_ERROR_IN_RUST.search(str(error))):
            raise
        number = int(found[1])
        what = f"cannot be {action}: [Errno {number}] {os.strerror(number)}"
        raise RunError(what, where=str(path), fix=FIXES.get(number)) from error


def write_atomically(path: str | Path, content: str | bytes) -> None:
    """Replace a file at once: who reads it sees the old content or the new, never a part.

    The new content is on the disk when this returns. RunError where it cannot be written; the
    old file is then unharmed.
    """
    path = Path(path)
    partial = partial_of(path)
    with explained(path, "written"):
        try:
            with partial.open("xb") as file:
                file.write(content.encode() if isinstance(content, str) else content)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
        sync(path.parent)


@contextmanager
def fill_folder(path: str | Path) -> Iterator[Path]:
    """Yield an empty folder that becomes `path` on success, in place of what stood there.

    On an exception it is removed and `path` stays as it was; an OSError becomes a RunError. A
    kill between the two renames leaves the old folder under another name: `recover_folder` puts
    it back, as `start_run` does for every folder of its run.
    """
    path = Path(path)
    partial = partial_of(path)
    with explained(path, "written"):
        recover_folder(path)
        if path.is_file():
            raise RunError("is a file, not a folder", where=str(path), fix=FILE_IN_THE_WAY)
        try:
            partial.mkdir(parents=True)
            yield partial
            sync_tree(partial)
            if path.exists():
                path.rename(aside_of(path))
            partial.rename(path)
            sync(path.parent)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
            recover_folder(path)


def remove_folder(path: str | Path) -> None:
    """Delete a folder at once: a kill midway leaves it whole, or what `tidy` will sweep."""
    path = Path(path)
    with explained(path, "written"):
        shutil.rmtree(path.rename(partial_of(path)))


def recover_folder(path: str | Path) -> None:
    """Bring a folder back to its last complete state, while nobody is filling it."""
    path = Path(path)
    aside = aside_of(path)
    if not aside.exists():
        return
    if path.exists():
        # Renamed first, so that a kill during the deletion leaves nothing half-deleted aside.
        remove_folder(aside)
    else:
        aside.rename(path)


def tidy(folder: Path) -> None:
    """Recover or remove all that a kill left behind in a folder, at any depth."""
    for aside in sorted(folder.rglob(f".*{ASIDE}")):
        recover_folder(aside.with_name(aside.name[1 : -len(ASIDE)]))
    for partial in sorted(folder.rglob(f".*{PARTIAL}")):
        if partial.is_dir():
            shutil.rmtree(partial)
        else:
            partial.unlink(missing_ok=True)  # its folder may have been removed just before


def partial_of(path: Path) -> Path:
    """A new name next to `path`, thus on the same file system."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}{PARTIAL}")


def aside_of(path: Path) -> Path:
    """Where the complete folder `path` waits until its successor stands."""
    return path.with_name(f".{path.name}{ASIDE}")


def is_temporary(name: str) -> bool:
    """Whether a file's name is one that `partial_of` or `aside_of` gives.

    >>> is_temporary(".run.yaml.0badcafe.partial"), is_temporary("run.yaml")
    (True, False)
    """
    return name.startswith(".") and name.endswith((PARTIAL, ASIDE))


def sync(path: Path) -> None:
    """Wait until a file's content, or a folder's list of names, is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """Wait until all that a folder holds is on the disk."""
    for path in (folder, *folder.rglob("*")):
        if path.is_file() or path.is_dir():
            sync(path)


def files_in(folder: Path) -> dict[str, Path]:
    """All files at any depth by their names relative to the folder, sorted by them."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return dict(sorted((path.relative_to(folder).as_posix(), path) for path in files))


def file_hash(path: str | Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal; RunError where it cannot be read."""
    path = Path(path)
    with explained(path, "read"), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def folder_hash(path: str | Path) -> str:
    """A SHA-256 of the names and contents of all files in a folder, at any depth.

    A link to a file counts as the file. Empty folders, times and permissions do not count.
    RunError where there is no such folder.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise RunError("is not a folder", where=str(folder), fix="check the name")
    digest = hashlib.sha256()
    for name, file in files_in(folder).items():
        # A name can hold any byte but NUL, so no two folders give the same text.
        digest.update(os.fsencode(name) + b"\0" + file_hash(file).encode())
    return digest.hexdigest()
