"""The colours of pages and pictures, light and dark."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from trimtab.records.profile import Verdict


@dataclass(frozen=True, slots=True)
class Palette:
    """One colour for each thing shown; no two are equal, so that a page can exchange them."""

    ink: str
    quiet: str
    line: str
    wanted: str
    met: str
    missed: str
    undecided: str
    paper: str

    def of(self, verdict: Verdict) -> str:
        """Bluish green, vermilion and grey differ to colour-blind readers too."""
        return {"met": self.met, "missed": self.missed}.get(verdict, self.undecided)


LIGHT = Palette(
    ink="#1c2430",
    quiet="#5f6b79",
    line="#e0e5ea",
    wanted="#e4f1ed",
    met="#0b6e58",
    missed="#b03a06",
    undecided="#4f5967",
    paper="#fff",
)
DARK = Palette(
    ink="#e8ecf1",
    quiet="#9aa6b4",
    line="#2f3944",
    wanted="#173a33",
    met="#4fcaa5",
    missed="#ff9260",
    undecided="#b6c0cc",
    paper="#14191f",
)


def css_variables(palette: Palette) -> str:
    """The palette as custom properties: `--ink: #1c2430; …`."""
    return " ".join(f"--{name}: {colour};" for name, colour in asdict(palette).items())


def css_for_pictures(drawn_in: Palette) -> str:
    """Rules that let inline SVG, drawn in one palette, follow the page's custom properties."""
    return "\n".join(
        f'svg [{attribute}="{colour}"] {{ {attribute}: var(--{name}); }}'
        for name, colour in asdict(drawn_in).items()
        for attribute in ("fill", "stroke")
    )
