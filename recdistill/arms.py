"""The arms of an experiment: every way to make the student, each with the same tuning budget."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import Field, model_validator

from recdistill.distillation import DistillSettings
from recdistill.settings import Settings

CONTROLS = ("hard_only", "source_finetuned")


@dataclass(frozen=True)
class Arm:
    """One way to make a student.

    Args:
        teacher: whose soft labels, or None.
        unlabelled: whether it learns from unlabelled rows too.
        warm: whether it starts from the student trained on the source, instead of from random weights.
    """

    teacher: Literal["source_teacher", "adapted_teacher"] | None = None
    unlabelled: bool = False
    warm: bool = False


def _arms() -> dict[str, Arm]:
    arms = {"hard_only": Arm(), "source_finetuned": Arm(warm=True)}
    for teacher, short in (("source_teacher", "source"), ("adapted_teacher", "adapted")):
        for unlabelled in (False, True):
            for warm in (False, True):
                name = f"{short}_{'all' if unlabelled else 'labelled'}{'_warm' if warm else ''}"
                arms[name] = Arm(teacher, unlabelled, warm)  # type: ignore[arg-type]
    return arms


ARMS = _arms()


def arms_at(share: float) -> dict[str, Arm]:
    """The arms worth making at a share of labels: at 1 there are no unlabelled rows to learn from."""
    return {name: arm for name, arm in ARMS.items() if share < 1 or not arm.unlabelled}


class Trial(Settings):
    """One candidate of an arm's tuning budget.

    Args:
        learning_rate, weight_decay: of the student's fit.
        alpha, temperature: of the distillation; controls have none.
    """

    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    alpha: float = Field(0.0, ge=0, le=1)
    temperature: float = Field(1.0, gt=0)

    @property
    def fitting(self) -> dict[str, float]:
        """What it changes in the student's fit."""
        return {"learning_rate": self.learning_rate, "weight_decay": self.weight_decay}

    def distilling(self, arm: Arm) -> DistillSettings:
        """The distillation of an arm at this candidate."""
        return DistillSettings(alpha=self.alpha, temperature=self.temperature, unlabelled=arm.unlabelled)

    def words(self, arm: Arm) -> str:
        """The candidate in a few words."""
        fit = f"learning rate {self.learning_rate:g}, weight decay {self.weight_decay:g}"
        return fit if arm.teacher is None else f"alpha {self.alpha:g}, temperature {self.temperature:g}, {fit}"


class TuneSettings(Settings):
    """The tuning budget: as many candidates for a control as for an arm with a teacher, alpha = 0 among the latter.

    Args:
        controls: candidates of the controls.
        distilled: candidates of the arms with a teacher.
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

    @model_validator(mode="after")
    def _fair(self) -> TuneSettings:
        if len(self.controls) != len(self.distilled) or not self.controls:
            rule = "every arm gets the same number of candidates"
            raise ValueError(f"{rule}, got {len(self.controls)} controls, {len(self.distilled)} distilled")
        if any(t.alpha for t in self.controls) or all(t.alpha for t in self.distilled):
            raise ValueError("controls have alpha 0, and alpha 0 is among the candidates of the arms with a teacher")
        return self

    def of(self, arm: Arm) -> tuple[Trial, ...]:
        """The candidates of an arm."""
        return self.controls if arm.teacher is None else self.distilled
