"""What a page is made of: sections, figures and tables, before they are HTML."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

NUMBER = re.compile(r"^[-+]?[\d,]*\.?\d+(e[-+]?\d+)?( %|$| \[)")


@dataclass(frozen=True)
class Grid:
    """A table.

    Args:
        caption: what it shows.
        rows: the header, then a line each; the first column names the line.
    """

    caption: str
    rows: Sequence[Sequence[str]]

    @property
    def header(self) -> Sequence[str]:
        """The names of the columns."""
        return self.rows[0]

    @property
    def lines(self) -> Sequence[Sequence[str]]:
        """All but the header."""
        return self.rows[1:]

    @property
    def numeric(self) -> list[bool]:
        """Per column whether its cells are numbers, or empty; the first one's are names."""
        columns = zip(*self.lines, strict=True)
        found = [[cell for cell in column if cell] for column in columns]
        numbers = [bool(cells) and all(map(NUMBER.match, cells)) for cells in found]
        return [False, *numbers[1:]] if numbers else [False] * len(self.header)


@dataclass(frozen=True)
class Figure:
    """A picture and the same in words and figures.

    Args:
        svg: the picture; a reader who cannot see it hears `title`.
        title: what it is.
        caption: what to see in it.
        data: what it was drawn from.
    """

    svg: Markup
    title: str
    caption: str
    data: Grid


@dataclass(frozen=True)
class Group:
    """What stands together in a section.

    Args:
        title: of the group; empty where the section has only one.
        lines: sentences, first of all.
        figures: side by side where there is room.
        grids: the tables below.
        closed: whether the tables are folded up at first.
    """

    title: str = ""
    lines: Sequence[str] = ()
    figures: Sequence[Figure] = ()
    grids: Sequence[Grid] = ()
    closed: bool = False

    def __bool__(self) -> bool:
        return bool(self.lines or self.figures or self.grids)


@dataclass(frozen=True)
class Section:
    """A chapter of the page.

    Args:
        key: its name in links.
        title: its heading.
        lead: what it tells.
        groups: what it holds; without any the section is left out.
    """

    key: str
    title: str
    lead: str
    groups: Sequence[Group] = field(default=())
