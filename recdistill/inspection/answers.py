"""Single columns that almost are the label."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recdistill.columns import as_arrow, as_numpy, decoded, is_list
from recdistill.fingerprints import places, splitmix64
from recdistill.inspection.findings import Finding
from recdistill.inspection.profiles import SIDES, items
from recdistill.tables import Table

Floats = np.ndarray[Any, np.dtype[np.float64]]
Mask = np.ndarray[Any, np.dtype[np.bool_]]
MOST_ROWS = 2_000_000  # labelled rows that are looked at; of more, drawn by row id
NEARLY, IS = 0.95, 0.999
ENOUGH = 50  # labelled rows of each class, to say that a column is the label
FEWEST = 10  # of each class, to say that it nearly is: of noise, an AUC of 0.95 is then 5 standard deviations away
FOLDS, PRIOR_ROWS = 3, 5.0
CHANCE = 0.001  # that a column is filled after the click alone without knowing of it


def single_column_auc(table: Table) -> dict[str, float]:
    """Per feature how well it ranks the rows by itself, whichever way round: from 0.5, no use, to 1, the label.

    Of numbers the AUC of the value, or of its being there. Of ids the AUC of their label rate in the other folds,
    pulled to the mean, so that ids of few rows do not look like the label; of lists the mean over their items.
    Vectors are left out. Of ratings the label is whether they are above the median, or at least it.

    Args:
        table: training rows; of more than `MOST_ROWS` labelled ones some are drawn by row id.

    Returns:
        Nothing where the labels are of one class.
    """
    rows = _drawn(table)
    label = _binary(rows)
    if label is None:
        return {}
    schema = rows.schema
    fold = (splitmix64(rows.row_ids.view(np.uint64)) % np.uint64(FOLDS)).astype(np.int64)
    return {
        name: _of_number(rows.column(name), label)
        if schema.kind(name) == "number"
        else auc_of(rates(rows.column(name), label, fold), label)
        for name in schema.features + schema.privileged_features
        if schema.kind(name) != "vector"
    }


def answer_findings(sides: Mapping[str, Table], found: Mapping[str, Mapping[str, float]]) -> list[Finding]:
    """Columns that are, or nearly are, the label, and those filled after a click alone.

    Args:
        sides: "source", where there is one, and "train".
        found: `single_column_auc` of each.
    """
    found = {side: of for side, of in found.items() if _fewer(sides[side]) >= FEWEST}
    nearly = {name for of in found.values() for name, value in of.items() if value >= NEARLY}
    told = [_told(name, sides, found) for name in sorted(nearly)]
    for side, rows in sides.items():
        if (labelled := int(rows.labelled.sum())) > MOST_ROWS:
            words = (
                f"single columns were tried on about {MOST_ROWS:,} of the {labelled:,} labelled rows in {SIDES[side]}"
            )
            told.append(Finding("note", "leakage", words))
    return told + [finding for side in sides for finding in _after_the_click(sides[side], side, nearly)]


def filled_after(column: pa.Array, clicked: pa.Array) -> bool:
    """Whether a column is missing, or of one value, where there was no click, and not where there was one.

    Args:
        column: (rows,) values.
        clicked: (rows,) whether the label is 1; missing where there is no label.
    """
    column = decoded(column)
    empty = _elsewhere(column, clicked).drop_null()
    if len(empty) > 1:
        return False
    filled = pc.and_(pc.is_valid(column), pc.invert(pc.is_in(column, empty)))
    rows = pc.sum(pc.and_(filled, pc.is_valid(clicked))).as_py() or 0
    return bool(pc.mean(clicked).as_py() ** rows < CHANCE)


def rates(column: pa.Array, label: Mask, fold: np.ndarray[Any, np.dtype[np.int64]]) -> Floats:
    """(rows,) each value's label rate in the other folds' rows; a missing value is a value of its own.

        (clicks + m·p) / (rows + m)   with m = PRIOR_ROWS and p the label rate

    Args:
        column: (rows,) ids, or lists of ids.
        label: (rows,) the answers.
        fold: (rows,) which fold each row is in.
    """
    lists = is_list(column.type)
    row = np.arange(len(column))
    values = items(column)
    if lists:
        row = as_numpy(pc.list_parent_indices(column)).astype(np.int64)
    coded = values.dictionary_encode()
    distinct = len(coded.dictionary)
    code = as_numpy(coded.indices, missing=distinct).astype(np.int64)
    cell = code * FOLDS + fold[row]
    shape = (distinct + 1, FOLDS)
    count = np.bincount(cell, minlength=shape[0] * FOLDS).reshape(shape)
    clicks = np.bincount(cell, label[row], minlength=shape[0] * FOLDS).reshape(shape)
    mean = label.mean()
    others = (clicks.sum(1, keepdims=True) - clicks + PRIOR_ROWS * mean) / (
        count.sum(1, keepdims=True) - count + PRIOR_ROWS
    )
    rate = others.ravel()[cell]
    if not lists:
        return rate
    number = np.bincount(row, minlength=len(column))
    return np.where(number > 0, np.bincount(row, rate, minlength=len(column)) / np.maximum(number, 1), mean)


def auc_of(scores: Floats, label: Mask) -> float:
    """AUC, whichever way round: of all pairs of a 1 and a 0 the share in order, where equal scores count half.

    Written out, as the mean rank of the ones (Mann and Whitney 1947): importing a library for it takes longer than all
    the rest of what is looked at.
    """
    _, value, count = np.unique(scores, return_inverse=True, return_counts=True)
    rank = (np.cumsum(count) - (count - 1) / 2)[value]
    ones, zeros = int(label.sum()), int((~label).sum())
    share = float((rank[label].sum() - ones * (ones + 1) / 2) / (ones * zeros))
    return max(share, 1 - share)


def _of_number(column: pa.Array, label: Mask) -> float:
    there = as_numpy(column.is_valid())
    best = auc_of(there.astype(np.float64), label)
    known = label[there]
    if not known.any() or known.all():
        return best
    values = as_numpy(column.drop_null()).astype(np.float64)
    # A value that is seldom there says little of all the rows: the others lie between.
    return max(best, _with_the_others_between(auc_of(values, known), known, label))


def _with_the_others_between(value: float, known: Mask, label: Mask) -> float:
    pairs = known.sum() * (~known).sum() / (label.sum() * (~label).sum())
    return float(0.5 + (value - 0.5) * pairs)


def _told(name: str, sides: Mapping[str, Table], found: Mapping[str, Mapping[str, float]]) -> Finding:
    aucs = {side: of[name] for side, of in found.items() if of.get(name, 0) >= NEARLY}
    sure = [side for side, value in aucs.items() if value >= IS and _fewer(sides[side]) >= ENOUGH]
    privileged = name in sides["train"].schema.privileged
    reached = " and ".join(f"{value:.4f} in {SIDES[side]}" for side, value in aucs.items())
    if sure and not privileged:
        rule = "a feature must not be the label itself"
        return Finding("error", "leakage", f"{rule}, got {name!r}, whose AUC alone is {reached}: leave it out")
    question = "ask whether it says more than the label" if privileged else "ask whether it is known before the answer"
    return Finding("warning", "leakage", f"{name} alone tells the label, with an AUC of {reached}: {question}")


def _fewer(table: Table) -> int:
    """Labelled rows of the class that has fewer."""
    label = _binary(table.take(table.labelled))
    return 0 if label is None else int(min(label.sum(), (~label).sum()))


def _after_the_click(table: Table, side: str, told: Collection[str]) -> Iterator[Finding]:
    schema = table.schema
    if schema.classes > 1 or not table.labelled.any():
        return
    clicked = pc.if_else(as_arrow(table.labelled), as_arrow(table.labels == 1), pa.nulls(len(table), pa.bool_()))
    for name in schema.features:
        plain = schema.kind(name) in ("categorical", "number")
        if plain and name not in told and filled_after(table.column(name), clicked):
            words = _filled(name, _elsewhere(table.column(name), clicked).to_pylist())
            yield Finding("warning", "leakage", f"{words}, in {SIDES[side]}: known after the click")


def _elsewhere(column: pa.Array, clicked: pa.Array) -> pa.Array:
    """The different values of the rows without a click; a missing one counts as one."""
    return decoded(pc.unique(column.filter(pc.invert(clicked))))


def _filled(name: str, elsewhere: list[Any]) -> str:
    other = [f"{value:g}" if isinstance(value, float) else str(value) for value in elsewhere if value is not None]
    if not other:
        return f"{name} is filled only where the label is 1"
    missing = " or missing" if None in elsewhere else ""
    return f"{name} is {other[0]}{missing} where the label is 0, and has its other values only where the label is 1"


def _drawn(table: Table) -> Table:
    """The labelled rows, or some that their ids draw, whatever the order of the rows."""
    labelled = table.labelled
    if labelled.sum() > MOST_ROWS:
        chance = MOST_ROWS / labelled.sum()
        labelled = labelled & (places(table.row_ids.view(np.uint64), seed=0) < chance)
    return table if labelled.all() else table.take(labelled)


def _binary(table: Table) -> Mask | None:
    """(rows,) whether a label is 1, a rating above the median; None where all are alike."""
    labels = table.labels
    if table.schema.classes > 1 and len(labels):
        middle = np.median(labels)
        labels = labels > middle if (labels > middle).any() else labels >= middle
    found = labels > 0
    return found if found.any() and not found.all() else None
