"""What `trimtab init` makes is sound: files, counts, probes enough, nothing trained on probes."""

from __future__ import annotations

import re

import pytest

from trimtab.app.project import open_project
from trimtab.app.templates import TEMPLATES

TEMPLATE_NAMES = sorted(path.parent.name for path in TEMPLATES.glob("*/charter.yaml"))


@pytest.mark.parametrize("name", TEMPLATE_NAMES)
def test_a_template_opens_without_a_warning(name: str) -> None:
    assert open_project(TEMPLATES / name / "charter.yaml").warnings == ()


@pytest.mark.parametrize("name", TEMPLATE_NAMES)
def test_its_readme_counts_the_rows_of_every_file(name: str) -> None:
    folder = TEMPLATES / name
    stated = re.findall(r"^\| `(\S+\.jsonl)` \| (\d+) \|", (folder / "README.md").read_text(), re.M)
    counted = {
        str(path.relative_to(folder)): len(path.read_text().splitlines())
        for path in folder.rglob("*.jsonl")
    }
    assert {file: int(rows) for file, rows in stated} == counted


def test_the_demo_has_a_hundred_final_probes_a_clause() -> None:
    project = open_project(TEMPLATES / "restaurant-booker" / "charter.yaml")
    for clause in project.charter.clauses:
        assert sum(probe.split == "final" for probe in project.suite.of(clause.id)) >= 100


PLACES = re.compile(
    r"\b(?:York|Bath|Galway|Tampa|Norwich|Leeds|Cardiff|Denver|Houston|Dublin|Chicago|Glasgow)\b"
)


def test_the_demos_pool_and_probes_name_different_places() -> None:
    project = open_project(TEMPLATES / "restaurant-booker" / "charter.yaml")
    asked = [probe.request.text for name in ("book", "confirm") for probe in project.suite.of(name)]
    rows = [row for kind in ("scope", "twin", "replay") for row in project.pool[kind]]
    trained = [turn.content for row in rows for turn in row.messages]
    in_probes, in_pool = (set(PLACES.findall(" ".join(texts))) for texts in (asked, trained))
    assert len(in_probes) >= 4
    assert len(in_pool) >= 4
    assert not in_probes & in_pool
