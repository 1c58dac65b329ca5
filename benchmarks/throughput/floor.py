"""The dense network alone, on random inputs: forward, backward (to the inputs too, where embeddings would be), Adam."""

from __future__ import annotations

import torch
from throughput.steps import Asked, Found, Rows, serve, timed, weights
from torch import Tensor, nn

from recdistill.models.layers import dense


def width(asked: Asked, rows: Rows, *, numbers_embedded: bool) -> int:
    """Of the dense network's input."""
    numbers = rows.numbers.shape[1]
    return len(rows.counts) * asked.embedding_dim + numbers * (asked.embedding_dim if numbers_embedded else 1)


def step(asked: Asked, rows: Rows) -> Found:
    """Steps of the network alone."""
    wide = width(asked, rows, numbers_embedded=asked.arguments["numbers_embedded"])
    network = dense(wide, asked.hidden)
    optimiser = torch.optim.Adam(network.parameters(), fused=True)
    inputs = torch.randn(asked.batch, wide, requires_grad=asked.arguments["to_inputs"])
    labels = torch.from_numpy(rows.labels[: asked.batch])

    def train(_: int) -> Tensor:
        loss = nn.functional.binary_cross_entropy_with_logits(network(inputs).squeeze(1), labels)
        optimiser.zero_grad()
        inputs.grad = None
        loss.backward()
        optimiser.step()
        return loss.detach()

    products = sum(p.numel() for p in network.parameters() if p.ndim == 2)
    # A product forward, one for the gradient of its weights and one for that of its inputs.
    least = 0 if asked.arguments["to_inputs"] else 2 * wide * asked.hidden[0]
    operations = (6 * products - least) * asked.batch
    return {"seconds": timed(train, asked), "weights": weights(network), "operations": operations}


if __name__ == "__main__":
    serve({"step": step}, "recdistill")
