"""What does a smaller student cost? Sizes and compressions of a student, in bytes, time and quality.

    python benchmarks/pareto.py --workers 2
    python benchmarks/pareto.py --tasks new_market --workers 2

A task is a TOML in `benchmarks/grids`, an experiment whose teachers and soft labels are made, and beside it
`TASK.grid.toml` with the students. Writes the page of `recdistill pareto` to `benchmarks/results/pareto_TASK`. What is
trained is kept in `--runs`, so the same command continues.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import sys
from pathlib import Path

from recdistill import experiment
from recdistill.artefacts import MANIFEST, new_folder
from recdistill.configuration import Config
from recdistill.pareto import ParetoSettings, pareto
from recdistill.progress import Board
from recdistill.settings import fill, read_toml
from recdistill.terminal import TerminalBoard, console
from recdistill.work import Workers

HERE = Path(__file__).parent
GRIDS, RESULTS = HERE / "grids", HERE / "results"
TASKS = ("new_market", "criteo")


def main() -> None:
    """Every task that has its data."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=TASKS, metavar="TASK", help=", ".join(TASKS))
    parser.add_argument("--runs", type=Path, default=Path("runs/pareto"), help="where what is trained is kept")
    parser.add_argument("--workers", type=int, default=2, help="processes that train at the same time")
    asked, board = parser.parse_args(), TerminalBoard(console())
    for name in asked.tasks:
        made(name, asked.runs / name, asked.workers, board)


def made(name: str, out: Path, workers: int, board: Board) -> None:
    """Teachers and soft labels of a task, then its grid and the page."""
    config = configuration(name)
    if not Path(os.path.expandvars(config.data.root or ".")).is_dir():
        board.say(f"{name}: left out, no data at {config.data.root}")
        return
    run = experiment.prepare(config, out, board=board)
    with Workers(workers, board) as crew:
        experiment.train_teachers(run, crew)
        experiment.label(run, crew)
    pareto(run, grid(name), share=config.labels[0], workers=workers, board=board, command=command())
    with new_folder(RESULTS / f"pareto_{name}", kind="pareto") as temporary:
        for path in (run.path / "pareto" / "page").iterdir():
            if path.name != MANIFEST:
                shutil.copy2(path, temporary)


def configuration(name: str) -> Config:
    """A task's experiment, every default filled in."""
    return fill(Config, read_toml(GRIDS / f"{name}.toml"))


def grid(name: str) -> ParetoSettings:
    """A task's students."""
    return fill(ParetoSettings, read_toml(GRIDS / f"{name}.grid.toml"))


def command() -> str:
    """As it was typed."""
    return shlex.join(["python", "benchmarks/pareto.py", *sys.argv[1:]])


if __name__ == "__main__":
    main()
