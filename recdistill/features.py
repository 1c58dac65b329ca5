"""What encoded features are: their sizes, the ids with a meaning of their own, and lists as a matrix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
PAD = -1
UNSEEN = 0


@dataclass(frozen=True)
class FeatureSpec:
    """The encoded features of a Ranker, in order.

    Args:
        categorical: (name, rows) of each one-id feature; ids are in [0, rows), 0 is unseen or missing.
        multi: (name, rows) of each multi-valued feature; ids as above, `PAD` fills short lists.
        number: names of the scaled numbers.
        vector: (name, dim) of each vector feature.
    """

    categorical: tuple[tuple[str, int], ...] = ()
    multi: tuple[tuple[str, int], ...] = ()
    number: tuple[str, ...] = ()
    vector: tuple[tuple[str, int], ...] = ()

    @property
    def fields(self) -> int:
        """How many features there are."""
        return len(self.categorical) + len(self.multi) + len(self.number) + len(self.vector)

    def to_dict(self) -> dict[str, Any]:
        """Plain lists for JSON."""
        return asdict(self)

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> FeatureSpec:
        """The reverse of `to_dict`."""
        pairs = {k: tuple((name, int(n)) for name, n in values[k]) for k in ("categorical", "multi", "vector")}
        return FeatureSpec(number=tuple(values["number"]), **pairs)


def input_names(spec: FeatureSpec) -> list[str]:
    """What `inputs` calls each, in order."""
    lists = [f"multi_{place}" for place, _ in enumerate(spec.multi)]
    return ["ids", "number", *lists, *(f"vector_{place}" for place, _ in enumerate(spec.vector))]


def inputs(spec: FeatureSpec, coded: Mapping[str, Array], rows: int) -> dict[str, Array]:
    """What a network reads, by name, from what each feature's column was encoded to.

    Args:
        spec: of the features.
        coded: per feature its ids or scaled values: (rows,) or (rows, longest) int32, (rows, dim) float32.
        rows: how many, for where a kind has no feature.

    Returns:
        "ids" (rows, categorical features) int32, "number" (rows, numbers) float32, and per list and vector feature, in
        the spec's order, "multi_0" … (rows, longest) int32 and "vector_0" … (rows, dim) float32.
    """
    ids = _beside([coded[name] for name, _ in spec.categorical], rows, np.int32)
    numbers = _beside([coded[name][:, 0] for name in spec.number], rows, np.float32)
    others = (coded[name] for name, _ in (*spec.multi, *spec.vector))
    return dict(zip(input_names(spec), (ids, numbers, *others), strict=True))


def _beside(columns: Sequence[Array], rows: int, dtype: type[np.generic]) -> Array:
    """(rows, columns), filled by hand: for few rows `np.stack` takes twice as long."""
    matrix = np.empty((rows, len(columns)), dtype)
    for place, column in enumerate(columns):
        np.copyto(matrix[:, place], column.reshape(rows))  # which refuses another length, or another kind of number
    return matrix


def padded(lengths: np.ndarray[Any, Any], ids: np.ndarray[Any, Any]) -> np.ndarray[Any, np.dtype[np.int32]]:
    """Lists as a matrix.

    Args:
        lengths: (rows,) of each row's list.
        ids: the lists, end to end.

    Returns:
        (rows, longest list) int32, `PAD` after each list's end; an empty list becomes [`UNSEEN`].
    """
    longest = int(np.maximum.reduce(lengths, initial=1))
    matrix = np.full((len(lengths), longest), PAD, dtype=np.int32)
    matrix[:, 0] = UNSEEN  # stays where a list is empty
    matrix[np.arange(longest) < lengths[:, None]] = ids
    return matrix
