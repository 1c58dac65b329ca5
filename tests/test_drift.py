"""Drift between source and target: effect sizes after their formulas, verdicts at their limits, ranked by size."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recdistill.datasets import synthetic
from recdistill.inspection import ColumnProfile, drifts, overlap, profile, profiles
from recdistill.inspection.drift import drift, drift_findings, total_variation
from recdistill.inspection.findings import share_of
from recdistill.transforms import Counts

VALUES = st.lists(st.sampled_from("abcde"), min_size=1, max_size=30)
RNG = np.random.default_rng(0)


def numbers(values: object) -> ColumnProfile:
    return profile(pa.array(values, pa.float64()), "number")


def ids(values: list[str]) -> ColumnProfile:
    return profile(pa.array(values), "categorical")


def counts(of: ColumnProfile) -> Counts:
    assert of.counts is not None
    return of.counts


def test_a_column_does_not_drift_from_itself() -> None:
    source, _ = synthetic.load(source_rows=500, target_rows=100)
    described = profiles(source)
    assert all((one.level, one.words) == ("ok", "") for one in drifts(described, described))


def test_order_of_rows_does_not_matter() -> None:
    source, target = synthetic.load(source_rows=2000, target_rows=1000)
    shuffled = target.take(RNG.permutation(len(target)))
    found, again = (drifts(profiles(source), profiles(table)) for table in (target, shuffled))
    assert [(one.column, one.level) for one in found] == [(one.column, one.level) for one in again]
    assert [one.size for one in found] == pytest.approx([one.size for one in again])


@pytest.mark.parametrize(("shift", "level"), [(0.1, "ok"), (0.5, "note"), (1.5, "warning")])
def test_means_are_compared_in_standard_deviations(shift: float, level: str) -> None:
    values = RNG.normal(size=5000)
    there, here = numbers(values), numbers(0.5 * values + shift)
    found = drift("x", there, here)
    means, spread = (values.mean(), 0.5 * values.mean() + shift), math.sqrt((values.var() + 0.25 * values.var()) / 2)
    apart = abs(means[1] - means[0]) / spread
    assert found.size == pytest.approx(apart / 0.8)
    assert found.level == level
    assert (f"({apart:.1f} standard deviations)" in found.words) == (level != "ok")


def test_another_unit_and_another_range_are_told() -> None:
    values = RNG.uniform(1, 2, 1000)
    found = drift("price", numbers(values), numbers(100 * values))
    assert found.level == "warning"
    assert "medians 100 times apart: another unit?" in found.words
    assert "at least 99 % of the target's values lie above all of the source's" in found.words
    assert "lie below" in drift("price", numbers(values), numbers(values - 3)).words


def test_a_constant_that_changes_is_infinitely_far() -> None:
    found = drift("x", numbers([1.0, 1.0]), numbers([2.0, 2.0]))
    assert (found.level, found.size) == ("warning", 1000)
    assert found.words.startswith("mean 1 in the source, 2 in the target (and nothing else)")
    assert drift("x", numbers([1.0, 1.0]), numbers([1.0])).level == "ok"


@pytest.mark.parametrize(("missing", "level"), [(0.05, "ok"), (0.3, "note"), (0.8, "warning")])
def test_missing_rates_are_compared(missing: float, level: str) -> None:
    there, here = numbers([1.0, 2.0] * 50), numbers([None] * int(100 * missing) + [1.0, 2.0] * int(50 - 50 * missing))
    found = drift("x", there, here)
    assert found.level == level
    assert level == "ok" or f"in {share_of(missing, 1)} of the target's" in found.words


@given(VALUES, VALUES)
def test_total_variation_is_half_the_sum_of_differences(source: list[str], target: list[str]) -> None:
    there, here = counts(ids(source)), counts(ids(target))
    shares = [{v: n / len(side) for v, n in Counter(side).items()} for side in (source, target)]
    expected = sum(abs(shares[0].get(v, 0) - shares[1].get(v, 0)) for v in "abcde") / 2
    assert total_variation(there, here) == pytest.approx(expected)


def test_new_values_are_warned_of_but_not_of_users() -> None:
    there, here = ids(["a", "b"] * 50), ids(["a", "c", "d", "e"] * 25)
    found = drift("brand", there, here)
    assert found.level == "warning"
    assert found.words.startswith("75 % of the target's values are not in the source (2 distinct there, 4 here)")
    assert drift("user", there, here, own=True).level == "note"


def test_an_overlap_stands_for_counts_that_do_not_fit_memory() -> None:
    there, here = ids(["a", "b"] * 50), ids(["a", "c", "d", "e"] * 25)
    shared = overlap("brand", counts(there), counts(here))
    lean = [{"brand": replace(side, counts=None)} for side in (there, here)]
    (found,) = drifts(lean[0], lean[1], shared={"brand": shared})
    assert found.words == "75 % of the target's values are not in the source (2 distinct there, 4 here)"


def test_types_that_differ_are_told() -> None:
    there, here = profile(pa.array([7, 8]), "categorical"), ids(["7", "8"])
    found = drift("code", there, here)
    assert (found.level, found.words) == ("warning", "whole numbers in the source, text in the target")
    floats = drift("x", numbers([7.0, 8.0]), profile(pa.array([7, 8]), "number"))
    assert (floats.level, floats.words) == ("note", "numbers in the source, whole numbers in the target")


def test_label_rates_are_compared_in_log_odds() -> None:
    there, here = (profile(pa.array([1] * n + [0] * (100 - n), pa.int8()), "label") for n in (50, 20))
    found = drift("click", there, here)
    assert found.size == pytest.approx(math.log(4) / math.log(10))
    assert (found.level, found.words) == ("note", "50 % are 1 in the source, 20 % in the target")
    rare = profile(pa.array([1] * 2 + [0] * 98, pa.int8()), "label")
    assert drift("click", there, rare).level == "warning"


def test_the_furthest_apart_come_first() -> None:
    there = {name: numbers([1.0, 2.0, 3.0]) for name in "abc"}
    here = {
        "a": numbers([1.5, 2.5, 3.5]),
        "b": numbers([1.0, 2.0, 3.0]),
        "c": numbers([7.0, 8.0, 9.0]),
        "d": ids(["x"]),
    }
    found = drifts(there, here)
    assert [one.column for one in found] == ["c", "a", "b"]
    assert [finding.level for finding in drift_findings(found)] == ["warning", "note"]
    assert found[0].size >= found[1].size >= found[2].size


@pytest.mark.parametrize("percent", [0.0, 0.01, 0.1, 5, 50, 99.4, 99.99, 100])
def test_a_share_is_never_none_or_all_where_it_is_not(percent: float) -> None:
    words = share_of(percent, 100)
    assert (words == "0.0 %" or words == "0 %") == (percent == 0)
    assert (words == "100 %") == (percent == 100)
