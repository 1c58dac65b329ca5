"""What encoded features are: their sizes, the ids with a meaning of their own, and lists as a matrix."""

from __future__ import annotations

from collections.abc import Mapping
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
    ids, numbers = [coded[name] for name, _ in spec.categorical], [coded[name][:, 0] for name in spec.number]
    stacked = (
        np.stack(ids, 1) if ids else np.zeros((rows, 0), np.int32),
        np.stack(numbers, 1) if numbers else np.zeros((rows, 0), np.float32),
    )
    others = (coded[name] for name, _ in (*spec.multi, *spec.vector))
    return dict(zip(input_names(spec), (*stacked, *others), strict=True))


def padded(lengths: np.ndarray[Any, Any], ids: np.ndarray[Any, Any]) -> np.ndarray[Any, np.dtype[np.int32]]:
    """Lists as a matrix.

    Args:
        lengths: (rows,) of each row's list.
        ids: the lists, end to end.

    Returns:
        (rows, longest list) int32, `PAD` after each list's end; an empty list becomes [`UNSEEN`].
    """
    lengths = lengths.astype(np.int64)
    matrix = np.full((len(lengths), max(1, int(lengths.max(initial=0)))), PAD, dtype=np.int32)
    matrix[np.arange(matrix.shape[1]) < lengths[:, None]] = ids
    matrix[lengths == 0, 0] = UNSEEN
    return matrix
