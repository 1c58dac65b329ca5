"""What an experiment can be told; every default stands here and in each run's `config.toml`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from recdistill import datasets, models
from recdistill.arms import ARMS, AUTO, TuneSettings
from recdistill.distillation import DistillSettings
from recdistill.encoder_settings import EncoderSettings
from recdistill.errors import UsageError, nearest
from recdistill.features import FeatureSpec
from recdistill.fit_settings import FitSettings
from recdistill.settings import Settings
from recdistill.splits import By
from recdistill.transfer import CONFIDENCE

# A model is built on it only to see whether its arguments make sense.
TINY = FeatureSpec(categorical=(("some id", 2),), number=("some number",))


def _buildable(model: str, arguments: Mapping[str, Any]) -> None:
    """Refuse a model that cannot be built."""
    if "classes" in arguments:
        raise UsageError(f"the classes of a model are set by the rows' grades, got classes={arguments['classes']!r}")
    named = ((name, 2) for name in dict.fromkeys(_texts(list(arguments.values()))))  # some arguments name features
    models.build(model, replace(TINY, multi=tuple(named)), arguments=arguments)


def _texts(value: Any) -> Iterator[str]:
    """The texts in lists and groups, and those in these."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | tuple | Mapping):
        for inner in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(inner)


def _untouched(group: str, settings: Settings, names: Sequence[str], instead: str) -> None:
    """Refuse settings that would have no effect."""
    for name in names:
        value, default = getattr(settings, name), type(settings).model_fields[name].default
        if value != default:
            raise UsageError(f"{group}.{name} is set by the experiment ({instead}), got {value!r}")


class DataSettings(Settings):
    """Which data set.

    Args:
        name: a key of `recdistill.datasets.DATASETS`.
        root: the folder of its files, where it has any; `$NAME` is an environment variable, and reports show it so.
        arguments: of its `load`, e.g. what tells the domains apart.
        source: whether the source's rows are at hand; without them scores are the only teacher.
        on_bad_row: "strict" stops at the first row that is not what its columns must hold; "quarantine" sets such rows
            of one's own files and of Criteo aside with the reason, up to a tenth.
        negatives: for a target of clicks alone, how many rows without a click are drawn for each click whose label is
            kept; 0 for a target that has its own.
        note: what a reader of the report must know about the data.
    """

    name: str = "synthetic"
    root: str | None = None
    arguments: dict[str, Any] = {}
    source: bool = True
    on_bad_row: Literal["strict", "quarantine"] = "strict"
    negatives: int = Field(0, ge=0)
    note: str = ""

    @model_validator(mode="after")
    def _known(self) -> DataSettings:
        datasets.require(self.name, self.arguments, quarantine=self.on_bad_row == "quarantine")
        return self


class SplitSettings(Settings):
    """How the target's rows are split.

    Args:
        valid, test: shares of the rows, or by "user" of the users; by "last" has no use for them.
        by: see `recdistill.splits.split`.
    """

    valid: float = Field(0.1, gt=0, lt=1)
    test: float = Field(0.1, gt=0, lt=1)
    by: By = "random"


class RankingSettings(Settings):
    """Ranking of all the items that a test user has not seen, beside the pointwise metrics.

    Args:
        protocol: "none"; "full" ranks all unseen items; "sampled" only drawn ones, and is biased.
        users: how many test users are ranked, at most.
        negatives: how many items are drawn for each user by "sampled".
    """

    protocol: Literal["none", "full", "sampled"] = "none"
    users: int = Field(500, ge=2)
    negatives: int = Field(100, ge=1)


class TeacherSettings(Settings):
    """The large model, how it is trained on the source, and how it is adapted to the target.

    The learning rate and weight decay of the adaptation are tuned, see `tune.adapted`.

    Args:
        scores: the scale of the target's score column ("probability" or "logit"), when that is the teacher; then no
            model is trained, and source rows are not needed.
        clip: of probabilities in the score column, moved into [clip, 1 - clip]; needed where some are exactly 0 or 1.
        model, arguments: the model otherwise.
        encoder: of the source's rows, privileged columns included.
        fit: its training on the source.
        adapt: its fine-tuning on the target.
        adapted: what of it is fine-tuned, see `recdistill.adaptation.adapt`.
        calibration: a key of `recdistill.calibrators.CALIBRATIONS`, for the arms of calibrated teachers; none for
            "platt", with ratings "temperature".
        hidden: with which probability a privileged column that only the source has is hidden in training, since the
            teacher must do without it on the target. With 1 it is not used at all: a strong column crowds out what
            carries over.
        unshared: "drop" leaves id columns of which source and target share no value to the students, who learn the
            target's own; with "keep" the teacher learns the source's and, adapted, the target's too. Columns that
            `encoder.hashing` names are always kept.
    """

    scores: Literal["probability", "logit"] | None = None
    clip: float = Field(0.0, ge=0, lt=0.5)
    model: str = "deepfm"
    arguments: dict[str, Any] = {"embedding_dim": 32, "hidden": [128, 64]}
    encoder: EncoderSettings = EncoderSettings()
    fit: FitSettings = FitSettings(epochs=8, batch_size=1024)
    adapt: FitSettings = FitSettings(epochs=10)
    adapted: Literal["all", "new_rows", "head"] = "all"
    calibration: Literal["isotonic", "platt", "prior_shift", "temperature"] | None = None
    hidden: float = Field(1.0, ge=0, le=1)
    unshared: Literal["keep", "drop"] = "keep"

    @model_validator(mode="after")
    def _known(self) -> TeacherSettings:
        _buildable(self.model, self.arguments)
        _untouched("fit", self.fit, ["seed"], "see seeds")
        tuned = ["seed", "learning_rate", "weight_decay", "checkpoint_seconds", "checkpoint_steps"]
        _untouched("adapt", self.adapt, tuned, "see seeds and tune.adapted; only fits on the source leave checkpoints")
        if self.scores is not None:
            own = ["model", "arguments", "encoder", "fit", "adapt", "adapted", "hidden", "unshared"]
            _untouched("teacher", self, own, "scores teach")
        elif self.clip:
            raise UsageError(f"clip is for teacher.scores, got {self.clip=} without")
        if self.adapted != "all" and self.adapt.embedding_backend != "torch":
            got = f"teacher.adapted={self.adapted!r} with embedding_backend={self.adapt.embedding_backend!r}"
            raise UsageError(f"only torch's tables can be left as they are in training, got {got}")
        return self

    @property
    def at_best(self) -> str:
        """The teacher adapted, or of scores calibrated, to the labelled target rows: a key of `arms.TEACHERS`."""
        return "adapted_teacher" if self.scores is None else "calibrated_scores"

    def calibrated_by(self, classes: int) -> str:
        """The kind of calibration of click (1 class) or class logits."""
        return self.calibration or ("platt" if classes == 1 else "temperature")


