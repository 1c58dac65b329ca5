"""Tables of torchrec in one process: FBGEMM's kernels look rows up, and update them in the backward pass."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from recdistill.models.embeddings.fields import Embeddings, embeddings_of, require_plain
from recdistill.models.embeddings.plain import PlainTables
from recdistill.models.embeddings.sharding import quietly, rows_of
from recdistill.models.embeddings.torchrec_tables import (
    KEPT,
    TorchrecTables,
    configurations,
    fill,
    kernel_optimiser,
    stored_dim,
    torchrec,
)

LOCATIONS = ("device", "managed", "managed_caching")


@dataclass(frozen=True)
class Fusing:
    """How tables of torchrec are held and updated by one process.

    Args:
        kind: the optimiser, a key of `KEPT`.
        lr, weight_decay: its own.
        device: "cpu", or a GPU.
        location: on a GPU where tables are: "device", its own memory; "managed", the host's, read over the bus;
            "managed_caching", the host's with the rows in use cached on the device.
        seed: of rows that are drawn.
    """

    kind: str
    lr: float
    weight_decay: float
    device: str
    location: str = "device"
    seed: int = 0


def fuse(network: nn.Module, fusing: Fusing, *, draw: bool = True) -> FusedOptimiser:
    """Replace a network's tables by torchrec's, with the same rows; a network that is refused stays as it was.

    Args:
        network: with plain tables, or with unplaced ones, whose rows are drawn.
        fusing: how.
        draw: false leaves the rows that torchrec itself begins with, for who measures time alone.

    Returns:
        What stands for the optimiser that is in the kernels.

    Raises:
        EnvironmentFault: torchrec is not installed.
        UsageError: its kernels do not have the optimiser, or rows of that length, or the tables are compact.
    """
    torchrec()
    require_plain(network, "torchrec's kernels")
    found = [(name, module) for name, module in embeddings_of(network) if module.features]
    with quietly():
        for _, module in found:
            stored_dim(module.dim)
            _kernel_optimiser(module, fusing)
        for name, module in found:
            module.table = _fused(name, module, fusing, draw)
    return FusedOptimiser(network, fusing.kind)


@torch.no_grad()
def unfuse(network: nn.Module) -> None:
    """Replace torchrec's tables of one process by plain ones with the same rows."""
    held = [(module, module.table) for _, module in embeddings_of(network)]
    for module, tables in [(module, tables) for module, tables in held if isinstance(tables, TorchrecTables)]:
        weights = fused_weights(tables)
        plain = PlainTables([rows for _, rows in module.features], module.dim, deviation=None)
        for start, (_, rows), weight in zip(plain.starts, module.features, weights, strict=False):
            plain.weight[start : start + rows] = weight[:, : module.dim]
        module.table = plain


def _kernel_optimiser(module: Embeddings, fusing: Fusing) -> tuple[type, dict[str, Any]]:
    device = fusing.device.split(":")[0]
    return kernel_optimiser(fusing.kind, module.dim, lr=fusing.lr, weight_decay=fusing.weight_decay, device=device)


def _fused(name: str, module: Embeddings, fusing: Fusing, draw: bool) -> TorchrecTables:
    from fbgemm_gpu.split_table_batched_embeddings_ops_common import BoundsCheckMode, EmbeddingLocation
    from torchrec.modules.fused_embedding_modules import FusedEmbeddingBagCollection

    kind, told = _kernel_optimiser(module, fusing)
    on_gpu = fusing.device.startswith("cuda")
    with torch.random.fork_rng(devices=[fusing.device] if on_gpu else []):  # torchrec draws rows of its own
        collection = FusedEmbeddingBagCollection(
            configurations(module.features, module.dim, name),
            kind,
            {**told, "bounds_check_mode": BoundsCheckMode.FATAL},
            device=torch.device(fusing.device),
            location=EmbeddingLocation[fusing.location.upper()] if on_gpu else EmbeddingLocation.HOST,
        )
    made, rows = TorchrecTables(module.features, module.dim, collection), rows_of(name, module, fusing.seed)
    for (feature, count), weight in zip(module.features, fused_weights(made), strict=True) if draw else ():
        fill(weight, partial(rows, feature), count)
    made.register_state_dict_pre_hook(_write_back)  # type: ignore[no-untyped-call]
    made.register_load_state_dict_pre_hook(_forget_cached)  # type: ignore[no-untyped-call]
    return made


def _write_back(tables: TorchrecTables, *_: Any) -> None:
    """Before weights are read: rows that a GPU has cached go back where their table is."""
    _kernels(tables)


def _forget_cached(tables: TorchrecTables, *_: Any) -> None:
    """Before weights are loaded: rows that a GPU has cached would hide them, and be written over them later."""
    for kernels in _kernels(tables):
        kernels._emb_module.reset_cache_states()


def fused_weights(tables: TorchrecTables) -> list[Tensor]:
    """The (rows, stored dim) weights in the kernels' memory, in the order of the features."""
    return [weight for kernels in _kernels(tables) for weight in kernels.split_embedding_weights()]


def _kernels(tables: TorchrecTables) -> list[Any]:
    """FBGEMM's modules; rows that are cached on a GPU are back where the table is."""
    collection: Any = tables.collection
    for module in collection._emb_modules:
        module.flush()
    return list(collection._emb_modules)


class FusedOptimiser:
    """The optimiser that is in the kernels, as a fit sees it: its step has been made when the backward pass ends.

    Args:
        network: whose tables it updates.
        kind: which it is.
    """

    def __init__(self, network: nn.Module, kind: str) -> None:
        self.network, self.kind = network, kind
        count = sum(len(module.features) for _, module in embeddings_of(network))
        self.param_groups = [{"params": [None] * count}]

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Nothing: the kernels keep no gradient."""

    def step(self) -> None:
        """Nothing: the kernels have updated the rows."""

    def state_dict(self) -> dict[str, Any]:
        """What is kept of each table, by the names of `recdistill.optimisers`."""
        return {"state": dict(enumerate(self._kept())), "param_groups": []}

    @torch.no_grad()
    def load_state_dict(self, stored: dict[str, Any]) -> None:
        """The reverse of `state_dict`."""
        for number, kept in enumerate(self._kept()):
            for name, values in kept.items():
                values.copy_(stored["state"][number][name])

    def _kept(self) -> Iterator[dict[str, Tensor]]:
        tables = [module.table for _, module in embeddings_of(self.network) if isinstance(module.table, TorchrecTables)]
        for kernels in itertools.chain.from_iterable(map(_kernels, tables)):
            for states in kernels._emb_module.split_optimizer_states():
                yield dict(zip(KEPT[self.kind], states, strict=False))
