"""A story as one self-contained HTML page: no network, no cookies, readable without scripts."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from trimtab.records.story import Story
from trimtab.reports import wording
from trimtab.reports.clauses import clause_figures, result_in
from trimtab.reports.doses import doses
from trimtab.reports.losses import held_out_losses
from trimtab.reports.palettes import DARK, LIGHT, css_for_pictures, css_variables
from trimtab.reports.pictures import clause_chart, svg
from trimtab.reports.replies import replies_by_clause

WIDE = 940
PHONE = 340
DARK_SCREEN = "@media screen and (prefers-color-scheme: dark)"

FILTERS: dict[str, Callable[..., str]] = {
    "clip": wording.clip,
    "count": wording.count,
    "duration": wording.duration,
    "moved": wording.moved,
    "p_value": wording.p_value,
    "percent": wording.percent,
    "plural": wording.plural,
    "rate": wording.rate,
    "span": wording.span,
}


def render_page(story: Story) -> str:
    """The page's HTML. Texts of models and files are escaped, and their controls made visible.

    Passing replies beyond a few a clause are counted, not shown; so are failing ones where the
    page would otherwise grow past some megabytes.
    """
    script = _asset("page.js")
    return (
        _environment()
        .get_template("page.html.j2")
        .render(
            story=story,
            figures=clause_figures(story),
            shelves=replies_by_clause(story),
            doses=doses(story.plan) if story.plan else [],
            losses=held_out_losses(story),
            pictures=_pictures(story),
            style=Markup(_style()),
            script=Markup(script),
            policy=_policy(script),
            wording=wording,
            result_in=result_in,
        )
    )


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("trimtab.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_printable,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= FILTERS
    return environment


def _printable(value: Any) -> Any:
    """Every text that a template prints, our own markup apart, with its controls made visible."""
    return wording.visible(value) if type(value) is str else value


def _pictures(story: Story) -> dict[str, Markup]:
    """The clauses' chart for wide screens and paper, and for phones; markup of our own."""
    if not story.profile.clauses:
        return {}
    return {
        name: Markup(svg(clause_chart(story.profile, story.before, width=width)))
        for name, width in (("wide", WIDE), ("phone", PHONE))
    }


def _style() -> str:
    return "\n".join(
        [
            f":root {{ {css_variables(LIGHT)} }}",
            f"{DARK_SCREEN} {{ :root {{ {css_variables(DARK)} }} }}",
            css_for_pictures(drawn_in=LIGHT),
            _asset("page.css"),
        ]
    )


def _policy(script: str) -> str:
    """A content security policy that allows this script alone, and no requests."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
        f"script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )


def _asset(name: str) -> str:
    return (files("trimtab.reports") / "templates" / name).read_text(encoding="utf-8")
