"""One trial of the benchmark of optimisers: train on rows of a data set, look at held-out rows now and then."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from recdistill.datasets import criteo, movielens
from recdistill.encoder import Encoder
from recdistill.encoder_settings import EncoderSettings
from recdistill.errors import DataError, TrainingError
from recdistill.examples import Examples
from recdistill.fit_settings import FitSettings
from recdistill.metrics import auc, logloss
from recdistill.models import build
from recdistill.ranker import Ranker
from recdistill.settings import fill
from recdistill.sources import InMemory
from recdistill.splits import split
from recdistill.steps import Steps, hard_labels
from recdistill.tables import Table
from recdistill.trainees import Alone

MODEL = {"embedding_dim": 16, "hidden": [64, 32]}


@dataclass(frozen=True)
class DataSet:
    """Rows to judge optimisers by.

    Args:
        folder: its name in the folder of the data sets.
        words: what it is, for the page.
        batch_size: rows a step.
        epochs: the budget of rows, in passes over the training rows.
        looks: evaluations an epoch.
        encoder: how its columns become ids and numbers.
    """

    folder: str
    words: str
    batch_size: int
    epochs: int
    looks: int
    encoder: EncoderSettings


DATA_SETS = {
    "movielens": DataSet("ml-1m", "MovieLens-1M's men", 1024, 4, 4, EncoderSettings()),
    "criteo": DataSet(
        "criteo-kaggle-137k", "Criteo 137k", 1024, 3, 8, EncoderSettings(min_count=5, numbers="log_buckets")
    ),
}


class Rows(NamedTuple):
    """A data set's encoder with its training and its held-out rows."""

    encoder: Encoder
    train: Examples
    valid: Examples


@cache
def rows_of(name: str, root: Path) -> Rows:
    """The rows of a data set of `DATA_SETS`; its test rows are left where they are."""
    chosen = DATA_SETS[name]
    train, valid = parts(name, root / chosen.folder)
    encoder = chosen.encoder.fit(train)
    return Rows(encoder, Examples.of(encoder, train), Examples.of(encoder, valid))


def parts(name: str, folder: Path) -> tuple[Table, Table]:
    """Training and held-out rows: at random of MovieLens' source, by position of Criteo."""
    if name == "movielens":
        source, _ = movielens.load(folder)
        return split(source, valid=0.1, test=0.05)[:2]
    return split(criteo.read(folder), valid=0.1, test=0.1, by="position")[:2]


def tried(name: str, root: Path, settings: dict[str, Any], seed: int) -> dict[str, Any]:
    """Train once.

    Args:
        name: of a data set.
        root: the folder of the data sets.
        settings: of the fit, but for epochs, batch size and seed.
        seed: of the weights, the order of rows and the unseen ids.

    Returns:
        per evaluation the rows trained on, the steps' processor seconds, AUC and log loss, each (evaluations,).

    Raises:
        TrainingError: it diverged.
    """
    chosen, rows = DATA_SETS[name], rows_of(name, root)
    given = {**settings, "batch_size": chosen.batch_size, "epochs": chosen.epochs, "seed": seed, "device": "cpu"}
    filled = fill(FitSettings, given)
    ranker = Ranker(rows.encoder, build("deepfm", rows.encoder.spec, seed=seed, arguments=MODEL))
    steps = Steps(Alone(ranker.network, filled), hard_labels, filled, rows.encoder.spec)
    source = InMemory(rows.train, chosen.batch_size, seed)
    ends = {round(source.steps * (k + 1) / chosen.looks) for k in range(chosen.looks)}
    found: dict[str, list[float]] = {"rows": [], "seconds": [], "auc": [], "logloss": []}
    spent, seen = 0.0, 0
    for epoch in range(chosen.epochs):
        ranker.network.train()
        batches, started = source.epoch(epoch), time.process_time()
        for step, examples in enumerate(batches):
            steps.step(examples, epoch, step)
            seen += len(examples)
            if step + 1 in ends:
                spent += time.process_time() - started
                for key, value in {"rows": seen, "seconds": round(spent, 3), **judged(ranker, rows.valid)}.items():
                    found[key].append(value)
                ranker.network.train()
                started = time.process_time()
    return found


def judged(ranker: Ranker, valid: Examples) -> dict[str, float]:
    """AUC and log loss of the held-out rows.

    Raises:
        TrainingError: the last step has broken the weights.
    """
    try:
        scores, labels = ranker.score(valid.features).astype(np.float64), valid.label.numpy()
    except DataError as error:
        raise TrainingError(str(error)) from error
    return {"auc": round(auc(scores, labels), 6), "logloss": round(logloss(scores, labels), 6)}
