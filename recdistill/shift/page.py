"""A diagnosis as lines and tables for people."""

from __future__ import annotations

from collections.abc import Sequence

from recdistill.shift.columns import ColumnShift
from recdistill.shift.teacher import TeacherQuality
from recdistill.shift.verdict import Verdict

NAMES = {"population": "population", "base_rate": "base rate", "concept": "concept"}
Lines = list[list[str]]


def opening(found: Verdict) -> list[str]:
    """The verdict: which shifts there are, a line for each, and what to do."""
    shifts = [NAMES[name] for name in found.shifts]
    listed = ", ".join(shifts) if shifts else "none seen"
    unknown = " and ".join(NAMES[name] for name in found.unknown)
    head = f"Shifts from source to target: {listed}" + (f"; {unknown} cannot be told without labels" if unknown else "")
    advice = [f"  {number}. {line}" for number, line in enumerate(found.advice, start=1)]
    return [f"{head}.", *(f"  {line}" for line in found.words), "What to do:", *advice]


def column_lines(columns: Sequence[ColumnShift]) -> Lines:
    """A line for each column, the header first."""
    header = ["column", "kind", "PSI", "by chance", "Jensen-Shannon", "KS", "not in the source"]
    return [header] + [
        [
            one.column,
            one.kind,
            *(_figure(value) for value in (one.psi, one.by_chance, one.jensen_shannon, one.ks)),
            "" if one.unseen is None else f"{100 * one.unseen:.1f} %",
        ]
        for one in columns
    ]


def segment_lines(found: TeacherQuality) -> Lines:
    """A line for all rows and for each segment, the header first."""
    header = ["rows", "count", "clicks", "predicted", "AUC", "95 %", "normalised entropy", "calibration error"]
    return [header] + [
        [
            one.name,
            f"{one.rows:,}",
            f"{100 * one.rate:.1f} %",
            f"{100 * one.predicted:.1f} %",
            f"{one.auc:.3f}",
            f"[{one.low:.3f}, {one.high:.3f}]",
            f"{one.normalised_entropy:.3f}",
            f"{one.calibration_error:.3f}",
        ]
        for one in (found.whole, *found.segments)
    ]


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def plain(title: str, lines: Lines) -> str:
    """A table as plain text."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    shown = ["  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip() for line in lines]
    return "\n".join([title, *shown])
