"""Differences between rankers as lines of tables and of forest plots: each with its interval and how it was got."""

from __future__ import annotations

from typing import Any

from recdistill.report.figures.intervals import Interval
from recdistill.report.figures.rankers import MARKERS
from recdistill.report.parts import Grid
from recdistill.report.words import LOWER_IS_BETTER, NAMES, signed

METHODS = {"delong": "DeLong", "t": "paired t"}
FIRST = ("auto", "chosen")
LAST = {"student": 0, "control": 1, "teacher": 2}
LOWER = {*LOWER_IS_BETTER, "logloss", "mae"}
LEVEL = 0.05  # of the tests together


def method_words(comparison: dict[str, Any]) -> str:
    """How an interval was found, e.g. `DeLong, clustered by user_id`."""
    name = comparison["method"]
    kind = name.removesuffix("_cluster")
    words = METHODS.get(kind, kind.replace("_", " "))
    if kind == name:
        return f"{words}, by row"
    return f"{words}, clustered by {comparison.get('cluster') or 'user'}"


def direction(comparison: dict[str, Any]) -> int:
    """What an interval tells in its own metric: 1 a gain, -1 a loss, 0 neither, for it holds 0."""
    sign = int(comparison["low"] > 0) - int(comparison["high"] < 0)
    return -sign if comparison["metric"].rpartition(":")[2] in LOWER else sign


def against(pooled: dict[str, Any], control: str) -> list[dict[str, Any]]:
    """The headline's comparisons with a control: what is chosen first, then students, controls and teachers."""
    found = [c for c in pooled["comparisons"] if (c["b"], c["metric"]) == (control, pooled["headline"])]
    roles = {name: LAST.get(entry["role"], 3) for name, entry in pooled["rankers"].items()}
    return sorted(found, key=lambda c: (c["a"] not in FIRST, roles.get(c["a"], 3)))


def intervals(pooled: dict[str, Any], control: str) -> list[Interval]:
    """The lines of the forest plot against a control."""
    return [
        Interval(
            name=c["a"],
            **{end: c[end] for end in ("delta", "low", "high")},
            words=signed(c),
            tone=direction(c),
            marker=MARKERS.get(pooled["rankers"].get(c["a"], {}).get("role", ""), "o"),
        )
        for c in against(pooled, control)
    ]


def comparison_grid(caption: str, comparisons: list[dict[str, Any]]) -> Grid:
    """A line per comparison: what with what, in which metric, by how much, and how that was found.

    Args:
        caption: of the table.
        comparisons: as they stand in the report.
    """
    holm = any("p_holm" in c for c in comparisons)
    rows = [["ranker", "against", "metric", "difference [95 %]", "p", *(["p (Holm)"] if holm else []), "method"]]
    for c in comparisons:
        corrected = [_p(c.get("p_holm"))] if holm else []
        few = "; few users or positives" if c.get("small") else ""
        metric = c["metric"].rpartition(":")[2]
        of = [c["a"], c["b"], NAMES.get(metric, metric), signed(c), _p(c.get("p")), *corrected]
        rows.append([*of, f"{method_words(c)}{few}"])
    return Grid(caption, rows)


def _p(value: float | None) -> str:
    return "" if value is None else "<0.0001" if value < 0.0001 else f"{value:.4f}"


def segment_intervals(segments: list[dict[str, Any]]) -> list[Interval]:
    """The lines of the dot plot of segments; a gain or a loss is what is one after Holm's correction over them."""
    return [
        Interval(
            name=f"{of['column']}: {of['segment']}",
            **{end: of[end] for end in ("delta", "low", "high")},
            words=signed(of),
            tone=direction(of) if of["p_holm"] < LEVEL else 0,
        )
        for of in segments
        if of["delta"] is not None
    ]


def segment_grid(caption: str, segments: list[dict[str, Any]]) -> Grid:
    """A line per segment: how large it is, both values, and the difference.

    Args:
        caption: of the table.
        segments: as they stand in the report.
    """
    first = segments[0]
    sizes = [name for name in ("rows", "users", "positives") if any(of.get(name) is not None for of in segments)]
    values = [first["a"], first["b"], "difference [95 %]", "p", "p (Holm)", "method"]
    rows = [["segment", "of", *sizes, *values]]
    for of in segments:
        few = "; few users or positives" if of.get("small") else ""
        counts = ["" if of.get(name) is None else f"{of[name]:,}" for name in sizes]
        measured = ["" if of.get(name) is None else f"{of[name]:.4f}" for name in ("value_a", "value_b")]
        told = [signed(of) if of["delta"] is not None else "", _p(of.get("p")), _p(of.get("p_holm"))]
        method = method_words(of) + few if of.get("method") else ""
        rows.append([of["segment"], of["column"], *counts, *measured, *told, method])
    return Grid(caption, rows)
