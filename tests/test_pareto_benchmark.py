"""The committed grids: made by the TOMLs that stand here, told in their own words, and small enough."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from recdistill import report
from recdistill.settings import fill, plain

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"
sys.path.append(str(BENCHMARKS))

import pareto as benchmark  # noqa: E402


def result_of(task: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((benchmark.RESULTS / f"pareto_{task}" / "pareto.json").read_text())
    return found


@pytest.mark.parametrize("task", benchmark.TASKS)
def test_a_committed_grid_is_made_by_what_stands_here(task: str) -> None:
    result, config = result_of(task), benchmark.configuration(task)
    assert fill(type(benchmark.grid(task)), result["config"]) == benchmark.grid(task)
    assert (result["data"], result["labels"], result["seeds"]) == (plain(config.data), config.labels[0], config.seeds)
    assert result["command"].startswith("python benchmarks/pareto.py")
    folder = benchmark.RESULTS / f"pareto_{task}"
    assert (folder / "pareto.md").read_text() == report.frontier_page(result)


@pytest.mark.parametrize("task", benchmark.TASKS)
def test_what_is_recommended_is_the_smallest_that_passed(task: str) -> None:
    result = result_of(task)
    students = [p for p in result["points"] if not p["refused"] and p["name"] != "logistic_regression"]
    good = [p for p in students if p["against_best"]["low"] > -result["margin"]]
    assert result["recommended"] == min(good, key=lambda point: point["bytes"])["name"]
    assert result["best"] == max(students, key=lambda point: point["valid"])["name"]


def test_in_a_new_market_a_student_is_a_fraction_of_its_teacher_and_as_good_as_uncompressed() -> None:
    result = result_of("new_market")
    shipped = next(point for point in result["points"] if point["name"] == result["recommended"])
    assert shipped["bytes"] * 20 <= result["teacher"]["bytes"]
    assert shipped["network"] * 10 <= result["teacher"]["network"]
    cost = next(c for c in result["test"]["comparisons"] if (c["b"], c["metric"]) == (shipped["size"], "auc"))
    assert cost["delta"] > -0.002


def test_the_gap_to_logistic_regression_is_told() -> None:
    result = result_of("criteo")
    gap = next(c for c in result["test"]["comparisons"] if (c["b"], c["metric"]) == ("logistic_regression", "auc"))
    assert report.signed(gap) in (benchmark.RESULTS / "pareto_criteo" / "pareto.md").read_text()
