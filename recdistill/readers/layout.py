"""How a user's text files are laid out."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator

from recdistill.settings import Settings


class CsvSettings(Settings):
    r"""How text files are read; they are UTF-8, with or without a byte order mark.

    Args:
        delimiter: between fields; by default a comma, and a tab for .tsv.
        separators: between the values of a multi-valued or vector column, by column; by default "|".
        missing: what stands for a missing value.
        names: the columns of files without a header line; a file may then have any ending.
        quoted: whether fields may be quoted with `"`, and then hold delimiters and line breaks; else `"` is text like
            any other. By default they may where a header names the columns.
    """

    delimiter: str | None = Field(None, min_length=1, max_length=1)
    separators: dict[str, Annotated[str, Field(min_length=1)]] = {}
    missing: tuple[str, ...] = ("",)
    names: tuple[str, ...] = ()
    quoted: bool | None = None

    @field_validator("names")
    @classmethod
    def _several(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if len(names) == 1 or len(set(names)) < len(names):
            raise ValueError("the names of a file's columns are several, each another")
        return names

    @property
    def quotes(self) -> bool:
        """Whether fields may be quoted."""
        return not self.names if self.quoted is None else self.quoted

    def separator(self, column: str) -> str:
        """Between the values of a column."""
        return self.separators.get(column, "|")
