"""What an experiment can be told; every default stands here and in each run's `config.toml`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from recdistill import datasets, models
from recdistill.arms import TuneSettings
from recdistill.batch import FeatureSpec
from recdistill.encoder import Encoder
from recdistill.errors import UsageError, nearest
from recdistill.settings import Settings
from recdistill.tables import Table
from recdistill.training import FitSettings
from recdistill.transforms import Hashing, LogBuckets, Quantiles, Scaled, Transform, Vocabulary

NUMBERS: dict[str, Transform] = {
    "standardise": Scaled(),
    "log": Scaled(log=True),
    "quantiles": Quantiles(),
    "log_buckets": LogBuckets(),
}


# A model is built on it only to see whether its arguments make sense.
TINY = FeatureSpec(categorical=(("some id", 2),), number=("some number",))


class EncoderSettings(Settings):
    """How columns become ids and numbers.

    Args:
        min_count: a value needs this many rows for an id of its own.
        hashing: columns to hash instead, with their number of buckets.
        numbers: the transform of number columns.
        drop: feature columns to leave out.
    """

    min_count: int = Field(1, ge=1)
    hashing: dict[str, Annotated[int, Field(ge=1)]] = {}
    numbers: Literal["standardise", "log", "quantiles", "log_buckets"] = "standardise"
    drop: tuple[str, ...] = ()

    def fit(self, rows: Table) -> Encoder:
        """An encoder fitted on training rows.

        Raises:
            UsageError: a column to drop or to hash is no feature.
        """
        for name in (*self.drop, *self.hashing):
            if name not in rows.schema.features:
                raise UsageError(f"no feature column {name!r} to drop or hash, {nearest(name, rows.schema.features)}")
        kept = rows.with_schema(rows.schema.without(*self.drop))
        ids = dict.fromkeys(kept.schema.categorical + kept.schema.multi, Vocabulary(self.min_count))
        numbers = dict.fromkeys(kept.schema.number, NUMBERS[self.numbers])
        return Encoder.fit(
            kept, {**ids, **numbers, **{name: Hashing(buckets) for name, buckets in self.hashing.items()}}
        )


def _untouched(group: str, fitting: FitSettings, names: Sequence[str], instead: str) -> None:
    """Refuse settings that the experiment sets itself."""
    for name in names:
        value, default = getattr(fitting, name), FitSettings.model_fields[name].default
        if value != default:
            raise UsageError(f"{group}.{name} is set by the experiment ({instead}), got {value!r}")


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
        models.build(self.model, TINY, arguments=self.arguments)
        _untouched("fit", self.fit, ["seed"], "see seeds")
        _untouched("adapt", self.adapt, ["seed", "learning_rate", "weight_decay"], "see seeds and tune.adapted")
        return self


class StudentSettings(Settings):
    """The compact model.

    The learning rate and weight decay in `fit` are those of its training on the source; on the target they are tuned,
    see `tune`.
    """

    model: str = "deepfm"
    arguments: dict[str, Any] = {"embedding_dim": 4, "hidden": [32]}
    encoder: EncoderSettings = EncoderSettings()
    fit: FitSettings = FitSettings(epochs=30)

    @model_validator(mode="after")
    def _known(self) -> StudentSettings:
        models.build(self.model, TINY, arguments=self.arguments)
        _untouched("fit", self.fit, ["seed"], "see seeds")
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

    @field_validator("labels")
    @classmethod
    def _distinct(cls, labels: tuple[float, ...]) -> tuple[float, ...]:
        if len({f"{share:g}" for share in labels}) < len(labels):
            raise ValueError("shares of labels must differ within six digits")
        return labels
