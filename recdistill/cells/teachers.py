"""The teachers of a run: trained on the source, adapted to a cell's labels, and their soft labels."""

from __future__ import annotations

import shutil
from typing import Literal

from recdistill import adaptation
from recdistill.arms import CALIBRATED
from recdistill.calibration import calibrate
from recdistill.cells.trying import Best, chosen, new_ranker, stopwatch
from recdistill.configuration import Config, TeacherSettings
from recdistill.domains import privileged_columns
from recdistill.errors import UsageError
from recdistill.evaluation import measure, task
from recdistill.inspection import unshared
from recdistill.label_budget import Cell, cell_folds
from recdistill.progress import Watch
from recdistill.ranker import Ranker
from recdistill.run_folder import RunFolder
from recdistill.soft_labels import SoftLabels
from recdistill.splits import split
from recdistill.tables import Table
from recdistill.training import fit


def pretrain(run: RunFolder, name: str, seed: int, watch: Watch) -> str:
    """A ranker trained on the source's labels and stopped on held-out source rows.

    Args:
        run: the run's folder.
        name: "source_teacher" or "source_student".
        seed: of weights and training.
        watch: told how far it is.
    """
    teacher = name == "source_teacher"
    settings, folder = run.config.teacher if teacher else run.config.student, run.pretrained(name, seed)
    tables = run.tables()
    source = tables["source"]
    hidden: dict[str, float] = {}
    if teacher:
        source, hidden = rows_for_teacher(source, tables["train"], run.config.teacher)
    train, valid, test = split(source.take(source.labelled), valid=0.1, test=0.05)
    encoder = settings.encoder.fit(train, privileged=teacher)
    ranker = new_ranker(settings, encoder, train.schema.classes, seed)
    fitting = settings.fit.model_copy(update={"seed": seed, "hidden": settings.fit.hidden | hidden})
    state = folder.with_name(f"{folder.name}.unfinished")
    found = fit(
        ranker,
        train,
        valid=valid,
        settings=fitting,
        checkpoint=state,
        keep_checkpoint=True,
        progress=watch.part(0, 1),
    )
    headline = task(test.schema).headline
    reached = measure(ranker.score(test), test).metrics[headline]
    facts = {f"source_{headline}": reached, "best_epoch": found.best_epoch, "history": list(found.history)}
    ranker.save(folder, prepared=run.identity, **facts)
    shutil.rmtree(state, ignore_errors=True)
    return f"{headline.upper()} {reached:.4f} on held-out source rows, best after {found.best_epoch} epochs"


def adapt(run: RunFolder, cell: Cell, part: str, watch: Watch) -> str:
    """The source teacher fine-tuned on labelled target rows and stopped on the labelled validation rows.

    Args:
        run: the run's folder.
        cell: whose labels.
        part: "whole" for all labelled rows, tried with every candidate of the budget; "fold-k" for all but the k-th
            fold's, with the candidate that "whole" chose, for as many epochs as were best there, in batches as large.
        watch: told how far it is.
    """
    config, (train, valid), spent = run.config, run.labelled(cell), stopwatch()
    what, told = config.teacher.adapted, config.teacher.adapt.model_copy(update={"seed": cell.seed})
    trials, kept = config.tune.adapted, train.labelled
    stop_by: Table | None = valid
    if part != "whole":
        trial, steps = chosen(run.adapted(cell, "whole"))
        trials, stop_by, told = (trial,), None, told.model_copy(update=steps)  # 0 epochs where it made it worse
        kept = kept & ~cell_folds(config.data, train, k=config.folds, seed=cell.seed)[int(part.removeprefix("fold-"))]
    teacher, rows = Ranker.load(run.pretrained("source_teacher", cell.seed)), train.with_labels_only(kept)
    held_out = Best(valid)
    for number, trial in enumerate(trials):
        progress, fitting = watch.part(number, len(trials)), told.model_copy(update=trial.fitting)
        ranker, found = adaptation.fine_tuned(
            teacher, rows, valid=stop_by, what=what, fitting=fitting, progress=progress
        )
        held_out.offer(ranker, trial, found)
    words = held_out.save(run.adapted(cell, part), run.identity, seconds=spent())
    return f"{words} on {int(kept.sum()):,} rows with {held_out.trial.words()}"


