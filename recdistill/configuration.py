"""What an experiment can be told, its arms, and the folder it may write to."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import tomli_w
from pydantic import Field, model_validator

from recdistill.artefacts import write_json, write_text
from recdistill.distillation import DistillSettings
from recdistill.encoder import EncoderSettings
from recdistill.errors import UsageError
from recdistill.settings import Settings, read_toml
from recdistill.training import FitSettings

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
        Trial(learning_rate=1e-3),
        Trial(learning_rate=3e-3),
        Trial(learning_rate=1e-3, weight_decay=1e-4),
        Trial(learning_rate=3e-3, weight_decay=1e-4),
    )
    distilled: tuple[Trial, ...] = (
        Trial(learning_rate=3e-3, alpha=0.0),
        Trial(learning_rate=3e-3, alpha=0.3),
        Trial(learning_rate=3e-3, alpha=0.7),
        Trial(learning_rate=3e-3, alpha=0.7, temperature=2.0),
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


class DataSettings(Settings):
    """Which data set, and where its files are."""

    name: Literal["synthetic", "movielens"] = "synthetic"
    root: str | None = None


class SplitSettings(Settings):
    """How the target's rows are split."""

    valid: float = 0.1
    test: float = 0.1
    by: Literal["random", "time", "user"] = "random"


class TeacherSettings(Settings):
    """The large model, how it is trained on the source, and how it is adapted to the target."""

    model: str = "deepfm"
    arguments: dict[str, Any] = {"embedding_dim": 32, "hidden": [128, 64]}
    encoder: EncoderSettings = EncoderSettings()
    fit: FitSettings = FitSettings(epochs=8, learning_rate=2e-3, weight_decay=1e-5, batch_size=1024)
    adapt: FitSettings = FitSettings(epochs=10, learning_rate=1e-3, weight_decay=1e-5)


class StudentSettings(Settings):
    """The compact model; its learning rate and weight decay are tuned, see `tune`."""

    model: str = "deepfm"
    arguments: dict[str, Any] = {"embedding_dim": 4, "hidden": [32]}
    encoder: EncoderSettings = EncoderSettings()
    fit: FitSettings = FitSettings(epochs=15, learning_rate=2e-3, weight_decay=1e-5)


class Config(Settings):
    """An experiment.

    Args:
        labels: shares of the target's training and validation labels to try, each in (0, 1].
        seeds: how many; each draws its own labels and weights. The test rows are the same for all.
        folds: of the adapted teacher's out-of-fold labels.
    """

    data: DataSettings = DataSettings()
    split: SplitSettings = SplitSettings()
    labels: tuple[float, ...] = (0.05, 1.0)
    seeds: int = Field(1, ge=1)
    folds: int = Field(3, ge=2)
    teacher: TeacherSettings = TeacherSettings()
    student: StudentSettings = StudentSettings()
    tune: TuneSettings = TuneSettings()


def open_run(config: Config, out: Path, *, overwrite: bool) -> None:
    """Make the run's folder, or continue the run of the same configuration.

    Raises:
        UsageError: the folder is no run, or holds a run of another configuration and `overwrite` is false.
    """
    resolved = _without_none(config.model_dump(mode="json"))
    file = out / "config.toml"
    if out.exists() and any(out.iterdir()):
        if not file.is_file():
            raise UsageError(f"{out} is not empty and holds no run (no config.toml); choose another folder")
        if read_toml(file) == resolved:
            return
        if not overwrite:
            raise UsageError(f"{out} holds a run of another configuration; choose another folder or pass --overwrite")
        shutil.rmtree(out)
    write_text(file, tomli_w.dumps(resolved))
    packages = ("recdistill", "torch", "numpy", "pyarrow", "scikit-learn")
    write_json(out / "versions.json", {"python": platform.python_version()} | {p: version(p) for p in packages})


def _without_none(values: Mapping[str, Any]) -> dict[str, Any]:
    kept = {k: v for k, v in values.items() if v is not None}
    return {k: _without_none(v) if isinstance(v, Mapping) else v for k, v in kept.items()}
