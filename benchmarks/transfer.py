"""Does transfer help, and what of it is distillation: tasks by shares of labels by seeds, every way beside its controls.

    python benchmarks/transfer.py --workers 2
    python benchmarks/transfer.py --tasks new_market synthetic --workers 2

A task is a TOML in `benchmarks/grid`, over `common.toml`. Each finished cell (a share of labels and a seed) is a JSON
in `benchmarks/results/cells/TASK`; the command computes those that are missing, or that another configuration made, and
writes the page in `benchmarks/results/transfer` from all that are there. Data sets are found below $RECDISTILL_DATA; a
task without its data is left out, and said so. What is trained is kept in `--runs`, so the same command continues.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from transfer_page import write_page

from recdistill import experiment
from recdistill.arms import placebo_of
from recdistill.artefacts import digest, read_json, write_json
from recdistill.configuration import Config
from recdistill.evaluation import compare, task
from recdistill.progress import Board
from recdistill.results import Entry, Scores, measured
from recdistill.run_folder import Cell, RunFolder
from recdistill.settings import fill, plain, read_toml
from recdistill.terminal import TerminalBoard, console
from recdistill.work import Workers

HERE = Path(__file__).parent
CELLS, PAGE = HERE / "results" / "cells", HERE / "results" / "transfer"
TASKS = (
    "synthetic",
    "privileged",
    "scores_only",
    "ratings",
    "criteo",
    "new_market",
    "new_catalogue",
)
DIGITS = 6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=TASKS, metavar="TASK", help=", ".join(TASKS))
    parser.add_argument("--runs", type=Path, default=Path("runs/transfer"), help="where what is trained is kept")
    parser.add_argument("--workers", type=int, default=2, help="processes that train at the same time")
    parser.add_argument("--only-page", action="store_true", help="write the page from the cells that are there")
    told = parser.parse_args()
    board = TerminalBoard(console())
    for name in () if told.only_page else told.tasks:
        compute(name, told.runs / name, told.workers, board)
    write_page(CELLS, PAGE)


def compute(name: str, out: Path, workers: int, board: Board) -> None:
    """Make the missing cells of a task, those of a seed together, so that each is written down as early as can be."""
    config = configuration(name)
    root = os.path.expandvars(config.data.root or ".")
    if not Path(root).is_dir():
        board.say(f"{name}: left out, no data at {root}")
        return
    missing = [cell for cell in every(config) if not is_there(name, cell, config)]
    board.say(f"{name}: {len(missing)} of {len(every(config))} cells to compute")
    for seed in sorted({cell.seed for cell in missing}):
        started = time.monotonic()
        folder = experiment.prepare(config, out, board=board)
        folder = replace(folder, only=frozenset(cell for cell in missing if cell.seed == seed))
        with Workers(workers, board) as crew:
            experiment.train_teachers(folder, crew)
            experiment.label(folder, crew)
            experiment.distil(folder, crew)
        for cell in folder.cells:
            write_json(place(name, cell), {"task": name, **written(folder, cell), "configuration": identity(config)})
        board.say(f"{name}: seed {seed} took {time.monotonic() - started:.0f} s")


def configuration(name: str) -> Config:
    """A task's, over what all tasks share."""
    return fill(Config, read_toml(HERE / "grid" / "common.toml") | read_toml(HERE / "grid" / f"{name}.toml"))


def identity(config: Config) -> str:
    """Of all that decides what a cell holds; the shares and the number of seeds do not."""
    return digest({key: value for key, value in plain(config).items() if key not in ("labels", "seeds")})


def every(config: Config) -> list[Cell]:
    """The cells of a task."""
    return [Cell(share, seed) for seed in range(config.seeds) for share in config.labels]


def place(name: str, cell: Cell) -> Path:
    """Where a cell is written down."""
    return CELLS / name / f"{cell}.json"


def is_there(name: str, cell: Cell, config: Config) -> bool:
    """Whether a cell is finished, by this configuration."""
    path = place(name, cell)
    return path.is_file() and read_json(path)["configuration"] == identity(config)


def written(folder: RunFolder, cell: Cell) -> Entry:
    """A cell's rankers and their paired differences, as it is committed."""
    test = folder.tables()["test"]
    entry, scores = measured(folder, cell, test)
    headline = task(test.schema).headline
    pairs = list(paired(entry["rankers"], folder.teachers[-1]))
    found = [
        {"a": a, "b": b, **difference(scores, a, b, metric, test)}
        for a, b in pairs
        for metric in dict.fromkeys((headline, "logloss"))
    ]
    users = None if test.schema.user is None else len(np.unique(test.numpy(test.schema.user)))
    data = {"test_rows": len(test), "test_users": users, "labelled": entry["labelled"]}
    return shortened({**entry, "headline": headline, "data": data, "comparisons": found})


def difference(scores: Scores, a: str, b: str, metric: str, test: Any) -> Entry:
    """The paired difference; exactly none where both gave the same scores."""
    found = compare(scores[a], scores[b], test, metric)
    return {key: found[key] for key in ("metric", "delta", "low", "high", "p", "rows_error", "method")}


def paired(rankers: Mapping[str, Entry], teacher: str) -> Iterator[tuple[str, str]]:
    """Which rankers are compared: each with the controls, taught ones with their placebo, auto with the best teacher."""
    for name, entry in rankers.items():
        yield from ((name, control) for control in ("hard_only", "source_finetuned") if control in rankers and name != control)
        if entry["role"] == "student" and name != "auto":
            yield name, placebo_of(name)
    if teacher in rankers:
        yield "auto", teacher


def shortened(value: Any) -> Any:
    """Floats to six digits, which is more than test rows tell."""
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    if isinstance(value, Mapping):
        return {key: shortened(inner) for key, inner in value.items()}
    return [shortened(inner) for inner in value] if isinstance(value, list | tuple) else value


if __name__ == "__main__":
    main()
