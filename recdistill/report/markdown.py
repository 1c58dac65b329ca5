"""`report.md`: the answer first, then the tables it rests on, then how to read them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from recdistill.report.cautions import cautions
from recdistill.report.inspected import finding_lines, more_columns, overlap_table
from recdistill.report.reading import reading
from recdistill.report.run_words import (
    beside_lines,
    budget_table,
    counts_table,
    data_lines,
    ranking_gains,
    ranking_lead,
    ranking_table,
    rows_line,
)
from recdistill.report.words import answer, percent, table


def page(result: dict[str, Any]) -> str:
    """The page of a result."""
    lines = ["# Does transfer help here?", ""]
    for pooled in result["pooled"]:
        first, *others = answer(pooled)
        lines += [f"- {first}", *(f"  - {line}" for line in others)]
    lines += ["", *_apart(f"**Caution:** {caution}" for caution in cautions(result))]
    lines += [
        *_data(result),
        *_inspected(result.get("inspection")),
        *(line for pooled in result["pooled"] for line in _share(pooled)),
        *["## How to read this", "", *(f"- {line}" for line in reading(result)), ""],
    ]
    if result["command"]:
        lines += ["## Made by", "", f"    {result['command']}", ""]
    return "\n".join(lines)


def _data(result: dict[str, Any]) -> list[str]:
    note = result["config"]["data"]["note"]
    lines = ["## Data", "", *([note, ""] if note else []), *_table(counts_table(result)), ""]
    return [*lines, *_apart(data_lines(result))]


def _inspected(inspection: dict[str, Any] | None) -> list[str]:
    if not inspection:
        return []
    table, findings = overlap_table(inspection), finding_lines(inspection, "warning", "note")
    lines = ["## What the rows are like", ""]
    if table:
        lines += ["Of the target's ids and rows, what the source has too:", "", *_table(table), ""]
    if rest := more_columns(inspection):
        lines += [f"{rest}.".capitalize(), ""]
    return [*lines, *(f"- {line}." for line in findings or ["nothing to warn of or to note"]), ""]


def _share(pooled: dict[str, Any]) -> list[str]:
    lines = [f"## {percent(pooled['labels'])} of the labels", "", *_table(budget_table(pooled)), ""]
    lines += [*_table(table(pooled)), "", *_apart(beside_lines(pooled)), *_ranking(pooled)]
    return [*lines, *_apart([rows_line(pooled)])]


def _ranking(pooled: dict[str, Any]) -> list[str]:
    if (ranking := pooled.get("ranking")) is None:
        return []
    lead, gains = ranking_lead(ranking, strong="**"), ranking_gains(pooled)
    return [lead, "", *_table(ranking_table(ranking)), "", gains, ""]


def _apart(lines: Iterable[str]) -> list[str]:
    """Each line a paragraph; empty ones are left out."""
    return [part for line in lines if line for part in (line, "")]


def _table(rows: list[list[str]]) -> list[str]:
    header, *body = rows
    return [_row(header), "|" + "---|" * len(header), *map(_row, body)]


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
