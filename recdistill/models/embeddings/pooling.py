"""The ids of a batch end to end, and what is found for each of them as a vector per feature again."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from recdistill.features import PAD

SHORT = 16  # numbers of a vector
# The ids of some features to the places of their rows. Features are named as an index of (features,) tensors: all
# single ones at once by a slice, a list feature by its number.
Places = Callable[[Tensor, slice | int], Tensor]


def averaged(single: Tensor, multi: Sequence[Tensor], offsets: Tensor, looked_up: Callable[[Tensor], Tensor]) -> Tensor:
    """A vector for each id feature of a batch, that of a list the mean of its ids' rows.

    Args:
        single: (batch, single features) ids.
        multi: per list feature (batch, longest) ids.
        offsets: (features,) where each feature's rows begin, the single ones first.
        looked_up: (lookups,) places to (lookups, dim) rows.

    Returns:
        (batch, features, dim).
    """
    places = flattened(single, multi, lambda ids, which: ids + offsets[which])
    return pooled(single, multi, looked_up(places))


def flattened(single: Tensor, multi: Sequence[Tensor], places: Places) -> Tensor:
    """(lookups,) the places of all ids of a batch, single features first; one for padding too, as for id 0."""
    width = single.shape[1]
    parts = [places(single, slice(0, width)).flatten()]
    parts += [places(ids.clamp(min=0), width + k).flatten() for k, ids in enumerate(multi)]
    return torch.cat(parts) if multi else parts[0]


def pooled(single: Tensor, multi: Sequence[Tensor], rows: Tensor) -> Tensor:
    """(lookups, dim) rows, in the order of `flattened`, to (batch, features, dim), that of a list the mean."""
    batch, width = single.shape
    if not width and not multi:
        return rows.new_zeros(batch, 0, rows.shape[1])
    looked, *lists = rows.split([ids.numel() for ids in (single, *multi)])
    parts = [looked.unflatten(0, (batch, width))] if width else []  # ONNX makes no matrix of nothing
    parts += [_mean(ids != PAD, found.unflatten(0, ids.shape)) for ids, found in zip(multi, lists, strict=True)]
    return torch.cat(parts, 1) if multi else parts[0]


def summed(vectors: Tensor) -> Tensor:
    """(batch, n, dim) to (batch, dim), the sum over n.

    ONNX Runtime takes longer to sum over a middle axis than for all the rest of a small student: in an exported graph
    short vectors, end to end, are multiplied with stacked unit matrices.
    """
    count, dim = vectors.shape[1:]
    if torch.compiler.is_compiling() and count and dim <= SHORT:
        return vectors.flatten(1) @ torch.eye(dim, device=vectors.device).repeat(count, 1)
    return vectors.sum(1)


def _mean(kept: Tensor, rows: Tensor) -> Tensor:
    """(batch, 1, dim), the mean of each list's rows; `kept` (batch, longest) says which are its own."""
    if torch.compiler.is_compiling():  # for the reason that `summed` has: of short vectors along the last axis
        shares = kept / kept.sum(1, keepdim=True).clamp(min=1)
        if rows.shape[2] > SHORT:
            return shares[:, None] @ rows
        return (rows.flatten(0, 1).t() * shares.flatten()).unflatten(1, kept.shape).sum(2).t()[:, None]
    kept = kept[:, :, None]
    return (rows * kept).sum(1, keepdim=True) / kept.sum(1, keepdim=True).clamp(min=1)
