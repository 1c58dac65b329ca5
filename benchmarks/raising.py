"""How could distillation add more over a student that was fine-tuned from the source without a teacher?

    python benchmarks/raising.py --workers 2

Ideas, each tried on the same cells of the grid (`benchmarks/transfer.py`) from the same warm start, with the same
number of candidates on the same labelled validation rows. Test rows are scored once an idea's candidate is chosen. The
run folder of the grid is used where it is there, and made where it is not. Writes `benchmarks/results/raising/`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from raising_page import page
from transfer import configuration

import recdistill as rd
from recdistill import experiment
from recdistill.arms import Trial
from recdistill.artefacts import manifest, read_json, write_json, write_text
from recdistill.cells.trying import Best, new_ranker
from recdistill.distillation import examples_for
from recdistill.evaluation import compare, measure, task
from recdistill.label_budget import Cell
from recdistill.progress import Board, Watch
from recdistill.ranker import Ranker
from recdistill.run_folder import RunFolder
from recdistill.tables import Table
from recdistill.terminal import TerminalBoard, console
from recdistill.work import Unit, Workers

FOLDER = Path(__file__).parent / "results" / "raising"
# Per task the share of labels.
CELLS = {"new_market": 0.1, "privileged": 0.1, "criteo": 0.1}


@dataclass(frozen=True)
class Given:
    """What an idea starts from.

    Args:
        run: the grid's folder.
        cell: of the idea.
        train, valid: its rows.
        start: the student that was fine-tuned from the source.
        soft: the adapted teacher's soft labels, out of fold.
    """

    run: RunFolder
    cell: Cell
    train: Table
    valid: Table
    start: Ranker
    soft: rd.SoftLabels

    @property
    def teacher(self) -> Ranker:
        """Adapted on all labelled rows."""
        return Ranker.load(self.run.adapted(self.cell, "whole"))


@dataclass(frozen=True)
class Lesson:
    """What an idea changes: where the student starts, of which rows it learns, from whom and how."""

    start: Ranker
    train: Table
    valid: Table
    soft: rd.SoftLabels
    settings: rd.DistillSettings


Idea = Callable[[Given], Lesson]


def plain(given: Given) -> Lesson:
    """The teacher's answers by KL: what the grid calls adapted_all_warm."""
    return Lesson(given.start, given.train, given.valid, given.soft, rd.DistillSettings())


def by(**settings: Any) -> Idea:
    """The same by another loss or signal."""

    def idea(given: Given) -> Lesson:
        return replace(plain(given), settings=rd.DistillSettings(**settings))

    return idea


def several_teachers(given: Given) -> Lesson:
    """Teachers of every seed, mixed by a gate that was fitted on labels out of fold.

    Those of other seeds saw other labels: a row that one of them was adapted on and that has a label here too would be
    known to it, so each of them is adapted to this cell's labels, as its fold teachers are.
    """
    mixed = rd.mix_teachers([given.soft, *_other_teachers(given)], given.train, weights="gate", seed=given.cell.seed)
    return replace(plain(given), soft=mixed)


def _other_teachers(given: Given) -> list[rd.SoftLabels]:
    """Source teachers of the other seeds, adapted to this cell's labels out of fold."""
    config, found = given.run.config, []
    chosen = Trial(**manifest(given.run.adapted(given.cell, "whole"))["facts"]["choice"])
    for seed in range(config.seeds):
        if seed == given.cell.seed:
            continue
        source = Ranker.load(given.run.pretrained("source_teacher", seed))
        fitting = config.teacher.adapt.model_copy(update={**chosen.fitting, "seed": seed})
        found.append(
            rd.out_of_fold_labels(
                source, given.train, valid=given.valid, k=config.folds, seed=given.cell.seed, fitting=fitting
            )
        )
    return found


