"""torch-rechub's DeepFM: its bare step on tensors made before, and its trainer's `fit` over its own loader."""

from __future__ import annotations

import numpy as np
import torch
from throughput.steps import Asked, Found, Rows, serve, timed, timed_fit, weights
from torch import Tensor
from torch_rechub.basic.features import DenseFeature, SparseFeature
from torch_rechub.models.ranking import DeepFM
from torch_rechub.trainers import CTRTrainer
from torch_rechub.utils.data import DataGenerator


def trainer_of(asked: Asked, rows: Rows) -> CTRTrainer:
    """With Adam over all weights, its default, without the decay that it has by default."""
    ids = [SparseFeature(f"c{k}", vocab_size=n, embed_dim=asked.embedding_dim) for k, n in enumerate(rows.counts)]
    numbers = [DenseFeature(f"n{k}") for k in range(rows.numbers.shape[1])]
    dense = {"dims": asked.hidden, "dropout": 0, "activation": "relu"}
    model = DeepFM(deep_features=numbers + ids, fm_features=ids, mlp_params=dense)
    return CTRTrainer(model, optimizer_params={"lr": 1e-3}, n_epoch=1, device="cpu")


def columns_of(rows: Rows) -> dict[str, np.ndarray]:
    """By name; ids of the type that its embeddings look up."""
    columns = {f"c{k}": rows.ids[:, k].astype(np.int64) for k in range(len(rows.counts))}
    return columns | {f"n{k}": np.ascontiguousarray(rows.numbers[:, k]) for k in range(rows.numbers.shape[1])}


def step(asked: Asked, rows: Rows) -> Found:
    """Forward, loss, backward and optimiser, as in its trainer."""
    trainer, columns, labels = trainer_of(asked, rows), columns_of(rows), torch.from_numpy(rows.labels)
    model = trainer.model.train()
    parts = rows.slices(asked.batch)
    ready = [({n: torch.from_numpy(c[part]) for n, c in columns.items()}, labels[part]) for part in parts]

    def train(number: int) -> Tensor:
        inputs, clicked = ready[number % len(ready)]
        loss = trainer.criterion(model(inputs), clicked)
        model.zero_grad()
        loss.backward()
        trainer.optimizer.step()
        return loss.detach()

    return {"seconds": timed(train, asked), "weights": weights(model)}


def fitted(asked: Asked, rows: Rows) -> Found:
    """Its trainer's `fit` over the training loader that its data generator makes."""
    trainer, columns = trainer_of(asked, rows), columns_of(rows)
    held = {"x_val": columns, "y_val": rows.labels, "x_test": columns, "y_test": rows.labels}
    loader, *_ = DataGenerator(columns, rows.labels).generate_dataloader(**held, batch_size=asked.batch)
    seconds = timed_fit(trainer.model, lambda: trainer.fit(loader), asked)
    return {"seconds": seconds, "weights": weights(trainer.model)}


if __name__ == "__main__":
    serve({"step": step, "fit": fitted}, "torch-rechub")
