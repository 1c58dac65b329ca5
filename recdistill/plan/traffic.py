"""What ranks send each other in a step.

B is the rows of each rank in a step, W the ranks, L the mean number of ids that a row looks up in a table, D the
columns of a piece of it, p the share of the table's rows that are in the piece. Ids are spread evenly over a table's
rows, and int32; lengths of lists, one of each row and piece, too; vectors are float32. What a rank has for itself is in
the matrices, on their diagonal, and sent to nobody.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from recdistill.models.embeddings.shards import Shard
from recdistill.plan.network_size import FLOAT, DensePart, TableSize

ID = 4  # bytes
Matrix = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class Traffic:
    """Bytes of a step.

    Args:
        ids: (ranks, ranks) that the first sends to the second, lengths included.
        vectors: (ranks, ranks) of the forward pass; those of the backward pass go the other way.
        dense: that each rank sends to average the gradients of the dense part.
        local: ranks of each machine.
    """

    ids: Matrix
    vectors: Matrix
    dense: float
    local: int

    @property
    def world(self) -> int:
        """How many ranks there are."""
        return len(self.ids)

    def sent(self) -> dict[str, float]:
        """What all ranks together send, by what it is."""
        ids, vectors = (float(one.sum() - one.trace()) for one in (self.ids, self.vectors))
        return {"ids": ids, "vectors": vectors, "gradients": vectors, "dense": self.dense * self.world}

    def busiest(self) -> tuple[float, float]:
        """Bytes in the busiest direction of the busiest rank: to or from its own machine, and other machines.

        Gradients of the dense part are averaged in each machine and then over the M machines, 2 (M − 1) / M times
        their bytes, of which each of a machine's ranks has its share.
        """
        ranks = np.arange(self.world)
        same = (ranks[:, None] // self.local) == (ranks[None] // self.local)
        apart = ~np.eye(self.world, dtype=bool)
        busiest = [0.0, 0.0]
        for one in (self.ids, self.vectors, self.vectors.T):  # one after the other, all ranks at a time
            for place, where in enumerate((same & apart, ~same)):
                busiest[place] += float(max((one * where).sum(0).max(), (one * where).sum(1).max()))
        machines, whole = self.world // self.local, self.dense * self.world / max(1, 2 * (self.world - 1))
        between = 2 * (machines - 1) / machines * whole / self.local
        return busiest[0] + self.dense, busiest[1] + between

    def buffers(self) -> Matrix:
        """(ranks,) bytes that the exchange takes on each: ids received, vectors looked up, and vectors received."""
        return self.ids.sum(0) + self.vectors.sum(1) + self.vectors.sum(0)


def traffic_of(
    tables: Sequence[TableSize], shards: Sequence[Shard], dense: DensePart, *, world: int, local: int, rows: int
) -> Traffic:
    """What is sent.

    - Ids to each piece, from every rank: B (p L + 1) · 4 bytes.
    - Vectors from each piece, to every rank: B D · 4 bytes. Of a table whose rows are split these are sums over the
      piece's own rows, which are added where they arrive (`row_wise`). Where one machine has all rows
      (`table_row_wise`) they are added there first: from each piece to each rank of its machine, which adds for as many
      ranks as there are machines, W / local · B D · 4 bytes, and from there, once a table, to these: B D · 4 bytes.
    - Gradients of vectors: the same, the other way.
    - Gradients of the dense part's P parameters, all-reduced in a ring: 2 (W − 1) / W · P · 4 bytes from each rank.

    Args:
        tables: all of them.
        shards: the pieces of all of them.
        dense: the other part.
        world, local: ranks, and ranks of each machine.
        rows: B.
    """
    ids, vectors = np.zeros((world, world)), np.zeros((world, world))
    sizes = {(table.owner, table.feature): table for table in tables}
    for shard in shards:
        table, (count, columns) = sizes[shard.owner, shard.feature], shard.shape
        ids[:, shard.rank] += rows * (count / table.rows * table.length + 1) * ID
        if shard.kind == "table_row_wise" and world > local:
            _by_machine(vectors, shard, local, rows * columns * FLOAT)
        else:
            vectors[shard.rank] += rows * columns * FLOAT
    return Traffic(ids, vectors, 2 * (world - 1) / world * dense.parameters * FLOAT, local)


def _by_machine(vectors: Matrix, shard: Shard, local: int, size: int) -> None:
    """Add what goes from a piece to its machine and, with the table's first piece, from there to the others."""
    world, machine = len(vectors), shard.rank // local
    own = machine * local + np.arange(local)
    vectors[shard.rank, own] += world // local * size
    if shard.first != (0, 0):
        return
    for rank in own:
        to = np.arange(rank % local, world, local)
        vectors[rank, to[to // local != machine]] += size