class StudentSettings(Settings):
    """The compact model.

    The learning rate and weight decay in `fit` are those of its training on the source; on the target they are tuned,
    see `tune`.

    Args:
        model, arguments, encoder, fit: as those of the teacher.
        distill: what it listens to in the arms of teachers. A placebo has no hint; alpha 0 is labels alone, without a
            curriculum too.
    """

    model: str = "deepfm"
    arguments: dict[str, Any] = {"embedding_dim": 4, "hidden": [32]}
    encoder: EncoderSettings = EncoderSettings()
    fit: FitSettings = FitSettings(epochs=30)
    distill: DistillSettings = DistillSettings()

    @model_validator(mode="after")
    def _known(self) -> StudentSettings:
        _buildable(self.model, self.arguments)
        _untouched("fit", self.fit, ["seed"], "see seeds")
        _untouched("distill", self.distill, ["alpha", "temperature", "unlabelled"], "see tune.distilled and arms")
        return self


class Config(Settings):
    """An experiment.

    Args:
        labels: shares of the target's training and validation labels to try, each in (0, 1].
        seeds: how many; each draws its own labels and weights. The test rows are the same for all.
        folds: of the adapted teacher's out-of-fold labels, and of the strategy's cross-validation.
        arms: those to make beside the controls and the strategy's, see `recdistill.arms.ARMS`; none for all but those
            of the calibrated source teacher and of in-sample labels.
        strategy: what is shipped: "auto" chooses in each cell among a few arms by cross-validation over the labelled
            rows and keeps labels alone where no gain is sure; or the name of an arm.
        confidence: of the one-sided lower bound by which "auto" must gain.
        smallest_effect: the smallest difference in AUC (for ratings in RMSE) that would matter; the report says whether
            there were test rows enough to tell it from 0.
    """

    data: DataSettings = DataSettings()
    split: SplitSettings = SplitSettings()
    ranking: RankingSettings = RankingSettings()
    labels: tuple[Annotated[float, Field(gt=0, le=1)], ...] = Field((0.05, 1.0), min_length=1)
    seeds: int = Field(1, ge=1)
    folds: int = Field(3, ge=2)
    arms: tuple[str, ...] = ()
    strategy: str = AUTO
    confidence: float = Field(CONFIDENCE, ge=0.5, lt=1)
    smallest_effect: float = Field(0.005, gt=0, allow_inf_nan=False)
    teacher: TeacherSettings = TeacherSettings()
    student: StudentSettings = StudentSettings()
    tune: TuneSettings = TuneSettings()

    @model_validator(mode="after")
    def _heard(self) -> Config:
        if self.teacher.scores is not None and self.student.distill.hint is not None:
            got = f"student.distill.hint={self.student.distill.hint!r} with teacher.scores={self.teacher.scores!r}"
            raise UsageError(f"a hint needs the hidden states of a teacher model, got {got}")
        return self

    @field_validator("labels")
    @classmethod
    def _distinct(cls, labels: tuple[float, ...]) -> tuple[float, ...]:
        if len({f"{share:g}" for share in labels}) < len(labels):
            raise ValueError("shares of labels must differ within six digits")
        return labels

    @field_validator("arms", "strategy")
    @classmethod
    def _known_arms(cls, names: tuple[str, ...] | str) -> tuple[str, ...] | str:
        asked, known = ((names,), (AUTO, *ARMS)) if isinstance(names, str) else (names, tuple(ARMS))
        for name in asked:
            if name not in known:
                raise ValueError(f"no arm {name!r}, {nearest(name, known)}")
        if len(set(asked)) < len(asked):
            raise ValueError("an arm is named once")
        return names