def transplanted(given: Given) -> Lesson:
    """The student's tables start as the adapted teacher's, cut down by SVD, not as it learnt them on the source."""
    fresh = new_ranker(given.run.config.student, given.start.encoder, given.train.schema.classes, given.cell.seed)
    return replace(plain(given), start=rd.transplant(fresh, given.teacher))


def hinted(given: Given) -> Lesson:
    """The student's last hidden layer is drawn towards the adapted teacher's."""
    soft = rd.SoftLabels.from_teacher(given.teacher, given.train, hidden=True, in_sample=True)
    hidden = rd.SoftLabels(
        given.soft.row_ids,
        given.soft.logits,
        teacher=given.soft.teacher,
        rows_fingerprint=given.soft.rows_fingerprint,
        sample="in_sample",
        grades=given.soft.grades,
        hidden=soft.hidden,
    )
    return replace(plain(given), soft=hidden, settings=rd.DistillSettings(hint="similarity", hint_weight=1.0))


def more_rows(given: Given) -> Lesson:
    """As many pairs that nobody has seen as there are rows, labelled by the adapted teacher."""
    if given.train.schema.user is None:
        return plain(given)
    pairs = rd.unseen_pairs(given.train, rows=len(given.train), seed=given.cell.seed, seen=[given.valid])
    rows = rd.concat([given.train, pairs])
    told = np.concatenate([given.soft.for_table(given.train), given.teacher.score(pairs)])
    return replace(plain(given), train=rows, soft=rd.SoftLabels.from_column(rows, told, scale="logit"))


IDEAS: dict[str, Idea] = {
    "kd": plain,
    "dist": by(loss="dist"),
    "ranknet": by(loss="ranknet_kd"),
    "listwise": by(loss="calibrated_listwise_kd"),
    "side_head": by(head="side"),
    "curriculum": by(curriculum=3),
    "hint": hinted,
    "transplant": transplanted,
    "several_teachers": several_teachers,
    "unseen_pairs": more_rows,
}
NEEDS_USERS = ("ranknet", "listwise", "unseen_pairs")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", choices=list(CELLS), default=list(CELLS))
    parser.add_argument("--runs", type=Path, default=Path("runs/transfer"), help="the grid's folder")
    parser.add_argument("--workers", type=int, default=2, help="processes that train at the same time")
    asked = parser.parse_args()
    board = TerminalBoard(console())
    path = FOLDER / "results.json"
    results = read_json(path)["tasks"] if path.is_file() else {}
    for name in asked.tasks:
        results[name] = tried(name, asked.runs / name, asked.workers, board)
        FOLDER.mkdir(parents=True, exist_ok=True)
        write_json(path, {"tasks": results})
        write_text(FOLDER / "README.md", page(results))


def tried(name: str, out: Path, workers: int, board: Board) -> dict[str, Any]:
    """Every idea on a task's cells, and what it gained."""
    folder = experiment.prepare(configuration(name), out, board=board)
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
    """Where an idea's student is."""
    return run.path / "ideas" / idea / str(cell)


def learnt(run: RunFolder, idea: str, cell: Cell, watch: Watch) -> str:
    """An idea's student: every candidate tried, the best on the labelled validation rows kept."""
    train, valid = run.labelled(cell)
    start = Ranker.load(run.student(run.controls[-1], cell))
    soft = rd.SoftLabels.load(run.soft_labels("adapted_teacher", cell))
    lesson = IDEAS[idea](Given(run, cell, train, valid, start, soft))
    trials, best = run.config.tune.distilled, Best(lesson.valid)
    for number, trial in enumerate(trials):
        student = lesson.start.copy()
        update = {"alpha": trial.alpha, "temperature": trial.temperature}
        settings = lesson.settings.model_copy(update=update)
        fitting = run.config.student.fit.model_copy(update={**trial.fitting, "seed": cell.seed})
        examples = examples_for(student.encoder, lesson.train, lesson.soft, settings)
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
    return {"headline": headline, "control": control, "test_rows": len(test), "ideas": found}


if __name__ == "__main__":
    main()
