"""The committed cells of `transfer.py`, and what they say together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

from recdistill.arms import ARMS, PLACEBOS, placebo_of
from recdistill.artefacts import read_json
from recdistill.metrics import Comparison, holm, over_seeds
from recdistill.report.words import LOWER_IS_BETTER

Entry = dict[str, Any]
TASKS = (
    "synthetic",
    "privileged",
    "scores_only",
    "ratings",
    "criteo",
    "new_market",
    "new_catalogue",
    "amazon_sport_cloth",
    "amazon_cloth_sport",
)


@dataclass(frozen=True)
class Cell:
    """A finished cell.

    Args:
        entry: as it is written down.
    """

    entry: Entry

    @property
    def key(self) -> tuple[str, float, int]:
        """Task, share of labels, seed."""
        return self.entry["task"], self.entry["labels"], self.entry["seed"]

    @property
    def headline(self) -> str:
        """The metric that the task is judged by."""
        return str(self.entry["headline"])

    @property
    def rankers(self) -> dict[str, Entry]:
        """By name."""
        return dict(self.entry["rankers"])

    @property
    def units(self) -> int:
        """Clusters of the test rows, or rows."""
        return int(self.entry["data"]["test_users"] or self.entry["data"]["test_rows"])

    @property
    def students(self) -> list[str]:
        """The arms, without placebos."""
        return [name for name in self.rankers if name in ARMS and name not in PLACEBOS]

    @property
    def taught(self) -> str:
        """The distilled arm with the best validation logloss."""
        arms = [name for name in self.students if self.rankers[name]["role"] == "student"]
        return min(arms, key=lambda name: self.rankers[name]["valid_logloss"])

    @property
    def best(self) -> str:
        """The arm with the best test figure: what nobody knows beforehand."""
        return max(self.students, key=lambda name: gain(self.rankers[name]["metrics"][self.headline], self.headline))

    @property
    def regret(self) -> float:
        """How far "auto" stays behind the best arm on test rows, in the headline metric."""
        best, auto = (self.rankers[name]["metrics"][self.headline] for name in (self.best, "auto"))
        return float(gain(best - auto, self.headline))

    @property
    def cost(self) -> float:
        """What "auto" took, in distillations with unlabelled rows; where there are none, of labelled rows.

        A distillation is a teacher's soft labels and a student with its whole tuning budget.
        """
        arms = [name for name in self.students if self.rankers[name]["role"] == "student" and "warm" not in name]
        one = next((name for name in reversed(arms) if name.endswith("_all")), arms[-1])
        taken = self.rankers[one]
        return float(self.rankers["auto"]["seconds"] / (taken["seconds"] + taken["labelling_seconds"]))

    def found(self, a: str, b: str, metric: str | None = None) -> Entry | None:
        """A paired difference."""
        wanted = (a, b, metric or self.headline)
        return next((c for c in self.entry["comparisons"] if (c["a"], c["b"], c["metric"]) == wanted), None)


def read(folder: Path) -> list[Cell]:
    """Every cell that is there, by task, share and seed."""
    return sorted((Cell(read_json(path)) for path in folder.glob("*/*.json")), key=lambda cell: cell.key)


def shares(cells: Iterable[Cell]) -> dict[tuple[str, float], list[Cell]]:
    """The cells of each task and share."""
    found: dict[tuple[str, float], list[Cell]] = {}
    for cell in cells:
        found.setdefault(cell.key[:2], []).append(cell)
    return found


def pooled(cells: Sequence[Cell], a: str | None, b: str | None, metric: str | None = None) -> Comparison | None:
    """The paired difference of two rankers over a share's seeds.

    Args:
        cells: of one task and share.
        a: the first; None for the distilled arm that each seed's validation rows choose.
        b: the second; None for the placebo of the first.
        metric: the headline one by default.
    """
    names = [a or cell.taught for cell in cells]
    found = [cell.found(one, b or placebo_of(one), metric) for cell, one in zip(cells, names, strict=True)]
    if any(one is None for one in found):
        return None
    known = [one for one in found if one is not None]
    deltas, errors = [c["delta"] for c in known], [c["rows_error"] for c in known]
    return over_seeds(deltas, errors, units=cells[0].units, method=known[0]["method"])


def harmed(cells: Sequence[Cell], metric: str, level: float = 0.05) -> Iterator[tuple[Cell, Entry, float]]:
    """The cells in which "auto" is significantly below labels alone, after Holm over all cells.

    Args:
        cells: of every task.
        metric: "headline" or "logloss".
        level: of the tests together.

    Yields:
        Cell, difference and adjusted p value.
    """
    found = [cell.found("auto", "hard_only", None if metric == "headline" else metric) for cell in cells]
    known = [(cell, one) for cell, one in zip(cells, found, strict=True) if one is not None]
    adjusted = holm([one["p"] for _, one in known])
    for (cell, one), p in zip(known, adjusted, strict=True):
        if p < level and gain(one["delta"], one["metric"]) < 0:
            yield cell, one, float(p)


def gain(delta: float, metric: str) -> float:
    """A difference as a gain: more is better."""
    return -delta if metric in (*LOWER_IS_BETTER, "logloss") else delta


def mean_metric(cells: Sequence[Cell], ranker: str, metric: str | None = None) -> float | None:
    """The mean over seeds."""
    if any(ranker not in cell.rankers for cell in cells):
        return None
    return mean(cell.rankers[ranker]["metrics"][metric or cell.headline] for cell in cells)
