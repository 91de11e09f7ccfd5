"""Pictures for pages and documents."""

from __future__ import annotations

from pathlib import Path

import pytest

from reports import stories
from trimtab.records.errors import TrimtabError
from trimtab.reports.palettes import DARK, LIGHT, Palette, css_for_pictures, css_variables
from trimtab.reports.pictures import clause_chart, save_picture, svg


def test_a_picture_is_saved_as_svg_and_png(tmp_path: Path) -> None:
    chart = clause_chart(stories.AFTER, stories.BEFORE)
    save_picture(chart, tmp_path / "clauses.svg")
    save_picture(chart, tmp_path / "clauses.png")
    assert (tmp_path / "clauses.svg").read_text(encoding="utf-8").startswith("<svg ")
    assert (tmp_path / "clauses.png").read_bytes().startswith(b"\x89PNG")


def test_another_format_is_refused_with_a_way_out(tmp_path: Path) -> None:
    with pytest.raises(TrimtabError, match=r"saved as \.gif") as refused:
        save_picture(clause_chart(stories.AFTER), tmp_path / "clauses.gif")
    assert "End the name with .svg or .png" in str(refused.value)


def test_the_target_of_a_never_clause_is_where_its_range_ends() -> None:
    assert "target: 0.05; clause: harmful" in svg(clause_chart(stories.AFTER))


@pytest.mark.parametrize("palette", [LIGHT, DARK])
def test_a_palette_has_no_colour_twice(palette: Palette) -> None:
    colours = [part.split(": ")[1] for part in css_variables(palette).rstrip(";").split("; ")]
    assert len(set(colours)) == len(colours)


def test_every_colour_of_a_picture_follows_the_page() -> None:
    drawn, rules = svg(clause_chart(stories.AFTER, stories.BEFORE)), css_for_pictures(LIGHT)
    for attribute in ("fill", "stroke"):
        used = {part.split('"')[0] for part in drawn.split(f' {attribute}="')[1:]}
        for colour in used - {"none", "transparent"}:
            assert f'[{attribute}="{colour}"]' in rules
