"""Pictures of profiles: Vega-Lite through Altair, drawn by vl-convert without a network."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, astuple, dataclass
from pathlib import Path

import altair as alt
import vl_convert

from trimtab.records.errors import TrimtabError
from trimtab.records.profile import ClauseResult, Interval, Profile, Verdict
from trimtab.reports.clauses import result_in
from trimtab.reports.wording import SIGNS, percent, points

VERDICTS: tuple[Verdict, ...] = ("met", "missed", "undecided", "nothing to lose")
SHAPES = ("circle", "square", "diamond", "triangle-up")
VEGALITE_VERSION = "6.4"
NARROW = 420
NAMES_WIDTH = 170
LABELS_WIDTH = 170


@dataclass(frozen=True, slots=True)
class Palette:
    """The colours of a picture. Each stands for one thing, so that a page can exchange them."""

    ink: str
    quiet: str
    grid: str
    wanted: str
    met: str
    missed: str
    undecided: str
    paper: str

    @property
    def verdicts(self) -> tuple[str, ...]:
        """In the order of VERDICTS; bluish green and vermilion differ to colour-blind readers."""
        return (self.met, self.missed, self.undecided, self.undecided)


LIGHT = Palette("#1c2430", "#6b7684", "#e3e7ec", "#e6f2ee", "#0b6e58", "#b8400a", "#515d6b", "#fff")
DARK = Palette("#e8ecf1", "#97a3b1", "#2c3540", "#173a33", "#4fcaa5", "#ff9260", "#b6c0cc", "#14191f")


@dataclass(frozen=True, slots=True)
class Row:
    """One clause: what is drawn of it, None where there is nothing to draw."""

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
    format: str
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
    drawn = [_draw(panel, width, palette, paired=before is not None) for panel in panels]
    return (
        alt.vconcat(*drawn, spacing=28)
        .properties(
            background="transparent",
            padding=2,
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
            fix="end the name with .svg or .png",
        )


def recolouring(to: Palette, source: Palette = LIGHT) -> str:
    """CSS that shows an inline SVG, drawn in `source`, in the colours of `to`."""
    return "\n".join(
        f'svg [{attribute}="{old}"] {{ {attribute}: {new} }}'
        for old, new in zip(astuple(source), astuple(to), strict=True)
        for attribute in ("fill", "stroke")
    )


def _rates(profile: Profile, before: Profile | None) -> Panel:
    rows = tuple(
        Row(
            clause=result.clause,
            verdict=result.verdict,
            label=_label(percent(result.rate) if result.n else "no reply", result.verdict),
            wanted=_wanted(result),
            after=_drawn(result),
            before=_drawn(result_in(before, result.clause)),
        )
        for result in profile.clauses
        if result.change is None
    )
    return Panel("Share of replies whose checks hold", ".0%", (0.0, 1.0), rows)


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
            label=_label(points(change.value), result.verdict),
            wanted=(margin, high),
            after=change,
            before=before_change,
        )
        for (result, change), before_change, margin in zip(kept, befores, margins, strict=True)
    )
    return Panel("Change against the baseline, in percentage points", "+.0%", (low, high), rows)


def _label(figure: str, verdict: Verdict) -> str:
    return f"{SIGNS[verdict]} {verdict}, {figure}"


def _wanted(result: ClauseResult) -> tuple[float, float] | None:
    """The range that a clause's rate should lie in; a retain clause has none without a baseline."""
    if result.kind == "retain":
        return None
    return (0.0, result.target) if result.kind == "never" else (result.target, 1.0)


def _drawn(result: ClauseResult | None) -> Interval | None:
    return result.wilson if result and result.n else None


def _draw(panel: Panel, width: int, palette: Palette, *, paired: bool) -> alt.LayerChart:
    narrow = width < NARROW
    middle = 9 if narrow else 0
    apart = 6 if paired else 0
    clause = alt.Y("clause:N").scale(domain=[row.clause for row in panel.rows]).title(None)
    clause = clause.axis(None if narrow else _clause_axis(palette))
    layers = [
        *_wanted_layers(panel, palette, middle),
        *_before_layers(panel, palette, middle - apart),
        *_after_layers(panel, palette, middle + apart),
        *(_labels_above(panel, width, palette) if narrow else _labels_beside(panel, palette)),
    ]
    plot_width = width - 8 if narrow else width - NAMES_WIDTH - LABELS_WIDTH
    drawn = alt.layer(*(layer.encode(y=clause) for layer in layers))
    return drawn.properties(width=plot_width, height=alt.Step(52 if narrow else 38))


def _wanted_layers(panel: Panel, palette: Palette, offset: int) -> Iterator[alt.Chart]:
    rows = [
        {"clause": row.clause, "target": row.wanted[0], "end": row.wanted[1]}
        for row in panel.rows
        if row.wanted is not None
    ]
    chart = alt.Chart(alt.InlineData(rows)).encode(x=_position(panel, "target", palette))
    yield chart.mark_bar(size=26, color=palette.wanted, yOffset=offset).encode(x2="end:Q")
    yield chart.mark_tick(size=26, thickness=2, color=palette.ink, yOffset=offset)


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


def _labels_beside(panel: Panel, palette: Palette) -> Iterator[alt.Chart]:
    """The verdict right of each row; its clause is on the axis."""
    chart = _texts(panel).encode(color=_verdict(palette), x=alt.value("width"), text="label:N")
    yield chart.mark_text(align="left", dx=12, fontSize=13, fontWeight=600)


def _labels_above(panel: Panel, width: int, palette: Palette) -> Iterator[alt.Chart]:
    """Clause and verdict over each row, for want of room beside it."""
    chart = _texts(panel)
    yield chart.mark_text(
        align="left", color=palette.ink, fontSize=13, limit=width / 2, yOffset=-15
    ).encode(x=alt.value(0), text="clause:N")
    yield chart.mark_text(align="right", fontSize=12, fontWeight=600, yOffset=-15).encode(
        x=alt.value("width"), text="label:N", color=_verdict(palette)
    )


def _intervals(rows: Iterable[tuple[Row, Interval | None]]) -> alt.Chart:
    values = [
        {"clause": row.clause, "verdict": row.verdict, **asdict(interval)}
        for row, interval in rows
        if interval is not None
    ]
    return alt.Chart(alt.InlineData(values))


def _texts(panel: Panel) -> alt.Chart:
    values = [
        {"clause": row.clause, "verdict": row.verdict, "label": row.label} for row in panel.rows
    ]
    return alt.Chart(alt.InlineData(values))


def _position(panel: Panel, field: str, palette: Palette) -> alt.X:
    axis = alt.Axis(
        title=panel.title,
        format=panel.format,
        tickCount=5,
        domain=False,
        ticks=False,
        gridColor=palette.grid,
        labelColor=palette.quiet,
        titleColor=palette.quiet,
        titleFontWeight="normal",
        labelFontSize=12,
        titleFontSize=12,
        labelPadding=6,
        titlePadding=8,
        zindex=0,
    )
    return alt.X(f"{field}:Q").scale(domain=panel.domain, nice=False).axis(axis)


def _clause_axis(palette: Palette) -> alt.Axis:
    return alt.Axis(
        domain=False,
        ticks=False,
        labelColor=palette.ink,
        labelFontSize=13,
        labelLimit=NAMES_WIDTH - 12,
        labelPadding=10,
        minExtent=NAMES_WIDTH,
        maxExtent=NAMES_WIDTH,
    )


def _verdict(palette: Palette) -> alt.Color:
    return alt.Color("verdict:N").scale(domain=VERDICTS, range=palette.verdicts).legend(None)
