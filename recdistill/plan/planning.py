"""A plan: the sizes of a network, which rank holds what, what is sent, and how long a step may take."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from recdistill.dealt_trainee import dealing_of
from recdistill.errors import UsageError
from recdistill.models.embeddings.shards import Shard, shards_of
from recdistill.models.embeddings.torchrec_tables import STEP, kernel_optimiser
from recdistill.plan.amounts import in_bytes
from recdistill.plan.devices import Devices
from recdistill.plan.estimate import Cost, costs
from recdistill.plan.network_size import FLOAT, DensePart, TableSize, built, dense_part, table_sizes
from recdistill.plan.plan_settings import FeatureSizes, PlanSettings
from recdistill.plan.traffic import Traffic, traffic_of
from recdistill.sources import step_rows
from recdistill.teaching import TeachSettings

BATCH = 4096  # rows of a step where nobody says how many
CACHED = 0.2  # of a table in the host's memory, which FBGEMM's cache on a GPU holds by default
WHOLE = "whole"


@dataclass(frozen=True)
class Use:
    """Bytes of a rank's device.

    Args:
        tables: with what their optimiser keeps.
        exchange: of ids and vectors in a step.
        dense: weights, gradients, states and activations of the dense part.
        best: the best weights so far, which a process that trains alone keeps beside the others.
    """

    tables: int
    exchange: int
    dense: int
    best: int

    @property
    def total(self) -> int:
        """Of all of it."""
        return self.tables + self.exchange + self.dense + self.best


@dataclass(frozen=True)
class Plan:
    """What was planned.

    Args:
        settings: the model and its fit.
        features: their sizes.
        devices: the ranks'.
        batch: rows of a step, of all ranks together.
        tables: the largest first.
        dense: all of the network that is not tables.
        shards: the pieces of the tables; none where there is no plan.
        uses: per rank.
        traffic, costs: of a step.
        unplanned: why there are no shards: nothing is wrong, but this cannot be known here.
        refusal: why this cannot be trained, and what would help; nothing of it where it can.
    """

    settings: PlanSettings
    features: FeatureSizes
    devices: Devices
    batch: int
    tables: tuple[TableSize, ...]
    dense: DensePart
    shards: tuple[Shard, ...] = ()
    uses: tuple[Use, ...] = ()
    traffic: Traffic | None = None
    costs: tuple[Cost, ...] = ()
    unplanned: str = ""
    refusal: str = ""

    @property
    def rows(self) -> int:
        """Of each rank in a step."""
        return self.batch // self.devices.world

    @property
    def seconds(self) -> float:
        """Of a step, by the estimate."""
        return sum(cost.seconds for cost in self.costs)

    @property
    def epoch_seconds(self) -> float:
        """Of an epoch, by the estimate; 0 where its rows are not known."""
        return -(-self.features.rows // self.batch) * self.seconds

    @property
    def in_host(self) -> bool:
        """Whether one process keeps its tables in the host's memory, not the GPU's."""
        fit, devices = self.settings.fit, self.devices
        fused = devices.world == 1 and fit.embedding_backend == "torchrec"
        return fused and devices.kind == "cuda" and fit.embedding_location != "device"


def planned_batch(settings: PlanSettings, features: FeatureSizes, devices: Devices) -> int:
    """Rows of a step, of all ranks together; where the settings leave it open, as a fit chooses.

    Raises:
        UsageError: ranks cannot share them evenly.
    """
    batch = settings.fit.batch_size or (step_rows(features.rows) if features.rows else BATCH)
    if batch % devices.world:
        raise UsageError(f"ranks share the rows of a step evenly, got {batch} rows for {devices.world} ranks")
    return batch


def network_of(settings: PlanSettings, features: FeatureSizes) -> nn.Module:
    """The network, without memory."""
    classes = {"classes": features.classes} if features.classes > 1 else {}
    return built(settings.model, features.spec, settings.arguments | classes)


def sized(settings: PlanSettings, features: FeatureSizes, devices: Devices) -> Plan:
    """A plan with the sizes alone.

    Raises:
        UsageError: there is no such network, or ranks cannot share a step's rows or hold such tables.
    """
    network = network_of(settings, features)
    batch = planned_batch(settings, features, devices)
    kernels = devices.world > 1 or settings.fit.embedding_backend == "torchrec"
    tables = table_sizes(network, settings.fit, lengths=features.lengths, kernels=kernels)
    dense = dense_part(network, features.spec, settings.fit, rows=batch // devices.world, lengths=features.lengths)
    largest = tuple(sorted(tables, key=lambda table: -table.bytes))
    return Plan(settings, features, devices, batch, largest, dense)


def shards_for(plan: Plan) -> list[Shard] | None:
    """The pieces of a plan's tables; None where the ranks cannot hold them.

    Raises:
        UsageError: tables cannot be dealt so.
        EnvironmentFault: torchrec is not installed.
    """
    devices, fit = plan.devices, plan.settings.fit
    if devices.world == 1 or not plan.tables:
        return _whole(plan)
    return shards_of(
        network_of(plan.settings, plan.features),
        dealing_of(fit, batch=max(1, plan.rows), lengths=plan.features.lengths),
        size=sum(table.bytes for table in plan.tables),
        world=devices.world,
        local=devices.local,
        device=devices.kind,
        memory=devices.memory,
    )


def _whole(plan: Plan) -> list[Shard] | None:
    """Each table in one piece, where one process has all of them."""
    fit, device, tables = plan.settings.fit, plan.devices.kind, plan.tables
    if fit.embedding_backend == "torchrec":
        kernel_optimiser(
            fit.embedding_optimiser, STEP, lr=fit.table_rate, weight_decay=fit.embedding_weight_decay, device=device
        )
    if not plan.in_host and sum(table.bytes for table in tables) > plan.devices.for_tables:
        return None
    return [Shard(table.owner, table.feature, WHOLE, 0, (0, 0), (table.rows, table.stored)) for table in tables]


def cautions(plan: Plan) -> list[str]:
    """What could end a training that fits the devices."""
    if not plan.shards or (plan.devices.world == 1 and plan.settings.fit.embedding_backend == "torch"):
        return []
    size = (sum(table.parameters for table in plan.tables) + plan.dense.parameters) * FLOAT
    found = [f"at the end one process puts the teacher together, in {in_bytes(size)} of its host's memory"]
    if TeachSettings().fit.embedding_weight_decay and not plan.settings.fit.embedding_weight_decay:
        found.append("`recdistill teacher` decays tables unless it is told --set fit.embedding_weight_decay=0, as here")
    return found


def uses_of(plan: Plan, shards: Sequence[Shard], traffic: Traffic) -> tuple[Use, ...]:
    """What each rank's device holds."""
    sizes = {(table.owner, table.feature): table for table in plan.tables}
    held: Counter[int] = Counter()
    for shard in shards:
        table, (rows, columns) = sizes[shard.owner, shard.feature], shard.shape
        held[shard.rank] += rows * table.row_bytes * columns // table.stored
    weights = sum(table.weight_bytes for table in plan.tables)
    best = 0 if plan.devices.world > 1 else plan.dense.parameters * FLOAT + weights
    if plan.in_host:
        held[0] = int(CACHED * weights) if plan.settings.fit.embedding_location == "managed_caching" else 0
        best = 0
    buffers = traffic.buffers() if plan.devices.world > 1 else [0.0]
    return tuple(Use(held[rank], int(size), plan.dense.bytes, best) for rank, size in enumerate(buffers))


def filled(plan: Plan, shards: Sequence[Shard]) -> dict[str, Any]:
    """What follows from the pieces: the arguments of `Plan` from `shards` on."""
    devices = plan.devices
    traffic = traffic_of(plan.tables, shards, plan.dense, world=devices.world, local=devices.local, rows=plan.rows)
    found = costs(devices, plan.tables, shards, plan.dense, traffic, rows=plan.rows)
    return {
        "shards": tuple(shards),
        "uses": uses_of(plan, shards, traffic),
        "traffic": traffic,
        "costs": tuple(found),
    }
