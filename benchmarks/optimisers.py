"""Optimisers of embedding tables, judged by quality and speed together, on MovieLens-1M's source and on Criteo 137k.

    OMP_NUM_THREADS=1 python benchmarks/optimisers.py $RECDISTILL_DATA

Dense Adam moves every row of every table at each step; the others update the rows of a batch alone. Each optimiser has
the same number of trials with seed 0; the one of best AUC is trained with four more seeds, and the optimiser that the
rule supports once more with bfloat16 products and without weight decay of its tables. Scores are those of held-out
rows; no test row is read. A run that is already in the result file is not made again. Writes
`benchmarks/results/optimisers/results.json` and `README.md`.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import platform
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import torch
from optimising.page import page
from optimising.trial import DATA_SETS, MODEL, tried
from optimising.verdict import chosen, verdict

from recdistill.artefacts import read_json, write_text
from recdistill.errors import TrainingError

FOLDER = Path(__file__).parent / "results" / "optimisers"
SEEDS = range(5)
VARIANTS: dict[str, dict[str, Any]] = {
    "unchanged": {},
    "bfloat16": {"precision": "bfloat16"},
    "no decay": {"embedding_weight_decay": 0.0},
}
Run = dict[str, Any]
Map = Callable[[Callable[..., Run], list[Any]], Iterable[Run]]
Job = tuple[str, str, dict[str, Any], int]  # data set, optimiser, settings of the fit, seed

# Learning rates and weight decays of dense Adam; learning rates of tables by the others, each with two weight decays of
# the tables beside one choice for the dense weights.
DENSE: dict[str, tuple[Sequence[float], Sequence[float]]] = {
    "movielens": ((2e-3, 4e-3, 8e-3), (1e-5, 3e-5)),
    "criteo": ((1e-3, 2e-3), (1e-4, 3e-4, 1e-3)),
}
RATES: dict[str, dict[str, Sequence[float]]] = {
    "movielens": {
        "lazy_adam": (2e-3, 4e-3, 8e-3),
        "rowwise_adagrad": (0.02, 0.05, 0.1),
        "adagrad": (0.02, 0.04, 0.08),
        "sgd": (4.0, 10.0, 15.0),
    },
    "criteo": {
        "lazy_adam": (5e-4, 1e-3, 2e-3),
        "rowwise_adagrad": (0.006, 0.012, 0.024),
        "adagrad": (0.006, 0.012, 0.024),
        "sgd": (0.25, 0.5, 1.0),
    },
}
BESIDE = {
    "movielens": (
        {"learning_rate": 2e-3, "weight_decay": 1e-5, "embedding_weight_decay": 1e-5},
        {"learning_rate": 2e-3, "weight_decay": 1e-5, "embedding_weight_decay": 3e-5},
    ),
    "criteo": (
        {"learning_rate": 2e-3, "weight_decay": 1e-4, "embedding_weight_decay": 3e-4},
        {"learning_rate": 2e-3, "weight_decay": 1e-4, "embedding_weight_decay": 1e-3},
    ),
}


def main() -> None:
    """Make the runs that are missing, keep each, write the page."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("root", type=Path, help="the folder of the folders ml-1m and criteo-kaggle-137k")
    arguments.add_argument("--processes", type=int, default=2, help="runs at a time, one thread each (default 2)")
    asked = arguments.parse_args()
    facts = {"model": MODEL, "torch": torch.__version__, "python": platform.python_version()}
    context = multiprocessing.get_context("spawn")
    with context.Pool(asked.processes, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        file, facts = FOLDER / "results.json", {**facts, "processes": asked.processes}
        result = all_runs(asked.root, file, facts, pool.imap_unordered)
    write_text(FOLDER / "README.md", page(result))
    print(page(result))


def all_runs(root: Path, file: Path, facts: dict[str, Any], over: Map) -> dict[str, Any]:
    """The result file's content after the last run.

    Args:
        root: the folder of the data sets.
        file: the results, kept after each run.
        facts: of the machine, for a file that is new.
        over: what makes the runs, `map` or one of several processes.
    """
    result = read_json(file) if file.is_file() else {"facts": facts, "runs": []}
    for stage in (first_trials, more_seeds, varied):
        known = [key(run) for run in result["runs"]]
        for run in over(made, [(root, job) for job in stage(result["runs"]) if job not in known]):
            result["runs"].append(run)
            keep(file, result)
            print(*key(run), max(run["auc"], default="diverged"), flush=True)
    return result


def made(given: tuple[Path, Job]) -> Run:
    """A job with what came of it; a training that diverged has no evaluations."""
    root, (name, optimiser, settings, seed) = given
    told = {"data": name, "optimiser": optimiser, "settings": settings, "seed": seed}
    try:
        return {**told, **tried(name, root, settings, seed)}
    except TrainingError as error:
        return {**told, "failed": str(error), "rows": [], "seconds": [], "auc": [], "logloss": []}


def key(run: Run) -> Job:
    """What a run is known by."""
    return run["data"], run["optimiser"], run["settings"], run["seed"]


def keep(file: Path, result: dict[str, Any]) -> None:
    """Write the result file, a run a line."""
    lines = ",\n".join(json.dumps(run, allow_nan=False) for run in result["runs"])
    write_text(file, f'{{"facts": {json.dumps(result["facts"])},\n"runs": [\n{lines}\n]}}\n')


def first_trials(runs: Sequence[Run]) -> Iterator[Job]:
    """Every optimiser's trials, with seed 0."""
    for name in DATA_SETS:
        for lr, decay in product(*DENSE[name]):
            yield name, "dense", {"learning_rate": lr, "weight_decay": decay}, 0
        for optimiser, rates in RATES[name].items():
            for lr, others in product(rates, BESIDE[name]):
                yield name, optimiser, {**others, "embedding_optimiser": optimiser, "embedding_learning_rate": lr}, 0


def more_seeds(runs: Sequence[Run]) -> Iterator[Job]:
    """Every optimiser's best trial with every seed; the optimisers take turns."""
    for seed, name in product(SEEDS, DATA_SETS):
        for optimiser in ("dense", *RATES[name]):
            yield name, optimiser, chosen(runs, name, optimiser), seed


def varied(runs: Sequence[Run]) -> Iterator[Job]:
    """The best optimiser of tables once more, as it was and with a setting changed, taking turns."""
    best = verdict(runs).best
    for seed, name, (variant, change) in product(SEEDS, DATA_SETS, VARIANTS.items()):
        yield name, f"{best}, {variant}", {**chosen(runs, name, best), **change}, seed


if __name__ == "__main__":
    main()
