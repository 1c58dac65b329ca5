"""Each kind of compact tables, told so that small features are held by it; and ids to look up."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from recdistill.batch import Batch
from recdistill.features import PAD, FeatureSpec

SPEC = FeatureSpec((("user", 50), ("item", 40), ("shop", 3)), (("seen", 40), ("tags", 9)), ("age",), (("image", 3),))
KINDS: dict[str, dict[str, Any]] = {
    "hashing": {"kind": "hashing", "buckets": 8},
    "double_hashing": {"kind": "double_hashing", "buckets": 8, "frequent": 3},
    "quotient_remainder": {"kind": "quotient_remainder", "buckets": 7},
    "mixed_dimension": {"kind": "mixed_dimension", "head": 4, "step": 3, "alpha": 0.5},
    "low_rank": {"kind": "low_rank", "rank": 2},
    "shared": {"kind": "shared", "features": [["item", "seen"]]},
}
NARROW = ("mixed_dimension", "low_rank")


def drawn(spec: FeatureSpec = SPEC, rows: int = 60, seed: int = 0) -> Batch:
    """Rows in which every id occurs, with lists of one to four ids."""
    generator = torch.Generator().manual_seed(seed)

    def ids(count: int, width: int) -> Tensor:
        found = torch.randint(count, (rows, width), generator=generator, dtype=torch.int32)
        found[: min(rows, count), 0] = torch.arange(min(rows, count))
        return found.masked_fill(torch.arange(width) > torch.randint(4, (rows, 1), generator=generator), PAD)

    single = [torch.zeros(rows, 0, dtype=torch.int32), *(ids(count, 1) for _, count in spec.categorical)]
    widths = (len(spec.number), *(dim for _, dim in spec.vector))
    number, *vector = (torch.randn(rows, width, generator=generator) for width in widths)
    return Batch(torch.cat(single, 1), tuple(ids(count, 4) for _, count in spec.multi), number, tuple(vector))
