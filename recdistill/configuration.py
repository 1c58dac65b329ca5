"""What an experiment can be told; every default stands here and in each run's `config.toml`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from recdistill import datasets, models
from recdistill.arms import TuneSettings
from recdistill.schema import Schema
from recdistill.settings import Settings
from recdistill.training import FitSettings
from recdistill.transforms import Hashing, LogBuckets, Quantiles, Scaled, Transform, Vocabulary

NUMBERS: dict[str, Transform] = {
    "standardise": Scaled(),
    "log": Scaled(log=True),
    "quantiles": Quantiles(),
    "log_buckets": LogBuckets(),
}


class EncoderSettings(Settings):
    """How columns become ids and numbers.

    Args:
        min_count: a value needs this many rows for an id of its own.
        hashing: columns to hash instead, with their number of buckets.
        numbers: the transform of number columns.
        drop: feature columns to leave out.
    """

    min_count: int = 1
    hashing: dict[str, int] = {}
    numbers: Literal["standardise", "log", "quantiles", "log_buckets"] = "standardise"
    drop: tuple[str, ...] = ()

    def transforms(self, schema: Schema) -> dict[str, Transform]:
        """The transform of each column that is not left at its default."""
        ids = dict.fromkeys(schema.categorical + schema.multi, Vocabulary(self.min_count))
        numbers = dict.fromkeys(schema.number, NUMBERS[self.numbers])
        return {**ids, **numbers, **{name: Hashing(buckets) for name, buckets in self.hashing.items()}}


class DataSettings(Settings):
    """Which data set.

    Args:
        name: a key of `recdistill.datasets.DATASETS`.
        root: the folder of its files, where it has any; `$NAME` is an environment variable, and reports show it so.
        arguments: of its `load`, e.g. what tells the domains apart.
    """

    name: str = "synthetic"
    root: str | None = None
    arguments: dict[str, Any] = {}

    @model_validator(mode="after")
    def _known(self) -> DataSettings:
        datasets.require(self.name, self.arguments)
        return self


class SplitSettings(Settings):
    """How the target's rows are split."""

    valid: float = Field(0.1, gt=0, lt=1)
    test: float = Field(0.1, gt=0, lt=1)
    by: Literal["random", "time", "user"] = "random"


class TeacherSettings(Settings):
    """The large model, how it is trained on the source, and how it is adapted to the target.

    The learning rate and weight decay of the adaptation are tuned, see `tune.adapted`.
    """

    model: str = "deepfm"
    arguments: dict[str, Any] = {"embedding_dim": 32, "hidden": [128, 64]}
    encoder: EncoderSettings = EncoderSettings()
    fit: FitSettings = FitSettings(epochs=8, batch_size=1024)
    adapt: FitSettings = FitSettings(epochs=10)

    @model_validator(mode="after")
    def _known(self) -> TeacherSettings:
        models.require(self.model, self.arguments)
        return self


class StudentSettings(Settings):
    """The compact model; its learning rate and weight decay are tuned, see `tune`."""

    model: str = "deepfm"
    arguments: dict[str, Any] = {"embedding_dim": 4, "hidden": [32]}
    encoder: EncoderSettings = EncoderSettings()
    fit: FitSettings = FitSettings(epochs=30)

    @model_validator(mode="after")
    def _known(self) -> StudentSettings:
        models.require(self.model, self.arguments)
        return self


class Config(Settings):
    """An experiment.

    Args:
        labels: shares of the target's training and validation labels to try, each in (0, 1].
        seeds: how many; each draws its own labels and weights. The test rows are the same for all.
        folds: of the adapted teacher's out-of-fold labels.
    """

    data: DataSettings = DataSettings()
    split: SplitSettings = SplitSettings()
    labels: tuple[Annotated[float, Field(gt=0, le=1)], ...] = Field((0.05, 1.0), min_length=1)
    seeds: int = Field(1, ge=1)
    folds: int = Field(3, ge=2)
    teacher: TeacherSettings = TeacherSettings()
    student: StudentSettings = StudentSettings()
    tune: TuneSettings = TuneSettings()
