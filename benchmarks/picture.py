"""README's picture: a steer run's clauses, before and after.

python benchmarks/picture.py demo/restaurant-booker/runs/first docs/pictures/demo.svg
"""

from __future__ import annotations

import sys
from pathlib import Path

from trimtab.app.stories import read_story
from trimtab.reports.pictures import clause_chart, svg


def main(run: Path, picture: Path) -> None:
    story = read_story(run)
    chart = clause_chart(story.profile, story.before)
    picture.parent.mkdir(exist_ok=True)
    # On GitHub a transparent picture would be black on black in dark mode.
    picture.write_text(svg(chart.properties(background="white")) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
