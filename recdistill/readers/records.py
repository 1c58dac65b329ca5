"""The records of a text, found as Arrow finds them, but with their places: for cutting, and to say where one is wrong.

A record ends with its line, unless the line break is quoted. A quote opens at the beginning of a field only, and
within quotes two stand for one. Blank lines are no records.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Text = bytes | bytearray
Places = NDArray[np.int64]
NEWLINE, RETURN, QUOTE = b'\n\r"'
BLOCK = 1 << 18


@dataclass(frozen=True)
class Records:
    """Where the records of a text are; offsets are in bytes.

    Args:
        starts, stops: (records,) of each without its line break.
        lines: (records,) how many line breaks stand before each.
        ends: (breaks,) offsets behind the line breaks that end a record or a blank line.
        breaks: (all breaks,) offsets behind all line breaks, quoted ones too.
        marks: (marks,) offsets of the quotes that open and close in turn.
    """

    starts: Places
    stops: Places
    lines: Places
    ends: Places
    breaks: Places
    marks: Places

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def is_open(self) -> bool:
        """Whether the last quote is never closed."""
        return len(self.marks) % 2 == 1

    def fields(self, text: Text, delimiter: str) -> Places:
        """(records,) how many fields each has."""
        at = np.flatnonzero(_bytes(text) == ord(delimiter))
        at = at[_outside(at, self.marks)] if len(self.marks) else at
        return 1 + np.searchsorted(at, self.stops) - np.searchsorted(at, self.starts)


@dataclass(frozen=True)
class Cut:
    """A run of whole records at the beginning of a text.

    Args:
        length: of the run, in bytes.
        rows: its records.
        lines: its line breaks.
        is_open: whether its last record has a quote that is never closed.
    """

    length: int
    rows: int
    lines: int
    is_open: bool


def records(text: Text, delimiter: str, *, quoted: bool) -> Records:
    """All records of a text, the last of which may lack its line break.

    Args:
        text: begins with a record.
        delimiter: between fields, one byte.
        quoted: whether fields may be quoted.
    """
    at, after = _line_breaks(text)
    marks = _marks(text, delimiter) if quoted and b'"' in text else np.empty(0, np.int64)
    real = _outside(at, marks)
    starts, stops = np.append(0, after[real]), np.append(at[real], len(text))
    some = stops > starts
    starts, stops = starts[some], stops[some]
    return Records(starts, stops, np.searchsorted(after, starts, side="right"), after[real], after, marks)


def cut(text: Text, delimiter: str, *, quoted: bool, last: bool) -> Cut | None:
    """The longest run of whole records that a text begins with; None where not one is whole.

    Args:
        text: begins with a record.
        delimiter, quoted: see `records`.
        last: whether nothing comes after the text; then all of it is the run.
    """
    plain = b"\r" not in text and not (quoted and b'"' in text)
    if plain and (feeds := _lines_without_blanks(text)) is not None:
        length = len(text) if last else text.rfind(b"\n") + 1
        return Cut(length, feeds + (not text.endswith(b"\n", 0, length)), feeds, False) if length else None
    found = records(text, delimiter, quoted=quoted)
    if last:
        return Cut(len(text), len(found), len(found.breaks), found.is_open)
    ends = found.ends
    if text.endswith(b"\r"):  # a line feed may come
        ends = ends[ends < len(text)]
    if not len(ends):
        return None
    length = int(ends[-1])
    rows, lines = (found.starts < length).sum(), (found.breaks <= length).sum()
    return Cut(length, int(rows), int(lines), False)


def _bytes(text: Text) -> NDArray[np.uint8]:
    return np.frombuffer(text, np.uint8)


def _lines_without_blanks(text: Text) -> int | None:
    """How many line feeds there are; None where one is a blank line. In blocks that stay in the processor's cache."""
    values, lines, before = _bytes(text), 0, np.True_
    for first in range(0, len(values), BLOCK):
        feeds = values[first : first + BLOCK] == NEWLINE
        if (before and feeds[0]) or (feeds[1:] & feeds[:-1]).any():
            return None
        lines, before = lines + int(np.count_nonzero(feeds)), feeds[-1]
    return lines


def _line_breaks(text: Text) -> tuple[Places, Places]:
    """(breaks,) where each begins, and where each ends: LF, CR LF, or CR alone."""
    values = _bytes(text)
    at = np.flatnonzero(values == NEWLINE)
    after = at + 1
    if b"\r" not in text:
        return at, after
    returns = np.flatnonzero(values == RETURN)
    paired = np.isin(returns + 1, at, assume_unique=True)
    at = at - np.isin(at - 1, returns, assume_unique=True)
    alone = returns[~paired]
    return np.sort(np.append(at, alone)), np.sort(np.append(after, alone + 1))


def _outside(at: Places, marks: Places) -> NDArray[np.bool_]:
    """Whether offsets are outside quotes."""
    return np.searchsorted(marks, at) % 2 == 0 if len(marks) else np.ones(len(at), np.bool_)


def _marks(text: Text, delimiter: str) -> Places:
    """Offsets of the quotes that open and close in turn; those that are text are not among them.

    Mostly every quote opens or closes, which shows in what stands beside it; else fields are sought one by one.
    """
    values = np.concatenate(([np.uint8(NEWLINE)], _bytes(text), [np.uint8(NEWLINE)]))  # a neighbour at either end
    marks = np.flatnonzero(values == QUOTE)
    edges = np.frombuffer(b'\n\r"' + delimiter.encode(), np.uint8)
    if np.isin(values[marks[::2] - 1], edges).all() and np.isin(values[marks[1::2] + 1], edges).all():
        return marks - 1
    field = rb'(?:\A|(?<=[\n\r%s]))"[^"]*(?:""[^"]*)*("|\Z)' % re.escape(delimiter.encode())
    places = [place for m in re.finditer(field, text) for place in ((m.start(), m.end() - 1) if m[1] else (m.start(),))]
    return np.array(places, np.int64)
