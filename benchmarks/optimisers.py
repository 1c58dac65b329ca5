"""Which optimiser for the source teacher? Each candidate trains the same network on MovieLens-1M's men.

    python benchmarks/optimisers.py $RECDISTILL_DATA/ml-1m

Scores are those of held-out source rows; no target row is read. A candidate that is already in the result file is
not trained again. Writes `benchmarks/results/optimisers/results.json` and `README.md`.
"""

from __future__ import annotations

import argparse
import platform
from pathlib import Path
from typing import Any

import torch

from recdistill.artefacts import read_json, write_json, write_text
from recdistill.datasets import movielens
from recdistill.encoder import Encoder
from recdistill.examples import Examples
from recdistill.fit_settings import FitSettings
from recdistill.metrics import auc
from recdistill.models import build
from recdistill.ranker import Ranker
from recdistill.settings import fill
from recdistill.splits import split
from recdistill.training import fit

FOLDER = Path(__file__).parent / "results" / "optimisers"
MODEL = {"embedding_dim": 32, "hidden": [256, 128]}
DEFAULTS = {"epochs": 15, "weight_decay": 0.0}
CANDIDATES: list[dict[str, Any]] = [
    {"optimiser": "adam", "learning_rate": 1e-3, "batch_size": 4096},
    {"optimiser": "adam", "learning_rate": 1e-3, "weight_decay": 1e-5, "batch_size": 4096},
    {"optimiser": "adam", "learning_rate": 1e-3, "weight_decay": 1e-5, "batch_size": 2048},
    {"optimiser": "adam", "learning_rate": 2e-3, "weight_decay": 1e-5, "batch_size": 2048},
    {"optimiser": "adam", "learning_rate": 2e-3, "weight_decay": 3e-5, "batch_size": 2048},
    {"optimiser": "adam", "learning_rate": 2e-3, "weight_decay": 1e-4, "batch_size": 2048},
    {"optimiser": "adam", "learning_rate": 4e-3, "weight_decay": 1e-5, "batch_size": 2048},
    {"optimiser": "adamw", "learning_rate": 2e-3, "weight_decay": 1e-1, "batch_size": 2048},
    {"optimiser": "adagrad", "learning_rate": 2e-2, "batch_size": 2048},
    {"optimiser": "adagrad", "learning_rate": 5e-2, "batch_size": 2048},
    {"optimiser": "sgd", "learning_rate": 0.5, "batch_size": 2048},
]
HEADER = "| optimiser | learning rate | weight decay | batch | AUC | log loss | best epoch |"


def main() -> None:
    """Train what is missing, keep each result, write the page."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("root", type=Path, help="the folder of MovieLens-1M")
    arguments.add_argument("--threads", type=int, default=1, help="of torch (default 1)")
    asked = arguments.parse_args()
    torch.set_num_threads(asked.threads)
    source, _ = movielens.load(asked.root)
    train, valid, _ = split(source, valid=0.1, test=0.05)
    encoder = Encoder.fit(train)
    examples, held_out = Examples.of(encoder, train), Examples.of(encoder, valid)
    facts = {"torch": torch.__version__, "python": platform.python_version(), "threads": asked.threads}
    head = {"model": MODEL, "rows": len(train), "valid_rows": len(valid), **facts}
    file = FOLDER / "results.json"
    results: list[dict[str, Any]] = read_json(file)["results"] if file.is_file() else []
    for candidate in CANDIDATES:
        if any(entry["settings"] == candidate for entry in results):
            continue
        ranker = Ranker(encoder, build("deepfm", encoder.spec, arguments=MODEL))
        found = fit(ranker, examples, valid=held_out, settings=fill(FitSettings, {**DEFAULTS, **candidate}))
        scores = ranker.score(held_out.features)
        entry = {"settings": candidate, "auc": auc(scores, valid.labels), "logloss": found.score}
        results.append({**entry, "best_epoch": found.best_epoch})
        print(results[-1], flush=True)
        write_json(file, {**head, "results": results})
    write_text(FOLDER / "README.md", page(results, len(train), len(valid)))


def page(results: list[dict[str, Any]], rows: int, valid_rows: int) -> str:
    """The results as Markdown, best log loss first."""
    lines = ["# Optimisers for the source teacher", ""]
    lines += ["Made by `python benchmarks/optimisers.py $RECDISTILL_DATA/ml-1m`: a DeepFM with embeddings of"]
    lines += [
        f"{MODEL['embedding_dim']} and hidden layers {MODEL['hidden']} on {rows:,} of the source's rows; scores of"
    ]
    lines += [f"{valid_rows:,} held-out source rows, best epoch of at most {DEFAULTS['epochs']}, one seed each."]
    lines += ["", "`FitSettings` defaults to Adam at 2e-3 with weight decay 1e-5: among the lines at the top, whose"]
    lines += ["differences one seed cannot tell apart, it is one of those that need few epochs."]
    lines += ["", HEADER, "|" + "---|" * 7]
    for entry in sorted(results, key=lambda e: e["logloss"]):
        chosen = entry["settings"]
        cells = [chosen["optimiser"], f"{chosen['learning_rate']:g}", f"{chosen.get('weight_decay', 0):g}"]
        cells += [str(chosen["batch_size"]), f"{entry['auc']:.4f}", f"{entry['logloss']:.4f}"]
        cells.append(str(entry["best_epoch"]))
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main()
