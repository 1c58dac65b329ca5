"""What a cell of a run may know: its share of the labels, and what follows from it where the target is clicks alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from recdistill.configuration import Config, DataSettings
from recdistill.errors import UsageError
from recdistill.negatives import Catalogue
from recdistill.pairs import unseen_pairs
from recdistill.splits import Mask, folds, keep_labels
from recdistill.tables import Table, concat


@dataclass(frozen=True)
class Cell:
    """One share of labels and one seed.

    Args:
        share: of the target's training and validation labels, in (0, 1].
        seed: of the kept labels, the weights and the training.
    """

    share: float
    seed: int

    def __str__(self) -> str:
        return f"labels-{self.share:g}-seed-{self.seed}"


def cell_of(config: Config, share: float | None, seed: int, *, where: Path) -> Cell:
    """The cell of a run by its share of labels, None for the largest, and its seed; `where` the run is.

    Raises:
        UsageError: the run has no such cell.
    """
    cell = Cell(max(config.labels) if share is None else share, seed)
    if cell.share not in config.labels or not 0 <= seed < config.seeds:
        known = f"labels {', '.join(f'{one:g}' for one in config.labels)} and seeds below {config.seeds}"
        raise UsageError(f"{where} has {known}, got --labels {cell.share:g} --seed {cell.seed}")
    return cell


def labelled_rows(
    data: DataSettings, cell: Cell, *, train: Table, valid: Table, test: Table | None = None
) -> tuple[Table, Table]:
    """Training and validation rows, with the labels of all but the cell's share removed.

    Of an implicit target (`data.negatives`) a share of the clicks is kept; then negatives are drawn for each, from
    items that its user has no kept click on. As many unseen pairs as kept clicks are the unlabelled rows: a click
    without its label would still say that there was one.

    Args:
        data: of the run.
        cell: its share and seed.
        train, valid: the parts, with all labels there are.
        test: the rows whose items are the rest of an implicit target's catalogue; of others nothing is read of them.

    Raises:
        UsageError, DataError: as in `keep_labels`, `Catalogue.with_negatives` and `unseen_pairs`.
    """
    implicit = data.negatives > 0
    train, valid = keep_labels(train, valid, share=cell.share, seed=cell.seed, implicit=implicit)
    if not implicit:
        return train, valid
    others = () if test is None else (test,)
    catalogue = catalogue_of(train, valid, *others)
    train, valid = train.take(train.labelled), valid.take(valid.labelled)
    count, per_click, seed = len(train), data.negatives, cell.seed
    train = catalogue.with_negatives(train, per_click=per_click, seed=seed, known=(valid,), above=others)
    valid = catalogue.with_negatives(valid, per_click=per_click, seed=seed, known=(train,), above=others)
    return concat([train, unseen_pairs(train, rows=count, seed=seed, seen=(valid,))]), valid


def cell_folds(data: DataSettings, train: Table, *, k: int, seed: int) -> list[Mask]:
    """Make k masks over a cell's labelled training rows; of an implicit target a click and its negatives are together.

    Apart, they would tell each other: negatives without their click make its user look as if they never clicked, and
    every score out of fold is pulled the wrong way.

    Args:
        data: of the run.
        train: what `labelled_rows` gave.
        k: how many.
        seed: of the cell.

    Raises:
        UsageError: as in `splits.folds`.
    """
    groups = None
    if data.negatives:
        clicks = np.arange(int((train.labels == 1).sum()))
        groups = np.concatenate([clicks, np.repeat(clicks, data.negatives)])
    return folds(train, k=k, seed=seed, groups=groups)


def with_test_negatives(data: DataSettings, train: Table, valid: Table, test: Table) -> Table:
    """The test rows; of an implicit target with negatives from items that their user has no click on in any part."""
    if not data.negatives:
        return test
    return catalogue_of(train, valid, test).with_negatives(test, per_click=data.negatives, seed=0, known=(train, valid))


def catalogue_of(*parts: Table) -> Catalogue:
    """Every item of the parts."""
    return Catalogue(concat(parts))
