"""What an experiment makes, one artefact a function: rankers trained on the source, adapted teachers, soft labels,
students. Each takes the run's folder, reads what it needs there, and leaves one folder artefact.
"""

from __future__ import annotations

import math
import shutil
from pathlib import Path

from recdistill.arms import ARMS, Trial
from recdistill.artefacts import manifest
from recdistill.calibration import calibrate
from recdistill.configuration import StudentSettings, TeacherSettings
from recdistill.distillation import DistillSettings, distill
from recdistill.domains import privileged_columns
from recdistill.encoder import Encoder
from recdistill.evaluation import measure, task
from recdistill.examples import Examples
from recdistill.inspection import unshared
from recdistill.metrics import logloss
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
    facts = {f"source_{headline}": reached, "best_epoch": found.best_epoch}
    ranker.save(folder, prepared=run.identity, **facts)
    shutil.rmtree(state, ignore_errors=True)
    return f"{headline.upper()} {reached:.4f} on held-out source rows, best after {found.best_epoch} epochs"


def adapt(run: RunFolder, cell: Cell, part: str, watch: Watch) -> str:
    """The source teacher fine-tuned on labelled target rows and stopped on the labelled validation rows.

    Args:
        run: the run's folder.
        cell: whose labels.
        part: "whole" for all labelled rows, tried with every candidate of the budget; "fold-k" for all but the k-th
            fold's, with the candidate that "whole" chose.
        watch: told how far it is.
    """
    config, folder = run.config, run.adapted(cell, part)
    train, valid = run.labelled(cell)
    trials, kept = config.tune.adapted, train.labelled
    if part != "whole":
        trials = (Trial(**manifest(run.adapted(cell, "whole"))["facts"]["choice"]),)
        kept &= ~folds(train, k=config.folds, seed=cell.seed)[int(part.removeprefix("fold-"))]
    start, rows = Ranker.load(run.pretrained("source_teacher", cell.seed)).extended(train), train.take(kept)
    held_out = _Best(valid)
    for number, trial in enumerate(trials):
        ranker, progress = start.copy(), watch.part(number, len(trials))
        fitting = config.teacher.adapt.model_copy(update={**trial.fitting, "seed": cell.seed})
        fit(ranker, rows, valid=valid, settings=fitting, progress=progress)
        held_out.offer(ranker, trial)
    words = held_out.save(folder, run.identity)
    return f"{words} on {len(rows):,} rows with {held_out.trial.words()}"


def label(run: RunFolder, teacher: str, cell: Cell, watch: Watch) -> str:
    """A teacher's soft labels for every training row; for rows the teacher was adapted on, out of fold.

    Args:
        run: the run's folder.
        teacher: one of the run's teachers.
        cell: whose labels the teacher was adapted on.
        watch: told how far it is.
    """
    config, (train, _) = run.config, run.labelled(cell)
    if teacher == "source_teacher":
        soft = SoftLabels.from_teacher(Ranker.load(run.pretrained(teacher, cell.seed)), train)
    elif config.teacher.scores is not None:
        soft = SoftLabels.from_column(train, scale=config.teacher.scores, clip=config.teacher.clip)
        if teacher == "calibrated_scores":
            soft = calibrate(soft, train, k=config.folds, seed=cell.seed)
    else:
        masks = folds(train, k=run.config.folds, seed=cell.seed)
        without = [Ranker.load(run.adapted(cell, f"fold-{k}")) for k in range(len(masks))]
        soft = SoftLabels.out_of_fold(Ranker.load(run.adapted(cell, "whole")), without, masks, train)
    soft.save(run.soft_labels(teacher, cell), prepared=run.identity)
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
    start = _start(run, name, cell)
    examples = Examples.of(start.encoder, train)
    if arm.teacher is not None:
        soft = SoftLabels.load(run.soft_labels(arm.teacher, cell))
        examples = examples.with_teacher(soft.for_table(train))
    trials, held_out = config.tune.of(arm), _Best(valid)
    for number, trial in enumerate(trials):
        student, progress = start.copy(), watch.part(number, len(trials))
        fitting = config.student.fit.model_copy(update={**trial.fitting, "seed": cell.seed})
        distilling = DistillSettings(alpha=trial.alpha, temperature=trial.temperature, unlabelled=arm.unlabelled)
        distill(student, examples, None, valid=valid, settings=distilling, fitting=fitting, progress=progress)
        held_out.offer(student, trial)
    words = held_out.save(run.student(name, cell), run.identity)
    return f"{words} with {held_out.trial.words(distilled=arm.teacher is not None)}"


class _Best:
    """The candidate with the lowest logloss on the labelled validation rows, whatever its fit was stopped by."""

    trial: Trial
    ranker: Ranker

    def __init__(self, valid: Table) -> None:
        self.valid, self.logloss = valid.take(valid.labelled), math.inf

    def offer(self, ranker: Ranker, trial: Trial) -> None:
        """Keep it if it is better."""
        found = logloss(ranker.score(self.valid), self.valid.labels)
        if found < self.logloss:
            self.logloss, self.ranker, self.trial = found, ranker, trial

    def save(self, folder: Path, prepared: str) -> str:
        """Write it down and say how good it is."""
        self.ranker.save(folder, prepared=prepared, valid_logloss=self.logloss, choice=self.trial.model_dump())
        return f"validation logloss {self.logloss:.4f}"


def _start(run: RunFolder, name: str, cell: Cell) -> Ranker:
    """The student before it sees the target's labels; cold or warm, it has the ids of the target's training rows.

    `source_finetuned` starts from the student trained on the source, a warm arm from `source_finetuned`, or where
    there are no source rows from `hard_only`.
    """
    settings, train = run.config.student, run.tables()["train"]
    if name == "source_finetuned":
        return Ranker.load(run.pretrained("source_student", cell.seed)).refitted(train)
    if ARMS[name].warm:
        return Ranker.load(run.student(run.controls[-1], cell))
    return new_ranker(settings, settings.encoder.fit(train), train.schema.classes, cell.seed)


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


def new_ranker(settings: TeacherSettings | StudentSettings, encoder: Encoder, classes: int, seed: int) -> Ranker:
    """A ranker of the task's classes that has learnt nothing."""
    arguments = {"classes": classes, **settings.arguments}
    return Ranker(encoder, build(settings.model, encoder.spec, seed=seed, arguments=arguments))
