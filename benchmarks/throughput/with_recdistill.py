"""This package's DeepFM: the step of `fit` on examples made before, and `fit` on examples in memory."""

from __future__ import annotations

import math

import torch
from throughput.steps import Asked, Found, Rows, serve, timed, timed_fit, weights

from recdistill.batch import Batch
from recdistill.encoder import Encoder
from recdistill.examples import Examples
from recdistill.fit_settings import FitSettings
from recdistill.models import build
from recdistill.ranker import Ranker
from recdistill.settings import fill
from recdistill.steps import Steps, hard_labels
from recdistill.trainees import Alone
from recdistill.training import fit
from recdistill.transforms import Hashing, Scaled


def ranker_of(asked: Asked, rows: Rows) -> Ranker:
    """Untrained."""
    ids = {f"c{k}": ("categorical", Hashing(count - 1)) for k, count in enumerate(rows.counts)}
    numbers = {f"n{k}": ("number", Scaled(mean=(0.0,), deviation=(1.0,))) for k in range(rows.numbers.shape[1])}
    encoder = Encoder({**ids, **numbers})
    model = {"embedding_dim": asked.embedding_dim, "hidden": asked.hidden}
    return Ranker(encoder, build("deepfm", encoder.spec, arguments=model))


def settings_of(asked: Asked) -> FitSettings:
    """No decay, as for the peers; the rest is the subject's, or the default."""
    plain = {"epochs": 1, "batch_size": asked.batch, "weight_decay": 0.0, "device": "cpu"}
    return fill(FitSettings, {**plain, **asked.arguments})


def examples_of(rows: Rows) -> Examples:
    """All rows."""
    label = torch.from_numpy(rows.labels)
    features = Batch(torch.from_numpy(rows.ids), (), torch.from_numpy(rows.numbers), ())
    return Examples(features, label, torch.full_like(label, math.nan), torch.ones_like(label))


def step(asked: Asked, rows: Rows) -> Found:
    """Steps of `fit`: unseen ids drawn, forward, loss, backward, optimiser."""
    ranker, settings, examples = ranker_of(asked, rows), settings_of(asked), examples_of(rows)
    count = weights(ranker.network)
    steps = Steps(Alone(ranker.network.train(), settings), hard_labels, settings, ranker.encoder.spec)
    ready = [examples.rows(torch.arange(part.start, part.stop)) for part in rows.slices(asked.batch)]
    seconds = timed(lambda number: steps.step(ready[number % len(ready)], 0, number), asked)
    return {"seconds": seconds, "weights": count, "settings": settings.model_dump()}


def fitted(asked: Asked, rows: Rows) -> Found:
    """`fit` over examples in memory, in random order."""
    ranker, settings = ranker_of(asked, rows), settings_of(asked)
    count = weights(ranker.network)
    seconds = timed_fit(ranker.network, lambda: fit(ranker, examples_of(rows), settings=settings), asked)
    return {"seconds": seconds, "weights": count, "settings": settings.model_dump()}


if __name__ == "__main__":
    serve({"step": step, "fit": fitted}, "recdistill")
