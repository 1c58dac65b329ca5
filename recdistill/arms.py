"""The arms of an experiment: every way to make the student, each with the same tuning budget."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from pydantic import Field, model_validator

from recdistill.settings import Settings

CONTROLS = ("hard_only", "source_finetuned")
# What their arms are called after.
TEACHERS = {
    "source_teacher": "source",
    "calibrated_teacher": "calibrated_source",
    "adapted_teacher": "adapted",
    "in_sample_teacher": "in_sample",
    "given_scores": "scores",
    "calibrated_scores": "calibrated",
}
MODELS, COLUMNS = tuple(TEACHERS)[:4], tuple(TEACHERS)[4:]
CALIBRATED = ("calibrated_teacher", "calibrated_scores")
# Made where they are asked for by name.
ASKED_FOR = ("calibrated_teacher", "in_sample_teacher")
AUTO = "auto"


@dataclass(frozen=True)
class Arm:
    """One way to make a student.

    Args:
        teacher: whose soft labels, a key of `TEACHERS`, or None.
        unlabelled: whether it learns from unlabelled rows too.
        warm: whether it starts from a control instead of from random weights: from `source_finetuned` (which itself
            starts from the student trained on the source), or without source rows from `hard_only`.
        placebo: what stands in the soft labels' place in a control that has all of an arm but the teacher's knowledge:
            "permuted", the best teacher's among other rows, or "base_rate", the mean of the labels.
    """

    teacher: str | None = None
    unlabelled: bool = False
    warm: bool = False
    placebo: Literal["permuted", "base_rate"] | None = None

    @property
    def distilled(self) -> bool:
        """Whether it is tuned over alphas."""
        return self.teacher is not None or self.placebo is not None


def _arms() -> dict[str, Arm]:
    arms = {"hard_only": Arm(), "source_finetuned": Arm(warm=True)}
    for warm in (False, True):
        arms[f"permuted_labelled{'_warm' if warm else ''}"] = Arm(warm=warm, placebo="permuted")
        arms[f"base_rate_all{'_warm' if warm else ''}"] = Arm(warm=warm, placebo="base_rate", unlabelled=True)
    for teacher, short in TEACHERS.items():
        for unlabelled in (False, True):
            for warm in (False, True):
                name = f"{short}_{'all' if unlabelled else 'labelled'}{'_warm' if warm else ''}"
                arms[name] = Arm(teacher, unlabelled, warm)
    return arms


ARMS = _arms()
PLACEBOS = tuple(name for name, arm in ARMS.items() if arm.placebo)
UNASKED = tuple(name for name, arm in ARMS.items() if arm.teacher not in ASKED_FOR)


def arms_of(
    *, teachers: Iterable[str], source: bool, unlabelled: bool, wanted: Iterable[str] = UNASKED
) -> dict[str, Arm]:
    """The arms that can be made.

    Args:
        teachers: those there are.
        source: whether there are source rows; without them there is no `source_finetuned`.
        unlabelled: whether there are unlabelled rows to learn from.
        wanted: their names, beside the controls that are made in any case. The placebo of each is made too.
    """
    known, asked = {None, *teachers}, tuple(wanted)
    names = {*CONTROLS, *asked, *(placebo_of(name) for name in asked)}
    if not source:
        names -= {"source_finetuned"}
    found = {name: arm for name, arm in ARMS.items() if name in names and arm.teacher in known}
    return {name: arm for name, arm in found.items() if unlabelled or not arm.unlabelled}


def placebo_of(name: str) -> str:
    """The control that has all of an arm but the teacher's knowledge; of a control itself."""
    arm = ARMS[name]
    if arm.teacher is None:
        return name
    return f"{'base_rate_all' if arm.unlabelled else 'permuted_labelled'}{'_warm' if arm.warm else ''}"


def candidates_of(teacher: str, *, source: bool, unlabelled: bool) -> tuple[str, ...]:
    """The arms among which the strategy "auto" chooses, controls first.

    Few, since each is made for every fold: labels alone, the student fine-tuned from the source, and the best teacher's
    students, of unlabelled rows too where there are any.

    Args:
        teacher: the best there is.
        source: whether there are source rows.
        unlabelled: whether there are unlabelled rows to learn from.
    """
    short = TEACHERS[teacher]
    if not source:
        return "hard_only", f"{short}_{'all' if unlabelled else 'labelled'}"
    taught = (f"{short}_all", f"{short}_all_warm") if unlabelled else (f"{short}_labelled_warm",)
    return (*CONTROLS, *taught)


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
        return self.distilled if arm.distilled else self.controls
