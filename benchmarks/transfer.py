"""Does transfer help, and what of it is distillation? Tasks by shares of labels by seeds, each way beside its controls.

    python benchmarks/transfer.py --workers 2
    python benchmarks/transfer.py --tasks new_market synthetic --workers 2
    python benchmarks/transfer.py --workers 2 --reports

A task is a TOML in `benchmarks/experiments`. Each finished cell (a share of labels and a seed) is a JSON in
`benchmarks/results/cells/TASK`; the command computes those that are missing, or that another configuration made, and
writes the page in `benchmarks/results/transfer` from all that are there. `--reports` writes each task's report, in
`benchmarks/results/TASK`. Data sets are found below $RECDISTILL_DATA; a task without its data is left out, and said so.
What is trained is kept in `--runs`, so the same command continues.
"""

from __future__ import annotations

import argparse
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transfer_cells import TASKS, read
from transfer_page import COMMAND, write_page

from recdistill import experiment
from recdistill.arms import AUTO, CONTROLS, placebo_of
from recdistill.artefacts import MANIFEST, digest, is_whole, new_folder, read_json, remove, write_json
from recdistill.configuration import Config
from recdistill.errors import UsageError
from recdistill.evaluation import compare, task
from recdistill.full_ranking import compare_ranked, rank
from recdistill.label_budget import Cell
from recdistill.progress import Board
from recdistill.ranker import Ranker
from recdistill.rankings import candidates_of
from recdistill.run_folder import RunFolder
from recdistill.run_rankers import Entry, Scores, measured
from recdistill.settings import fill, plain, read_toml
from recdistill.stages import require_before
from recdistill.tables import Table
from recdistill.terminal import TerminalBoard, console
from recdistill.work import Workers

HERE = Path(__file__).parent
RESULTS = HERE / "results"
CELLS, PAGE = RESULTS / "cells", RESULTS / "transfer"
# What the target's unseen items are ranked by, where the task asks for that; a ranking takes far longer than a score.
RANKED = ("hard_only", "source_finetuned", "adapted_labelled_warm", "adapted_all_warm")
# Soft labels of rows that the teacher was adapted on, by teachers that were not adapted on them and by one that was.
OUT_OF_FOLD = ("adapted_labelled_warm", "in_sample_labelled_warm")
DIGITS = 6
# Raised when the same configuration makes other cells: older ones are then made anew.
RULES = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=TASKS, metavar="TASK", help=", ".join(TASKS))
    parser.add_argument("--runs", type=Path, default=Path("runs/transfer"), help="where what is trained is kept")
    parser.add_argument("--workers", type=int, default=2, help="processes that train at the same time")
    parser.add_argument("--only-page", action="store_true", help="write the page from the cells that are there")
    words = "also the whole report of each task whose run is there with all its cells; alone it computes no cell"
    parser.add_argument("--reports", action="store_true", help=words)
    words = "let the strategy decide all cells again, from what is trained, and write them anew"
    parser.add_argument("--decide-again", action="store_true", help=words)
    asked = parser.parse_args()
    board = TerminalBoard(console())
    for name in () if asked.only_page or asked.reports else asked.tasks:
        compute(name, run_of(asked.runs, name), asked.workers, board, again=asked.decide_again)
    for name in asked.tasks if asked.reports else ():
        keep_report(name, run_of(asked.runs, name), board)
    cells = read(CELLS)
    current = [cell for cell in cells if is_current(cell.entry)]
    if len(current) < len(cells):
        board.say(f"the page leaves out {len(cells) - len(current)} cells that another configuration made")
    write_page(current, PAGE)


def compute(name: str, out: Path, workers: int, board: Board, *, again: bool = False) -> None:
    """Make the missing cells of a task, those of a seed together, so that each is written down as early as can be."""
    config = configuration(name)
    root = os.path.expandvars(config.data.root or ".")
    if not Path(root).is_dir():
        board.say(f"{name}: left out, no data at {config.data.root}")
        return
    missing = [cell for cell in every(config) if again or not is_there(name, cell)]
    board.say(f"{name}: {len(missing)} of {len(every(config))} cells to compute")
    for seed in sorted({cell.seed for cell in missing}):
        started = time.monotonic()
        folder = experiment.prepare(config, out, board=board)
        folder = replace(folder, only=frozenset(cell for cell in missing if cell.seed == seed))
        begun = any(folder.pretrained(ranker, seed).exists() for ranker in ("source_teacher", "source_student"))
        before = {cell: read_json(place(name, cell)) for cell in folder.cells if again and place(name, cell).is_file()}
        for cell in folder.cells:
            remove(folder.student(AUTO, cell)) if again and is_whole(folder.student(AUTO, cell)) else None
        with Workers(workers, board) as crew:
            experiment.train_teachers(folder, crew)
            experiment.label(folder, crew)
            experiment.distil(folder, crew)
        found = all_written(folder, workers)
        took = time.monotonic() - started
        for cell, entry in found.items():
            earlier = before[cell]["wall_seconds"] if cell in before else None if begun else 0
            seconds = None if earlier is None else round(earlier + took / len(found), 1)
            told = {"rules": RULES, "wall_seconds": seconds, "workers": workers}
            write_json(place(name, cell), {"task": name, "config": plain(config), **told, **entry})
        board.say(f"{name}: seed {seed} took {took:.0f} s")


