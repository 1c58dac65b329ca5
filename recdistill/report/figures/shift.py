"""How far the columns of source and target are apart."""

from __future__ import annotations

from typing import Any

from recdistill.report.figures.drawing import BLUE, MUTED, WIDTH, drawn, printable
from recdistill.report.parts import Figure, Grid

MOST, LINE = 15, 34
MEASURES = {"jensen_shannon": "Jensen-Shannon divergence in bits", "unseen": "share of ids that the source never has"}
SEE = {
    "jensen_shannon": "0 where a column's values are shared alike, 1 where none is in both. The furthest stand first.",
    "unseen": "Ids that the source never has are new to a teacher that learnt there: it cannot know them by name.",
}


def distances(columns: list[dict[str, Any]]) -> list[Figure]:
    """A picture per measure of the columns that have it.

    Args:
        columns: of the diagnosis, the furthest apart first.
    """
    return [
        _bars(measure, {c["column"]: c[measure] for c in columns if c.get(measure) is not None})
        for measure in MEASURES
        if any(c.get(measure) is not None for c in columns)
    ]


def _bars(measure: str, values: dict[str, float]) -> Figure:
    words = MEASURES[measure]
    title = f"Columns of source and target: {words}"
    shown = dict(sorted(values.items(), key=lambda item: -item[1])[:MOST])
    with drawn(title, size=(WIDTH, LINE * len(shown) + 56), margins=(6, 50, 50, 14)) as picture:
        axes = picture.axes
        axes.set(xlim=(0, 1), ylim=(len(shown), 0), xlabel=words)
        axes.set_yticks([])
        for place, (name, value) in enumerate(shown.items()):
            axes.plot([0, 1], [place + 0.74] * 2, color=MUTED, linewidth=0.8)
            axes.plot([0, value], [place + 0.74] * 2, color=BLUE, linewidth=5, solid_capstyle="butt")
            axes.text(0, place + 0.46, printable(name, 48), fontsize=12.5)
            axes.text(1.02, place + 0.74, f"{value:.2f}", fontsize=11.5, color=MUTED, va="center")
    rows = [["column", words], *([name, f"{value:.3f}"] for name, value in values.items())]
    return Figure(picture.svg, title, SEE[measure], Grid(title, rows))
