"""What each stage of a run makes: lists of units, each a folder artefact and the function in `cells` that makes it."""

from __future__ import annotations

from recdistill import cells, run_arms
from recdistill.arms import AUTO
from recdistill.errors import UsageError
from recdistill.label_budget import Cell
from recdistill.run_folder import RunFolder
from recdistill.work import Unit


def teacher_units(folder: RunFolder) -> dict[str, list[Unit]]:
    """What the stage `teacher` makes: trained on the source, adapted, and adapted without a fold for its labels.

    Scores need no training; with source rows beside them there is still the student trained on these.
    """
    config, prepared = folder.config, folder.identity
    scores = config.teacher.scores is not None
    names = (*(() if scores else ("source_teacher",)), *(("source_student",) if folder.has_source else ()))
    pretrained = [
        Unit(f"{name}/seed-{seed}", folder.pretrained(name, seed), prepared, cells.pretrain, (folder, name, seed))
        for seed in sorted({cell.seed for cell in folder.cells})
        for name in names
    ]
    if scores:
        return {"students on the source": pretrained}
    whole = [_adapted(folder, cell, "whole") for cell in folder.cells]
    parts = [_adapted(folder, cell, f"fold-{k}") for cell in folder.cells for k in range(config.folds)]
    return {"teachers on the source": pretrained, "teachers on the target": whole, "the same without a fold": parts}


def label_units(folder: RunFolder) -> list[Unit]:
    """What the stage `label` makes: one set of soft labels per adapted teacher, and one per teacher as it came."""
    prepared = folder.identity
    units = {
        place: Unit(
            f"soft_labels/{place.parent.name}/{place.name}", place, prepared, cells.label, (folder, teacher, cell)
        )
        for cell in folder.cells
        for teacher in run_arms.labellers(folder, cell.share)
        for place in [folder.soft_labels(teacher, cell)]
    }
    return list(units.values())


def student_units(folder: RunFolder) -> dict[str, list[Unit]]:
    """What `distill` makes first: a student per arm and cell; the controls first, as warm arms start from one."""
    prepared = folder.identity
    units = [
        Unit(f"{name}/{cell}", folder.student(name, cell), prepared, cells.teach, (folder, name, cell))
        for cell in folder.cells
        for name in run_arms.arms(folder, cell.share)
    ]
    first = [unit for unit in units if unit.folder.parent.name in folder.controls]
    return {"controls": first, "students of teachers and placebos": [unit for unit in units if unit not in first]}


def strategy_units(folder: RunFolder) -> dict[str, list[Unit]]:
    """What the stage `distill` makes then, with the strategy "auto": its candidates without each fold, and its choice.

    Which candidates there are depends on the students: without them there may be more.
    """
    config, prepared = folder.config, folder.identity
    if config.strategy != AUTO:
        return {}
    units = [
        Unit(f"held_out/{name}/{cell}/fold-{k}", place, prepared, cells.hold_out, (folder, name, cell, k))
        for cell in folder.cells
        for name in run_arms.candidates(folder, cell)
        for k in range(config.folds)
        for place in [folder.held_out(name, cell, k)]
    ]
    chosen = [
        Unit(f"{AUTO}/{cell}", folder.student(AUTO, cell), prepared, cells.choose, (folder, cell))
        for cell in folder.cells
    ]
    first = [unit for unit in units if unit.arguments[1] in folder.controls]
    others = [unit for unit in units if unit not in first]
    return {"controls without a fold": first, "students without a fold": others, "strategy": chosen}


def _adapted(folder: RunFolder, cell: Cell, part: str) -> Unit:
    place, prepared = folder.adapted(cell, part), folder.identity
    return Unit(f"adapted_teacher/{cell}/{part}", place, prepared, cells.adapt, (folder, cell, part))


def require_before(folder: RunFolder, verb: str) -> None:
    """Refuse to go on before every earlier stage is done.

    Raises:
        UsageError: names the first artefact that is missing and the command that makes it.
    """
    folder.part("train")
    students = student_units(folder)
    stages = {
        "teacher": [unit for units in teacher_units(folder).values() for unit in units],
        "label": label_units(folder),
        "distill": [unit for units in (students | strategy_units(folder)).values() for unit in units],
    }
    for earlier, units in stages.items():
        if earlier == verb:
            return
        for unit in units:
            if not unit.is_done:
                raise UsageError(f"{unit.name} is not there yet; run `recdistill {earlier} {folder.path}` first")
