"""Examples: encoded rows and what a ranker is to learn from them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from recdistill.batch import Batch
from recdistill.encoder import Encoder
from recdistill.tables import Table


@dataclass(frozen=True)
class Examples:
    """Encoded rows and what a ranker is to learn from them.

    Args:
        features: the encoded rows.
        label: (rows,) 0, 1 or NaN where unlabelled.
        teacher: (rows,) teacher logits, NaN where there is none.
        weight: (rows,) non-negative weight of each row.
    """

    features: Batch
    label: Tensor
    teacher: Tensor
    weight: Tensor

    @staticmethod
    def of(features: Encoder | Batch, table: Table) -> Examples:
        """A Table's rows with its labels, no teacher, and weight 1.

        Args:
            features: what encodes the rows, or the rows already encoded.
            table: the rows.
        """
        label = torch.from_numpy(table.labels.copy())
        nothing = torch.full_like(label, math.nan)
        batch = features.encode(table) if isinstance(features, Encoder) else features
        return Examples(batch, label, nothing, torch.ones_like(label))

    def __len__(self) -> int:
        return len(self.features)

    def rows(self, index: Tensor) -> Examples:
        """The examples at an index."""
        return Examples(self.features.rows(index), self.label[index], self.teacher[index], self.weight[index])

    def with_teacher(self, logits: np.ndarray[Any, Any]) -> Examples:
        """The same examples with `(rows,)` teacher logits."""
        return replace(self, teacher=torch.from_numpy(logits.astype(np.float32)))

    def to(self, device: str) -> Examples:
        """The same examples on a device."""
        return Examples(
            self.features.to(device), self.label.to(device), self.teacher.to(device), self.weight.to(device)
        )

    def tensors(self) -> Iterator[Tensor]:
        """Every tensor, in a fixed order."""
        features = self.features
        yield from (features.ids, *features.multi, features.number, *features.vector)
        yield from (self.label, self.teacher, self.weight)

    @property
    def labelled(self) -> Tensor:
        """(rows,) whether a row has a label."""
        return ~self.label.isnan()
