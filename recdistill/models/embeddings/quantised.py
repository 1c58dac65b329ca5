"""Tables in fewer bits, for scoring: each row as small integers between its least and its greatest number."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from recdistill.errors import DataError
from recdistill.models.embeddings.compact import CompactTables
from recdistill.models.embeddings.fields import embeddings_of
from recdistill.models.embeddings.plain import PlainTables
from recdistill.models.embeddings.pooling import averaged

SHORT = 2  # rows of so few numbers are kept as float16: a span would take more than it saves
AT_ONCE = 8 << 20  # bytes as float32, up to which a graph multiplies out a network's tables as a whole


class QuantisedTables(nn.Module):
    """Plain tables row-wise in 8 or 4 bits (Guan et al. 2019, arXiv:1911.02079, section 3).

    A row x is kept as q = round((x − low) / step) with low = min x and step = (max x − min x) / (2^bits − 1), both
    float16 and the step rounded up, and read as low + step · q: no number is off by more than step / 2 and the rounding
    of low. Rows of one or two numbers are kept as float16.

    Args:
        plain: the tables.
        bits: 8 or 4.

    Raises:
        DataError: a weight is not finite, or beyond float16.

    Attributes:
        at_once: whether the whole table is multiplied out before rows are looked up in it, see `read_at_once`.
    """

    offsets: Tensor
    codes: Tensor
    span: Tensor

    def __init__(self, plain: PlainTables, bits: int) -> None:
        super().__init__()
        weight = plain.weight.detach().float().cpu()
        self.dim, self.bits, self.at_once = weight.shape[1], 16 if weight.shape[1] <= SHORT else bits, False
        if not torch.isfinite(weight.half()).all():
            raise DataError(f"weights must be within float16 to be quantised, got {float(weight.abs().max()):g}")
        self.register_buffer("offsets", plain.offsets.cpu(), persistent=False)
        if self.bits == 16:
            self.register_buffer("codes", weight.half())
            return
        span = _spans(weight, 2**bits - 1)
        codes = ((weight - span[:, :1].float()) / span[:, 1:].float()).round()
        codes = torch.nan_to_num(codes).clamp(0, 2**bits - 1).to(torch.uint8)  # a row of equal numbers has no step
        self.register_buffer("span", span)
        self.register_buffer("codes", codes if bits == 8 else _packed(codes))

    def forward(self, single: Tensor, multi: Sequence[Tensor]) -> Tensor:
        """(batch, single features) and per list feature (batch, longest) ids to (batch, features, dim)."""
        return averaged(single, multi, self.offsets, self.looked_up)

    def looked_up(self, ids: Tensor) -> Tensor:
        """(lookups,) places to (lookups, dim) rows."""
        kept = (self.codes,) if self.bits == 16 else (self.codes, self.span)
        if self.at_once:
            return self._numbers(*kept).index_select(0, ids)
        return self._numbers(*(of.index_select(0, ids) for of in kept))

    def _numbers(self, codes: Tensor, span: Tensor | None = None) -> Tensor:
        """(rows, dim) of rows as they are kept."""
        found = codes.float()
        if span is None:
            return found
        span = span.float()
        if self.bits == 4:
            high = torch.floor(found / 16)
            found = torch.stack([found - 16 * high, high], 2).flatten(1)[:, : self.dim]
        if self.at_once:  # in as few steps as can be, for each of them takes a table's memory
            return span[:, :1] + span[:, 1:] * found
        # Written out by a product: ONNX Runtime is slow to spread a number over a short row.
        one = span.new_ones(1, self.dim)
        return span[:, :1] @ one + (span[:, 1:] @ one) * found


def quantised(network: nn.Module, bits: int) -> nn.Module:
    """A copy of a network, its tables in 8 or 4 bits; of compact tables their rows, but not what projects them.

    Raises:
        DataError: tables are not in memory, or as in `QuantisedTables`.
    """
    network = copy.deepcopy(network)
    for name, module in embeddings_of(network):
        if not isinstance(module.table, PlainTables | CompactTables):
            raise DataError(f"plain tables can be quantised, got {type(module.table).__name__} in {name!r}")
        inner = [(owner, key, t) for owner in module.modules() for key, t in owner.named_children()]
        for owner, key, tables in inner:
            if isinstance(tables, PlainTables):
                setattr(owner, key, QuantisedTables(tables, bits))
    return network


def read_at_once(network: nn.Module) -> None:
    """Have small tables in few bits multiplied out as a whole, all or none: for a graph that is made for ONNX Runtime.

    It computes what is constant once, when it reads the file: a look-up is then as fast as in float32, in its memory.
    Larger tables stay in few bits there. Elsewhere the whole would be computed at each call.
    """
    tables = [module for module in network.modules() if isinstance(module, QuantisedTables)]
    small = sum(4 * len(table.codes) * table.dim for table in tables) <= AT_ONCE
    for table in tables:
        table.at_once = small


def _spans(weight: Tensor, levels: int) -> Tensor:
    """(rows, 2) float16, each row's least number and its step, which reaches the greatest."""
    low = weight.amin(1).half()
    step = ((weight.amax(1) - low.float()) / levels).clamp(min=0).half()
    short = low.float() + levels * step.float() < weight.amax(1)
    above = (step.view(torch.int16) + 1).view(torch.half)  # the next float16
    return torch.stack([low, torch.where(short, above, step)], 1)


def _packed(codes: Tensor) -> Tensor:
    """(rows, dim) of 4 bits as (rows, half as many bytes), the first of two in the lower bits."""
    even = nn.functional.pad(codes, (0, codes.shape[1] % 2))
    return even[:, 0::2] | (even[:, 1::2] << 4)
