"""The experiment, read top to bottom: load, split, teachers, soft labels, students and controls, evaluate, write.

Every stage makes what is not there yet and leaves folder artefacts, so any stage can be run alone or again.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from recdistill import cells, report
from recdistill.arms import CONTROLS, arms_at
from recdistill.artefacts import is_whole, read_json, verify
from recdistill.configuration import Config
from recdistill.datasets import load
from recdistill.errors import UsageError
from recdistill.progress import Board, Silence
from recdistill.results import evaluated
from recdistill.run_folder import PARTS, Cell, RunFolder
from recdistill.splits import keep_labels, split
from recdistill.work import Unit, Workers

TEACHERS = ("source_teacher", "adapted_teacher")
SILENCE = Silence()


def run(
    config: Config,
    out: Path,
    *,
    workers: int = 1,
    board: Board = SILENCE,
    overwrite: bool = False,
    command: str = "",
) -> dict[str, Any]:
    """All stages; returns the report.

    Args:
        config: of the experiment.
        out: the run's folder; an unfinished run of the same configuration is continued.
        workers: processes that train at the same time.
        board: told what is going on.
        overwrite: replace a run of another configuration.
        command: as the user typed it, for the report.

    Raises:
        UsageError: the folder holds something else.
        DataError: the data are not what they must be.
        Interrupted: the user stopped it.
    """
    folder = prepare(config, out, board=board, overwrite=overwrite)
    with Workers(workers, board) as crew:
        train_teachers(folder, crew)
        label(folder, crew)
        distil(folder, crew)
    return evaluate(folder, board=board, command=command)


def prepare(config: Config, out: Path, *, board: Board = SILENCE, overwrite: bool = False) -> RunFolder:
    """Load the data set, split the target, and keep the rows of each part in a run's folder.

    Every share of labels is tried here, so that one that leaves a single class is refused before anything is trained.
    """
    folder = RunFolder(out)
    if not (overwrite and folder.is_run) and folder.holds(config) and folder.is_prepared:
        return folder
    board.say(f"preparing {config.data.name}")
    source, target = load(config.data.name, config.data.root, config.data.arguments)
    made = split(target, valid=config.split.valid, test=config.split.test, by=config.split.by)
    for seed in range(config.seeds):
        for share in config.labels:
            keep_labels(made[0], made[1], share=share, seed=seed)
    folder.begin(config)  # only now, when the data are known to be good
    for part, table in zip(PARTS, (source, *made), strict=True):
        table.write(folder.prepared(part))
        board.say(f"  {part}: {len(table):,} rows")
    return folder


def train_teachers(folder: RunFolder, crew: Workers) -> None:
    """Train on the source, once per seed; then adapt the teacher to each cell's labels, whole and per fold."""
    folder.tables()
    for stage, units in teacher_units(folder).items():
        crew.carry_out(stage, units)


def label(folder: RunFolder, crew: Workers) -> None:
    """Keep both teachers' logits for every training row of the target."""
    require_before(folder, "label")
    crew.carry_out("soft labels", label_units(folder))


def distil(folder: RunFolder, crew: Workers) -> None:
    """Train the students of every arm, controls included."""
    require_before(folder, "distill")
    for stage, units in student_units(folder).items():
        crew.carry_out(stage, units)


def evaluate(folder: RunFolder, *, board: Board = SILENCE, command: str = "") -> dict[str, Any]:
    """Score the test rows with every ranker, compare, and write the report."""
    require_before(folder, "evaluate")
    result = evaluated(folder, command=command, board=board)
    report.write(result, folder.report)
    return result


def render(folder: RunFolder) -> dict[str, Any]:
    """Write the report's page again from `report.json`."""
    require_before(folder, "report")
    if not is_whole(folder.report):
        raise UsageError(f"{folder.path} has no whole report; run `recdistill evaluate {folder.path}` first")
    verify(folder.report)
    result: dict[str, Any] = read_json(folder.report / "report.json")
    report.write(result, folder.report)
    return result


def teacher_units(folder: RunFolder) -> dict[str, list[Unit]]:
    """What the stage `teacher` makes: trained on the source, adapted, and adapted without a fold for its labels."""
    config = folder.config
    prepared = folder.identity
    pretrained = [
        Unit(f"{name}/seed-{seed}", folder.pretrained(name, seed), prepared, cells.pretrain, (folder, name, seed))
        for seed in range(config.seeds)
        for name in ("source_teacher", "source_student")
    ]
    whole = [_adapted(folder, cell, "whole") for cell in folder.cells]
    parts = [_adapted(folder, cell, f"fold-{k}") for cell in folder.cells for k in range(config.folds)]
    return {"teachers on the source": pretrained, "teachers on the target": whole, "the same without a fold": parts}


def label_units(folder: RunFolder) -> list[Unit]:
    """What the stage `label` makes: one set of soft labels per adapted teacher, and one per source teacher."""
    prepared = folder.identity
    units = {
        place: Unit(
            f"soft_labels/{place.parent.name}/{place.name}", place, prepared, cells.label, (folder, teacher, cell)
        )
        for cell in folder.cells
        for teacher in TEACHERS
        for place in [folder.soft_labels(teacher, cell)]
    }
    return list(units.values())


def student_units(folder: RunFolder) -> dict[str, list[Unit]]:
    """What the stage `distill` makes: a student per arm and cell; the controls first, as warm arms start from one."""
    prepared = folder.identity
    units = [
        Unit(f"{name}/{cell}", folder.student(name, cell), prepared, cells.teach, (folder, name, cell))
        for cell in folder.cells
        for name in arms_at(cell.share)
    ]
    first = [unit for unit in units if unit.folder.parent.name in CONTROLS]
    return {"controls": first, "students of teachers": [unit for unit in units if unit not in first]}


def _adapted(folder: RunFolder, cell: Cell, part: str) -> Unit:
    place, prepared = folder.adapted(cell, part), folder.identity
    return Unit(f"adapted_teacher/{cell}/{part}", place, prepared, cells.adapt, (folder, cell, part))


def require_before(folder: RunFolder, verb: str) -> None:
    """Refuse to go on before every earlier stage is done.

    Raises:
        UsageError: names the first artefact that is missing and the command that makes it.
    """
    folder.tables()
    stages = {
        "teacher": [unit for units in teacher_units(folder).values() for unit in units],
        "label": label_units(folder),
        "distill": [unit for units in student_units(folder).values() for unit in units],
    }
    for earlier, units in stages.items():
        if earlier == verb:
            return
        for unit in units:
            if not unit.is_done:
                raise UsageError(f"{unit.name} is not there yet; run `recdistill {earlier} {folder.path}` first")
