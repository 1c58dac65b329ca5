"""How fast this machine multiplies: a product as large as the first layer's in the dense network's forward."""

from __future__ import annotations

from dataclasses import replace

import torch
from throughput.floor import width
from throughput.steps import Asked, Found, Rows, serve, timed

REPEATS = 10  # for a step of the others: the best of many counts


def step(asked: Asked, rows: Rows) -> Found:
    """Products of (batch, width) and (width, hidden) matrices."""
    wide = width(asked, rows, numbers_embedded=True)
    left, right = torch.randn(asked.batch, wide), torch.randn(wide, asked.hidden[0])
    out = torch.empty(asked.batch, asked.hidden[0])
    operations = 2 * left.numel() * right.shape[1]

    def multiply(_: int) -> float:
        torch.mm(left, right, out=out)
        return 0.0

    return {"seconds": timed(multiply, replace(asked, steps=REPEATS * asked.steps)), "operations": operations}


if __name__ == "__main__":
    serve({"step": step}, "recdistill")
