"""The grid of `benchmarks/transfer.py`: cells of the tasks that stand here, a page that is their words, and no harm."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from statistics import mean

import pytest
from scipy import stats

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"
sys.path.append(str(BENCHMARKS))

import transfer  # noqa: E402
from transfer_answers import mean_gain  # noqa: E402
from transfer_cells import Cell, gain, harmed, pooled, read, shares  # noqa: E402
from transfer_page import page  # noqa: E402

CELLS = read(transfer.CELLS)
EXPECTED = {
    (name, one.share, one.seed) for name in transfer.TASKS for one in transfer.every(transfer.configuration(name))
}
FEW_LABELS = ("new_market", 0.02), ("new_market", 0.1)


@pytest.mark.parametrize("name", transfer.TASKS)
def test_every_task_can_be_read_and_gives_every_arm_the_same_budget(name: str) -> None:
    config = transfer.configuration(name)
    assert (config.strategy, config.seeds) == ("auto", 3)
    assert len(config.tune.controls) == len(config.tune.distilled) == len(config.tune.adapted)


def test_every_committed_cell_is_of_a_task_as_it_stands_here() -> None:
    assert CELLS
    for cell in CELLS:
        assert transfer.is_current(cell.entry), cell.key
    assert {cell.key for cell in CELLS} <= EXPECTED


def test_test_rows_are_fixed_for_each_task() -> None:
    for task in transfer.TASKS:
        rows = {json.dumps(cell.entry["data"], sort_keys=True) for cell in CELLS if cell.key[0] == task}
        assert len(rows) <= 1


def test_the_committed_page_is_what_the_cells_say() -> None:
    assert (transfer.PAGE / "README.md").read_text() == "\n".join(page(CELLS)) + "\n"


@pytest.mark.parametrize("metric", ["headline", "logloss"])
def test_auto_harms_in_no_cell(metric: str) -> None:
    assert not list(harmed(CELLS, metric))


@pytest.mark.skipif(len(CELLS) < len(EXPECTED), reason=f"{len(CELLS)} of the grid's {len(EXPECTED)} cells are computed")
@pytest.mark.parametrize("metric", ["auc", "logloss"])
def test_auto_loses_nothing_on_average(metric: str) -> None:
    assert mean_gain(CELLS, metric)[1] > -0.002


def test_auto_costs_at_most_eight_distillations() -> None:
    assert max(cell.cost for cell in CELLS) <= 8


def test_where_auto_keeps_labels_alone_it_is_the_very_same_student() -> None:
    for cell in CELLS:
        if cell.rankers["auto"]["decision"]["chosen"] == "hard_only":
            assert all(cell.found("auto", "hard_only", m)["delta"] == 0 for m in (cell.headline, "logloss"))  # type: ignore[index]


def test_in_a_new_market_auto_gains_most_of_what_the_adapted_teacher_is_above_labels_alone() -> None:
    of = shares(CELLS)
    for key in FEW_LABELS:
        auto, alone, teacher = (
            mean(cell.rankers[name]["metrics"]["auc"] for cell in of[key])
            for name in ("auto", "hard_only", "adapted_teacher")
        )
        assert auto - alone >= 0.85 * (teacher - alone)
    found = pooled(of["new_market", 1.0], "auto", "hard_only")
    assert found is not None
    assert found.low > 0


def made(deltas: dict[int, float], error: float = 0.01) -> list[Cell]:
    """Cells of one task whose auto differs so from labels alone."""
    return [
        Cell(
            {
                "task": "made",
                "labels": 0.1,
                "seed": seed,
                "headline": "auc",
                "data": {"test_rows": 1_000, "test_users": 200},
                "rankers": {},
                "comparisons": [
                    {
                        "a": "auto",
                        "b": "hard_only",
                        "metric": metric,
                        "delta": delta,
                        "rows_error": error,
                        "p": float(2 * stats.norm.sf(abs(delta) / error)),
                        "method": "m",
                    }
                    for metric in ("auc", "logloss")
                ],
            }
        )
        for seed, delta in deltas.items()
    ]


def test_harm_is_a_significant_loss_whatever_the_metric_calls_better() -> None:
    cells = made({0: -0.1, 1: 0.1})
    assert [cell.key[2] for cell, _, _ in harmed(cells, "headline")] == [0]
    assert [cell.key[2] for cell, _, _ in harmed(cells, "logloss")] == [1]
    assert not list(harmed(made({0: -0.1, 1: -0.1}, error=0.048), "headline")), "p .037 twice is not below .05 together"


@pytest.mark.parametrize("metric", ["headline", "logloss"])
def test_one_harmed_cell_is_found_among_as_many_as_the_grid_has(metric: str) -> None:
    loss = -0.1 if metric == "headline" else 0.1
    cells = made({seed: 0.001 * (seed % 3) for seed in range(99)} | {99: loss})
    assert [cell.key[2] for cell, _, _ in harmed(cells, metric)] == [99]


def test_seeds_pool_to_their_mean_and_no_narrower_than_their_rows_allow() -> None:
    found = pooled(made({0: 0.02, 1: 0.02, 2: 0.02}), "auto", "hard_only")
    assert found is not None
    assert found.delta == pytest.approx(0.02)
    assert found.high - found.delta == pytest.approx(1.96 * 0.01, rel=0.02)
    wider = pooled(made({0: 0.0, 1: 0.02, 2: 0.04}), "auto", "hard_only")
    assert wider is not None
    assert wider.high - wider.low > found.high - found.low
    assert pooled(made({0: 0.0}), "auto", "nobody") is None


@pytest.mark.parametrize(("metric", "sign"), [("auc", 1), ("rmse", -1), ("logloss", -1)])
def test_more_gain_is_better(metric: str, sign: int) -> None:
    assert math.isclose(gain(0.3, metric), sign * 0.3)


def test_a_cell_is_written_with_no_more_digits_than_test_rows_tell() -> None:
    assert transfer.shortened({"a": [1 / 3, "x", 2], "b": None}) == {"a": [0.333333, "x", 2], "b": None}


def test_the_figure_is_drawn_alike_of_the_same_cells(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the figure needs the extra [bench]")
    from transfer_curves import draw

    for name in ("one.svg", "two.svg"):
        draw(CELLS, tmp_path / name)
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()


def test_the_page_says_how_long_the_cells_took_whose_time_was_kept() -> None:
    from transfer_page import _time

    cells = made({0: 0.1, 1: 0.1})
    assert _time(cells) == []
    cells[0].entry.update(wall_seconds=120.0, workers=2)
    assert _time(cells)[0].startswith("The 1 cells whose time was kept took 2 minutes with 2 workers")
    cells[1].entry.update(wall_seconds=None, workers=2)
    assert _time(cells)[0].startswith("The 1 cells")
    cells[1].entry.update(wall_seconds=60.0, workers=2)
    assert _time(cells)[0].startswith("They took 3 minutes with 2 workers")
