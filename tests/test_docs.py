"""Docs say what the code says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DOCS = sorted((ROOT / "docs").rglob("*.md"))
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS]


def test_generated_parts_are_fresh() -> None:
    pages = [str(page.relative_to(ROOT)) for page in DOCS if "[[[cog" in page.read_text()]
    assert pages
    cog = [sys.executable, "-m", "cogapp", "--check", "-I", "docs", *pages]
    checked = subprocess.run(cog, cwd=ROOT, capture_output=True, text=True)
    assert checked.returncode == 0, f"run `make docs`\n{checked.stdout}{checked.stderr}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_within_the_project_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?://|#)([^)#\s]+)", page.read_text())
    missing = [link for link in links if not (page.parent / link).exists()]
    assert not missing


def test_every_command_of_the_readme_is_one() -> None:
    readme, cli = (path.read_text() for path in (ROOT / "README.md", ROOT / "docs" / "cli.md"))
    commands = set(re.findall(r"^trimtab (model add|[a-z]+)", readme, re.MULTILINE))
    assert {"measure", "steer", "model add"} <= commands
    assert commands <= set(re.findall(r"^##+ `trimtab ([a-z ]+)`", cli, re.MULTILINE))