def keep_report(name: str, out: Path, board: Board) -> None:
    """Write the report of a task's run into the task's own folder, where all of its cells are there."""
    if not (folder := RunFolder(out)).is_run or unfinished(folder):
        board.say(f"{name}: no report, its run is not there or not finished")
        return
    board.say(f"{name}: the report")
    experiment.evaluate(folder, board=board, command=f"{COMMAND} --tasks {name} --reports")
    with new_folder(RESULTS / name, kind="report") as temporary:
        for path in folder.report.iterdir():
            if path.name != MANIFEST:
                shutil.copy2(path, temporary)


def unfinished(folder: RunFolder) -> bool:
    """Whether a stage of the run lacks something."""
    try:
        require_before(folder, "evaluate")
    except UsageError:
        return True
    return False


def configuration(name: str) -> Config:
    """A task's, every default filled in."""
    return fill(Config, read_toml(HERE / "experiments" / f"{name}.toml"))


def identity(config: Config) -> str:
    """Of all that decides what a cell holds; how many shares and seeds there are does not."""
    return digest(plain(config.model_copy(update={"labels": (), "seeds": 0})))


def run_of(runs: Path, name: str) -> Path:
    """Where what a task trains is kept; of another configuration elsewhere."""
    return runs / f"{name}-{identity(configuration(name))[:8]}"


def every(config: Config) -> list[Cell]:
    """The cells of a task."""
    return [Cell(share, seed) for seed in range(config.seeds) for share in config.labels]


def place(name: str, cell: Cell) -> Path:
    """Where a cell is written down."""
    return CELLS / name / f"{cell}.json"


def is_there(name: str, cell: Cell) -> bool:
    """Whether a cell is finished, and was made as the task is told now."""
    path = place(name, cell)
    return path.is_file() and is_current(read_json(path))


def is_current(entry: Entry) -> bool:
    """Whether a cell was made as its task is told now; settings that are newer than it had their defaults."""
    try:
        same = identity(fill(Config, entry["config"])) == identity(configuration(entry["task"]))
        return same and entry.get("rules") == RULES
    except UsageError:
        return False


def all_written(folder: RunFolder, workers: int) -> dict[Cell, Entry]:
    """The cells as they are committed, several at the same time."""
    spawned = get_context("spawn")
    with ProcessPoolExecutor(workers, spawned, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        return dict(zip(folder.cells, pool.map(partial(written, folder), folder.cells), strict=True))


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
    data = {"test_rows": len(test), "test_users": users}
    return shortened({**entry, "headline": headline, "data": data, "comparisons": found, **ranking(folder, cell)})


def ranking(folder: RunFolder, cell: Cell) -> Entry:
    """How rankers order the items that each of a sample of users has not seen, where the task asks for it."""
    parts = {part: folder.tables()[part] for part in ("train", "valid", "test")}
    candidates = candidates_of(folder.config.ranking, **parts)
    if candidates is None:
        return {}
    made = [name for name in (*RANKED, AUTO) if is_whole(folder.student(name, cell))]  # all labels leave no others
    places = folder.teacher_models(cell) | {name: folder.student(name, cell) for name in made}
    found = {name: rank(Ranker.load(place), candidates) for name, place in places.items()}
    compared = [
        {"a": a, "b": b, **compare_ranked(found[a], found[b], "ndcg@10")}
        for a in found
        for b in CONTROLS
        if a != b and b in found
    ]
    return {"ranking": {"rankers": {n: one.metrics for n, one in found.items()}, "comparisons": compared}}


def difference(scores: Scores, a: str, b: str, metric: str, test: Table) -> Entry:
    """The paired difference of two rankers, as it is kept."""
    found = compare(scores[a], scores[b], test, metric)
    return {key: found[key] for key in ("metric", "delta", "low", "high", "p", "rows_error", "method")}


def paired(rankers: Mapping[str, Entry], teacher: str) -> Iterator[tuple[str, str]]:
    """Which rankers are compared: with the controls, with its placebo, auto with the teacher."""
    controls = [control for control in CONTROLS if control in rankers]
    for name, entry in rankers.items():
        yield from ((name, control) for control in controls if name != control)
        if entry["role"] == "student" and name != "auto":
            yield name, placebo_of(name)
    yield from ((a, b) for a, b in (("auto", teacher), OUT_OF_FOLD) if a in rankers and b in rankers)


def shortened(value: Any) -> Any:
    """Floats to six digits, which is more than test rows tell."""
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    if isinstance(value, Mapping):
        return {key: shortened(inner) for key, inner in value.items()}
    return [shortened(inner) for inner in value] if isinstance(value, list | tuple) else value


if __name__ == "__main__":
    main()
