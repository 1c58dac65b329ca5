"""Started by torchrun: how many bytes collectives really carry between ranks in a step, to a JSON file.

What a rank has for itself counts too.

Args: the kind of sharding, and the file to write.
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch.utils._python_dispatch import TorchDispatchMode

from recdistill.batch import Batch
from recdistill.features import FeatureSpec
from recdistill.models import build
from recdistill.models.embeddings import unplaced
from recdistill.models.embeddings.sharding import Dealing, deal
from recdistill.ranks import current

SPEC = FeatureSpec(categorical=(("user", 40), ("item", 24)), multi=(("tags", 16),), number=("price",))
MODEL, ARGUMENTS = "mlp", {"embedding_dim": 8, "hidden": [4]}
ROWS, LENGTH = 10, 3  # of each rank in a step; ids in each list


class Given(TorchDispatchMode):
    """Counts the bytes that collectives are given, by their name and the type of the numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes: Counter[tuple[str, torch.dtype]] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = str(func)
        if "c10d" in name:  # (output, input), but an all-reduce has one list of both
            given = args[0][0] if "allreduce" in name else args[1]
            self.bytes[name, given.dtype] += given.nbytes
        return func(*args, **(kwargs or {}))

    def of(self, *names: str, dtype: torch.dtype) -> float:
        return sum(size for (name, kind), size in self.bytes.items() if kind == dtype and any(n in name for n in names))


def main(sharding: str, out: str) -> None:
    dist.init_process_group("gloo")
    ranks = current()
    assert ranks is not None
    with unplaced():
        network = build(MODEL, SPEC, arguments=ARGUMENTS)
    dealing = Dealing("rowwise_adagrad", lr=0.1, weight_decay=0, sharding=sharding)
    network = deal(network, dealing, device="cpu").network
    generator = torch.Generator().manual_seed(ranks.rank)

    def drawn(rows: int, *shape: int) -> torch.Tensor:
        return torch.randint(0, rows, shape, generator=generator, dtype=torch.int32)

    ids = torch.stack([drawn(rows, ROWS) for _, rows in SPEC.categorical], 1)
    lists = tuple(drawn(rows, ROWS, LENGTH) for _, rows in SPEC.multi)
    batch = Batch(ids, lists, torch.randn(ROWS, len(SPEC.number)), ())
    network(batch).sum().backward()  # the first step does more
    with Given() as forward:
        logits = network(batch)
    with Given() as backward:
        logits.sum().backward()
    own = [
        forward.of("alltoall", dtype=torch.int32),
        forward.of("alltoall", "reduce_scatter", dtype=torch.float32),
        backward.of("alltoall", dtype=torch.float32)
        + ranks.world * backward.of("allgather", dtype=torch.float32),  # what is given once goes to each
        backward.of("allreduce", dtype=torch.float32),
    ]
    summed = ranks.summed(own)
    if ranks.first:
        Path(out).write_text(json.dumps(dict(zip(("ids", "vectors", "gradients", "dense"), summed, strict=True))))
    dist.barrier()
    os._exit(0)  # torch now and then aborts while it takes the group down, which is not what is looked at


if __name__ == "__main__":
    main(*sys.argv[1:])
