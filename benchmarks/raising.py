"""How could distillation add more over a student that was fine-tuned from the source without a teacher?

    python benchmarks/raising.py --workers 2

Ideas, each tried on the same cells of the grid (`benchmarks/transfer.py`) from the same warm start, with the same
number of candidates on the same labelled validation rows. Test rows are scored once an idea's candidate is chosen. The
run folder of the grid is used where it is there, and made where it is not. Writes `benchmarks/results/raising/`.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from raising_ideas import IDEAS, NEEDS_USERS, Given
from raising_page import page
from transfer import configuration, identity, run_of

import recdistill as rd
from recdistill import experiment
from recdistill.arms import ARMS
from recdistill.artefacts import digest, manifest, read_json, sha256, write_json, write_text
from recdistill.cells.students import listening
from recdistill.cells.trying import Best
from recdistill.distillation import examples_for
from recdistill.evaluation import compare, measure, task
from recdistill.label_budget import Cell
from recdistill.metrics import holm
from recdistill.progress import Board, Watch
from recdistill.ranker import Ranker
from recdistill.run_folder import RunFolder
from recdistill.terminal import TerminalBoard, console
from recdistill.work import Unit, Workers

FOLDER = Path(__file__).parent / "results" / "raising"
# Per task the share of labels.
CELLS = {"new_market": 0.1, "privileged": 0.1, "criteo": 0.1}
EDITION = sha256(Path(__file__).with_name("raising_ideas.py"))[:8]
WARM = ARMS["adapted_all_warm"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", choices=list(CELLS), default=list(CELLS))
    parser.add_argument("--runs", type=Path, default=Path("runs/transfer"), help="the grid's folder")
    parser.add_argument("--workers", type=int, default=2, help="processes that train at the same time")
    asked = parser.parse_args()
    board = TerminalBoard(console())
    path = FOLDER / "results.json"
    results = read_json(path)["tasks"] if path.is_file() else {}
    results = {name: one for name, one in results.items() if one["made_by"] == made_by(name)}
    for name in asked.tasks:
        results[name] = {"made_by": made_by(name), **tried(name, asked.runs, asked.workers, board)}
        FOLDER.mkdir(parents=True, exist_ok=True)
        write_json(path, {"tasks": results})
        write_text(FOLDER / "README.md", page(results))


def made_by(name: str) -> str:
    """Of all that decides what comes of a task: the ideas and the task's configuration."""
    return digest([EDITION, identity(configuration(name))])


def tried(name: str, runs: Path, workers: int, board: Board) -> dict[str, Any]:
    """Every idea on a task's cells, and what it gained."""
    folder = experiment.prepare(configuration(name), run_of(runs, name), board=board)
    cells = [Cell(CELLS[name], seed) for seed in range(folder.config.seeds)]
    folder = replace(folder, only=frozenset(cells))
    ideas = [idea for idea in IDEAS if idea not in NEEDS_USERS or folder.tables()["train"].schema.user is not None]
    with Workers(workers, board) as crew:
        experiment.train_teachers(folder, crew)
        experiment.label(folder, crew)
        experiment.distil(folder, crew)
        units = [
            Unit(f"{idea}/{cell}", place(folder, idea, cell), folder.identity, learnt, (folder, idea, cell))
            for cell in cells
            for idea in ideas
        ]
        crew.carry_out("ideas", units)
    return {"labels": CELLS[name], "seeds": len(cells), **judged(folder, ideas, cells)}


def place(run: RunFolder, idea: str, cell: Cell) -> Path:
    """Where an idea's student is; an edited idea is another one."""
    return run.path / f"ideas-{EDITION}" / idea / str(cell)


def learnt(run: RunFolder, idea: str, cell: Cell, watch: Watch) -> str:
    """An idea's student: every candidate tried, the best on the labelled validation rows kept."""
    train, valid = run.labelled(cell)
    start = Ranker.load(run.student(run.controls[-1], cell))
    soft = rd.SoftLabels.load(run.soft_labels("adapted_teacher", cell))
    lesson = IDEAS[idea](Given(run, cell, train, valid, start, soft))
    examples = examples_for(lesson.start.encoder, lesson.train, lesson.soft, lesson.settings)
    trials, best = run.config.tune.distilled, Best(lesson.valid)
    for number, trial in enumerate(trials):
        student, settings = lesson.start.copy(), listening(lesson.settings, WARM, trial)
        fitting = run.config.student.fit.model_copy(update={**trial.fitting, "seed": cell.seed})
        watched = watch.part(number, len(trials))
        rd.distill(student, examples, None, valid=lesson.valid, settings=settings, fitting=fitting, progress=watched)
        best.offer(student, trial)
    return best.save(place(run, idea, cell), run.identity)


def judged(run: RunFolder, ideas: Sequence[str], cells: Sequence[Cell]) -> dict[str, Any]:
    """Test figures of every idea, and its paired differences to the student without a teacher and to plain KD."""
    test, control = run.tables()["test"], run.controls[-1]
    headline = task(test.schema).headline
    rankers = {control: [run.student(control, cell) for cell in cells]}
    rankers |= {idea: [place(run, idea, cell) for cell in cells] for idea in ideas}
    scores = {name: np.stack([Ranker.load(p).score(test) for p in places]) for name, places in rankers.items()}
    found: dict[str, Any] = {}
    for name, of in scores.items():
        metrics = [measure(s.astype(np.float64), test).metrics for s in of]
        means = {metric: float(np.mean([m[metric] for m in metrics])) for metric in (headline, "logloss")}
        over = {
            other: [compare(of, scores[other], test, metric) for metric in (headline, "logloss")]
            for other in (control, "kd")
            if other != name
        }
        alphas = [manifest(p)["facts"]["choice"]["alpha"] for p in rankers[name]]
        found[name] = {"metrics": means, "over": over, "alphas": alphas}
    adjusted = holm([found[idea]["over"][control][0]["p"] for idea in ideas])
    for idea, p in zip(ideas, adjusted, strict=True):
        found[idea]["p"] = float(p)
    return {"headline": headline, "control": control, "test_rows": len(test), "ideas": found}


if __name__ == "__main__":
    main()
