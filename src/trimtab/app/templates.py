"""What `init` copies: charters with their data, ready to be measured."""

from __future__ import annotations

import shutil
from contextlib import nullcontext
from pathlib import Path

from trimtab.records.errors import RunError, TrimtabError, did_you_mean
from trimtab.store import fill_folder
from trimtab.store.files import explained, files_in

TEMPLATES = Path(__file__).parent.parent / "templates"


def init(template: str, folder: str | Path) -> Path:
    """Make a folder with a charter, its data and a README; the charter's path.

    An empty folder will do. TrimtabError where there is no such template, RunError where the
    folder holds something.
    """
    folder = Path(folder)
    known = sorted(path.parent.name for path in TEMPLATES.glob("*/charter.yaml"))
    if template not in known:
        raise TrimtabError(f"there is no template {template!r}", fix=did_you_mean(template, known))
    if folder.is_dir() and any(folder.iterdir()):
        raise RunError("this folder is not empty", where=str(folder), fix="Name a new one.")
    # A folder that is there is not replaced: a shell may stand in it.
    with (
        explained(folder, "written"),
        nullcontext(folder) if folder.is_dir() else fill_folder(folder) as filling,
    ):
        for name, path in files_in(TEMPLATES / template).items():
            (filling / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, filling / name)
    return folder / "charter.yaml"
