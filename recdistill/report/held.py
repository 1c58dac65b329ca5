"""A run's report in Python: read, asked, and shown in a notebook."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from recdistill.artefacts import is_whole, read_json, verify
from recdistill.errors import UsageError
from recdistill.notebook import shown
from recdistill.report.cautions import cautions
from recdistill.report.words import answer, percent, table


class Report:
    """What came of a run.

    Args:
        result: as `report.json` holds it.
    """

    def __init__(self, result: dict[str, Any]) -> None:
        self.result = result

    @staticmethod
    def read(run: Path | str) -> Report:
        """The report of a run's folder, or of a report's own; every byte is checked.

        Args:
            run: the folder.

        Raises:
            UsageError: there is no whole report.
            DataError: it was changed.
        """
        run = Path(run)
        folder = run if (run / "report.json").is_file() else run / "report"
        if not is_whole(folder):
            raise UsageError(f"{run} has no whole report; run `recdistill evaluate {run}` first")
        verify(folder)
        return Report(read_json(folder / "report.json"))

    @property
    def answer(self) -> list[str]:
        """The answer in words: for each share of labels what was chosen, what it gained, and what to ship."""
        return [line for pooled in self.result["pooled"] for line in answer(pooled)]

    @property
    def cautions(self) -> list[str]:
        """What makes the answer weaker than its figures look."""
        return cautions(self.result)

    def __repr__(self) -> str:
        return "\n".join(self.answer)

    def _repr_html_(self) -> str:
        told = [f"Caution: {caution}" for caution in self.cautions]
        head = shown("Does transfer help here?", lines=[*self.answer, *told])
        shares = (shown(f"{percent(of['labels'])} of the labels", table=table(of)) for of in self.result["pooled"])
        return "\n".join([head, *shares])
