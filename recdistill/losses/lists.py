"""What losses over lists share: a user's or session's rows among those of the batch, and the pairs among them."""

from __future__ import annotations

import torch
from torch import Tensor

from recdistill.losses.rows import counting, require_clicks, require_pair


def require_lists(student_logits: Tensor, teacher_logits: Tensor, temperature: float, groups: Tensor | None) -> None:
    """Refuse what has no lists: logits that are not both `(rows,)`, `groups` of another shape, or a bad temperature.

    Raises:
        ValueError: one of them is so.
    """
    require_pair(student_logits, teacher_logits, temperature)
    require_clicks(student_logits)
    if groups is not None and groups.shape != student_logits.shape:
        got = f"{tuple(groups.shape)} for logits {tuple(student_logits.shape)}"
        raise ValueError(f"groups must be (rows,), got {got}")


def rows_of_lists(
    logits: Tensor, where: Tensor | None, weight: Tensor | None, groups: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """The rows that count and are not alone in their list.

    Args:
        logits: (rows,).
        where: (rows,) bool, the rows that count; default all.
        weight: (rows,), each row's weight; default 1. A row with weight 0 does not count.
        groups: (rows,) int, the list of each row, in any order; default one list.

    Returns:
        Of the n rows that are left: their positions (n,), their lists (n,) as 0 … lists − 1, and their weights (n,).
    """
    where = counting(logits, where)
    weight = torch.ones_like(logits.detach()) if weight is None else weight.to(logits.dtype)
    groups = torch.zeros_like(where, dtype=torch.int64) if groups is None else groups
    kept = (where & (weight > 0)).nonzero().squeeze(1)
    _, lists, sizes = groups[kept].unique(return_inverse=True, return_counts=True)
    rows = kept[sizes[lists] > 1]
    return rows, groups[rows].unique(return_inverse=True)[1], weight[rows]


def pairs_within(lists: Tensor) -> tuple[Tensor, Tensor]:
    """The first and second position `(pairs,)` of each pair of `(rows,)` lists' rows, each pair once."""
    order = lists.argsort(stable=True)
    sizes = lists.bincount()
    place = torch.arange(len(lists), device=lists.device)
    behind = sizes.cumsum(0).repeat_interleave(sizes) - place - 1  # (rows,), how many of its list follow a row
    first = place.repeat_interleave(behind)
    starts = (behind.cumsum(0) - behind).repeat_interleave(behind)  # (pairs,), where the pairs of `first` start
    second = first + 1 + torch.arange(len(first), device=lists.device) - starts
    return order[first], order[second]
