"""Pictures of profiles: Vega-Lite through Altair, drawn by vl-convert without a network."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import altair as alt
import vl_convert

from trimtab.records.errors import TrimtabError
from trimtab.records.profile import ClauseResult, Interval, Profile, Verdict
from trimtab.reports.clauses import result_in
from trimtab.reports.palettes import LIGHT, Palette
from trimtab.reports.wording import percent, points

VERDICTS: tuple[Verdict, ...] = ("met", "missed", "undecided", "nothing to lose")
SHAPES = ("circle", "square", "diamond", "triangle-up")
VEGALITE_VERSION = ".".join(alt.SCHEMA_VERSION.split(".")[:2])
NARROW = 420
MOST_NAME_WIDTH = 220
LABELS_WIDTH = 170
RATE_TICK = "format(datum.value, '.0%')"
POINTS_TICK = "datum.value == 0 ? '0' : format(datum.value * 100, '+')"


@dataclass(frozen=True, slots=True)
class Layout:
    """Sizes in pixels; `apart` is how far before and after stand from the middle of a row."""

    width: int
    names_width: int
    apart: int

    @property
    def narrow(self) -> bool:
        return self.width < NARROW

    @property
    def plot_width(self) -> int:
        beside = 12 if self.narrow else self.names_width + LABELS_WIDTH
        return self.width - beside

    @property
    def row_height(self) -> int:
        return 54 if self.narrow else 38

    @property
    def right(self) -> int:
        """Room for labels in fonts that are wider than the one drawn with."""
        return 8 if self.narrow else 30

    @property
    def middle(self) -> int:
        """How far below a row's middle its dots stand."""
        return 10 if self.narrow else 0


@dataclass(frozen=True, slots=True)
class Row:
    """One clause: what is drawn of it, None where there is nothing to draw.

    `wanted` is the range to lie in: the target, then the end of the scale that it opens to.
    """

    clause: str
    verdict: Verdict
    label: str
    wanted: tuple[float, float] | None
    after: Interval | None
    before: Interval | None


@dataclass(frozen=True, slots=True)
class Panel:
    """Rows that share a scale."""

    title: str
    tick_label: str
    domain: tuple[float, float]
    rows: tuple[Row, ...]


def clause_chart(
    profile: Profile,
    before: Profile | None = None,
    *,
    width: int = 760,
    palette: Palette = LIGHT,
) -> alt.VConcatChart:
    """Every clause's rate with its interval and the wanted range, before (hollow) and after.

    Retain clauses with a baseline stand in a panel of their own, as changes against it. Below
    420 pixels of `width` a clause's name stands above its row. The background is transparent.
    """
    panels = [panel for panel in (_rates(profile, before), _changes(profile, before)) if panel.rows]
    layout = Layout(
        width=width,
        names_width=min(MOST_NAME_WIDTH, 24 + 8 * max(len(r.clause) for r in profile.clauses)),
        apart=6 if before else 0,
    )
    drawn = [_draw(panel, layout, palette) for panel in panels]
    return (
        alt.vconcat(*drawn, spacing=28)
        .properties(
            background="transparent",
            padding={"left": 2, "top": 2, "right": layout.right, "bottom": 2},
            description="Each clause's rate with its 95% interval, against its target.",
        )
        .configure(font="sans-serif")
        .configure_view(stroke=None)
    )


def svg(chart: alt.TopLevelMixin) -> str:
    """The picture as SVG text; nothing is fetched."""
    drawn: str = vl_convert.vegalite_to_svg(
        chart.to_dict(), vl_version=VEGALITE_VERSION, allowed_base_urls=[]
    )
    return drawn


def save_picture(chart: alt.TopLevelMixin, path: Path) -> None:
    """Writes the picture as `.svg` or, at twice its size in pixels, as `.png`."""
    if path.suffix == ".svg":
        path.write_text(svg(chart), encoding="utf-8")
    elif path.suffix == ".png":
        drawn = vl_convert.vegalite_to_png(
            chart.to_dict(), vl_version=VEGALITE_VERSION, allowed_base_urls=[], scale=2
        )
        path.write_bytes(drawn)
    else:
        raise TrimtabError(
            f"a picture cannot be saved as {path.suffix or 'a file without a suffix'}",
            where=str(path),
            fix="End the name with .svg or .png.",
        )


def _rates(profile: Profile, before: Profile | None) -> Panel:
    rows = tuple(
        Row(
            clause=result.clause,
            verdict=result.verdict,
            label=f"{percent(result.rate) if result.n else 'no reply'} {result.verdict}",
            wanted=_wanted(result),
            after=_drawn(result),
            before=_drawn(result_in(before, result.clause)),
        )
        for result in profile.clauses
        if result.change is None
    )
    return Panel("Share of replies whose checks hold", RATE_TICK, (0.0, 1.0), rows)


def _changes(profile: Profile, before: Profile | None) -> Panel:
    kept = [(result, result.change) for result in profile.clauses if result.change is not None]
    earlier = [result_in(before, result.clause) for result, _ in kept]
    befores = [result.change if result else None for result in earlier]
    margins = [-result.target for result, _ in kept]
    changes = [change for change in (*(change for _, change in kept), *befores) if change]
    low = min([0.0, *margins, *(change.low for change in changes)]) - 0.01
    high = max([0.0, *(change.high for change in changes)]) + 0.01
    rows = tuple(
        Row(
            clause=result.clause,
            verdict=result.verdict,
            label=f"{points(change.value)} {result.verdict}",
            wanted=(margin, high),
            after=change,
            before=before_change,
        )
        for (result, change), before_change, margin in zip(kept, befores, margins, strict=True)
    )
    return Panel(
        "Change against the baseline, in percentage points", POINTS_TICK, (low, high), rows
    )


