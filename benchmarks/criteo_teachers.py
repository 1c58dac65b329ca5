"""Which model is the best teacher on Criteo's 137,139 rows, and is it better than logistic regression?

    python benchmarks/criteo_teachers.py $RECDISTILL_DATA/criteo-kaggle-137k --workers 2

The rows are split by position, 80/10/10. Each model of the package gets the same ten trials, stopped early on the
validation rows. What is decided beforehand: a model's best trial is the one with the lowest validation log loss (seed
0); it is trained with three seeds; the teacher is the model whose mean validation log loss over them is lowest. Test
rows are scored once, after the teacher's name is in the result file.

Trained rankers are kept in `--runs`, so the same command continues. Writes `benchmarks/results/criteo_teachers/`.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import torch
from criteo_teachers_page import REFERENCE, page

from recdistill.artefacts import digest, manifest, write_json, write_text
from recdistill.datasets import criteo
from recdistill.encoder import Encoder
from recdistill.encoder_settings import EncoderSettings
from recdistill.evaluation import compare
from recdistill.examples import Examples
from recdistill.fit_settings import FitSettings
from recdistill.metrics import auc, logloss
from recdistill.models import build
from recdistill.progress import Board, Watch
from recdistill.ranker import Ranker
from recdistill.settings import fill
from recdistill.splits import split
from recdistill.tables import Table
from recdistill.terminal import TerminalBoard, console
from recdistill.training import fit
from recdistill.work import Unit, Workers

FOLDER = Path(__file__).parent / "results" / "criteo_teachers"
COMMAND = "python benchmarks/criteo_teachers.py $RECDISTILL_DATA/criteo-kaggle-137k --workers 2"
SEEDS = 3
FIT = {"epochs": 20, "batch_size": 1024}
LAZY = {"embedding_optimiser": "lazy_adam"}
# Per trial: transform of numbers, rows that an id needs, embedding_dim, hidden layers, dropout, and how to fit.
TRIALS: list[tuple[str, int, int, list[int], float, dict[str, Any]]] = [
    ("quantiles", 5, 4, [64, 32], 0.3, {**LAZY, "learning_rate": 1e-3, "embedding_weight_decay": 1e-4}),
    ("quantiles", 2, 4, [64, 32], 0.5, {**LAZY, "learning_rate": 1e-3, "embedding_weight_decay": 1e-4}),
    ("log_buckets", 5, 4, [64, 32], 0.3, {**LAZY, "learning_rate": 1e-3, "embedding_weight_decay": 1e-4}),
    ("log_buckets", 2, 4, [64, 32], 0.5, {**LAZY, "learning_rate": 3e-3, "embedding_weight_decay": 1e-6}),
    ("log", 5, 2, [32], 0.5, {**LAZY, "learning_rate": 2e-3, "embedding_weight_decay": 1e-4}),
    ("quantiles", 5, 2, [32], 0.3, {**LAZY, "learning_rate": 3e-3, "embedding_weight_decay": 1e-6}),
    ("quantiles", 2, 2, [32], 0.5, {**LAZY, "learning_rate": 2e-3, "embedding_weight_decay": 1e-3}),
    ("quantiles", 5, 8, [128, 64], 0.5, {**LAZY, "learning_rate": 5e-4, "embedding_weight_decay": 1e-4}),
    ("quantiles", 5, 8, [64, 32], 0.3, {"learning_rate": 1e-3, "weight_decay": 1e-5}),
    (
        "quantiles",
        5,
        4,
        [64, 32],
        0.3,
        {"embedding_optimiser": "adagrad", "learning_rate": 1e-3, "embedding_learning_rate": 2e-2},
    ),
]


@dataclass(frozen=True)
class Candidate:
    """One fit: a model with all its settings, and the seed of its weights and of its training."""

    model: str
    trial: int
    arguments: Mapping[str, Any]
    encoder: Mapping[str, Any]
    fit: Mapping[str, Any]
    seed: int = 0

    @property
    def place(self) -> str:
        return f"{self.model}/trial-{self.trial}/seed-{self.seed}"

    def identity(self, rows: str) -> str:
        """Of the candidate on rows with a fingerprint."""
        return digest({"rows": rows, **asdict(self)})


def arguments_of(dim: int, hidden: list[int], dropout: float) -> dict[str, dict[str, Any]]:
    """Per model, its arguments for embeddings and hidden layers of these sizes."""
    layers = {"embedding_dim": dim, "hidden": hidden, "dropout": dropout}
    return {
        "lr": {},
        "fm": {"embedding_dim": dim},
        "mlp": layers,
        "wide_deep": layers,
        "deepfm": layers,
        "dlrm": {"embedding_dim": dim, "bottom": hidden[:1], "top": hidden, "dropout": dropout},
        "dcnv2": {**layers, "crosses": 2},
        "finalmlp": {"embedding_dim": dim, "streams": [hidden, hidden], "dropout": dropout},
    }


def candidates() -> list[Candidate]:
    """Every trial of every model, seed 0."""
    found = []
    for number, (numbers, min_count, dim, hidden, dropout, how) in enumerate(TRIALS, start=1):
        encoder = {"numbers": numbers, "min_count": min_count}
        for model, arguments in arguments_of(dim, hidden, dropout).items():
            found.append(Candidate(model, number, arguments, encoder, {**FIT, **how}))
    return found


def main() -> None:
    """Trials, seeds, the choice, and only then the test rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, help="the folder of train.txt or train.txt.gz")
    parser.add_argument("--workers", type=int, default=1, help="processes of one thread each (default 1)")
    parser.add_argument("--runs", type=Path, default=Path("runs/criteo_teachers"), help="where rankers are kept")
    parser.add_argument("--out", type=Path, default=FOLDER, help="where the page goes")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    run(asked.root, asked.runs, asked.out, candidates(), workers=asked.workers, board=TerminalBoard(console()))


