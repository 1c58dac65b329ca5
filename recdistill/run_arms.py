"""Which arms a run makes, and whose soft labels they need."""

from __future__ import annotations

from recdistill.arms import AUTO, COLUMNS, CONTROLS, MODELS, TEACHERS, UNASKED, Arm, arms_of, candidates_of
from recdistill.artefacts import is_made_from, manifest
from recdistill.configuration import Config, DataSettings
from recdistill.label_budget import Cell
from recdistill.run_folder import RunFolder
from recdistill.tables import Table


def arms(run: RunFolder, share: float) -> dict[str, Arm]:
    """The arms at a share of labels: those asked for, the controls, and what the strategy chooses among."""
    return configured(run.config, source=run.has_source, unlabelled=_unlabelled(run, share))


def configured(config: Config, *, source: bool, unlabelled: bool) -> dict[str, Arm]:
    """The arms that a configuration asks for and that can be made; the one that it is to ship is asked for.

    Args:
        config: of the run.
        source: whether there are source rows.
        unlabelled: whether there are unlabelled rows to learn from.
    """
    among = candidates_of(config.teacher.at_best, source=source, unlabelled=unlabelled)
    wanted = (*(config.arms or UNASKED), *(among if config.strategy == AUTO else (config.strategy,)))
    teachers = MODELS if config.teacher.scores is None else COLUMNS
    return arms_of(teachers=teachers, source=source, unlabelled=unlabelled, wanted=wanted)


def left_out(run: RunFolder, share: float) -> tuple[str, ...]:
    """The arms that were asked for and cannot be made at a share of labels: there are no unlabelled rows."""
    made = arms(run, share)
    return tuple(name for name in run.config.arms if name not in made)


def contenders(run: RunFolder, cell: Cell) -> tuple[str, ...]:
    """The arms that the strategy "auto" knows in a cell, controls first."""
    return candidates_of(run.teachers[-1], source=run.has_source, unlabelled=_unlabelled(run, cell.share))


def candidates(run: RunFolder, cell: Cell) -> tuple[str, ...]:
    """Those of them that are cross-validated: the controls, and one with the teacher.

    Of the teacher's arms it is the one that is best on the validation rows, so that folds are made for one alone; as
    long as not all of them are there it is not known, and all are named.
    """
    names = contenders(run, cell)
    taught = [name for name in names if name not in CONTROLS]
    places, identity = {name: run.student(name, cell) for name in taught}, run.identity
    if not all(is_made_from(place, identity) for place in places.values()):
        return names
    loss = {name: manifest(place)["facts"]["valid_logloss"] for name, place in places.items()}
    return (*(name for name in names if name in CONTROLS), min(taught, key=lambda name: loss[name]))


def labellers(run: RunFolder, share: float) -> tuple[str, ...]:
    """Whose soft labels the arms of a share of labels need."""
    needed = {labeller(run, arm) for arm in arms(run, share).values()}
    return tuple(name for name in TEACHERS if name in needed)


def usual(run: RunFolder, share: float) -> str:
    """The arm that is meant if none is named: the best teacher's student, from random weights."""
    short = TEACHERS[run.teachers[-1]]
    return f"{short}_all" if f"{short}_all" in arms(run, share) else f"{short}_labelled"


def labeller(run: RunFolder, arm: Arm) -> str | None:
    """Whose soft labels an arm needs, permuted ones the best teacher's; None for none."""
    return run.teachers[-1] if arm.placebo == "permuted" else arm.teacher


def has_unlabelled(data: DataSettings, share: float, train: Table) -> bool:
    """Whether there are unlabelled rows: with all labels there are none, unless some came without or are drawn.

    Args:
        data: of the run.
        share: of the labels that is kept.
        train: the training rows, with all labels there are.
    """
    return share < 1 or data.negatives > 0 or not bool(train.labelled.all())


def _unlabelled(run: RunFolder, share: float) -> bool:
    return has_unlabelled(run.config.data, share, run.part("train"))
