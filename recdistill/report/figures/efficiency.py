"""Label efficiency: quality, and what is gained over labels alone, against the share of labels."""

from __future__ import annotations

from typing import Any

from recdistill.report.figures.drawing import Drawing, drawn, name_lines
from recdistill.report.figures.rankers import looks
from recdistill.report.parts import Figure, Grid
from recdistill.report.words import LOWER_IS_BETTER, NAMES, found, percent, signed

SHOWN = ("source_teacher", "given_scores", "adapted_teacher", "source_finetuned", "hard_only", "auto", "chosen")
MARGINS = (14, 122, 50, 58)
POINTS = tuple[list[float], list[float]]


def efficiency(result: dict[str, Any]) -> list[Figure]:
    """Two pictures of a run with several shares of labels; none of a run with one."""
    shares = sorted(result["pooled"], key=lambda pooled: pooled["labels"])
    if len({pooled["labels"] for pooled in shares}) < 2:
        return []
    return [_quality(shares), _gain(shares)]


def _quality(shares: list[dict[str, Any]]) -> Figure:
    metric = shares[0]["headline"]
    names = [name for name in SHOWN if any(name in pooled["rankers"] for pooled in shares)]
    lines: dict[str, POINTS] = {name: ([], []) for name in names}
    for pooled in shares:
        for name in names:
            if name in pooled["rankers"]:
                lines[name][0].append(pooled["labels"])
                lines[name][1].append(pooled["rankers"][name]["metrics"][metric])
    better = "lower" if metric in LOWER_IS_BETTER else "higher"
    title = f"{NAMES[metric]} against the share of labels"
    with drawn(title, margins=MARGINS) as picture:
        styles = looks(names, shares[0]["rankers"])
        for name, (x, y) in lines.items():
            look = styles[name]
            picture.axes.plot(x, y, look.marker, color=look.colour, linestyle=look.dash, markersize=5)
        _shares(picture, [pooled["labels"] for pooled in shares])
        picture.axes.set_ylabel(f"{NAMES[metric]} ({better} is better)")
        name_lines(picture, {name: (y[-1], styles[name].colour) for name, (_, y) in lines.items()})
    rows = [["share of labels", *names]]
    for pooled in shares:
        of = [pooled["rankers"].get(name, {"metrics": {}})["metrics"].get(metric) for name in names]
        rows.append([percent(pooled["labels"]), *("" if value is None else f"{value:.4f}" for value in of)])
    caption = (
        "Where does the baseline hard_only, the student of labels alone, catch up with what was transferred? Left of "
        "that share transfer saves labels. Means over seeds on the same test rows; the shares are on a log scale."
    )
    return Figure(picture.svg, title, caption, Grid(title, rows))


def _gain(shares: list[dict[str, Any]]) -> Figure:
    metric = shares[0]["headline"]
    names = [n for n in ("source_finetuned", "auto", "chosen") if any(found(p, n, "hard_only") for p in shares)]
    title = f"Difference in {NAMES[metric]} to hard_only against the share of labels"
    styles = looks(names, shares[0]["rankers"])
    rows = [["share of labels", *(f"{name} [95 %]" for name in names)]]
    rows += [[percent(p["labels"]), *(signed(found(p, name, "hard_only")) for name in names)] for p in shares]
    with drawn(title, margins=MARGINS) as picture:
        picture.axes.axhline(0, color=looks(["hard_only"], {})["hard_only"].colour, linestyle=(0, (4, 2)))
        ends = {"hard_only": (0.0, looks(["hard_only"], {})["hard_only"].colour)}
        for place, name in enumerate(names):
            look, beside = styles[name], 1 + 0.035 * (place - (len(names) - 1) / 2)  # so that intervals do not overlap
            known = [(p["labels"] * beside, c) for p in shares if (c := found(p, name, "hard_only")) is not None]
            for x, c in known:
                picture.axes.plot([x, x], [c["low"], c["high"]], color=look.colour, linewidth=1.6)
            x, y = [x for x, _ in known], [c["delta"] for _, c in known]
            picture.axes.plot(x, y, look.marker, color=look.colour, linestyle=look.dash, markersize=5)
            ends[name] = (y[-1], look.colour)
        _shares(picture, [pooled["labels"] for pooled in shares])
        picture.axes.set_ylabel(f"{NAMES[metric]} − that of hard_only")
        name_lines(picture, ends)
    better = "below" if metric in LOWER_IS_BETTER else "above"
    caption = (
        f"What transfer gains over labels alone: an interval wholly {better} 0 is a gain that rows and seeds cannot "
        "explain. Bars are paired 95 % intervals."
    )
    return Figure(picture.svg, title, caption, Grid(title, rows))


def _shares(picture: Drawing, shares: list[float]) -> None:
    """The axis of shares: a mark at each that was run."""
    from matplotlib.ticker import NullLocator

    axes = picture.axes
    axes.set_xscale("log")
    axes.set_xlim(shares[0] / 1.15, shares[-1] * 1.15)
    axes.set_xticks(shares, [percent(share) for share in shares])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("share of labels")
