"""Quality against a cost on a log scale: a mark for each ranker, the names of some."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from recdistill.report.figures.drawing import MUTED, RULE, apart, drawn, printable
from recdistill.report.figures.rankers import Look

GAP = 16  # pixels between two labels


@dataclass(frozen=True)
class Dot:
    """A ranker of a picture.

    Args:
        cost, quality: where it is.
        look: how it is drawn, with its name; None for an open circle without.
    """

    cost: float
    quality: float
    look: Look | None = None


def scatter(
    title: str,
    dots: Mapping[str, Dot],
    *,
    cost: str,
    quality: str,
    unit: Callable[[float], str],
    line: Sequence[str] = (),
) -> Markup:
    """The picture.

    Args:
        title: what a reader hears who cannot see it.
        dots: per name of a ranker.
        cost, quality: what the axes are called.
        unit: a cost as text.
        line: names whose marks are joined by a line, such as a front.
    """
    named = {name: dot for name, dot in dots.items() if dot.look is not None}
    with drawn(title, margins=(14, 20, 50, 62)) as picture:
        axes = picture.axes
        axes.set_xscale("log")
        if line:
            axes.plot([dots[n].cost for n in line], [dots[n].quality for n in line], color=RULE, zorder=1)
        for dot in dots.values():
            if dot.look is not None:
                axes.plot(dot.cost, dot.quality, dot.look.marker, color=dot.look.colour, markersize=8, zorder=3)
            else:
                axes.plot(dot.cost, dot.quality, "o", color=MUTED, markerfacecolor="none", markersize=6)
        costs = [dot.cost for dot in dots.values()]
        axes.set_xlim(min(costs) / 1.6, max(costs) * 1.6)
        axes.margins(y=0.12)
        axes.set_ylim(axes.get_ylim())
        _ticks(axes, min(costs), max(costs), unit)
        axes.set_xlabel(cost)
        axes.set_ylabel(quality)
        _label(axes, named)
    return picture.svg


def _ticks(axes: Any, low: float, high: float, unit: Callable[[float], str]) -> None:
    """Marks at 1, 2 and 5 times powers of ten, few enough to read."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high / low < 100 else (1,)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: unit(value)))
    axes.xaxis.set_minor_locator(NullLocator())


def _label(axes: Any, named: Mapping[str, Dot]) -> None:
    """The names beside their points, towards the middle; on each side moved apart."""
    box = axes.get_window_extent()
    middle = sum(axes.get_xlim()[i] ** 0.5 for i in (0, 1)) ** 2 / 4
    at = {name: axes.transData.transform((dot.cost, dot.quality)) - (box.x0, box.y0) for name, dot in named.items()}
    for left in (True, False):
        names = [name for name, dot in named.items() if (dot.cost < middle) == left]
        places = apart([at[name][1] for name in names], GAP, 4, box.height - 4)
        for name, place in zip(names, places, strict=True):
            look = named[name].look
            x = at[name][0] + (11 if left else -11)
            axes.text(
                x / box.width,
                place / box.height,
                printable(name, 24),
                transform=axes.transAxes,
                color=MUTED if look is None else look.colour,
                fontsize=11.5,
                va="center",
                ha="left" if left else "right",
            )
