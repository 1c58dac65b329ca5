"""Examples: encoded rows and what a ranker is to learn from them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from recdistill.batch import Batch
from recdistill.encoder import Encoder
from recdistill.errors import DataError
from recdistill.tables import Table

OWN = ("label", "teacher", "weight", "trust", "lists", "hidden")


@dataclass(frozen=True)
class Examples:
    """Encoded rows and what a ranker is to learn from them.

    Args:
        features: the encoded rows.
        label: (rows,) a click, 0 or 1, or a class of a rating; NaN where unlabelled.
        teacher: (rows,) teacher logits for clicks, (rows, classes) for ratings; NaN where there is none.
        weight: (rows,) non-negative weight of each row.
        trust: (rows,) non-negative, how far the teacher is listened to in each row; None for alike.
        lists: (rows,) int64, the list (of a user, a session) that each row belongs to, where a loss compares rows.
        hidden: (rows, width) a hidden state of the teacher, where a loss looks at it.
    """

    features: Batch
    label: Tensor
    teacher: Tensor
    weight: Tensor
    trust: Tensor | None = None
    lists: Tensor | None = None
    hidden: Tensor | None = None

    @staticmethod
    def of(features: Encoder | Batch, table: Table) -> Examples:
        """A Table's rows with its labels, no teacher, and weight 1.

        Args:
            features: what encodes the rows, or the rows already encoded.
            table: the rows.
        """
        label = torch.from_numpy(table.labels.copy())
        classes = table.schema.classes
        nothing = label.new_full((len(label),) if classes == 1 else (len(label), classes), math.nan)
        batch = features.encode(table) if isinstance(features, Encoder) else features
        return Examples(batch, label, nothing, torch.ones_like(label))

    def __len__(self) -> int:
        return len(self.features)

    def rows(self, index: Tensor) -> Examples:
        """The examples at an index."""
        return replace(self, features=self.features.rows(index), **self._each(lambda tensor: tensor[index]))

    def with_teacher(self, logits: np.ndarray[Any, Any]) -> Examples:
        """The same examples with teacher logits, `(rows,)` or `(rows, classes)`.

        Raises:
            DataError: the teacher has not the logits that these rows need.
        """
        if logits.shape != self.teacher.shape:
            raise DataError(f"teacher logits must be {tuple(self.teacher.shape)} for these rows, got {logits.shape}")
        return replace(self, teacher=torch.from_numpy(logits.astype(np.float32)))

    def with_trust(self, trust: np.ndarray[Any, Any]) -> Examples:
        """The same examples with (rows,) trust in the teacher, e.g. of `recdistill.weights`.

        Raises:
            DataError: there is not one non-negative, finite number per row.
        """
        if trust.shape != self.weight.shape or not ((trust >= 0) & np.isfinite(trust)).all():
            got = f"{trust.shape} for {len(self)} rows, from {trust.min(initial=np.inf)} to {trust.max(initial=0)}"
            raise DataError(f"trust must be one non-negative, finite number per row, got {got}")
        return replace(self, trust=torch.from_numpy(trust.astype(np.float32)))

    def held_out(self) -> Examples:
        """The labelled rows, to judge a ranker by.

        Raises:
            DataError: their labels are of fewer than two classes.
        """
        labelled = self.rows(self.labelled.nonzero()[:, 0])
        found, needed = labelled.label.unique().tolist(), "both" if self.classes == 1 else "at least two"
        if len(found) < 2:
            got = f"{found} in {len(labelled)} rows"
            raise DataError(f"validation rows need {needed} classes among their labels, got {got}")
        return labelled

    def require_shape(self, scores: np.ndarray[Any, Any]) -> None:
        """Refuse a ranker that does not give `(rows,)` scores for clicks, `(rows, classes)` for ratings.

        Raises:
            DataError: says how many logits a row needs, and what arrived.
        """
        if scores.shape[1:] != tuple(self.teacher.shape[1:]):
            needed = "1 logit each" if self.classes == 1 else f"{self.classes} logits each, one per grade"
            raise DataError(f"these rows need {needed}, got scores of shape {scores.shape} for {len(scores)} rows")

    def to(self, device: str) -> Examples:
        """The same examples on a device."""
        return replace(self, features=self.features.to(device), **self._each(lambda tensor: tensor.to(device)))

    def tensors(self) -> Iterator[Tensor]:
        """Every tensor, in a fixed order."""
        features = self.features
        yield from (features.ids, *features.multi, features.number, *features.vector)
        yield from self._own().values()

    def _own(self) -> dict[str, Tensor]:
        """What there is of each row beside its features."""
        found = {name: getattr(self, name) for name in OWN}
        return {name: tensor for name, tensor in found.items() if tensor is not None}

    def _each(self, change: Callable[[Tensor], Tensor]) -> dict[str, Any]:
        """Everything but the features, changed."""
        return {name: change(tensor) for name, tensor in self._own().items()}

    @property
    def labelled(self) -> Tensor:
        """(rows,) whether a row has a label."""
        return ~self.label.isnan()

    @property
    def taught(self) -> Tensor:
        """(rows,) whether a row has a teacher's logits."""
        missing = self.teacher.isnan()
        return ~(missing if missing.ndim == 1 else missing.any(1))

    @property
    def classes(self) -> int:
        """How many logits a row gets: 1 for a click, one per grade for a rating."""
        return 1 if self.teacher.ndim == 1 else self.teacher.shape[1]
