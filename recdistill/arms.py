"""The arms of an experiment: every way to make the student, each with the same tuning budget."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pydantic import Field, model_validator

from recdistill.settings import Settings

CONTROLS = ("hard_only", "source_finetuned")
# What their arms are called after.
TEACHERS = {
    "source_teacher": "source",
    "adapted_teacher": "adapted",
    "given_scores": "scores",
    "calibrated_scores": "calibrated",
}


@dataclass(frozen=True)
class Arm:
    """One way to make a student.

    Args:
        teacher: whose soft labels, a key of `TEACHERS`, or None.
        unlabelled: whether it learns from unlabelled rows too.
        warm: whether it starts from a control instead of from random weights: from `source_finetuned` (which itself
            starts from the student trained on the source), or without source rows from `hard_only`.
    """

    teacher: str | None = None
    unlabelled: bool = False
    warm: bool = False


def _arms() -> dict[str, Arm]:
    arms = {"hard_only": Arm(), "source_finetuned": Arm(warm=True)}
    for teacher, short in TEACHERS.items():
        for unlabelled in (False, True):
            for warm in (False, True):
                name = f"{short}_{'all' if unlabelled else 'labelled'}{'_warm' if warm else ''}"
                arms[name] = Arm(teacher, unlabelled, warm)
    return arms


ARMS = _arms()


def arms_of(*, teachers: Iterable[str], source: bool, unlabelled: bool) -> dict[str, Arm]:
    """The arms that can be made.

    Args:
        teachers: those there are.
        source: whether there are source rows; without them there is no `source_finetuned`.
        unlabelled: whether there are unlabelled rows to learn from.
    """
    known = {None, *teachers}
    arms = {name: arm for name, arm in ARMS.items() if arm.teacher in known and (unlabelled or not arm.unlabelled)}
    return arms if source else {name: arm for name, arm in arms.items() if name != "source_finetuned"}


class Trial(Settings):
    """One candidate of an arm's tuning budget.

    Args:
        learning_rate, weight_decay: of the student's fit.
        alpha, temperature: of the distillation; controls and teachers have none.
    """

    learning_rate: float = Field(1e-3, gt=0, allow_inf_nan=False)
    weight_decay: float = Field(0.0, ge=0, allow_inf_nan=False)
    alpha: float = Field(0.0, ge=0, le=1)
    temperature: float = Field(1.0, gt=0, allow_inf_nan=False)

    @property
    def fitting(self) -> dict[str, float]:
        """What it changes in the student's fit."""
        return {"learning_rate": self.learning_rate, "weight_decay": self.weight_decay}

    def words(self, *, distilled: bool = False) -> str:
        """The candidate in a few words."""
        fit = f"learning rate {self.learning_rate:g}, weight decay {self.weight_decay:g}"
        return f"alpha {self.alpha:g}, temperature {self.temperature:g}, {fit}" if distilled else fit


class TuneSettings(Settings):
    """The tuning budget: as many candidates for a control as for an arm with a teacher, alpha = 0 among the latter.

    Args:
        controls: candidates of the controls.
        distilled: candidates of the arms with a teacher.
        adapted: candidates of the adapted teacher's fine-tuning.
    """

    controls: tuple[Trial, ...] = (
        Trial(learning_rate=5e-4),
        Trial(learning_rate=1e-3),
        Trial(learning_rate=3e-3),
        Trial(learning_rate=1e-3, weight_decay=1e-4),
        Trial(learning_rate=3e-3, weight_decay=1e-4),
        Trial(learning_rate=3e-3, weight_decay=1e-3),
    )
    distilled: tuple[Trial, ...] = (
        Trial(learning_rate=3e-3, alpha=0.0),
        Trial(learning_rate=3e-3, alpha=0.3),
        Trial(learning_rate=1e-3, alpha=0.5),
        Trial(learning_rate=3e-3, alpha=0.7),
        Trial(learning_rate=3e-3, alpha=0.7, temperature=2.0),
        Trial(learning_rate=1e-3, alpha=0.9),
    )

    adapted: tuple[Trial, ...] = (
        Trial(learning_rate=1e-4, weight_decay=1e-5),
        Trial(learning_rate=3e-4, weight_decay=1e-5),
        Trial(learning_rate=1e-3, weight_decay=1e-5),
        Trial(learning_rate=3e-3, weight_decay=1e-5),
        Trial(learning_rate=3e-4, weight_decay=1e-4),
        Trial(learning_rate=1e-3, weight_decay=1e-4),
    )

    @model_validator(mode="after")
    def _fair(self) -> TuneSettings:
        sizes = {name: len(getattr(self, name)) for name in ("controls", "distilled", "adapted")}
        if len(set(sizes.values())) > 1 or not self.controls:
            words = ", ".join(f"{size} {name}" for name, size in sizes.items())
            raise ValueError(f"every arm gets the same number of candidates, got {words}")
        if any(t.alpha for t in (*self.controls, *self.adapted)) or all(t.alpha for t in self.distilled):
            raise ValueError(
                "alpha is 0 for controls and adapted teachers, and among the candidates of every other arm"
            )
        return self

    def of(self, arm: Arm) -> tuple[Trial, ...]:
        """The candidates of an arm."""
        return self.controls if arm.teacher is None else self.distilled
