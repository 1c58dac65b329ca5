"""How far source and target drift apart, column by column: effect sizes, and a verdict in words."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow.compute as pc

from recdistill.inspection.findings import Finding, share_of
from recdistill.inspection.overlap import Overlap, overlap
from recdistill.inspection.profiles import ColumnProfile, Numbers
from recdistill.transforms import Counts

# Per effect the size from which on it is noted, and from which on it is warned of.
MISSING = (0.1, 0.5)  # difference of the shares
MEAN = (0.2, 0.8)  # standardised difference: small and large after Cohen (1988)
OUTSIDE = (0.01, 0.25)  # share of the target's numbers beyond all of the source's
UNSEEN = (0.1, 0.5)  # share of the target's values
FREQUENCIES = (0.2, math.inf)  # total variation
ODDS = (math.log(2), math.log(10))  # of the label rate
MOST = 1000.0  # of a size
OTHER_UNIT = 10
FEW = 100  # values: with more, two samples of one distribution differ by chance


@dataclass(frozen=True)
class Effect:
    """One way in which a column differs.

    Args:
        size: against the size that is warned of.
        level: "ok", "note" or "warning".
        words: what differs.
    """

    size: float
    level: str
    words: str


@dataclass(frozen=True)
class Drift:
    """A column's verdict.

    Args:
        column: its name.
        level: "ok", "note" or "warning".
        size: of its largest effect, where 1 is warned of; columns are ranked by it.
        words: what differs, the largest first; empty where all is well.
    """

    column: str
    level: str
    size: float
    words: str


def drifts(
    source: Mapping[str, ColumnProfile],
    target: Mapping[str, ColumnProfile],
    *,
    own: Collection[str] = (),
    shared: Mapping[str, Overlap] | None = None,
) -> list[Drift]:
    """A verdict for every column that both sides have, the furthest apart first.

    A privileged column that one side has no value of is left out.

    Args:
        source, target: the profiles of each side's columns.
        own: columns of which each domain may well have values of its own, as users and items: new ones are only noted.
        shared: the overlap of columns with too many ids for counts in memory.
    """
    known = shared or {}
    both = [(name, source[name], here) for name, here in target.items() if name in source]
    lacking = [name for name, *pair in both if any(side.privileged and side.is_empty for side in pair)]
    found = [
        drift(name, there, here, own=name in own, shared=known.get(name))
        for name, there, here in both
        if name not in lacking
    ]
    return sorted(found, key=lambda one: -one.size)


def drift(
    column: str, there: ColumnProfile, here: ColumnProfile, *, own: bool = False, shared: Overlap | None = None
) -> Drift:
    """How far one column of the source and of the target are apart; see `drifts`."""
    if shared is None and there.counts is not None and here.counts is not None:
        shared = overlap(column, there.counts, here.counts)
    effects = sorted(_effects(there, here, own, shared), key=lambda effect: -effect.size)
    told = [effect for effect in effects if effect.level != "ok"]
    level = "warning" if any(e.level == "warning" for e in told) else "note" if told else "ok"
    size = effects[0].size if effects else 0.0
    return Drift(column, level, size, "; ".join(effect.words for effect in told))


def drift_findings(found: list[Drift]) -> list[Finding]:
    """What is worth telling of the drift, the furthest apart first."""
    return [
        Finding("warning" if one.level == "warning" else "note", "drift", f"{one.column}: {one.words}")
        for one in found
        if one.level != "ok"
    ]


def _effects(there: ColumnProfile, here: ColumnProfile, own: bool, shared: Overlap | None) -> Iterator[Effect]:
    families = _family(there.type), _family(here.type)
    if families[0] != families[1] and not (there.is_empty or here.is_empty):
        words = f"{families[0]} in the source, {families[1]} in the target"
        yield Effect(1.0, "warning" if shared is not None else "note", words)
    shares = [side.missing / side.rows if side.rows else 0.0 for side in (there, here)]
    if here.kind not in ("label", "rating"):  # rows without one are there to be scored
        words = f"missing in {share_of(*_of(there))} of the source's rows, in {share_of(*_of(here))} of the target's"
        yield _effect(abs(shares[1] - shares[0]), MISSING, words)
    if there.numbers is not None and here.numbers is not None:
        yield from (
            _of_label(there.numbers, here.numbers) if here.kind == "label" else _of_numbers(there.numbers, here.numbers)
        )
    if shared is not None and shared.seen_rows:
        yield from _of_ids(there, here, shared, own=own)


def _of_numbers(there: Numbers, here: Numbers) -> Iterator[Effect]:
    spread = math.sqrt((there.deviation**2 + here.deviation**2) / 2)
    difference = here.mean - there.mean
    apart = abs(difference) / spread if spread else 0.0 if math.isclose(here.mean, there.mean) else MOST
    far = f"{apart:.1f} standard deviations" if spread else "and nothing else"
    words = f"mean {there.mean:.4g} in the source, {here.mean:.4g} in the target ({far})"
    middle = there.quantiles[2], here.quantiles[2]
    if min(middle) > 0 and (times := max(middle) / min(middle)) >= OTHER_UNIT:
        words += f", medians {times:.0f} times apart: another unit?"
    yield _effect(apart, MEAN, words)
    for side, beyond in (
        ("above", [value > there.high for value in (here.high, *here.quantiles[::-1])]),
        ("below", [value < there.low for value in (here.low, *here.quantiles)]),
    ):
        share = (0.0, 0.0, 0.01, 0.25, 0.5, 0.75, 0.99)[sum(beyond)]
        edge = there.high if side == "above" else there.low
        words = f"at least {share_of(share, 1)} of the target's values lie {side} all of the source's ({edge:.4g})"
        yield _effect(share, OUTSIDE, words)


def _of_label(there: Numbers, here: Numbers) -> Iterator[Effect]:
    rates = [min(max(side.mean, 1e-9), 1 - 1e-9) for side in (there, here)]
    apart = abs(math.log(rates[1] / (1 - rates[1])) - math.log(rates[0] / (1 - rates[0])))
    yield _effect(apart, ODDS, f"{share_of(there.mean, 1)} are 1 in the source, {share_of(here.mean, 1)} in the target")


def _of_ids(there: ColumnProfile, here: ColumnProfile, found: Overlap, *, own: bool) -> Iterator[Effect]:
    """Values new to the source, and other frequencies; where nothing is shared the overlap says it."""
    unseen = found.rows - found.seen_rows
    words = f"{share_of(unseen, found.rows)} of the target's values are not in the source"
    words += f" ({there.distinct:,} distinct there, {here.distinct:,} here)"
    effect = _effect(unseen / found.rows, UNSEEN, words)
    yield Effect(effect.size, "note", words) if own and effect.level == "warning" else effect
    if there.counts and here.counts and max(there.distinct or 0, here.distinct or 0) <= FEW:
        moved = total_variation(there.counts, here.counts)
        words = f"its values are not as frequent as in the source ({share_of(1 - moved, 1)} overlap)"
        yield _effect(moved, FREQUENCIES, words)


def total_variation(there: Counts, here: Counts) -> float:
    """Half the sum of the absolute differences of the values' shares, in [0, 1]."""
    place = pc.index_in(here.values, there.values).to_numpy(zero_copy_only=False)
    known = ~np.isnan(place) if place.dtype.kind == "f" else np.ones(len(place), dtype=bool)
    shares = np.zeros(len(there.values))
    own = here.counts / here.total
    shares[place[known].astype(int)] = own[known]
    return float((np.abs(shares - there.counts / there.total).sum() + own[~known].sum()) / 2)


def _effect(size: float, limits: tuple[float, float], words: str) -> Effect:
    level = "warning" if size >= limits[1] else "note" if size >= limits[0] else "ok"
    # One scale for all: 1 is warned of, and what is only ever noted stays below.
    return Effect(min(size / limits[1], MOST) if math.isfinite(limits[1]) else min(size, 0.99), level, words)


def _family(kind: str) -> str:
    if "string" in kind:
        return "text"
    if "int" in kind:
        return "whole numbers"
    return "numbers" if kind in ("double", "float", "halffloat") else kind


def _of(side: ColumnProfile) -> tuple[int, int]:
    return side.missing, side.rows
