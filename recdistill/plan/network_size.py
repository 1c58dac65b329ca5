"""How large a network is: its tables with what optimisers keep of them, and the rest, which every rank holds.

It is built on the meta device, where tensors have shapes and no memory, and taken through a step there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils.flop_counter import FlopCounterMode

from recdistill.batch import Batch
from recdistill.features import FeatureSpec
from recdistill.fit_settings import FitSettings
from recdistill.models import build
from recdistill.models.embeddings import embeddings_of, require_plain, unplaced
from recdistill.models.embeddings.torchrec_tables import stored_dim
from recdistill.optimisers import KINDS

FLOAT = 4  # bytes; weights, gradients and states are float32
# Numbers that torch's optimisers keep of each parameter.
KEPT_PER_PARAMETER = {"adam": 2, "adamw": 2, "adagrad": 1, "sgd": 0}


@dataclass(frozen=True)
class TableSize:
    """A feature's table.

    Args:
        owner: the name of the embeddings in their network.
        feature: its own.
        rows: of the table.
        dim: length of a row, as the model sees it.
        stored: length of a row in memory.
        state: bytes that the optimiser keeps of a row.
        gradient: bytes of a row's gradient, where one is stored for every row.
        length: mean number of ids that a training row looks up.
    """

    owner: str
    feature: str
    rows: int
    dim: int
    stored: int
    state: int
    gradient: int
    length: float

    @property
    def parameters(self) -> int:
        """Of the model: rows times dim."""
        return self.rows * self.dim

    @property
    def weight_bytes(self) -> int:
        """Rows times stored dim times 4."""
        return self.rows * self.stored * FLOAT

    @property
    def state_bytes(self) -> int:
        """What the optimiser keeps."""
        return self.rows * self.state

    @property
    def row_bytes(self) -> int:
        """Of a row, with all that is kept of it."""
        return self.stored * FLOAT + self.state + self.gradient

    @property
    def bytes(self) -> int:
        """Of the table, with all that is kept of it."""
        return self.rows * self.row_bytes


@dataclass(frozen=True)
class DensePart:
    """The network without its tables.

    Args:
        parameters: how many.
        state_bytes: what the optimiser keeps.
        flops: of the matrix products of a row, forward and backward.
        activation_bytes: kept from the forward pass of a rank's rows for the backward pass.
    """

    parameters: int
    state_bytes: int
    flops: int
    activation_bytes: int

    @property
    def bytes(self) -> int:
        """Of a rank: weights, gradients, what the optimiser keeps, activations."""
        return 2 * self.parameters * FLOAT + self.state_bytes + self.activation_bytes


def built(model: str, spec: FeatureSpec, arguments: Mapping[str, Any]) -> nn.Module:
    """A network without memory: its tables are not placed, the rest is on the meta device."""
    with unplaced(), torch.device("meta"):
        return build(model, spec, arguments=arguments)


def table_sizes(
    network: nn.Module, settings: FitSettings, *, lengths: Mapping[str, float], kernels: bool
) -> list[TableSize]:
    """The tables of a network.

    Args:
        network: any of the package's models.
        settings: its fit.
        lengths: per list feature the mean length of its lists.
        kernels: whether torchrec's kernels hold them, not torch.

    Raises:
        UsageError: the kernels cannot hold such rows, or the tables are compact.
    """
    require_plain(network, "plans")
    found = []
    for owner, module in embeddings_of(network):
        stored = stored_dim(module.dim) if kernels and module.features else module.dim
        state = state_of_row(settings, stored, padded=stored != module.dim)
        gradient = stored * FLOAT if settings.embedding_optimiser == "dense" else 0
        found += [
            TableSize(owner, feature, rows, module.dim, stored, state, gradient, lengths.get(feature, 1.0))
            for feature, rows in module.features
        ]
    return found


def state_of_row(settings: FitSettings, stored: int, *, padded: bool) -> int:
    """Bytes that the tables' optimiser keeps of a row.

    Of a row of one number, which the kernels pad to four, Adagrad with a state per row keeps one per number, which is
    the same (see `kernel_optimiser`).

    Args:
        settings: of the fit.
        stored: length of the row in memory.
        padded: whether that is longer than the model's.
    """
    if settings.embedding_optimiser == "dense":
        return KEPT_PER_PARAMETER[settings.optimiser] * stored * FLOAT
    numbers = {"element": stored, "row": stored if padded else 1, "all": 0}
    return FLOAT * sum(numbers[of] for of in KINDS[settings.embedding_optimiser][1].values())


def dense_part(
    network: nn.Module, spec: FeatureSpec, settings: FitSettings, *, rows: int, lengths: Mapping[str, float]
) -> DensePart:
    """All of a network but its tables; these are replaced by vectors of their shape.

    A step is taken on the meta device: torch counts its matrix products, and each tensor that is kept for the backward
    pass counts once, parameters not. All is taken for float32: with bfloat16 products less is kept.

    Args:
        network: of `built`.
        spec: what it was built for.
        settings: its fit.
        rows: of a rank in a step.
        lengths: per list feature the mean length of its lists.
    """
    count = sum(p.numel() for p in network.parameters())
    for _, module in embeddings_of(network):
        module.table = LookedUp(len(module.features), module.dim)
    kept = {StorageWeakRef(p.untyped_storage()): 0 for p in network.parameters()}

    def keep(tensor: Tensor) -> Tensor:
        kept.setdefault(StorageWeakRef(tensor.untyped_storage()), tensor.untyped_storage().nbytes())
        return tensor

    with FlopCounterMode(display=False) as counter:
        with saved_tensors_hooks(keep, lambda tensor: tensor):
            logits = network(_rows(spec, rows, lengths))
        logits.sum().backward()
    return DensePart(
        parameters=count,
        state_bytes=KEPT_PER_PARAMETER[settings.optimiser] * count * FLOAT,
        flops=counter.get_total_flops() // rows,
        activation_bytes=sum(kept.values()),
    )


class LookedUp(nn.Module):
    """Vectors without memory in place of those that tables would give.

    Args:
        features: how many tables.
        dim: length of their rows.
    """

    def __init__(self, features: int, dim: int) -> None:
        super().__init__()
        self.features, self.dim = features, dim

    def forward(self, single: Tensor, multi: Sequence[Tensor]) -> Tensor:
        """(batch, single features) and per list feature (batch, longest) ids to (batch, features, dim)."""
        return torch.empty(len(single), self.features, self.dim, device="meta", requires_grad=True)


def _rows(spec: FeatureSpec, rows: int, lengths: Mapping[str, float]) -> Batch:
    """Rows without memory."""

    def empty(width: int, dtype: torch.dtype) -> Tensor:
        return torch.empty(rows, width, dtype=dtype, device="meta")

    return Batch(
        ids=empty(len(spec.categorical), torch.int32),
        multi=tuple(empty(max(1, round(lengths.get(name, 1))), torch.int32) for name, _ in spec.multi),
        number=empty(len(spec.number), torch.float32),
        vector=tuple(empty(width, torch.float32) for _, width in spec.vector),
    )
