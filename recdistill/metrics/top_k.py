"""What users are shown: how much of the catalogue the first k items of all lists hold, how evenly, and how popular.

Ties are in expectation over random orders, as in `ranking`: a list's item that stands in a tied group which the k-th
place cuts is shown with the chance that a random order of the group shows it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from recdistill.errors import DataError
from recdistill.metrics.classification import Array
from recdistill.metrics.sorting import codes


@dataclass(frozen=True)
class Exposure:
    """How often the items of a catalogue stand in top-k lists; that of more lists is a sum.

    Each list has an exposure of 1, which its items share evenly, so that short lists count as much as long ones.

    Args:
        lists: how many.
        shared: (items,) each one's exposure; all together as much as there are lists.
        log_unseen: (items,) the log of the probability that no list holds it.
    """

    lists: int
    shared: Array
    log_unseen: Array

    def __add__(self, other: Exposure) -> Exposure:
        return Exposure(self.lists + other.lists, self.shared + other.shared, self.log_unseen + other.log_unseen)

    @property
    def coverage(self) -> float:
        """Catalogue coverage: the share of the items that at least one list holds (Ge et al. 2010).

        "Beyond accuracy: evaluating recommender systems by coverage and serendipity". It grows with the lists: compare
        it among rankers of the same ones.
        """
        return float(-np.expm1(self.log_unseen).mean())

    @property
    def entropy(self) -> float:
        """Shannon entropy of the exposure over the log of the catalogue's size: 0 for one item, 1 for all alike.

        Sales diversity in Shani & Gunawardana 2011, "Evaluating recommendation systems".
        DIFF: in units of its highest value, so that catalogues of different sizes can be compared.
        """
        share = self.shared[self.shared > 0] / self.lists
        highest = np.log(len(self.shared))
        return float(-(share * np.log(share)).sum() / highest) if highest > 0 else 1.0

    @property
    def gini(self) -> float:
        """Gini index of the exposure: 0 where all items have as much, towards 1 where few have all of it.

        (1 / (n − 1)) Σ_j (2j − n − 1) p_j with rising shares p_j, as in Shani & Gunawardana 2011.
        """
        count = len(self.shared)
        rising = np.sort(self.shared) / self.lists
        return float(((2 * np.arange(1, count + 1) - count - 1) * rising).sum() / max(1, count - 1))

    def average_popularity(self, popularity: Any) -> float:
        """Average recommendation popularity, ARP: the mean over lists of their items' mean popularity.

        Abdollahpouri, Burke & Mobasher 2019, "Managing popularity bias in recommender systems with personalized
        re-ranking", after Yin et al. 2012.

        Args:
            popularity: (items,) e.g. each item's training rows.

        Raises:
            DataError: there is not one popularity for each item.
        """
        popularity = np.asarray(popularity, dtype=np.float64)
        if popularity.shape != self.shared.shape:
            raise DataError(f"each item needs a popularity, got {popularity.shape} for {self.shared.shape} items")
        return float(self.shared @ popularity / self.lists)


def exposure(scores: Any, lists: Any, items: Any, *, catalogue: int, k: int = 10) -> Exposure:
    """How often each item of a catalogue is among the first k of a list.

    Args:
        scores: (rows,), higher is shown first.
        lists: (rows,) the list of each row, e.g. its user.
        items: (rows,) positions in the catalogue, at most once in a list.
        catalogue: how many items there are, also those in no list.
        k: at least 1.

    Raises:
        DataError: bad input, or an item outside the catalogue.
        ValueError: k is below 1.
    """
    items, (names, list_of) = np.asarray(items), np.unique(np.asarray(lists), return_inverse=True)
    chances = top_k_chances(scores, list_of, k=k)
    if items.shape != chances.shape or not ((items >= 0) & (items < catalogue)).all():
        got = f"{items.shape} from {items.min(initial=0)} to {items.max(initial=0)}"
        raise DataError(f"items must be (rows,) positions below {catalogue}, got {got} for {chances.shape} rows")
    length = np.minimum(np.bincount(list_of), k)[list_of]
    with np.errstate(divide="ignore"):  # what is shown for certain leaves no chance to be unseen
        unseen = np.log1p(-chances)
    shared, log_unseen = (np.bincount(items, of, minlength=catalogue) for of in (chances / length, unseen))
    return Exposure(len(names), shared, log_unseen)


def top_k_chances(scores: Any, lists: Any, *, k: int) -> Array:
    """(rows,) the chance of each row to be among the first k of its list, over random orders of ties.

    Args:
        scores: (rows,), higher comes first.
        lists: (rows,) the list of each row.
        k: at least 1.

    Raises:
        DataError: no rows, different lengths, or a score that is not finite.
        ValueError: k is below 1.
    """
    scores, lists = np.asarray(scores, dtype=np.float64), np.asarray(lists)
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k=}")
    if scores.ndim != 1 or scores.shape != lists.shape or not len(scores) or not np.isfinite(scores).all():
        raise DataError(f"scores must be finite, one for each row's list, got {scores.shape=}, {lists.shape=}")
    list_of = codes(lists)
    order = np.lexsort((-scores, list_of))
    first_of_list = np.append(True, np.diff(list_of[order]) != 0)
    first_of_tie = np.flatnonzero(first_of_list | np.append(True, np.diff(scores[order]) != 0))
    size = np.diff(np.append(first_of_tie, len(order)))
    rank = first_of_tie - np.maximum.accumulate(np.where(first_of_list, np.arange(len(order)), 0))[first_of_tie]
    chances = np.empty(len(order))
    chances[order] = np.repeat(np.clip((k - rank) / size, 0.0, 1.0), size)
    return chances
