"""What an experiment makes, one artefact a function: rankers trained on the source, adapted teachers, soft labels,
students. Each takes the run's folder, reads what it needs there, and leaves one folder artefact.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from torch import nn

from recdistill.arms import ARMS, Trial
from recdistill.batch import Batch
from recdistill.configuration import StudentSettings, TeacherSettings
from recdistill.distillation import distill
from recdistill.encoder import Encoder
from recdistill.examples import Examples
from recdistill.metrics import auc
from recdistill.models import build
from recdistill.progress import Watch
from recdistill.ranker import Ranker
from recdistill.run_folder import Cell, RunFolder
from recdistill.soft_labels import SoftLabels
from recdistill.splits import folds, split
from recdistill.tables import Table
from recdistill.training import fit


def pretrain(run: RunFolder, name: str, seed: int, watch: Watch) -> str:
    """A ranker trained on the source's labels and stopped on held-out source rows.

    Args:
        run: the run's folder.
        name: "source_teacher", or "source_student" (whose ids are the target's).
        seed: of weights and training.
        watch: told how far it is.
    """
    settings = run.config.teacher if name == "source_teacher" else run.config.student
    tables, folder = run.tables(), run.pretrained(name, seed)
    train, valid, test = split(tables["source"], valid=0.1, test=0.05)
    ranker = _fresh(settings, train if name == "source_teacher" else tables["train"], seed)
    fitting = settings.fit.model_copy(update={"seed": seed})
    found = fit(ranker, train, valid=valid, settings=fitting, checkpoint=_beside(folder), progress=watch.part(0, 1))
    reached = auc(ranker.score(test), test.labels)
    ranker.save(folder, source_auc=reached, source_valid_logloss=found.score, best_epoch=found.best_epoch)
    return f"AUC {reached:.4f} on held-out source rows, best after {found.best_epoch} epochs"


def adapt(run: RunFolder, cell: Cell, part: str, watch: Watch) -> str:
    """The source teacher fine-tuned on labelled target rows and stopped on the labelled validation rows.

    Args:
        run: the run's folder.
        cell: whose labels.
        part: "whole" for all labelled rows, "fold-k" for all but the k-th fold's.
        watch: told how far it is.
    """
    train, valid = run.labelled(cell)
    kept, folder = train.labelled, run.adapted(cell, part)
    if part != "whole":
        kept &= ~folds(train, k=run.config.folds, seed=cell.seed)[int(part.removeprefix("fold-"))]
    ranker = Ranker.load(run.pretrained("source_teacher", cell.seed)).extended(train)
    fitting = run.config.teacher.adapt.model_copy(update={"seed": cell.seed})
    rows, checkpoint = train.take(kept), _beside(folder)
    found = fit(ranker, rows, valid=valid, settings=fitting, checkpoint=checkpoint, progress=watch.part(0, 1))
    ranker.save(folder, valid_logloss=found.score, best_epoch=found.best_epoch)
    return f"validation logloss {found.score:.4f} after {found.best_epoch} epochs on {len(rows):,} rows"


def label(run: RunFolder, teacher: str, cell: Cell, watch: Watch) -> str:
    """A teacher's soft labels for every training row; for rows the teacher was adapted on, out of fold.

    Args:
        run: the run's folder.
        teacher: "source_teacher" or "adapted_teacher".
        cell: whose labels the teacher was adapted on.
        watch: told how far it is.
    """
    train, _ = run.labelled(cell)
    if teacher == "source_teacher":
        soft = SoftLabels.from_teacher(Ranker.load(run.pretrained(teacher, cell.seed)), train)
    else:
        masks = folds(train, k=run.config.folds, seed=cell.seed)
        without = [Ranker.load(run.adapted(cell, f"fold-{k}")) for k in range(len(masks))]
        soft = SoftLabels.out_of_fold(Ranker.load(run.adapted(cell, "whole")), without, masks, train)
    soft.save(run.soft_labels(teacher, cell))
    return f"{len(soft.logits):,} rows, {soft.sample.replace('_', ' ')}"


def teach(run: RunFolder, name: str, cell: Cell, watch: Watch) -> str:
    """The student of one arm: every candidate of its budget, the best on the labelled validation rows kept.

    Args:
        run: the run's folder.
        name: of the arm.
        cell: whose labels.
        watch: told how far it is.
    """
    arm, config = ARMS[name], run.config
    train, valid = run.labelled(cell)
    encoder, features, valid_features = _student_rows(run, run.tables()["train"])
    examples, held_out = Examples.of(features, train), Examples.of(valid_features, valid)
    if arm.teacher is not None:
        soft = SoftLabels.load(run.soft_labels(arm.teacher, cell))
        examples = examples.with_teacher(soft.for_table(train))
    start = (
        Ranker.load(run.pretrained("source_student", cell.seed))
        if arm.warm
        else Ranker(encoder, _network(config.student, encoder, cell.seed))
    )
    trials, made = config.tune.of(arm), list[tuple[float, Ranker, Trial]]()
    for number, trial in enumerate(trials):
        student, progress = start.copy(), watch.part(number, len(trials))
        fitting = config.student.fit.model_copy(update={**trial.fitting, "seed": cell.seed})
        found = distill(
            student, examples, None, valid=held_out, settings=trial.distilling(arm), fitting=fitting, progress=progress
        )
        made.append((found.score, student, trial))
    score, student, trial = min(made, key=lambda entry: entry[0])
    student.save(run.student(name, cell), valid_logloss=score, choice=trial.model_dump())
    return f"validation logloss {score:.4f} with {trial.words(arm)}"


@lru_cache(maxsize=1)
def _student_rows(run: RunFolder, train: Table) -> tuple[Encoder, Batch, Batch]:
    """The student's encoder, fitted on the target's training rows, and its training and validation features."""
    encoder = Encoder.fit(train, run.config.student.encoder.transforms(train.schema))
    return encoder, encoder.encode(train), encoder.encode(run.tables()["valid"])


def _fresh(settings: TeacherSettings | StudentSettings, rows: Table, seed: int) -> Ranker:
    encoder = Encoder.fit(rows, settings.encoder.transforms(rows.schema))
    return Ranker(encoder, _network(settings, encoder, seed))


def _network(settings: TeacherSettings | StudentSettings, encoder: Encoder, seed: int) -> nn.Module:
    return build(settings.model, encoder.spec, seed=seed, arguments=settings.arguments)


def _beside(folder: Path) -> Path:
    """Where the training state of an unfinished artefact is."""
    return folder.with_name(f"{folder.name}.unfinished")