def run(
    root: Path, runs: Path, out: Path, tried: Sequence[Candidate], *, workers: int = 1, board: Board | None = None
) -> dict[str, Any]:
    """All stages, and the page.

    Args:
        root: the folder of the data.
        runs: where rankers are kept; whole ones of the same rows and settings are not made again.
        out: where `results.json` and `README.md` go.
        tried: the trials, of seed 0.
        workers: processes.
        board: told how far it is.
    """
    table = criteo.read(root)
    parts = dict(zip(("train", "valid", "test"), split_rows(table), strict=True))
    facts = {"torch": torch.__version__, "python": platform.python_version()}
    counts = {name: {"rows": len(part), "clicks": int(part.labels.sum())} for name, part in parts.items()}
    result: dict[str, Any] = {"command": COMMAND, **facts, "data": counts, "rows_fingerprint": table.fingerprint}
    told = (root, runs, table.fingerprint)
    with Workers(workers, board) as crew:
        result["trials"] = made(crew, "trials", tried, *told)
        best = {model: lowest(result["trials"], model) for model in dict.fromkeys(c.model for c in tried)}
        again = [replace(c, seed=seed) for c in tried if c.trial == best[c.model]["trial"] for seed in range(SEEDS)]
        result["seeds"] = made(crew, "seeds", again, *told)
    result["chosen"] = chosen(result["seeds"])
    write_json(out / "results.json", result)
    result["test"] = tested(runs, again, parts["test"])
    write_json(out / "results.json", result)
    write_text(out / "README.md", page(result))
    return result


def made(
    crew: Workers, stage: str, wanted: Sequence[Candidate], root: Path, runs: Path, rows: str
) -> list[dict[str, Any]]:
    """Train what is missing; every candidate with what its validation rows said."""
    units = [
        Unit(c.place, runs / c.place, c.identity(rows), train_one, (root, runs / c.place, c, c.identity(rows)))
        for c in wanted
    ]
    crew.carry_out(stage, units)
    kept = ("auc", "logloss", "best_epoch", "parameters", "seconds")
    facts = [manifest(unit.folder)["facts"] for unit in units]
    return [asdict(c) | {name: found[name] for name in kept} for c, found in zip(wanted, facts, strict=True)]


