"""Which arms a run makes, and whose soft labels they need."""

from __future__ import annotations

from recdistill.arms import AUTO, COLUMNS, MODELS, TEACHERS, Arm, arms_of, candidates_of
from recdistill.configuration import Config
from recdistill.label_budget import Cell
from recdistill.run_folder import RunFolder


def arms(run: RunFolder, share: float) -> dict[str, Arm]:
    """The arms at a share of labels: those asked for, the controls, and what the strategy chooses among."""
    return configured(run.config, source=run.has_source, unlabelled=_unlabelled(run, share))


def configured(config: Config, *, source: bool, unlabelled: bool) -> dict[str, Arm]:
    """The arms that a configuration asks for and that can be made.

    Args:
        config: of the run.
        source: whether there are source rows.
        unlabelled: whether there are unlabelled rows to learn from.
    """
    best, teachers = ("adapted_teacher", MODELS) if config.teacher.scores is None else ("calibrated_scores", COLUMNS)
    wanted = config.arms
    if wanted and config.strategy == AUTO:
        wanted += candidates_of(best, source=source, unlabelled=unlabelled)
    elif wanted:
        wanted += (config.strategy,)
    return arms_of(teachers=teachers, source=source, unlabelled=unlabelled, wanted=wanted)


def left_out(run: RunFolder, share: float) -> tuple[str, ...]:
    """The arms that were asked for and cannot be made at a share of labels: there are no unlabelled rows."""
    made = arms(run, share)
    return tuple(name for name in run.config.arms if name not in made)


def candidates(run: RunFolder, cell: Cell) -> tuple[str, ...]:
    """The arms among which the strategy "auto" chooses in a cell."""
    unlabelled = _unlabelled(run, cell.share)
    return candidates_of(run.teachers[-1], source=run.has_source, unlabelled=unlabelled)


def labellers(run: RunFolder, share: float) -> tuple[str, ...]:
    """Whose soft labels the arms need; permuted ones are the best teacher's."""
    found = arms(run, share).values()
    needed = {arm.teacher for arm in found} | {run.teachers[-1] for arm in found if arm.placebo == "permuted"}
    return tuple(name for name in TEACHERS if name in needed)


def _unlabelled(run: RunFolder, share: float) -> bool:
    """Whether there are unlabelled rows: with all labels there are none, unless some came without or are drawn."""
    return share < 1 or run.config.data.negatives > 0 or not bool(run.tables()["train"].labelled.all())
