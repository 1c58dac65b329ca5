"""ROC and precision-recall curves, and reliability diagrams before and after calibration."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from recdistill.report.figures.drawing import MUTED, Drawing, drawn, printable
from recdistill.report.figures.rankers import Look, looks
from recdistill.report.parts import Figure, Grid
from recdistill.report.words import percent

KINDS = {
    "roc": (
        "ROC curves",
        "false positive rate",
        "true positive rate",
        "The nearer to the upper left corner the better; on the diagonal a ranker knows no order.",
    ),
    "pr": (
        "Precision-recall curves",
        "recall",
        "precision",
        "The higher the better: how many of the rows ranked first are clicks. The right end is the share of clicks.",
    ),
}
STEPS = 11  # points of a curve in its table
MOST = 8  # curves in one picture
FROM = ("source_teacher", "given_scores")


def ranking_curves(pooled: dict[str, Any]) -> list[Figure]:
    """The ROC and the precision-recall curves of a share of labels.

    Args:
        pooled: a share of labels, with its "curves".
    """
    curves = pooled.get("curves") or {}
    return [
        _curve(kind, {name: of[kind] for name, of in curves.items() if kind in of}, pooled)
        for kind in KINDS
        if any(kind in of for of in curves.values())
    ]


def _curve(kind: str, curves: dict[str, dict[str, list[float]]], pooled: dict[str, Any]) -> Figure:
    words, across, up, caption = KINDS[kind]
    title = f"{words}, {percent(pooled['labels'])} of the labels"
    shown = dict(list(curves.items())[:MOST])
    styles = looks(shown, pooled["rankers"])
    above = 20 * ((len(shown) + 1) // 2)  # the key's lines
    with drawn(title, size=(440, 400 + above), margins=(above + 14, 14, 50, 56)) as picture:
        if kind == "roc":
            picture.axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=(0, (1, 2)))
        for name, of in shown.items():
            picture.axes.plot(of["x"], of["y"], color=styles[name].colour, linestyle=styles[name].dash, linewidth=1.8)
        _unit(picture, across, up)
        _key(picture, styles)
    rows = [["ranker", across, up]]
    for name, of in curves.items():
        every = max(1, (len(of["x"]) - 1) // (STEPS - 1))
        rows += [[name, f"{x:.3f}", f"{y:.3f}"] for x, y in list(zip(of["x"], of["y"], strict=True))[::every]]
    return Figure(picture.svg, title, f"{caption} First seed.", Grid(title, rows))


def reliability(pooled: dict[str, Any]) -> list[Figure]:
    """A reliability diagram each of the teacher as it came and calibrated, of labels alone and of what is shipped.

    Args:
        pooled: a share of labels, with its "curves".
    """
    curves = pooled.get("curves") or {}
    names = [name for name in curves if name in FROM or name.startswith("calibrated")]
    names += [name for name in ("hard_only", "auto" if "auto" in curves else "chosen") if name in curves]
    styles = looks(names, pooled["rankers"])
    return [
        _diagram(name, curves[name]["reliability"], styles[name], pooled["labels"])
        for name in names
        if curves[name].get("reliability")
    ]


def _diagram(name: str, bins: list[dict[str, float]], look: Look, share: float) -> Figure:
    title = f"Reliability of {name}, {percent(share)} of the labels"
    rows = [["predicted", "observed", "95 %", "rows"]]
    rows += [
        [f"{b['predicted']:.4f}", f"{b['observed']:.4f}", f"[{b['low']:.4f}, {b['high']:.4f}]", f"{b['rows']:,}"]
        for b in bins
    ]
    caption = (
        "On the diagonal as many rows are clicked as the ranker says; below it, it promises too much. Bars are 95 % "
        "intervals. First seed."
    )
    return Figure(_reliable(title, name, bins, look), title, caption, Grid(title, rows))


def _reliable(title: str, name: str, bins: list[dict[str, float]], look: Look) -> Markup:
    with drawn(title, size=(330, 330), margins=(30, 14, 50, 54)) as picture:
        axes = picture.axes
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=(0, (1, 2)))
        for b in bins:
            axes.plot([b["predicted"]] * 2, [b["low"], b["high"]], color=look.colour, linewidth=1.6)
        x, y = [b["predicted"] for b in bins], [b["observed"] for b in bins]
        axes.plot(x, y, "o-", color=look.colour, markersize=5, linewidth=1.2)
        _unit(picture, "predicted", "observed")
        axes.text(0, 1.04, printable(name, 36), transform=axes.transAxes, color=look.colour, fontsize=12.5)
    return picture.svg


def _unit(picture: Drawing, across: str, up: str) -> None:
    """Both axes from 0 to 1."""
    picture.axes.set(xlim=(0, 1), ylim=(0, 1), xlabel=across, ylabel=up)


def _key(picture: Drawing, styles: dict[str, Look]) -> None:
    """Which line is whose, above the axes where no line runs."""
    from matplotlib.lines import Line2D

    lines = [Line2D([], [], color=look.colour, linestyle=look.dash) for look in styles.values()]
    names = [printable(name, 25) for name in styles]
    place: dict[str, Any] = {"loc": "lower left", "bbox_to_anchor": (-0.02, 1), "ncols": 2}
    picture.axes.legend(lines, names, frameon=False, fontsize=11.5, handlelength=2.2, columnspacing=1.2, **place)
