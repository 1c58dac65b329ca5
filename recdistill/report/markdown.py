"""`report.md`: the answer first, then the tables it rests on, then how to read them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from recdistill.report.cautions import cautions
from recdistill.report.frontier.words import APART, frontier_lines, frontier_table
from recdistill.report.inspected import finding_lines, more_columns, overlap_table
from recdistill.report.markdown_table import escaped, markdown_table
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
        first, *others = map(escaped, answer(pooled))
        lines += [f"- {first}", *(f"  - {line}" for line in others)]
    lines += ["", *_plain(f"**Caution:** {escaped(caution)}" for caution in cautions(result))]
    lines += [
        *_data(result),
        *_inspected(result.get("inspection")),
        *(line for pooled in result["pooled"] for line in _share(pooled)),
        *_frontier(result.get("frontier")),
        *["## How to read this", "", *(f"- {escaped(line)}" for line in reading(result)), ""],
    ]
    if result["command"]:
        lines += ["## Made by", "", f"    {' '.join(result['command'].split())}", ""]
    return "\n".join(lines)


def _data(result: dict[str, Any]) -> list[str]:
    note = escaped(result["config"]["data"]["note"] or "")
    lines = ["## Data", "", *([note, ""] if note else []), *markdown_table(counts_table(result)), ""]
    return [*lines, *_apart(data_lines(result))]


def _inspected(inspection: dict[str, Any] | None) -> list[str]:
    if not inspection:
        return []
    table, findings = overlap_table(inspection), finding_lines(inspection, "warning", "note")
    lines = ["## What the rows are like", ""]
    if table:
        lines += ["Of the target's ids and rows, what the source has too:", "", *markdown_table(table), ""]
    if rest := more_columns(inspection):
        lines += [f"{rest}.".capitalize(), ""]
    return [*lines, *(f"- {escaped(line)}." for line in findings or ["nothing to warn of or to note"]), ""]


def _share(pooled: dict[str, Any]) -> list[str]:
    lines = [f"## {percent(pooled['labels'])} of the labels", "", *markdown_table(budget_table(pooled)), ""]
    lines += [*markdown_table(table(pooled)), "", *_apart(beside_lines(pooled)), *_ranking(pooled)]
    return [*lines, *_apart([rows_line(pooled)])]


def _frontier(result: dict[str, Any] | None) -> list[str]:
    if not result:
        return []
    share = f"{percent(result['labels'])} of the labels; bytes are those of the shipped files."
    lines = [
        "## What a smaller student costs",
        "",
        f"{APART} {share}",
        "",
        *(f"- {escaped(line)}" for line in frontier_lines(result)),
        "",
    ]
    return [*lines, *markdown_table(frontier_table(result)), ""]


def _ranking(pooled: dict[str, Any]) -> list[str]:
    if (ranking := pooled.get("ranking")) is None:
        return []
    lead, gains = ranking_lead(ranking, strong="**"), ranking_gains(pooled)
    return [lead, "", *markdown_table(ranking_table(ranking)), "", escaped(gains), ""]


def _apart(lines: Iterable[str]) -> list[str]:
    """Each line a paragraph, its values text; empty ones are left out."""
    return _plain(map(escaped, lines))


def _plain(lines: Iterable[str]) -> list[str]:
    return [part for line in lines if line for part in (line, "")]