def train_one(root: Path, folder: Path, candidate: Candidate, prepared: str, watch: Watch) -> str:
    """Train a candidate, stop it on the validation rows and keep it with their scores; no test row is read."""
    encoder, train, valid = encoded(root, **candidate.encoder)
    network = build(candidate.model, encoder.spec, seed=candidate.seed, arguments=candidate.arguments)
    ranker = Ranker(encoder, network)
    settings = fill(FitSettings, {**candidate.fit, "seed": candidate.seed, "device": "cpu"})
    started = time.process_time()
    found = fit(ranker, train, valid=valid, settings=settings, progress=watch.part(0, 1))
    seconds = time.process_time() - started
    scores, labels = ranker.score(valid.features), valid.label.numpy()
    reached = {"auc": auc(scores, labels), "logloss": logloss(scores, labels)}
    cost = {"parameters": ranker.parameters, "seconds": seconds}
    ranker.save(folder, prepared=prepared, best_epoch=found.best_epoch, **reached, **cost)
    return f"validation log loss {reached['logloss']:.4f}, AUC {reached['auc']:.4f}, epoch {found.best_epoch}"


@cache
def encoded(root: Path, *, numbers: str, min_count: int) -> tuple[Encoder, Examples, Examples]:
    """An encoder fitted on the training rows, and the encoded training and validation rows."""
    train, valid, _ = split_rows(criteo.read(root))
    encoder = fill(EncoderSettings, {"numbers": numbers, "min_count": min_count}).fit(train)
    return encoder, Examples.of(encoder, train), Examples.of(encoder, valid)


def split_rows(table: Table) -> tuple[Table, Table, Table]:
    """80/10/10 by position, which is time."""
    return split(table, valid=0.1, test=0.1, by="position")


def lowest(trials: Sequence[Mapping[str, Any]], model: str) -> Mapping[str, Any]:
    """A model's trial with the lowest validation log loss."""
    return min((t for t in trials if t["model"] == model), key=lambda t: t["logloss"])


def chosen(seeds: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The model whose mean validation log loss over seeds is lowest, and the next that is not the reference."""
    models = dict.fromkeys(entry["model"] for entry in seeds)
    means = {m: mean(entry["logloss"] for entry in seeds if entry["model"] == m) for m in models}
    ranked = sorted(means, key=lambda m: means[m])
    return {"teacher": ranked[0], "best_but_reference": next(m for m in ranked if m != REFERENCE)}


def tested(runs: Path, trained: Sequence[Candidate], test: Table) -> dict[str, Any]:
    """Test metrics of each model's seeds, and each model's paired difference to the reference."""
    scores: dict[str, list[Any]] = {}
    for candidate in trained:
        ranker = Ranker.load(runs / candidate.place)
        scores.setdefault(candidate.model, []).append(ranker.score(test).astype(np.float64))
    stacked = {model: np.stack(found) for model, found in scores.items()}
    metrics = {"auc": auc, "logloss": logloss}
    models = {
        model: {name: [metric(row, test.labels) for row in found] for name, metric in metrics.items()}
        for model, found in stacked.items()
    }
    reference = stacked[REFERENCE]
    compared = [
        {"a": model, "b": REFERENCE, **compare(found, reference, test, metric)}
        for model, found in stacked.items()
        if model != REFERENCE
        for metric in metrics
    ]
    # Against a constant score, whose AUC is ½ whatever the rows: the standard error of an AUC by itself.
    alone = compare(reference, np.zeros_like(reference), test, "auc")["rows_error"]
    return {"models": models, "comparisons": compared, "sampling_error": alone}


if __name__ == "__main__":
    main()