def _wanted(result: ClauseResult) -> tuple[float, float] | None:
    """The target and the end of the scale that it opens to.

    None for a retain clause without a baseline: its target bounds a loss, not a rate.
    """
    if result.kind == "retain":
        return None
    return (result.target, 0.0 if result.kind == "never" else 1.0)


def _drawn(result: ClauseResult | None) -> Interval | None:
    return result.wilson if result and result.n else None


def _draw(panel: Panel, layout: Layout, palette: Palette) -> alt.LayerChart:
    clause = alt.Y("clause:N").scale(domain=[row.clause for row in panel.rows]).title(None)
    clause = clause.axis(None if layout.narrow else _clause_axis(layout, palette))
    layers = [
        *_wanted_layers(panel, palette, layout.middle),
        *_before_layers(panel, palette, layout.middle - layout.apart),
        *_after_layers(panel, palette, layout.middle + layout.apart),
        *_label_layers(panel, layout, palette),
    ]
    drawn = alt.layer(*(layer.encode(y=clause) for layer in layers))
    return drawn.properties(width=layout.plot_width, height=alt.Step(layout.row_height))


def _wanted_layers(panel: Panel, palette: Palette, offset: int) -> Iterator[alt.Chart]:
    rows = [
        {
            "clause": row.clause,
            "target": row.wanted[0],
            "low": min(row.wanted),
            "high": max(row.wanted),
        }
        for row in panel.rows
        if row.wanted is not None
    ]
    chart = alt.Chart(alt.InlineData(rows))
    low, target = (_position(panel, field, palette) for field in ("low", "target"))
    yield chart.mark_bar(size=26, color=palette.wanted, yOffset=offset).encode(x=low, x2="high:Q")
    yield chart.mark_tick(
        size=26, thickness=2, color=palette.ink, opacity=1, yOffset=offset
    ).encode(x=target)


def _before_layers(panel: Panel, palette: Palette, offset: int) -> Iterator[alt.Chart]:
    chart = _intervals((row, row.before) for row in panel.rows)
    low, value = (_position(panel, bound, palette) for bound in ("low", "value"))
    yield chart.mark_rule(color=palette.quiet, yOffset=offset).encode(x=low, x2="high:Q")
    yield chart.mark_point(
        color=palette.quiet, fill=palette.paper, size=60, strokeWidth=1.5, opacity=1, yOffset=offset
    ).encode(x=value)


def _after_layers(panel: Panel, palette: Palette, offset: int) -> Iterator[alt.Chart]:
    chart = _intervals((row, row.after) for row in panel.rows).encode(color=_verdict(palette))
    low, value = (_position(panel, bound, palette) for bound in ("low", "value"))
    shape = alt.Shape("verdict:N").scale(domain=VERDICTS, range=SHAPES).legend(None)
    yield chart.mark_rule(strokeWidth=2.5, yOffset=offset).encode(x=low, x2="high:Q")
    yield chart.mark_point(filled=True, size=110, opacity=1, yOffset=offset).encode(
        x=value, shape=shape
    )


def _label_layers(panel: Panel, layout: Layout, palette: Palette) -> Iterator[alt.Chart]:
    """Rate and verdict right of each row or, for want of room, over it with the clause's name."""
    chart = alt.Chart(
        alt.InlineData(
            [{"clause": r.clause, "verdict": r.verdict, "label": r.label} for r in panel.rows]
        )
    )
    verdict = chart.encode(color=_verdict(palette), x=alt.value("width"), text="label:N")
    if not layout.narrow:
        yield verdict.mark_text(align="left", dx=14, fontSize=13, fontWeight=600)
        return
    above = -15
    yield chart.mark_bar(size=18, color=palette.paper, yOffset=above).encode(
        x=alt.value(0), x2=alt.value("width")
    )
    yield chart.mark_text(
        align="left", color=palette.ink, fontSize=13, limit=layout.width * 0.55, yOffset=above
    ).encode(x=alt.value(0), text="clause:N")
    yield verdict.mark_text(align="right", fontSize=12, fontWeight=600, yOffset=above)


def _intervals(rows: Iterable[tuple[Row, Interval | None]]) -> alt.Chart:
    values = [
        {"clause": row.clause, "verdict": row.verdict, **asdict(interval)}
        for row, interval in rows
        if interval is not None
    ]
    return alt.Chart(alt.InlineData(values))


def _position(panel: Panel, field: str, palette: Palette) -> alt.X:
    axis = alt.Axis(
        title=panel.title,
        labelExpr=panel.tick_label,
        tickCount=5,
        domain=False,
        ticks=False,
        gridColor=palette.line,
        labelColor=palette.quiet,
        titleColor=palette.quiet,
        titleFontWeight="normal",
        labelFontSize=12,
        titleFontSize=12,
        labelPadding=6,
        titlePadding=8,
    )
    return alt.X(f"{field}:Q").scale(domain=panel.domain, nice=False).axis(axis)


def _clause_axis(layout: Layout, palette: Palette) -> alt.Axis:
    return alt.Axis(
        domain=False,
        ticks=False,
        labelColor=palette.ink,
        labelFontSize=13,
        labelLimit=layout.names_width - 12,
        labelPadding=10,
        minExtent=layout.names_width,
        maxExtent=layout.names_width,
    )


def _verdict(palette: Palette) -> alt.Color:
    colours = [palette.of(verdict) for verdict in VERDICTS]
    return alt.Color("verdict:N").scale(domain=VERDICTS, range=colours).legend(None)
