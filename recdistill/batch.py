"""What a network sees: encoded features as tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from recdistill.errors import DataError
from recdistill.features import PAD, UNSEEN, FeatureSpec

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Batch:
    """Encoded rows; the same shape serves a mini-batch and a whole encoded table.

    Args:
        ids: (batch, categorical features), int32.
        multi: per multi-valued feature (batch, longest list), int32, `PAD` after a list's end.
        number: (batch, number features), float32.
        vector: per vector feature (batch, dim), float32.
    """

    ids: Tensor
    multi: tuple[Tensor, ...]
    number: Tensor
    vector: tuple[Tensor, ...]

    @staticmethod
    def of(inputs: Mapping[str, Array]) -> Batch:
        """A batch of what `features.inputs` gives."""
        tensors = {name: torch.from_numpy(values) for name, values in inputs.items()}
        lists, vectors = (
            tuple(tensor for name, tensor in tensors.items() if name.startswith(kind)) for kind in ("multi_", "vector_")
        )
        return Batch(tensors["ids"], lists, tensors["number"], vectors)

    def __len__(self) -> int:
        return self.ids.shape[0]

    def rows(self, index: Tensor | slice) -> Batch:
        """The rows at an index (any tensor index or slice)."""
        return self._each(lambda t: t[index])

    def to(self, device: str | torch.device) -> Batch:
        """The same rows on a device."""
        return self._each(lambda t: t.to(device))

    def with_unseen(self, rate: float, generator: torch.Generator, *, rank: int = 0, world: int = 1) -> Batch:
        """The same rows with ids replaced by `UNSEEN` at random.

        A model trained so has a row 0 that is the average of what it will stand for.

        Args:
            rate: the probability, in [0, 1).
            generator: a CPU generator.
            rank, world: which part of a step's rows these are; what is drawn for single ids is then what is drawn for
                all of the step's rows in one process.

        Raises:
            ValueError: the rate is out of range.
        """
        if not 0 <= rate < 1:
            raise ValueError(f"the rate of unseen ids must be in [0, 1), got {rate=}")
        if rate == 0:
            return self
        drawn = torch.rand(world * len(self), self.ids.shape[1], generator=generator)
        ids = _replaced(self.ids, drawn[rank * len(self) : (rank + 1) * len(self)] < rate)
        # Lists are drawn apart by each rank, for they are as long as the longest of its own rows.
        of_lists = (torch.rand(world, *ids.shape, generator=generator)[rank] for ids in self.multi)
        multi = (_replaced(ids, drawn < rate) for ids, drawn in zip(self.multi, of_lists, strict=True))
        return Batch(ids, tuple(multi), self.number, self.vector)

    def with_hidden(self, spec: FeatureSpec, rates: Mapping[str, float], generator: torch.Generator) -> Batch:
        """The same rows with the values of some features hidden at random, as if they were missing.

        Args:
            spec: of these rows.
            rates: per feature the probability, in [0, 1]; a list is hidden as a whole.
            generator: a CPU generator.

        Raises:
            DataError: a rate is for no id or number feature.
        """
        ids, multi, number = self.ids.clone(), list(self.multi), self.number.clone()
        places = [[n for n, _ in spec.categorical], [n for n, _ in spec.multi], list(spec.number)]
        for name, rate in rates.items():
            drawn = (torch.rand(len(self), generator=generator) < rate).to(ids.device)
            if name in places[0]:
                ids[drawn, places[0].index(name)] = UNSEEN
            elif name in places[1]:
                multi[places[1].index(name)] = _emptied(multi[places[1].index(name)], drawn)
            elif name in places[2]:
                number[drawn, places[2].index(name)] = 0.0  # scaled numbers have mean 0, which missing ones become
            else:
                raise DataError(f"only id and number features can be hidden, got {name!r}")
        return Batch(ids, tuple(multi), number, self.vector)

    def _each(self, change: Any) -> Batch:
        return Batch(
            change(self.ids),
            tuple(change(t) for t in self.multi),
            change(self.number),
            tuple(change(t) for t in self.vector),
        )

    def check(self, spec: FeatureSpec) -> None:
        """Refuse ids and numbers that no embedding or layer may see.

        Raises:
            DataError: an id is outside its table, a number is not finite, or shapes differ from the spec.
        """
        widths = (self.ids.shape[1], len(self.multi), self.number.shape[1], [v.shape[1] for v in self.vector])
        expected = (len(spec.categorical), len(spec.multi), len(spec.number), [dim for _, dim in spec.vector])
        if widths != expected:
            raise DataError(f"the batch must have the spec's features, got {widths=}, {expected=} for {spec=}")
        for position, (name, rows) in enumerate(spec.categorical):
            require_range(name, self.ids[:, position], 0, rows)
        for (name, rows), values in zip(spec.multi, self.multi, strict=True):
            require_range(name, values, PAD, rows)
        names = (*spec.number, *(name for name, _ in spec.vector))
        for name, tensor in zip(names, (*self.number.unbind(1), *self.vector), strict=True):
            if not torch.isfinite(tensor).all():
                raise DataError(f"numbers must be finite, got NaN or infinity in {name!r}")


def require_range(name: str, ids: Tensor, low: int, rows: int) -> None:
    """Refuse ids that no table may see.

    Raises:
        DataError: one is outside [low, rows).
    """
    if ids.numel() and (int(ids.min()) < low or int(ids.max()) >= rows):
        raise DataError(f"ids of {name!r} must be in [{low}, {rows}), got [{int(ids.min())}, {int(ids.max())}]")


def _emptied(ids: Tensor, rows: Tensor) -> Tensor:
    """Lists of some rows become [UNSEEN], as empty ones are encoded."""
    emptied = ids.clone()
    emptied[rows] = PAD
    emptied[rows, 0] = UNSEEN
    return emptied


def _replaced(ids: Tensor, drawn: Tensor) -> Tensor:
    return ids.masked_fill(drawn.to(ids.device) & (ids != PAD), UNSEEN)
