"""Tables dealt to ranks by torchrec: its planner says which rank holds what, its kernels look up and update.

Each rank has a part of every step's rows. What they need of other ranks' tables is exchanged, and gradients of the
dense part are averaged, so that a step is that of one process with all the rows.
"""

from __future__ import annotations

import contextlib
import logging
import os
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import nn

from recdistill.errors import EnvironmentFault, UsageError, nearest
from recdistill.memory import free_memory
from recdistill.models.embeddings.fields import Embeddings, embeddings_of, require_plain
from recdistill.models.embeddings.plain import PlainTables
from recdistill.models.embeddings.planner import KINDS, ROW_SPLITTING, planned, sharder
from recdistill.models.embeddings.torchrec_tables import (
    KEPT,
    TorchrecTables,
    configurations,
    fill,
    kernel_optimiser,
    stored_dim,
    table_name,
    torchrec,
)
from recdistill.models.embeddings.unplaced import DrawnRows, Rows, UnplacedTables

LEAST_COLUMNS = 32


@dataclass(frozen=True)
class Dealing:
    """How tables are dealt, and updated.

    Args:
        kind: the optimiser, a key of `KEPT`.
        lr, weight_decay: its own.
        sharding: a key of `KINDS` for all tables, or "auto" for the planner's choice.
        of: per feature another one.
        lengths: per list feature the mean length of its lists, for the planner.
        batch: rows of each rank in a step, for the planner.
        seed: of rows that are drawn.
    """

    kind: str
    lr: float
    weight_decay: float
    sharding: str = "auto"
    of: Mapping[str, str] = field(default_factory=dict)
    lengths: Mapping[str, float] = field(default_factory=dict)
    batch: int = 4096
    seed: int = 0

    def kinds(self, feature: str) -> list[str]:
        """The kinds of sharding that the planner may choose from.

        Raises:
            UsageError: there is no such kind, or it does not go with the optimiser.
        """
        chosen = self.of.get(feature, self.sharding)
        splits = self.kind == "rowwise_adagrad"
        if chosen == "auto":
            return [kind for kind in KINDS if not (splits and kind in ROW_SPLITTING)]
        if chosen not in KINDS:
            raise UsageError(f"tables are sharded {', '.join(KINDS)} or auto, got {chosen!r} for {feature!r}")
        if splits and chosen in ROW_SPLITTING:
            rule = f"{chosen} sharding splits rows, of which rowwise_adagrad keeps one state each; use adagrad or sgd"
            raise UsageError(f"{rule} (got {chosen} for {feature!r})")
        return [chosen]


@dataclass(frozen=True)
class Dealt:
    """A network whose tables are dealt to the ranks.

    Args:
        network: called with this rank's rows.
        tables: per `embeddings/feature` its sharded table, rows as the kernels store them.
        kept: per `embeddings/feature/name` what the optimiser keeps of it.
        dense: names and parameters of all the rest, equal on all ranks.
        plan: which rank holds what, in words.
    """

    network: nn.Module
    tables: dict[str, Any]
    kept: dict[str, Any]
    dense: dict[str, nn.Parameter]
    plan: str


def deal(network: nn.Module, dealing: Dealing, *, device: str) -> Dealt:
    """Deal a network's tables to the ranks of the process group.

    Args:
        network: with plain tables, whose rows are taken over, or with unplaced ones, whose rows are drawn. Its tables
            are replaced.
        dealing: how.
        device: of this rank.

    Raises:
        UsageError: the kernels do not have the optimiser, or tables cannot be sharded so, or are compact.
        EnvironmentFault: torchrec is not installed, or the tables do not fit.
    """
    torchrec()
    _require_possible(network, dealing, device)
    sources = {name: rows_of(name, module, dealing.seed) for name, module in embeddings_of(network)}
    features = {name: list(module.features) for name, module in embeddings_of(network)}
    with quietly():
        made, plan = _parallel(network, dealing, device)
    state, optimiser = made.state_dict(), made.fused_optimizer.state_dict()["state"]
    tables: dict[str, Any] = {}
    kept: dict[str, Any] = {}
    for name, own in features.items():
        for place, (feature, _) in enumerate(own):
            key = f"{name}.table.collection.embedding_bags.{table_name(name, place)}.weight"
            tables[f"{name}/{feature}"] = state[key]
            kept |= {
                f"{name}/{feature}/{what}": values
                for what, values in zip(KEPT[dealing.kind], optimiser.get(key, {}).values(), strict=False)
            }
            for shard in state[key].local_shards():
                row, column = shard.metadata.shard_offsets
                fill(shard.tensor, partial(sources[name], feature), len(shard.tensor), first=row, column=column)
    fused = {f"{name}.table." for name in features}
    dense = {name: p for name, p in made.named_parameters() if not any(name.startswith(start) for start in fused)}
    return Dealt(made, tables, kept, dense, plan)


