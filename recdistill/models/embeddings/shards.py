"""Which rank would hold which piece of which table: torchrec's planner asked, and nothing allocated."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from recdistill.models.embeddings.fields import embeddings_of
from recdistill.models.embeddings.planner import RESERVED, planned, sharder
from recdistill.models.embeddings.sharding import Dealing, describe, quietly
from recdistill.models.embeddings.torchrec_tables import table_name, torchrec


@dataclass(frozen=True)
class Shard:
    """A piece of a table.

    Args:
        owner: the name of the embeddings in their network.
        feature: whose table it is.
        kind: of sharding.
        rank: that holds it.
        first: (row, column) of the table, where it begins.
        shape: (rows, columns).
    """

    owner: str
    feature: str
    kind: str
    rank: int
    first: tuple[int, int]
    shape: tuple[int, int]


def shards_of(
    network: nn.Module, dealing: Dealing, *, size: int, world: int, local: int, device: str, memory: int
) -> list[Shard] | None:
    """The pieces in which torchrec's planner would deal a network's tables to ranks; None where they do not fit.

    Args:
        network: with tables that are not placed, which are replaced by torchrec's on the meta device.
        dealing: how.
        size: bytes of all tables, with what is kept of them; where there is no room for that the planner is not asked.
        world, local: ranks, and ranks of each machine.
        device: "cuda" or "cpu"; it need not be there.
        memory: bytes of each device.

    Raises:
        UsageError: the kernels do not have the optimiser, or tables cannot be sharded so.
        EnvironmentFault: torchrec is not installed.
    """
    torchrec()
    from torchrec.distributed.planner.types import PlannerError

    tables = {
        table_name(owner, place): (owner, feature)
        for owner, module in embeddings_of(network)
        for place, (feature, _) in enumerate(module.features)
    }
    with quietly():
        limits = describe(network, dealing, device=device)
        if size > world * (1 - RESERVED) * memory:
            return None
        planner = planned(limits, world=world, device=device, memory=memory, batch=dealing.batch, local=local)
        try:
            plan = planner.plan(network, [sharder()])
        except PlannerError:
            return None
    return [
        Shard(
            *tables[name],
            kind=dealt.sharding_type,
            rank=piece.placement.rank(),
            first=tuple(piece.shard_offsets),
            shape=tuple(piece.shard_sizes),
        )
        for collection in plan.plan.values()
        for name, dealt in collection.items()
        for piece in dealt.sharding_spec.shards
        if all(piece.shard_sizes)
    ]
