"""Reports: what `report.json` holds, in words, tables and pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from recdistill.artefacts import new_folder, write_json, write_text
from recdistill.report.card import card
from recdistill.report.cautions import cautions
from recdistill.report.counts import counted, counted_parts, unseen_shares
from recdistill.report.frontier import frontier_cautions, frontier_lines, frontier_page, frontier_table, write_frontier
from recdistill.report.held import Report
from recdistill.report.html import html
from recdistill.report.inspected import finding_lines, more_columns, overlap_table
from recdistill.report.leaderboard import (
    leader_cautions,
    leader_lines,
    leader_page,
    leader_table,
)
from recdistill.report.markdown import page
from recdistill.report.summary import left_to_the_page, share_title, summary, summary_title
from recdistill.report.words import answer, left_out, percent, signed, table


def write(result: dict[str, Any], folder: Path) -> None:
    """Write `report.json`, `report.md`, `index.html` and `MODEL_CARD.md` as one folder artefact; over the last one."""
    with new_folder(folder, kind="report") as temporary:
        write_json(temporary / "report.json", result)
        write_text(temporary / "report.md", page(result))
        write_text(temporary / "index.html", html(result))
        write_text(temporary / "MODEL_CARD.md", card(result))


__all__ = [
    "Report",
    "answer",
    "card",
    "cautions",
    "counted",
    "counted_parts",
    "finding_lines",
    "frontier_cautions",
    "frontier_lines",
    "frontier_page",
    "frontier_table",
    "html",
    "leader_cautions",
    "leader_lines",
    "leader_page",
    "leader_table",
    "left_out",
    "left_to_the_page",
    "more_columns",
    "overlap_table",
    "page",
    "percent",
    "share_title",
    "signed",
    "summary",
    "summary_title",
    "table",
    "unseen_shares",
    "write",
    "write_frontier",
]
