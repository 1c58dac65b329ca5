"""What a run would stumble over late, tried on its rows before anything is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from recdistill import run_arms
from recdistill.arms import ARMS, AUTO, CALIBRATED
from recdistill.cells import calibrated, new_ranker, rows_for_teacher
from recdistill.configuration import Config, StudentSettings, TeacherSettings
from recdistill.devices import require_device_name
from recdistill.distillation import examples_for, require_losses
from recdistill.domains import privileged_columns
from recdistill.errors import DataError, UsageError, nearest
from recdistill.fit_settings import FitSettings
from recdistill.inspection import unshared
from recdistill.label_budget import Cell, cell_folds, labelled_rows
from recdistill.models import hidden_width
from recdistill.ranker import Ranker
from recdistill.rankings import candidates_of
from recdistill.score_column import ScoreColumn
from recdistill.soft_labels import SoftLabels
from recdistill.tables import Table

Array = np.ndarray[Any, Any]
FEW = 200  # rows are enough to see whether settings fit the columns


def rehearse(config: Config, source: Table | None, parts: Mapping[str, Table]) -> None:
    """Try on a run's rows what its stages will need of them.

    Args:
        config: of the run.
        source: its source rows, where there are any.
        parts: the target's "train", "valid" and "test".

    Raises:
        UsageError: a setting does not fit the rows.
        DataError: the rows cannot be trained on, scored, compared or ranked.
    """
    train, test = parts["train"], parts["test"]
    _require_teacher(config, source, train)
    _require_users(test)
    candidates_of(config.ranking, **parts)
    if config.teacher.scores is None and source is not None:
        _require_something_shared(source, train, config.teacher)
        rows, _ = rows_for_teacher(source, train, config.teacher)
        of_teacher = {"fit": config.teacher.fit, "adapt": config.teacher.adapt}
        teacher = _try_model("teacher", config.teacher, rows, of_teacher, privileged=True)
        if config.student.distill.hints:
            hidden_width(teacher.network)
    try_student(config, train)
    _require_asked(config, source is not None, train)
    for seed in range(config.seeds):
        for share in config.labels:
            kept, _ = labelled_rows(config.data, Cell(share, seed), **parts)
            masks = cell_folds(config.data, kept, k=config.folds, seed=seed)
            _require_arms(config, source is not None, train, share)
            _try_calibration(config, kept, seed)
            if config.strategy == AUTO:
                _try_strategy(config, kept, masks, seed)
    if config.teacher.scores is not None:
        for part in ("valid", "test"):
            ScoreColumn(config.teacher.scores, config.teacher.clip).score(parts[part])


def try_student(config: Config, train: Table) -> None:
    """Try a run's student, and what it listens to, on its training rows.

    Raises:
        UsageError: a setting does not fit the rows.
        DataError: the rows cannot be learnt from.
    """
    student = _try_model("student", config.student, train, {"fit": config.student.fit}, privileged=False)
    _require_heard(config, student, train)


def _require_teacher(config: Config, source: Table | None, target: Table) -> None:
    scores, schema = config.teacher.scores, target.schema
    if scores is None and source is None:
        instead = f" (or teacher.scores, for the column {schema.score!r})" if schema.score else ""
        raise UsageError(f"a teacher model needs source rows{instead}, got none from data set {config.data.name!r}")
    if scores is not None and (schema.score is None or schema.classes > 1):
        got = f"score={schema.score!r}, classes={schema.classes}"
        raise UsageError(f"teacher.scores needs click labels and a column with the role score, got {got}")


def _require_arms(config: Config, source: bool, train: Table, share: float) -> None:
    """Refuse arms that this run never makes, a strategy that it does not make of a share of labels, and no teacher."""
    ever = run_arms.configured(config, source=source, unlabelled=True)
    unlabelled = run_arms.has_unlabelled(config.data, share, train)
    made = run_arms.configured(config, source=source, unlabelled=unlabelled)
    for name in config.arms:
        if name not in ever:
            without = "" if source else " without source rows"
            raise UsageError(f"arm {name!r} cannot be made with teacher.scores={config.teacher.scores!r}{without}")
    if config.strategy not in (AUTO, *made):
        raise UsageError(
            f"the strategy must be 'auto' or an arm that is made of a share of {share:g} of the labels "
            f"({', '.join(made)}), got {config.strategy!r}"
        )
    if not any(arm.teacher for arm in made.values()):
        got = f"{', '.join(made)} of a share of {share:g} of the labels"
        raise UsageError(f"at least one arm must have a teacher, got {got}")


def _require_asked(config: Config, source: bool, train: Table) -> None:
    """Refuse named arms of which none is made at any share of labels, and a calibration that no arm hears."""
    unlabelled = any(run_arms.has_unlabelled(config.data, share, train) for share in config.labels)
    made = run_arms.configured(config, source=source, unlabelled=unlabelled)
    ever = run_arms.configured(config, source=source, unlabelled=True)
    if config.arms and all(name in ever and name not in made for name in config.arms):
        absent = f"{', '.join(config.arms)} learn from unlabelled rows, and there are none with all of the labels"
        raise UsageError(f"of the named arms at least one must be made: {absent}; name others or a smaller share")
    told = config.teacher
    if told.scores is None and told.calibration and not any(arm.teacher in CALIBRATED for arm in made.values()):
        rule = "teacher.calibration is for the arms calibrated_source_..."
        raise UsageError(f"{rule}, got {told.calibration!r} and none of them in arms")


def _require_something_shared(source: Table, target: Table, settings: TeacherSettings) -> None:
    """Refuse a pair in which every feature of the teacher is an id that only one side has."""
    on_target = privileged_columns(source, target)
    teachers = [*source.schema.features, *(name for name, there in on_target.items() if there)]
    features = [name for name in teachers if name not in settings.encoder.drop]
    apart = unshared(source, target)
    if features and all(name in apart for name in features):
        raise DataError(
            "nothing can transfer: a teacher needs a feature that source and target share, got only ids of which they "
            f"share none: {features}; add a column that means the same on both sides, e.g. of the items' content"
        )


def _require_users(test: Table) -> None:
    """An interval needs two clusters, and one of a ranking metric two users with a value."""
    if test.schema.user is None:
        return
    users = test.numpy(test.schema.user)
    clicked = users[test.labels == 1] if test.schema.classes == 1 else users
    if len(np.unique(clicked)) < 2:
        few = f"{len(np.unique(clicked))} in {len(test)} rows"
        raise DataError(f"the test part needs at least 2 users with a click to compare by, got {few}")


def _require_heard(config: Config, student: Ranker, train: Table) -> None:
    """Refuse what the student cannot listen to here."""
    told = config.student.distill
    for alpha in (told.alpha, *(trial.alpha for trial in config.tune.distilled)):
        require_losses(told.model_copy(update={"alpha": alpha}), train.schema.classes)
    examples_for(student.encoder, train.take(np.arange(min(FEW, len(train)))), None, told)
    if told.side_outputs:
        hidden_width(student.network)


def _try_calibration(config: Config, kept: Table, seed: int) -> None:
    """Calibrate scores, or zeros where a model is yet to say something: there must be labels enough."""
    scores, classes = config.teacher.scores, kept.schema.classes
    if scores is not None:
        soft = SoftLabels.from_column(kept, scale=scores, clip=config.teacher.clip)
    elif any(ARMS[name].teacher in CALIBRATED for name in (*config.arms, config.strategy) if name in ARMS):
        zeros = np.zeros(len(kept) if classes == 1 else (len(kept), classes))
        soft = SoftLabels.from_column(kept, zeros, scale="logit")
    else:
        return
    calibrated(config, soft, kept, seed)


def _try_strategy(config: Config, kept: Table, masks: Sequence[Array], seed: int) -> None:
    """The decision needs two users; and to calibrate scores, each candidate without a fold needs labels enough."""
    if kept.schema.user is not None:
        users = len(np.unique(kept.numpy(kept.schema.user)[kept.labelled]))
        if users < 2:
            got = f"{users} in {int(kept.labelled.sum()):,} labelled training rows"
            rule = "strategy 'auto' needs labels of at least 2 users to compare by"
            raise DataError(f"{rule}, got {got}: label more, or name the arm to ship instead (strategy)")
    if config.teacher.at_best not in CALIBRATED:
        return
    try:
        for fold in masks:
            _try_calibration(config, kept.take(~fold), seed)
    except DataError as error:
        instead = "with more folds each fit has more labels, and an arm named as the strategy is shipped without them"
        raise DataError(f"strategy 'auto' calibrates without each of {len(masks)} folds: {error}; {instead}") from error


def _try_model(
    group: str,
    settings: TeacherSettings | StudentSettings,
    rows: Table,
    fits: Mapping[str, FitSettings],
    *,
    privileged: bool,
) -> Ranker:
    few = rows.take(np.arange(min(FEW, len(rows))))
    encoder = settings.encoder.fit(few, privileged=privileged)
    ranker = new_ranker(settings, encoder, rows.schema.classes, 0)
    ranker.score(few)
    hideable = [name for name in encoder.columns if encoder.columns[name][0] != "vector"]
    for name, fitting in fits.items():
        require_device_name(fitting.device)  # the stages may run on another machine
        if fitting.stop_by == "auc" and rows.schema.classes > 1:
            raise UsageError(f"{group}.{name}.stop_by is 'logloss' for ratings, got 'auc'")
        for column in fitting.hidden:
            if column not in hideable:
                raise UsageError(f"{group}.{name}.hidden has no feature {column!r}, {nearest(column, hideable)}")
    return ranker
