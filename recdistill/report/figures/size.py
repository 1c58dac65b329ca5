"""Quality against bytes: what is paid for what."""

from __future__ import annotations

from typing import Any

from recdistill.report.figures.drawing import MUTED, apart, drawn, printable
from recdistill.report.figures.rankers import KNOWN, looks
from recdistill.report.parts import Figure, Grid
from recdistill.report.words import LOWER_IS_BETTER, NAMES, percent

GAP = 16  # pixels between two labels
UNITS = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"))


def in_bytes(count: float) -> str:
    """A number of bytes in the unit that keeps it short.

    >>> in_bytes(242_792), in_bytes(1_887_708), in_bytes(12)
    ('243 kB', '1.89 MB', '12 bytes')
    """
    for size, unit in UNITS:
        if count >= size:
            return f"{count / size:.3g} {unit}" if count < 10 * size else f"{count / size:.0f} {unit}"
    return f"{count:.0f} bytes"


def quality_and_size(pooled: dict[str, Any]) -> Figure | None:
    """The headline metric of every ranker with a size against its bytes on a log scale; None where fewer than two are.

    Args:
        pooled: a share of labels.
    """
    metric = pooled["headline"]
    sized = {name: of for name, of in pooled["rankers"].items() if of["bytes"] and metric in of["metrics"]}
    if len(sized) < 2:
        return None
    title = f"{NAMES[metric]} against bytes, {percent(pooled['labels'])} of the labels"
    named = [name for name in sized if name in KNOWN]
    styles = looks(named, sized)
    with drawn(title, margins=(14, 20, 50, 62)) as picture:
        axes = picture.axes
        axes.set_xscale("log")
        for name, of in sized.items():
            at = of["bytes"], of["metrics"][metric]
            if name in styles:
                axes.plot(*at, styles[name].marker, color=styles[name].colour, markersize=8, zorder=3)
            else:
                axes.plot(*at, "o", color=MUTED, markerfacecolor="none", markersize=6)
        sizes = [of["bytes"] for of in sized.values()]
        axes.set_xlim(min(sizes) / 1.6, max(sizes) * 1.6)
        axes.margins(y=0.12)
        axes.set_ylim(axes.get_ylim())
        _ticks(axes, min(sizes), max(sizes))
        axes.set_xlabel("bytes (log scale)")
        axes.set_ylabel(f"{NAMES[metric]} ({'lower' if metric in LOWER_IS_BETTER else 'higher'} is better)")
        _label(axes, {name: (sized[name]["bytes"], sized[name]["metrics"][metric]) for name in named}, styles)
    ratio = max(sizes)
    rows = [["ranker", "role", "bytes", "part of the largest", NAMES[metric]]]
    rows += [
        [name, of["role"], f"{of['bytes']:,}", f"{100 * of['bytes'] / ratio:.3g} %", f"{of['metrics'][metric]:.4f}"]
        for name, of in sized.items()
    ]
    caption = (
        "The further left and the better, the more is had for fewer bytes. Filled marks are teachers (diamonds), "
        "controls (squares) and what was chosen; open circles are the other students."
    )
    return Figure(picture.svg, title, caption, Grid(title, rows))


def _ticks(axes: Any, low: float, high: float) -> None:
    """Marks at 1, 2 and 5 times powers of ten, few enough to read."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high / low < 100 else (1,)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: in_bytes(value)))
    axes.xaxis.set_minor_locator(NullLocator())


def _label(axes: Any, points: dict[str, tuple[float, float]], styles: dict[str, Any]) -> None:
    """The names beside their points, towards the middle; on each side moved apart."""
    box = axes.get_window_extent()
    middle = sum(axes.get_xlim()[i] ** 0.5 for i in (0, 1)) ** 2 / 4
    at = {name: axes.transData.transform(point) - (box.x0, box.y0) for name, point in points.items()}
    for left in (True, False):
        names = [name for name, (x, _) in points.items() if (x < middle) == left]
        places = apart([at[name][1] for name in names], GAP, 4, box.height - 4)
        for name, place in zip(names, places, strict=True):
            x = at[name][0] + (11 if left else -11)
            axes.text(
                x / box.width,
                place / box.height,
                printable(name, 24),
                transform=axes.transAxes,
                color=styles[name].colour,
                fontsize=11.5,
                va="center",
                ha="left" if left else "right",
            )
