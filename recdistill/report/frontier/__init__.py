"""A grid of students and compressions: what each costs, and the one to ship."""

from recdistill.report.frontier.page import (
    frontier_cautions,
    frontier_html,
    frontier_page,
    frontier_sections,
    write_frontier,
)
from recdistill.report.frontier.words import frontier_lines, frontier_table

__all__ = [
    "frontier_cautions",
    "frontier_html",
    "frontier_lines",
    "frontier_page",
    "frontier_sections",
    "frontier_table",
    "write_frontier",
]
