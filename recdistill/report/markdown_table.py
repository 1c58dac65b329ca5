"""Tables in Markdown, in which every value stays text."""

from __future__ import annotations

import re

# What would begin a cell, markup or HTML; a bracket alone links nothing, and an underscore within a word is one.
MARKUP = re.compile(r"[\\`|<&*~]|(?<=\])\(|(?<!\w)_|_(?!\w)")


def escaped(text: str) -> str:
    r"""Text as Markdown shows it, on one line.

    >>> print(escaped("a|b <script> [x](y) +0.1 [0.0, 0.2]"))
    a\|b \<script> [x]\(y) +0.1 [0.0, 0.2]
    """
    return MARKUP.sub(lambda found: f"\\{found.group()}", " ".join(text.split()))


def markdown_table(rows: list[list[str]]) -> list[str]:
    """The lines of a table.

    Args:
        rows: the header, then one list of cells for each line.
    """
    header, *body = rows
    return [_row(header), "|" + "---|" * len(header), *map(_row, body)]


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(map(escaped, cells)) + " |"
