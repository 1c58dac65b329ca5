"""One value per list, of the lists that have one, and its mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from recdistill.metrics.classification import Array


@dataclass(frozen=True)
class PerList:
    """One value per list that has one.

    Args:
        lists: (lists,) ids of the lists that count.
        values: (lists,) their values.
        skipped: how many lists had no value, e.g. no positive.
        weights: each (lists,) by name, where a weighted mean has a name: grouped AUC's "impressions" and "positives".
    """

    lists: Array
    values: Array
    skipped: int
    weights: Mapping[str, Array] = field(default_factory=dict)

    @staticmethod
    def of(names: Array, values: Array, wholes: Array, weights: Mapping[str, Array] | None = None) -> PerList:
        """Each value's share of its whole, `(lists,)` all; a list whose whole is 0 has none."""
        kept = np.flatnonzero(wholes > 0)
        found = {name: weight[kept] for name, weight in (weights or {}).items()}
        return PerList(names[kept], values[kept] / wholes[kept], len(names) - len(kept), found)

    @staticmethod
    def joined(parts: Sequence[PerList]) -> PerList:
        """The values of all parts, one after another."""
        return PerList(
            np.concatenate([part.lists for part in parts]),
            np.concatenate([part.values for part in parts]),
            sum(part.skipped for part in parts),
            {name: np.concatenate([part.weights[name] for part in parts]) for name in parts[0].weights},
        )

    @property
    def mean(self) -> float:
        """The plain mean over lists; NaN without any."""
        return float(self.values.mean()) if len(self.values) else float("nan")

    def mean_by(self, weight: str) -> float:
        """The mean over lists by one of the weights; NaN without any list."""
        return float(np.average(self.values, weights=self.weights[weight])) if len(self.values) else float("nan")
