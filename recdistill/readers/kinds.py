"""How whole columns are written: what their first rows say, and all others must keep to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from recdistill.readers.layout import CsvSettings

# By column: POINTED for ids, what times are, the length of vectors. JSON-able; what is not in it is as usual.
Kinds = dict[str, str | int]

POINTED = "ids like 7.0"


@dataclass(frozen=True)
class Writing:
    """How values are written, and what they are to become.

    Args:
        settings: of text files.
        known: the decisions of earlier rows; None where these rows are the first.
        found: the decisions that these rows made.
        coded: whether ids become dictionary-encoded and all times one type, as parts of a large table need it.
    """

    settings: CsvSettings
    known: Kinds | None = None
    found: Kinds = field(default_factory=dict)
    coded: bool = False

    def decided(self, column: str, decide: Callable[[], str | int | None]) -> Any:
        """What was decided about a column, else what its values decide."""
        if self.known is not None:
            return self.known.get(column)
        value = decide()
        if value is not None:
            self.found[column] = value
        return value