def _require_possible(network: nn.Module, dealing: Dealing, device: str) -> None:
    """Refuse what the kernels cannot do before anything is replaced."""
    require_plain(network, "torchrec's kernels")
    known = {feature for _, module in embeddings_of(network) for feature, _ in module.features}
    if unknown := sorted(dealing.of.keys() - known):
        raise UsageError(f"sharding_of names features with ids, got {unknown[0]!r}: {nearest(unknown[0], known)}")
    for _, module in embeddings_of(network):
        stored_dim(module.dim)
        _kernel_optimiser(module, dealing, device)
        for feature, _ in module.features:
            dealing.kinds(feature)


def _kernel_optimiser(module: Embeddings, dealing: Dealing, device: str) -> tuple[type, dict[str, Any]]:
    kind = device.split(":")[0]
    return kernel_optimiser(dealing.kind, module.dim, lr=dealing.lr, weight_decay=dealing.weight_decay, device=kind)


def _parallel(network: nn.Module, dealing: Dealing, device: str) -> tuple[Any, str]:
    """The network in torchrec's hands, and its plan in words."""
    from torch.distributed import get_world_size, group
    from torchrec.distributed import DistributedModelParallel
    from torchrec.distributed.planner.types import PlannerError

    limits, sharders = describe(network, dealing, device=device), [sharder()]
    for unused in (p for p in network.parameters() if not p.numel()):
        unused.requires_grad_(False)  # else the average of gradients over the ranks would wait for theirs
    memory: int | None = None
    if device.startswith("cuda"):
        memory = torch.cuda.get_device_properties(device).total_memory
    elif free := free_memory():
        memory = free // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    planner = planned(limits, world=get_world_size(), device=device, memory=memory, batch=dealing.batch)
    try:
        plan = planner.collective_plan(network, sharders, group.WORLD)
    except PlannerError as error:
        raise EnvironmentFault(f"torchrec finds no way to share the tables between the ranks: {error}") from None
    return DistributedModelParallel(network, device=torch.device(device), plan=plan, sharders=sharders), str(plan)


def describe(network: nn.Module, dealing: Dealing, *, device: str) -> dict[str, Any]:
    """Replace a network's tables by torchrec's, without memory; per table what the planner must keep to."""
    from fbgemm_gpu.split_table_batched_embeddings_ops_common import BoundsCheckMode
    from torchrec import EmbeddingBagCollection
    from torchrec.distributed.planner import ParameterConstraints
    from torchrec.optim.apply_optimizer_in_backward import apply_optimizer_in_backward

    limits = {}
    for name, module in list(embeddings_of(network)):
        if not module.features:
            module.table = PlainTables([], module.dim, deviation=None).requires_grad_(False)
            continue
        described = configurations(module.features, module.dim, name)
        collection = EmbeddingBagCollection(tables=described, device=torch.device("meta"))
        kind, told = _kernel_optimiser(module, dealing, device)
        apply_optimizer_in_backward(kind, collection.parameters(), told)
        module.table = TorchrecTables(module.features, module.dim, collection)
        for table, (feature, _) in zip(described, module.features, strict=True):
            limits[table.name] = ParameterConstraints(
                sharding_types=dealing.kinds(feature),
                compute_kernels=["fused"],
                min_partition=LEAST_COLUMNS,
                bounds_check_mode=BoundsCheckMode.FATAL,
                pooling_factors=[dealing.lengths.get(feature, 1.0)],
            )
    return limits


def rows_of(name: str, module: Embeddings, seed: int) -> Rows:
    """Where the rows of a network's embeddings come from."""
    if isinstance(module.table, PlainTables):
        return module.table.rows_between([feature for feature, _ in module.features])
    if not isinstance(module.table, UnplacedTables):
        kind = type(module.table).__name__
        raise UsageError(f"tables come from plain ones or are drawn, got {kind} in {name!r}: a fit was stopped there")
    return DrawnRows(seed, name, module.dim, module.deviation)


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Within it torchrec does not warn of its own ways; its logs tell errors alone, unless the user set their level."""
    for name in ("torchrec", "torch.fx._symbolic_trace"):
        if logging.getLogger(name).level == logging.NOTSET:
            logging.getLogger(name).setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        yield
