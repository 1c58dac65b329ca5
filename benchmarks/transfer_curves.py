"""Label-efficiency curves of the committed cells: a panel a task."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullLocator
from transfer_cells import Cell, mean_metric, pooled, shares

from recdistill.report.words import NAMES

# What is drawn, with colour and dashes: colours that differ in lightness too, for who cannot tell the hues.
LINES = {
    "hard_only": ("#8a8a8a", "-"),
    "source_finetuned": ("#d98e04", "-"),
    "auto": ("#0b5394", "-"),
    "source_teacher": ("#7a3b9d", ":"),
    "adapted_teacher": ("#7a3b9d", "--"),
    "given_scores": ("#7a3b9d", ":"),
    "calibrated_scores": ("#7a3b9d", "--"),
}
COLUMNS = 3


def draw(cells: Sequence[Cell], path: Path) -> None:
    """Draw every task; the file is the same for the same cells."""
    tasks = list(dict.fromkeys(cell.key[0] for cell in cells))
    rows = math.ceil(len(tasks) / COLUMNS)
    style = {"svg.hashsalt": "curves", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False}
    with plt.rc_context(style):
        figure, axes = plt.subplots(rows, COLUMNS, figsize=(4 * COLUMNS, 3 * rows), squeeze=False, layout="constrained")
        for axis, task in zip(axes.flat, tasks, strict=False):
            _panel(axis, task, {share: of for (name, share), of in shares(cells).items() if name == task})
        for axis in axes.flat[len(tasks) :]:
            axis.set_axis_off()
        legends = (axis.get_legend_handles_labels() for axis in axes.flat)
        named = {label: line for lines, labels in legends for line, label in zip(lines, labels, strict=True)}
        figure.legend(named.values(), named.keys(), loc="outside lower center", ncols=4, frameon=False)
        figure.savefig(path, metadata={"Date": None})
        plt.close(figure)


def _panel(axis: Axes, task: str, of: dict[float, list[Cell]]) -> None:
    first = next(iter(of.values()))[0]
    for name, (colour, dashes) in LINES.items():
        found = [(share, value) for share, cells in of.items() if (value := mean_metric(cells, name)) is not None]
        if not found:
            continue
        x, y = zip(*found, strict=True)
        axis.plot(x, y, dashes, color=colour, label=name, marker="o", markersize=3, linewidth=1.6)
        if name == "auto":
            _band(axis, of, colour)
    axis.set_xscale("log")
    axis.set_xticks(list(of), [f"{100 * share:g} %" for share in of])
    axis.xaxis.set_minor_locator(NullLocator())
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3f}"))
    axis.set_title(task, loc="left", fontweight="bold")
    axis.set_ylabel(NAMES[first.headline])
    axis.set_xlabel("labels")


def _band(axis: Axes, of: dict[float, list[Cell]], colour: str) -> None:
    """The interval of what auto gains over labels alone, put around its line."""
    bands = []
    for share, cells in of.items():
        base, gained = mean_metric(cells, "hard_only"), pooled(cells, "auto", "hard_only")
        if base is not None and gained is not None:
            bands.append((share, base + gained.low, base + gained.high))
    x, low, high = zip(*bands, strict=True)
    axis.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0)
