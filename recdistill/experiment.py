"""The experiment, read top to bottom: load, split, teacher, soft labels, students, controls, evaluate, write.

Every trained ranker is a folder artefact. What is there and whole is not made again, so the same command resumes.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from recdistill import report
from recdistill.artefacts import is_whole, verify, write_json
from recdistill.configuration import ARMS, Arm, Config, Trial, open_run
from recdistill.datasets import DATASETS
from recdistill.distillation import distill
from recdistill.encoder import Encoder
from recdistill.examples import Examples
from recdistill.metrics import best_threshold
from recdistill.models import build
from recdistill.ranker import Ranker
from recdistill.results import cell_name, evaluate
from recdistill.soft_labels import SoftLabels
from recdistill.splits import folds, keep_labels, split
from recdistill.tables import Table
from recdistill.training import fit

Say = Callable[[str], None]


def run(config: Config, out: Path, *, say: Say, overwrite: bool = False, command: str = "") -> dict[str, Any]:
    """All stages; returns the report.

    Args:
        config: of the experiment.
        out: the run's folder; an unfinished run of the same configuration is continued.
        say: told what is going on.
        overwrite: replace a run of another configuration.
        command: as the user typed it, for the report.

    Raises:
        UsageError: the folder holds something else.
        DataError: the data are not what they must be.
    """
    open_run(config, out, overwrite=overwrite)
    source, parts = prepare(config, out, say)
    cells = [(share, seed) for seed in range(config.seeds) for share in config.labels]
    for number, (share, seed) in enumerate(cells, 1):
        say(f"cell {number}/{len(cells)}: {share:.0%} of the target's labels, seed {seed}")
        cell = _Cell(config, out, source, parts, share, seed, say)
        cell.teach()
        for name in ARMS:
            cell.student(name)
    result = evaluate(config, out, source, parts, cells, command)
    write_json(out / "report" / "report.json", result)
    report.write_markdown(result, out / "report" / "report.md")
    return result


def prepare(config: Config, out: Path, say: Say) -> tuple[Table, dict[str, Table]]:
    """Load the data set, split the target, and keep both; a second call reads what the first one wrote."""
    folder = out / "prepared"
    names = ("source", "train", "valid", "test")
    if not all(is_whole(folder / name) for name in names):
        say(f"preparing {config.data.name}")
        root = {} if config.data.root is None else {"root": config.data.root}
        source, target = DATASETS[config.data.name](**root)
        made = split(target, valid=config.split.valid, test=config.split.test, by=config.split.by)
        for name, table in zip(names, (source, *made), strict=True):
            table.write(folder / name)
    tables = {name: Table.read(folder / name) for name in names}
    return tables.pop("source"), tables


class _Cell:
    """One share of labels and one seed: its teachers, soft labels and students."""

    def __init__(
        self, config: Config, out: Path, source: Table, parts: dict[str, Table], share: float, seed: int, say: Say
    ) -> None:
        self.config, self.out, self.source, self.seed, self.say = config, out, source, seed, say
        self.train, self.valid = keep_labels(parts["train"], parts["valid"], share=share, seed=seed)
        self.labelled = self.train.take(self.train.labelled)
        self.name = cell_name(share, seed)

    def teach(self) -> None:
        """The source teacher, the adapted teacher with its folds, and both teachers' soft labels."""
        source_teacher = self._pretrained("source_teacher", "teacher")
        soft = self.out / "soft_labels"
        if not is_whole(soft / "source_teacher" / f"seed-{self.seed}"):
            labels = SoftLabels.from_teacher(source_teacher, self.train)
            labels.save(soft / "source_teacher" / f"seed-{self.seed}")
        if is_whole(soft / "adapted_teacher" / self.name):
            return
        masks = folds(self.train, k=self.config.folds, seed=self.seed)
        whole = self._adapted("whole", source_teacher, self.labelled)
        out_of_fold = [
            self._adapted(f"fold-{k}", source_teacher, self.train.take(self.train.labelled & ~mask))
            for k, mask in enumerate(masks)
        ]
        labels = SoftLabels.out_of_fold(whole, out_of_fold, masks, self.train)
        labels.save(soft / "adapted_teacher" / self.name)

    def student(self, name: str) -> None:
        """One arm: every trial of its budget, the best on the labelled validation rows kept."""
        folder = self.out / "students" / name / self.name
        if is_whole(folder):
            return
        arm, best = ARMS[name], None
        start = self._pretrained("source_student", "student") if arm.warm else self._fresh("student", self.train)
        examples = Examples.of(start.encoder, self.train)
        if arm.teacher is not None:
            at = f"seed-{self.seed}" if arm.teacher == "source_teacher" else self.name
            soft = SoftLabels.load(self.out / "soft_labels" / arm.teacher / at)
            examples = examples.with_teacher(soft.for_table(self.train))
        for trial in self.config.tune.of(arm):
            student = start.copy()
            score = self._try(student, examples, arm, trial)
            if best is None or score < best[0]:
                best = score, student, trial
        if best is None:
            return
        threshold = best_threshold(best[1].score(self.valid.take(self.valid.labelled)), self._valid_labels())
        best[1].save(folder, valid_logloss=best[0], choice=best[2].model_dump(), threshold=threshold)
        self.say(f"  {name}: validation logloss {best[0]:.4f}, chosen {best[2].words(arm)}")

    def _try(self, student: Ranker, examples: Examples, arm: Arm, trial: Trial) -> float:
        fitting = self.config.student.fit.model_copy(
            update={"learning_rate": trial.learning_rate, "weight_decay": trial.weight_decay, "seed": self.seed}
        )
        distilling = trial.distilling(arm)
        return distill(student, examples, None, valid=self.valid, settings=distilling, fitting=fitting).score

    def _pretrained(self, name: str, role: str) -> Ranker:
        """A ranker trained on the source's labels, stopped on held-out source rows."""
        folder = self.out / "teacher" / name / f"seed-{self.seed}"
        if not is_whole(folder):
            train, valid, _ = split(self.source, valid=0.1, test=0.05)
            ranker = self._fresh(role, train if role == "teacher" else self.train)
            settings = self._settings(role).fit.model_copy(update={"seed": self.seed})
            found = fit(
                ranker, train, valid=valid, settings=settings, checkpoint=folder.with_name(f"{folder.name}.fit")
            )
            ranker.save(folder, valid_logloss=found.score, best_epoch=found.best_epoch)
            self.say(f"  {name}: source validation logloss {found.score:.4f} after {found.best_epoch} epochs")
        return Ranker.load(folder)

    def _adapted(self, part: str, teacher: Ranker, rows: Table) -> Ranker:
        """The source teacher fine-tuned on labelled target rows, stopped on the labelled validation rows."""
        folder = self.out / "teacher" / "adapted_teacher" / self.name / part
        if not is_whole(folder):
            ranker = teacher.extended(self.train)
            settings = self.config.teacher.adapt.model_copy(update={"seed": self.seed})
            found = fit(ranker, rows, valid=self.valid, settings=settings)
            threshold = best_threshold(ranker.score(self.valid.take(self.valid.labelled)), self._valid_labels())
            ranker.save(folder, valid_logloss=found.score, best_epoch=found.best_epoch, threshold=threshold)
        return Ranker.load(folder)

    def _fresh(self, role: str, rows: Table) -> Ranker:
        settings = self._settings(role)
        encoder = Encoder.fit(rows, settings.encoder.transforms(rows.schema))
        return Ranker(encoder, build(settings.model, encoder.spec, seed=self.seed, arguments=settings.arguments))

    def _settings(self, role: str) -> Any:
        return self.config.teacher if role == "teacher" else self.config.student

    def _valid_labels(self) -> np.ndarray[Any, Any]:
        return self.valid.labels[self.valid.labelled]


def verify_run(out: Path) -> dict[str, int]:
    """Re-hash every artefact of a run: how many artefacts and files were checked.

    Raises:
        DataError: a file is missing or was changed.
    """
    artefacts = [path.parent for path in sorted(out.rglob("manifest.json"))]
    files = sum(verify(artefact) for artefact in artefacts)
    return {"artefacts": len(artefacts), "files": files}
