"""Differences with their intervals, a line each: what forest plots and dot plots of segments are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from recdistill.report.figures.drawing import BLUE, INK, MUTED, ORANGE, WIDTH, drawn, printable

TONES = {1: BLUE, -1: ORANGE, 0: MUTED}
LINE = 38  # pixels


@dataclass(frozen=True)
class Interval:
    """One line.

    Args:
        name: whose.
        delta, low, high: the difference and its 95 % interval.
        words: the same as text.
        tone: 1 a gain, -1 a loss, 0 neither.
        marker: by the ranker's role.
    """

    name: str
    delta: float
    low: float
    high: float
    words: str
    tone: int
    marker: str = "o"


def forest(lines: Sequence[Interval], *, title: str, axis: str) -> Markup:
    """A forest plot: names above their intervals, so that long ones fit a phone; filled where 0 is outside.

    Args:
        lines: from the top.
        title: what a reader hears who cannot see it.
        axis: what is differed, and in which direction better is.
    """
    from matplotlib.ticker import MaxNLocator

    height = LINE * len(lines) + 56
    ends = [end for line in lines for end in (line.low, line.high)] + [0.0]
    room = 0.03 * (max(ends) - min(ends)) or 0.01
    with drawn(title, size=(WIDTH, height), margins=(6, 14, 50, 14)) as picture:
        axes = picture.axes
        axes.set_xlim(min(ends) - room, max(ends) + room)
        axes.set_ylim(len(lines), 0)
        axes.set_yticks([])
        axes.grid(visible=False)
        axes.spines["left"].set_visible(False)
        across = axes.get_yaxis_transform()
        for place, line in enumerate(lines):
            colour = TONES[line.tone]
            axes.plot([0, 0], [place + 0.54, place + 0.9], color=INK, linewidth=1.2)
            axes.plot([line.low, line.high], [place + 0.72] * 2, color=colour)
            face = colour if line.tone else "none"
            axes.plot(line.delta, place + 0.72, line.marker, color=colour, markerfacecolor=face, markersize=7)
            axes.text(0, place + 0.4, printable(line.name, 32), transform=across, fontsize=12.5)
            axes.text(1, place + 0.4, line.words, transform=across, fontsize=11.5, color=MUTED, ha="right")
        axes.set_xlabel(axis)
        axes.xaxis.set_major_locator(MaxNLocator(5))
    return picture.svg
