"""Quality against bytes: what is paid for what."""

from __future__ import annotations

from typing import Any

from recdistill.report.figures.rankers import KNOWN, looks
from recdistill.report.figures.scatter import Dot, scatter
from recdistill.report.parts import Figure, Grid
from recdistill.report.words import LOWER_IS_BETTER, NAMES, percent

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
    dots = {name: Dot(of["bytes"], of["metrics"][metric], styles.get(name)) for name, of in sized.items()}
    better = "lower" if metric in LOWER_IS_BETTER else "higher"
    quality = f"{NAMES[metric]} ({better} is better)"
    svg = scatter(title, dots, cost="bytes (log scale)", quality=quality, unit=in_bytes)
    largest = max(of["bytes"] for of in sized.values())
    rows = [["ranker", "role", "bytes", "part of the largest", NAMES[metric]]]
    rows += [
        [name, of["role"], f"{of['bytes']:,}", f"{100 * of['bytes'] / largest:.3g} %", f"{of['metrics'][metric]:.4f}"]
        for name, of in sized.items()
    ]
    caption = (
        "The further left and the better, the more is had for fewer bytes. Filled marks are teachers (diamonds), "
        "controls (squares) and what was chosen; open circles are the other students."
    )
    return Figure(svg, title, caption, Grid(title, rows))
