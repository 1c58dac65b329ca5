"""How long a step may take: amounts of work divided by assumed rates. Nothing here is measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from recdistill.models.embeddings.shards import Shard
from recdistill.plan.devices import Devices
from recdistill.plan.network_size import FLOAT, DensePart, TableSize
from recdistill.plan.traffic import Traffic


@dataclass(frozen=True)
class Cost:
    """A part of a step's time.

    Args:
        name: "products", "memory", "links", "network" or "overhead".
        amount: of the busiest rank: operations or bytes; 0 for the overhead.
        peak: operations or bytes a second.
        share: of the peak, that is assumed to be reached.
        seconds: amount / (peak · share).
    """

    name: str
    amount: float
    peak: float
    share: float
    seconds: float


def costs(
    devices: Devices,
    tables: Sequence[TableSize],
    shards: Sequence[Shard],
    dense: DensePart,
    traffic: Traffic,
    *,
    rows: int,
) -> list[Cost]:
    """The parts of a step's time, as if none ran beside another, each that of the rank that has most to do.

    - products: rows · operations of a row.
    - memory: see `memory_bytes`.
    - links, network: see `Traffic.busiest`.
    - overhead: the same for every step.

    Args:
        devices: the ranks'.
        tables, shards: all tables and all pieces of them.
        dense: the other part.
        traffic: what is sent.
        rows: of each rank in a step.
    """
    near, far = traffic.busiest()
    moved = max(memory_bytes(tables, shards, dense, world=devices.world, rows=rows))
    amounts = [
        ("products", float(rows * dense.flops), devices.flops, devices.flops_share),
        ("memory", moved, devices.memory_bandwidth, devices.memory_share),
        ("links", near, devices.link_bandwidth, devices.link_share),
        ("network", far, devices.network_bandwidth, devices.link_share),
    ]
    parts = [Cost(name, amount, peak, share, amount / (peak * share)) for name, amount, peak, share in amounts]
    return [*parts, Cost("overhead", 0.0, 0.0, 1.0, devices.overhead)]


def memory_bytes(
    tables: Sequence[TableSize], shards: Sequence[Shard], dense: DensePart, *, world: int, rows: int
) -> list[float]:
    """Bytes that a step moves to and from the memory of each rank's device.

    - A row that is looked up: 3 times its weights (read forward, read and written to update), twice its state. Each
      lookup counts, as if no two of a step were of the same row.
    - A table whose gradient is stored for every row: twice all its bytes.
    - The dense part: twice its weights, gradients and states, twice its activations.

    Args:
        tables, shards, dense: of the network.
        world: ranks.
        rows: of each in a step.
    """
    sizes = {(table.owner, table.feature): table for table in tables}
    moved = [2.0 * dense.bytes] * world
    for shard in shards:
        table, (count, columns) = sizes[shard.owner, shard.feature], shard.shape
        lookups = world * rows * table.length * count / table.rows
        moved[shard.rank] += lookups * columns * (3 * FLOAT + 2 * table.state / table.stored)
        if table.gradient:
            moved[shard.rank] += 2.0 * table.bytes
    return moved