def label(run: RunFolder, teacher: str, cell: Cell, watch: Watch) -> str:
    """A teacher's soft labels for every training row; for rows the teacher was adapted on, out of fold.

    Args:
        run: the run's folder.
        teacher: one of the run's teachers.
        cell: whose labels the teacher was adapted on.
        watch: told how far it is.
    """
    (train, _), spent = run.labelled(cell), stopwatch()
    soft = soft_labels(run, teacher, cell, train)
    soft.save(run.soft_labels(teacher, cell), prepared=run.identity, seconds=spent())
    return f"{len(soft.logits):,} rows, {soft.sample.replace('_', ' ')}"


def soft_labels(run: RunFolder, teacher: str, cell: Cell, train: Table, *, without: int | None = None) -> SoftLabels:
    """What a teacher says of the training rows.

    Args:
        run: the run's folder.
        teacher: a key of `arms.TEACHERS`.
        cell: whose labels the teacher was adapted or calibrated on.
        train: the rows; the labels that it has are read by what calibrates.
        without: a fold that the teacher must not know the labels of; `train` then lacks them too.
    """
    config, whole = run.config, run.adapted(cell, "whole" if without is None else f"fold-{without}")
    hidden = config.student.distill.hint is not None
    if teacher in ("source_teacher", "calibrated_teacher"):
        soft = SoftLabels.from_teacher(Ranker.load(run.pretrained("source_teacher", cell.seed)), train, hidden=hidden)
    elif teacher in ("given_scores", "calibrated_scores"):
        soft = SoftLabels.from_column(train, scale=_scale(config), clip=config.teacher.clip)
    elif teacher == "in_sample_teacher" or without is not None:
        soft = SoftLabels.from_teacher(Ranker.load(whole), train, in_sample=True, hidden=hidden)
    else:
        masks = cell_folds(config.data, train, k=config.folds, seed=cell.seed)
        others = [Ranker.load(run.adapted(cell, f"fold-{k}")) for k in range(len(masks))]
        soft = SoftLabels.out_of_fold(Ranker.load(whole), others, masks, train, hidden=hidden)
    return calibrated(config, soft, train, cell.seed) if teacher in CALIBRATED else soft


def calibrated(config: Config, soft: SoftLabels, train: Table, seed: int) -> SoftLabels:
    """Soft labels on the scale of the labels, by the kind of calibration that the run was told."""
    kind = config.teacher.calibrated_by(train.schema.classes)
    return calibrate(soft, train, kind=kind, k=config.folds, seed=seed)


def _scale(config: Config) -> Literal["probability", "logit"]:
    """What the column of scores holds.

    Raises:
        UsageError: the teacher is a model.
    """
    if config.teacher.scores is None:
        raise UsageError("a column of scores teaches where teacher.scores says what it holds, got none")
    return config.teacher.scores


def rows_for_teacher(source: Table, target: Table, settings: TeacherSettings) -> tuple[Table, dict[str, float]]:
    """The source's rows, and how often the teacher must do without privileged columns that the target lacks.

    Columns of ids that are not shared go where the teacher is to drop them. The student trained on the source keeps
    them: on the target its vocabularies are fitted anew, and it learns the target's own ids.
    """
    encoder = settings.encoder
    apart = unshared(source, target) if settings.unshared == "drop" else ()
    dropped = [name for name in apart if name not in (*encoder.drop, *encoder.hashing)]
    source = source.with_schema(source.schema.without(*dropped))
    left = privileged_columns(source, target).items()
    lacking = [name for name, on_target in left if not on_target and name not in encoder.drop]
    if settings.hidden == 1:
        return source.with_schema(source.schema.without(*lacking)), {}
    return source, dict.fromkeys(lacking, settings.hidden)
