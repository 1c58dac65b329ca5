"""How far each column's distribution is from the source's: PSI, Jensen-Shannon, Kolmogorov-Smirnov, unseen values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recdistill.columns import as_numpy
from recdistill.inspection import overlap
from recdistill.inspection.profiles import counted, items
from recdistill.shift.inputs import BINS, vectors
from recdistill.tables import Table
from recdistill.transforms import Counts

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class ColumnShift:
    """One column of both sides.

    Args:
        column, kind: its name and feature kind; "user" or "item" where it is no feature.
        psi: the population stability index over the ids, or over the source's tenths of a number; 0 where all is the
            same, above 0.25 by custom a large shift. Of vectors None.
        by_chance: the PSI that rows drawn independently from one distribution would have.
        jensen_shannon: the divergence of the same shares in bits, from 0, the same, to 1, nothing shared.
        ks: the largest distance of the two distribution functions of a number; of a vector's components the largest.
        unseen: the share of the target's ids that the source never has; of numbers and vectors None.
    """

    column: str
    kind: str
    psi: float | None
    by_chance: float | None
    jensen_shannon: float | None
    ks: float | None
    unseen: float | None


def column_shifts(source: Table, target: Table) -> tuple[ColumnShift, ...]:
    """Every feature, user and item column that both sides have, the furthest apart first."""
    kinds = [_kinds(table) for table in (source, target)]
    found = [
        _shift(name, kind, source.column(name), target.column(name))
        for name, kind in kinds[0].items()
        if kinds[1].get(name) == kind
    ]
    return tuple(sorted(found, key=lambda one: -(one.jensen_shannon or one.ks or 0.0)))


def psi(source: Array, target: Array) -> float:
    """The population stability index, Σ (q − p)·ln(q / p): Jeffreys' divergence of two distributions.

    Args:
        source, target: (bins,) how many rows are in each. Half a row is added to each bin, so that an empty one is
            finite.
    """
    p, q = ((side + 0.5) / (side + 0.5).sum() for side in (np.asarray(source, float), np.asarray(target, float)))
    return float(((q - p) * np.log(q / p)).sum())


def psi_by_chance(source: Array, target: Array) -> float:
    """The PSI to be expected of rows drawn from one distribution, (bins − 1)·(1/n + 1/m) (Yurdakul 2018).

    Args:
        source, target: (bins,) as in `psi`. Rows that come in clusters, as users' do, have more.
    """
    bins = int(((np.asarray(source) + np.asarray(target)) > 0).sum())
    return float(max(0, bins - 1) * (1 / max(1, np.sum(source)) + 1 / max(1, np.sum(target))))


def jensen_shannon(source: Array, target: Array) -> float:
    """The Jensen-Shannon divergence in bits, in [0, 1] (Lin 1991).

    Args:
        source, target: (bins,) how many rows are in each, some on both sides.
    """
    from scipy.spatial.distance import jensenshannon

    return float(jensenshannon(np.asarray(source, float), np.asarray(target, float), base=2) ** 2)


def _shift(name: str, kind: str, there: pa.Array, here: pa.Array) -> ColumnShift:
    if kind == "vector":
        sides = vectors(there), vectors(here)
        far = max((_ks(one, other) for one, other in zip(sides[0].T, sides[1].T, strict=True)), default=0.0)
        return ColumnShift(name, kind, None, None, None, far, None)
    if kind == "number":
        numbers = [as_numpy(side.cast(pa.float64(), safe=False), missing=np.nan) for side in (there, here)]
        known = [side[~np.isnan(side)] for side in numbers]
        ks = _ks(*known) if min(map(len, known)) else None
        return ColumnShift(name, kind, *_of_shares(*_tenths(*numbers)), ks, None)
    counts = [counted(items(side)) for side in (there, here)]
    seen = overlap(name, *counts)
    unseen = 1 - seen.seen_rows / seen.rows if seen.rows else None
    return ColumnShift(name, kind, *_of_shares(*_aligned(*counts)), None, unseen)


def _of_shares(there: Array, here: Array) -> tuple[float | None, float | None, float | None]:
    if not there.sum() or not here.sum():
        return None, None, None
    return psi(there, here), psi_by_chance(there, here), jensen_shannon(there, here)


def _tenths(there: Array, here: Array) -> tuple[Array, Array]:
    """(bins,) how many numbers each side has in the source's tenths, and how many are missing."""
    known = there[~np.isnan(there)]
    edges = np.unique(np.quantile(known, np.arange(1, BINS) / BINS)) if len(known) else np.zeros(0)
    codes = (np.where(np.isnan(s), len(edges) + 1, np.searchsorted(edges, s, side="right")) for s in (there, here))
    first, second = (np.bincount(code, minlength=len(edges) + 2) for code in codes)
    return first, second


def _aligned(there: Counts, here: Counts) -> tuple[Array, Array]:
    """(values,) how often each value of either side occurs in each."""
    values = pc.unique(pa.concat_arrays([there.values, here.values]))
    values = values.take(pc.sort_indices(values))  # so that sums do not depend on the order of rows
    found = np.zeros((2, len(values)))
    for row, side in zip(found, (there, here), strict=True):
        row[as_numpy(pc.index_in(side.values, values)).astype(np.int64)] = side.counts
    return found[0], found[1]


def _ks(there: Array, here: Array) -> float:
    from scipy.stats import ks_2samp

    return float(ks_2samp(there, here, method="asymp").statistic)


def _kinds(table: Table) -> dict[str, str]:
    schema = table.schema
    roles = {name: role for role in ("user", "item") if (name := getattr(schema, role)) is not None}
    return roles | {name: schema.kind(name) for name in schema.features}
