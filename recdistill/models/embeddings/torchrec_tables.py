"""Tables of torchrec, in one process (`fused`) or dealt to ranks (`sharding`).

A fused optimiser updates a table in the backward pass, without a gradient ever being stored. Imported where it is used:
the core works without torchrec.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from recdistill.batch import require_range
from recdistill.errors import EnvironmentFault, UsageError
from recdistill.features import PAD
from recdistill.models.embeddings.unplaced import BLOCK
from recdistill.optimisers import EPSILON

Features = Sequence[tuple[str, int]]
STEP = 4  # the kernels want rows whose length is a multiple of this
# The names of what a fused optimiser keeps, as `recdistill.optimisers` calls it.
KEPT = {"sgd": (), "adagrad": ("sum",), "rowwise_adagrad": ("sum",)}


def torchrec() -> Any:
    """The package.

    Raises:
        EnvironmentFault: it is not installed, or cannot be imported.
    """
    try:
        import torchrec
    except (ImportError, OSError, AttributeError) as error:  # a CUDA build without CUDA is an OSError
        fix = "pip install 'recdistill[torchrec]', or see `recdistill doctor`"
        raise EnvironmentFault(f"tables of torchrec need torchrec and fbgemm-gpu ({fix}): {error}") from None
    return torchrec


def stored_dim(dim: int) -> int:
    """How many numbers a row takes in the kernels' memory.

    One number per row, as in first-order terms, is kept in four of which three stay 0: with Adagrad and SGD each number
    has a state of its own, and with a state per row a row of one number is the same.

    Raises:
        UsageError: the kernels cannot hold such rows.
    """
    if dim != 1 and dim % STEP:
        raise UsageError(f"rows of torchrec's tables must be 1 or a multiple of {STEP} long, got {dim}")
    return max(dim, STEP)


def kernel_optimiser(
    kind: str, dim: int, *, lr: float, weight_decay: float, device: str
) -> tuple[type, dict[str, Any]]:
    """The class and arguments by which torchrec knows an optimiser of tables; a new dict, for torchrec changes it.

    Raises:
        UsageError: its kernels do not have it, with the reason.
    """
    if kind == "dense":
        raise UsageError("torchrec's tables need an embedding_optimiser of their own, got 'dense'")
    if kind not in KEPT:
        rule = "FBGEMM has no Adam on the CPU" if device == "cpu" else "FBGEMM's Adam is another one than lazy_adam"
        raise UsageError(f"torchrec's tables take {', '.join(KEPT)} as embedding_optimiser ({rule}), got {kind!r}")
    if weight_decay:
        rule = "FBGEMM decays weights with some optimisers only; set it to 0"
        raise UsageError(f"torchrec's tables take no embedding_weight_decay ({rule}), got {weight_decay:g}")
    known = {
        "sgd": torch.optim.SGD,
        "adagrad": torch.optim.Adagrad,
        "rowwise_adagrad": torchrec().optim.rowwise_adagrad.RowWiseAdagrad,
    }
    # Of rows of one number the two Adagrads are the same, but not of the four that such a row is stored in.
    return known["adagrad" if kind == "rowwise_adagrad" and dim == 1 else kind], {
        "lr": lr,
        **({} if kind == "sgd" else {"eps": EPSILON}),
    }


class TorchrecTables(nn.Module):
    """The tables of several id features, held by a collection of torchrec's.

    Args:
        features: (name, rows) of each, those of lists last.
        dim: length of each row, as models see it.
        collection: (KeyedJaggedTensor) to KeyedTensor, with the features `f0`, `f1` and so on.
    """

    def __init__(self, features: Features, dim: int, collection: nn.Module) -> None:
        super().__init__()
        self.features, self.dim, self.collection = list(features), dim, collection
        self.keys = [f"f{place}" for place in range(len(self.features))]
        self.jagged = torchrec().KeyedJaggedTensor

    def forward(self, single: Tensor, multi: Sequence[Tensor]) -> Tensor:
        """(batch, single features) and per list feature (batch, longest) ids to (batch, features, dim).

        Raises:
            DataError: an id is not of its table; on a GPU the kernel stops the process instead.
        """
        if single.device.type == "cpu":
            self._require_known(single, multi)
        own = [ids != PAD for ids in multi]
        values = torch.cat([single.t().flatten(), *(ids[kept] for ids, kept in zip(multi, own, strict=True))])
        ones = torch.ones(single.numel(), dtype=torch.int32, device=single.device)
        counts = [kept.sum(1, dtype=torch.int32) for kept in own]
        found = self.collection(self.jagged(self.keys, values, lengths=torch.cat([ones, *counts])))
        # By key: the order of the values depends on how tables are sharded.
        parts = [found[key] for key in self.keys]
        for place, count in enumerate(counts, start=single.shape[1]):
            parts[place] = parts[place] / count.clamp(min=1)[:, None]
        return torch.stack(parts, 1)[..., : self.dim]

    def _require_known(self, single: Tensor, multi: Sequence[Tensor]) -> None:
        """The kernels would read row 0 in place of an id beyond a table, and say so in a log at most."""
        for (name, rows), ids in zip(self.features, (*single.unbind(1), *multi), strict=True):
            require_range(name, ids, 0 if ids.ndim == 1 else PAD, rows)


def configurations(features: Features, dim: int, owner: str) -> list[Any]:
    """Torchrec's description of tables.

    Args:
        features: (name, rows) of each.
        dim: length of each row.
        owner: the name of the embeddings in their network; a part of each table's name.

    Raises:
        UsageError: rows of that length cannot be held.
    """
    described, sum_of_rows = torchrec().EmbeddingBagConfig, torchrec().modules.embedding_configs.PoolingType.SUM
    return [
        described(
            name=table_name(owner, place),
            embedding_dim=stored_dim(dim),
            num_embeddings=rows,
            feature_names=[f"f{place}"],
            pooling=sum_of_rows,  # not the mean: torchrec divides twice where some tables are dealt by rows, some whole
        )
        for place, (_, rows) in enumerate(features)
    ]


def table_name(owner: str, place: int) -> str:
    """The name of a feature's table; names of features may hold any letter, those of tables not."""
    return f"{owner.replace('.', '_')}_f{place}"


@torch.no_grad()
def fill(weight: Tensor, rows: Callable[[int, int], Tensor], count: int, *, first: int = 0, column: int = 0) -> None:
    """Write rows of a table into memory, a block at a time.

    Args:
        weight: (rows here, columns here), changed.
        rows: (start, stop) to (stop - start, dim).
        count: rows here.
        first, column: of the table, where the memory begins.
    """
    for start in range(0, count, BLOCK):
        stop = min(start + BLOCK, count)
        values = rows(first + start, first + stop)[:, column : column + weight.shape[1]]
        weight[start:stop] = 0
        weight[start:stop, : values.shape[1]] = values
