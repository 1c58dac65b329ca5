"""The students that are tried: those of one arm in one cell of a run, each made and judged as the run itself does it.

Soft labels are read, never made; of the test rows nothing is read, unless their items are part of an implicit target's
catalogue (`label_budget.labelled_rows`).
"""

from __future__ import annotations

from typing import Any

from recdistill import run_arms
from recdistill.arms import ARMS
from recdistill.artefacts import is_made_from, manifest
from recdistill.cells import new_ranker
from recdistill.cells.students import learn, lesson, starting
from recdistill.cells.trying import Best
from recdistill.encoder import Encoder
from recdistill.errors import UsageError, nearest
from recdistill.examples import Examples
from recdistill.label_budget import Cell
from recdistill.progress import Progress
from recdistill.ranker import Ranker
from recdistill.rehearsal import try_student
from recdistill.run_folder import RunFolder
from recdistill.settings import plain
from recdistill.soft_labels import SoftLabels
from recdistill.stages import require_before
from recdistill.training import Fitted
from recdistill.tuning.space import Candidate, Point, Space, applied

SHAPE = ("student.model", "student.arguments", "student.encoder")
OF_TEACHER = ("trial.alpha", "trial.temperature", "student.distill")
ELSEWHERE = {
    "student.fit.learning_rate": "is trial.learning_rate",
    "student.fit.weight_decay": "is trial.weight_decay",
    "student.fit.seed": "is the cell's",
    "student.fit.stop_by": "is the same for all, or the scores after an epoch could not be compared",
}


class Students:
    """What all students of an arm in a cell have in common.

    Args:
        run: its folder, in which soft labels are there.
        name: of the arm.
        cell: whose labels.

    Raises:
        UsageError: the run makes no such arm, or what it needs is not there yet; the command that makes it is named.
    """

    def __init__(self, run: RunFolder, name: str, cell: Cell) -> None:
        made = run_arms.arms(run, cell.share)
        if name not in made:
            rule = f"makes no arm {name!r} of a share of {cell.share:g} of the labels"
            raise UsageError(f"{run.path} {rule}, {nearest(name, made)}")
        require_before(RunFolder(run.path, only=frozenset([cell])), "distill")
        self.run, self.name, self.cell, self.arm = run, name, cell, ARMS[name]
        self.start = self._started()
        self.train, self.valid = run.labelled(cell)
        labeller = run_arms.labeller(run, self.arm)
        self.labels = None if labeller is None else run.soft_labels(labeller, cell)
        self.soft = None if self.labels is None else SoftLabels.load(self.labels)
        self._kept: tuple[str, Encoder, Examples] | None = None

    @property
    def identity(self) -> dict[str, Any]:
        """What a logloss on the validation rows depends on, beside the settings that are tried."""
        start = self.run.student(self.run.controls[-1], self.cell) if self.start else None
        if self.name == "source_finetuned":
            start = self.run.pretrained("source_student", self.cell.seed)
        files = {"soft_labels": self.labels, "start": start}
        made = {name: manifest(place)["files"] for name, place in files.items() if place is not None}
        told = {"arm": self.name, "cell": str(self.cell), "rows": self.run.identity}
        return {**told, **made, "student": plain(self.run.config.student)}

    def require(self, space: Space) -> None:
        """Try every value of a space on the run's rows, before anything is trained.

        Raises:
            UsageError: a setting is not known, has a value that makes no sense or does not fit the rows, or is not this
                arm's to choose.
            DataError: the rows cannot be learnt from.
        """
        for name, why in ELSEWHERE.items():
            if space.named(name):
                raise UsageError(f"{name} is not tuned: it {why}")
        if self.start is not None and (named := space.named(*SHAPE)):
            rule = f"{self.name} starts from another student's weights, whose shape it keeps"
            raise UsageError(f"{rule}: {', '.join(named)} cannot be tuned; a cold arm's can")
        # First of all: a name that is not known is said before one that is missing.
        candidates = [applied(self.run.config.student, point) for point in space.probes()]
        if self.arm.distilled and not space.named("trial.alpha"):
            example = "alpha = { low = 0.0, high = 1.0 } below [trial]"
            raise UsageError(f"{self.name} listens to a teacher: its space says how much, e.g. {example}")
        if not space.tuned:
            raise UsageError(f"a space for {self.name} needs at least one setting with more than one value, got none")
        for candidate in candidates:
            self._try(candidate)

    def judged(self, point: Point, progress: Progress) -> tuple[float, Fitted]:
        """Train a student.

        Args:
            point: its settings.
            progress: told of its fit.

        Returns:
            Its logloss on the labelled validation rows, and what came of its fit.

        Raises:
            UsageError: settings that make sense one by one do not together.
            TrainingError: the loss is no longer finite.
        """
        told, best = applied(self.run.config.student, point), Best(self.valid)
        encoder, examples = self._lesson(told)
        student = self._new(told, encoder) if self.start is None else self.start.copy()
        seed, arm = self.cell.seed, self.arm
        found = learn(
            told.student, student, examples, self.valid, arm=arm, trial=told.trial, seed=seed, progress=progress
        )
        best.offer(student, told.trial, found)
        return best.logloss, found

    @property
    def own(self) -> float | None:
        """Logloss of the run's own student of the arm on the same rows; None where it is not made yet."""
        place = self.run.student(self.name, self.cell)
        made = is_made_from(place, self.run.identity)
        return float(manifest(place)["facts"]["valid_logloss"]) if made else None

    def _new(self, told: Candidate, encoder: Encoder) -> Ranker:
        return new_ranker(told.student, encoder, self.train.schema.classes, self.cell.seed)

    def _lesson(self, told: Candidate) -> tuple[Encoder, Examples]:
        """The encoder and the encoded rows; kept for the next student, where that is told the same of them."""
        key = f"{told.student.encoder!r} {told.student.distill!r}"
        if self._kept is None or self._kept[0] != key:
            encoder = told.student.encoder.fit(self.train) if self.start is None else self.start.encoder
            examples = lesson(told.student.distill, self.arm, encoder, self.train, self.soft, seed=self.cell.seed)
            self._kept = key, encoder, examples
        return self._kept[1:]

    def _started(self) -> Ranker | None:
        """What a warm arm starts from."""
        if not self.arm.warm:
            return None
        control = self.run.student(self.run.controls[-1], self.cell)
        if self.name != "source_finetuned" and not is_made_from(control, self.run.identity):
            there = control.relative_to(self.run.path)
            raise UsageError(f"{there} is not there yet; run `recdistill distill {self.run.path}` first")
        return starting(self.run, self.name, self.cell, self.run.labelled(self.cell)[0])

    def _try(self, told: Candidate) -> None:
        if told.student.distill.hint is not None and self.soft is not None and self.soft.hidden is None:
            rule = "a hint needs soft labels with the teacher's hidden states, which a run keeps that hints itself"
            raise UsageError(f"student.distill.hint: {rule}, got {told.student.distill.hint!r}")
        config = self.run.config
        tune = config.tune.model_copy(update={"distilled": (told.trial,)})
        try_student(config.model_copy(update={"student": told.student, "tune": tune}), self.train)


def heard_by(space: Space, name: str) -> Space:
    """A space without what an arm does not hear: a control has no teacher."""
    return space if ARMS[name].distilled else space.without(*OF_TEACHER)
