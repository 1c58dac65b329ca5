"""Learning curves: the loss and what was measured on validation rows, by epoch."""

from __future__ import annotations

from typing import Any

from recdistill.report.figures.drawing import RULE, drawn, name_lines
from recdistill.report.figures.rankers import KNOWN, looks
from recdistill.report.parts import Figure, Grid
from recdistill.report.words import NAMES, percent

Epochs = dict[str, list[float]]


def learning_curves(pooled: dict[str, Any]) -> list[Figure]:
    """A picture per figure that was written down in every epoch.

    Args:
        pooled: a share of labels, with its "histories".
    """
    histories = pooled.get("histories") or {}
    measured = sorted({m for epochs in histories.values() for e in epochs for m, v in e.items() if _is_number(m, v)})
    found = {m: {name: [e[m] for e in epochs if m in e] for name, epochs in histories.items()} for m in measured}
    return [_curves(m, {name: of for name, of in lines.items() if of}, pooled) for m, lines in found.items()]


def _curves(metric: str, lines: Epochs, pooled: dict[str, Any]) -> Figure:
    from matplotlib.ticker import MaxNLocator

    words = "training loss" if metric == "loss" else f"{NAMES.get(metric, metric)} on validation rows"
    title = f"Learning curves: {words}, {percent(pooled['labels'])} of the labels"
    named = [name for name in lines if name in KNOWN]
    styles = looks(named, pooled["rankers"])
    with drawn(title, margins=(14, 122, 50, 62)) as picture:
        axes = picture.axes
        for name, values in lines.items():
            epochs = range(1, len(values) + 1)
            if name in styles:
                look = styles[name]
                axes.plot(epochs, values, "o", linestyle=look.dash, color=look.colour, markersize=3.5, zorder=3)
            else:
                axes.plot(epochs, values, color=RULE, linewidth=1.4)
        axes.set(xlabel="epoch", ylabel=words)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        name_lines(picture, {name: (lines[name][-1], styles[name].colour) for name in named})
    longest = max(map(len, lines.values()))
    rows = [["ranker", *(f"epoch {number}" for number in range(1, longest + 1))]]
    rows += [[n, *(f"{value:.4f}" for value in of), *[""] * (longest - len(of))] for n, of in lines.items()]
    caption = "A line that still moves at its end would have learnt more; one that turns has learnt its rows by heart."
    if metric == "loss":
        caption = "The loss of each ranker's own objective: the lines of two arms are not on the same scale."
    return Figure(picture.svg, title, f"{caption} Thin lines are the other arms. First seed.", Grid(title, rows))


def _is_number(name: str, value: Any) -> bool:
    return name not in ("epoch", "step", "seconds") and isinstance(value, int | float)
