"""DeepCTR-Torch's DeepFM: its bare step on tensors made before, and its `fit` on arrays in memory."""

from __future__ import annotations

import numpy as np
import requests
import torch
from throughput.steps import Asked, Found, Rows, serve, timed, timed_fit, weights
from torch import Tensor
from torch.nn.functional import binary_cross_entropy


def offline(*_: object) -> None:
    """The package asks an index for a newer version of itself when it is imported; it takes an error for a no."""
    raise ConnectionError


requests.get = offline

from deepctr_torch.inputs import DenseFeat, SparseFeat  # noqa: E402
from deepctr_torch.models import DeepFM  # noqa: E402


def model_of(asked: Asked, rows: Rows) -> DeepFM:
    """With Adam over all weights, as its examples have it."""
    dim = asked.embedding_dim
    columns = [SparseFeat(f"c{k}", vocabulary_size=n, embedding_dim=dim) for k, n in enumerate(rows.counts)]
    columns += [DenseFeat(f"n{k}", 1) for k in range(rows.numbers.shape[1])]
    decay = {"l2_reg_linear": 0, "l2_reg_embedding": 0, "l2_reg_dnn": 0}
    model = DeepFM(columns, columns, dnn_hidden_units=asked.hidden, dnn_dropout=0, **decay)
    model.compile("adam", "binary_crossentropy")
    return model


def step(asked: Asked, rows: Rows) -> Found:
    """Forward, loss, backward and optimiser, as in its `fit`."""
    model = model_of(asked, rows).train()
    joined = torch.from_numpy(np.concatenate([rows.ids.astype(np.float32), rows.numbers], 1))
    labels = torch.from_numpy(rows.labels)
    ready = [(joined[part].clone(), labels[part].clone()) for part in rows.slices(asked.batch)]

    def train(number: int) -> Tensor:
        inputs, clicked = ready[number % len(ready)]
        predicted = model(inputs).squeeze(-1)
        model.optim.zero_grad()
        loss = binary_cross_entropy(predicted, clicked, reduction="sum")
        loss.backward()
        model.optim.step()
        return loss.detach()

    return {"seconds": timed(train, asked), "weights": weights(model)}


def fitted(asked: Asked, rows: Rows) -> Found:
    """Its `fit`, quiet and without metrics; columns of one type, so that its joined array is no wider than it need."""
    model = model_of(asked, rows)
    columns = {f"c{k}": rows.ids[:, k].astype(np.float32) for k in range(len(rows.counts))}
    columns |= {f"n{k}": rows.numbers[:, k] for k in range(rows.numbers.shape[1])}
    how = {"batch_size": asked.batch, "epochs": 1, "verbose": 0}
    return {
        "seconds": timed_fit(model, lambda: model.fit(columns, rows.labels, **how), asked),
        "weights": weights(model),
    }


if __name__ == "__main__":
    serve({"step": step, "fit": fitted}, "deepctr-torch")
