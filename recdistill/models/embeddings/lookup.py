"""Rows of a table by id, with a gradient that holds only the rows that were looked up."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag


class SparseLookup(torch.autograd.Function):
    """`weight[ids]`; its gradient is a coalesced sparse tensor, for an optimiser that updates those rows alone.

    torch's own sparse gradient has a row per lookup, and adding those of the same id takes longer than all the rest of
    a table's step. Here ids are sorted and each run of equal ones is summed by the kernel of `embedding_bag`.
    """

    @staticmethod
    def forward(context: Any, ids: Tensor, weight: Tensor) -> Tensor:
        """(lookups,) int32 ids and a (rows, dim) table to (lookups, dim)."""
        context.save_for_backward(ids)
        context.shape = weight.shape
        return weight.index_select(0, ids)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[None, Tensor]:
        """(lookups, dim) gradients to that of the table."""
        (ids,) = context.saved_tensors
        rows, summed = summed_by_row(ids, gradients[0])
        return None, torch.sparse_coo_tensor(
            rows[None], summed, tuple(context.shape), is_coalesced=True, check_invariants=False
        )


def summed_by_row(ids: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """The distinct ids, rising, and the sum of each one's values.

    Args:
        ids: (lookups,) int32.
        values: (lookups, dim).

    Returns:
        (rows,) int64 and (rows, dim).
    """
    rising, order = torch.sort(ids, stable=True)
    first = torch.ones_like(rising, dtype=torch.bool)
    torch.ne(rising[1:], rising[:-1], out=first[1:])
    starts = first.nonzero()[:, 0]
    return rising[starts].long(), embedding_bag(order, values, starts, mode="sum")
