"""Docs say what the code says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from trimtab.models.load import load_model
from trimtab.probes.checks import CHECKS, make_check
from trimtab.records.charter import Generation
from trimtab.records.conversation import say
from trimtab.records.errors import CheckError
from trimtab.records.probe import CheckSpec

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


def test_every_check_and_option_is_explained() -> None:
    page = (ROOT / "docs" / "checks.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*)", page, re.MULTILINE)[: len(CHECKS)])
    assert rows.keys() == CHECKS.keys()
    for name, row in rows.items():
        with pytest.raises(CheckError) as caught:
            make_check(CheckSpec(name, {"xyz": None}), [], ROOT)
        there_are = re.match(r"There are: (.*)\.", caught.value.fix or "")
        for option in there_are[1].split(", ") if there_are else []:
            assert f"`{option}`" in row, (name, option)


def test_the_script_of_the_docs_says_what_they_say(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "charter.md").read_text()
    script, asked, answer = re.search(
        r"```yaml\n(name: waiter\n.*?)```\n\n\"(.*?)\" is answered \"(.*?)\"", page, re.DOTALL
    ).groups()
    (tmp_path / "script.yaml").write_text(script)
    model = load_model(f"scripted:{tmp_path / 'script.yaml'}")
    requests = [say(asked), say("What are your opening hours?"), say("A poem, please")]
    replies = model.generate(requests, Generation())
    assert [reply.text for reply in replies] == [
        answer,
        "",
        "Sorry, I can only help you book a table.",
    ]
    assert replies[1].finish == "error"


def test_every_command_of_the_readme_is_one() -> None:
    readme, cli = (path.read_text() for path in (ROOT / "README.md", ROOT / "docs" / "cli.md"))
    commands = set(re.findall(r"^trimtab (model add|[a-z]+)", readme, re.MULTILINE))
    assert {"measure", "steer", "model add"} <= commands
    assert commands <= set(re.findall(r"^##+ `trimtab ([a-z ]+)`", cli, re.MULTILINE))
