"""What the runs of the benchmark of optimisers say: each optimiser's chosen trial, its differences, the verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from statistics import median
from typing import Any

import numpy as np
from optimising.trial import DATA_SETS
from scipy import stats

Run = dict[str, Any]
NAMES = {"dense": "dense Adam", "lazy_adam": "lazy Adam", "rowwise_adagrad": "rowwise Adagrad"}
NAMES |= {"adagrad": "Adagrad", "sgd": "SGD"}
SPARSE = tuple(name for name in NAMES if name != "dense")
TOLERANCE = 0.001


@dataclass(frozen=True)
class Difference:
    """A mean over seeds of paired differences, with its 95 % interval of Student's t."""

    mean: float
    low: float
    high: float

    @property
    def holds(self) -> bool:
        """The rule: at most .001 worse, or no difference shown."""
        return self.mean >= -TOLERANCE or self.low <= 0 <= self.high

    def __str__(self) -> str:
        return f"{self.mean:+.4f} [{self.low:+.4f}, {self.high:+.4f}]"


@dataclass(frozen=True)
class Verdict:
    """Which optimisers the rule supports.

    Args:
        speed: of each, how many times dense Adam's rows per second it makes (geometric mean over the data sets).
        worst: of each, the lowest over the data sets of its mean differences to dense Adam.
        holds: those that the rule supports on every data set, fastest first.
    """

    speed: dict[str, float]
    worst: dict[str, float]
    holds: tuple[str, ...]

    @property
    def best(self) -> str:
        """The fastest that the rule supports; if there is none, the one that comes nearest to dense Adam."""
        return self.holds[0] if self.holds else max(self.worst, key=lambda optimiser: self.worst[optimiser])


def best(run: Run, until: float = np.inf) -> int:
    """The evaluation of best AUC among those after at most so many rows."""
    allowed = [k for k, rows in enumerate(run["rows"]) if rows <= until]
    return max(allowed, key=lambda k: run["auc"][k])


def chosen(runs: Sequence[Run], name: str, optimiser: str) -> dict[str, Any]:
    """The settings of an optimiser's best trial: of best AUC with seed 0."""
    trials = [run for run in of(runs, name, optimiser) if run["seed"] == 0 and run["auc"]]
    return max(trials, key=lambda run: run["auc"][best(run)])["settings"]


def of(runs: Sequence[Run], name: str, optimiser: str) -> list[Run]:
    """The runs of an optimiser on a data set."""
    return [run for run in runs if (run["data"], run["optimiser"]) == (name, optimiser)]


def seeds_of(runs: Sequence[Run], name: str, optimiser: str) -> list[Run]:
    """The runs of an optimiser's best trial, by seed."""
    settings = chosen(runs, name, optimiser)
    found = [run for run in of(runs, name, optimiser) if run["settings"] == settings]
    return sorted(found, key=lambda run: run["seed"])


def scores(runs: Sequence[Run], until: float = np.inf) -> list[float]:
    """Each run's best AUC after at most so many rows."""
    return [run["auc"][best(run, until)] for run in runs]


def difference(first: Sequence[Run], second: Sequence[Run]) -> Difference:
    """Of the first's AUC to the second's, seed by seed; of the budget of rows."""
    assert [run["seed"] for run in first] == [run["seed"] for run in second]
    found = np.subtract(scores(first), scores(second))
    middle, error = float(found.mean()), float(found.std(ddof=1) / len(found) ** 0.5)
    half = float(stats.t.ppf(0.975, len(found) - 1)) * error
    return Difference(middle, middle - half, middle + half)


def rate(runs: Sequence[Run]) -> float:
    """Rows per second of the steps, the median run's."""
    return median(run["rows"][-1] / run["seconds"][-1] for run in runs)


def seconds_budget(runs: Sequence[Run], name: str) -> float:
    """What dense Adam needs for half its rows."""
    dense = seeds_of(runs, name, "dense")
    return dense[0]["rows"][-1] / 2 / rate(dense)


def in_seconds(found: Sequence[Run], seconds: float) -> list[float]:
    """Each run's best AUC within so many seconds, at the median run's rows per second."""
    return scores(found, until=round(seconds * rate(found)))


def verdict(runs: Sequence[Run]) -> Verdict:
    """Which optimisers the rule supports."""
    speed, worst, holds = {}, {}, []
    for optimiser in SPARSE:
        pairs = [(seeds_of(runs, name, optimiser), seeds_of(runs, name, "dense")) for name in DATA_SETS]
        found = [difference(own, dense) for own, dense in pairs]
        speed[optimiser] = prod(rate(own) / rate(dense) for own, dense in pairs) ** (1 / len(pairs))
        worst[optimiser] = min(by.mean for by in found)
        if all(by.holds for by in found):
            holds.append(optimiser)
    return Verdict(speed, worst, tuple(sorted(holds, key=lambda optimiser: -speed[optimiser])))
