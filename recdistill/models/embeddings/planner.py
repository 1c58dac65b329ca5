"""Torchrec's planner, which says which rank holds what, and what it may choose from."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

ROW_SPLITTING = ("column_wise", "table_column_wise")
KINDS = ("table_wise", "row_wise", "table_row_wise", *ROW_SPLITTING)
RESERVED = 0.15  # of a device's memory, for what is not tables


def planned(
    limits: Mapping[str, Any],
    *,
    world: int,
    device: str,
    memory: int | None = None,
    batch: int = 4096,
    local: int | None = None,
) -> Any:
    """Torchrec's planner. Of each device's memory a share of `RESERVED` is left for what is not tables.

    Args:
        limits: per table what it must keep to.
        world: how many ranks.
        device: "cpu", or a GPU.
        memory: bytes of each device; torchrec's own assumption otherwise.
        batch: rows of each rank in a step.
        local: how many ranks a machine has; what torchrun says otherwise.
    """
    from torchrec.distributed.planner import EmbeddingShardingPlanner, Topology
    from torchrec.distributed.planner.storage_reservations import FixedPercentageStorageReservation

    kind = device.split(":")[0]
    # Torchrec reserves a share of a GPU's memory only.
    caps = {"hbm_cap": memory} if kind == "cuda" else {"ddr_cap": memory and int((1 - RESERVED) * memory)}
    local = local or int(os.environ.get("LOCAL_WORLD_SIZE", world))
    topology = Topology(world_size=world, local_world_size=local, compute_device=kind, **caps)
    return EmbeddingShardingPlanner(
        topology=topology,
        batch_size=batch,
        enumerator=_enumerator(topology, batch, dict(limits)),
        storage_reservation=FixedPercentageStorageReservation(RESERVED),
        constraints=dict(limits),
    )


def _enumerator(topology: Any, batch: int, limits: dict[str, Any]) -> Any:
    """What lists the planner's choices: of two that it takes for equal the first wins, so their order must be one.

    Torchrec's own is that of a set of names, which differs from process to process.
    """
    from torchrec.distributed.planner.enumerators import EmbeddingEnumerator

    class Enumerator(EmbeddingEnumerator):  # type: ignore[misc]
        """With the kinds of sharding of each table in the order of `KINDS`."""

        def enumerate(self, module: Any, sharders: Any) -> list[Any]:
            """All choices for all tables."""
            found = super().enumerate(module, sharders)
            tables = list(dict.fromkeys(choice.fqn for choice in found))
            return sorted(found, key=lambda one: (tables.index(one.fqn), KINDS.index(one.sharding_type)))

    return Enumerator(topology=topology, batch_size=batch, constraints=limits)


def sharder() -> Any:
    """Torchrec's sharder of collections of tables; it offers some kinds on GPUs only, which also work on CPUs."""
    from torchrec.distributed.embeddingbag import EmbeddingBagCollectionSharder

    class Sharder(EmbeddingBagCollectionSharder):  # type: ignore[misc]
        """With every kind of sharding on every device."""

        def sharding_types(self, compute_device_type: str) -> list[str]:
            """What the planner may choose from."""
            return sorted({*super().sharding_types(compute_device_type), *KINDS})

    return Sharder()
