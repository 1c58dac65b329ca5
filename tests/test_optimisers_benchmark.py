"""The benchmark of optimisers: trials are fits, every optimiser has as many, and the page says what the runs say."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from recdistill.datasets import criteo, synthetic
from recdistill.encoder_settings import EncoderSettings
from recdistill.fit_settings import FitSettings
from recdistill.metrics import auc
from recdistill.models import build
from recdistill.ranker import Ranker
from recdistill.settings import fill
from recdistill.splits import split
from recdistill.tables import Table
from recdistill.training import fit

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"
sys.path.append(str(BENCHMARKS))

import optimisers  # noqa: E402
from optimising import trial  # noqa: E402
from optimising.page import page  # noqa: E402
from optimising.verdict import NAMES, SPARSE, best, difference, in_seconds, of, rate, scores, seeds_of, verdict  # noqa: E402

RESULTS = BENCHMARKS / "results" / "optimisers"
LAZY = {
    "learning_rate": 1e-2,
    "weight_decay": 1e-5,
    "embedding_optimiser": "lazy_adam",
    "embedding_learning_rate": 2e-2,
    "embedding_weight_decay": 0.0,
}


def tiny(name: str, folder: Path) -> tuple[Table, Table]:
    source, _ = synthetic.load(source_rows=600, target_rows=300, source_users=30, target_users=20, items=20)
    return split(source, seed=len(name))[:2]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    trial.rows_of.cache_clear()
    monkeypatch.setattr(trial, "parts", tiny)
    for name, told in list(trial.DATA_SETS.items()):
        few = replace(told, batch_size=240, epochs=2, looks=2, encoder=EncoderSettings())
        monkeypatch.setitem(trial.DATA_SETS, name, few)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("settings", [{"learning_rate": 1e-2, "weight_decay": 1e-4}, LAZY], ids=["dense", "lazy_adam"])
def test_a_trial_is_a_fit_looked_at_on_its_way(settings: dict[str, Any]) -> None:
    train, valid = tiny("criteo", Path())
    found = trial.tried("criteo", Path(), settings, 3)
    assert found["rows"] == [240, 480, 720, 960]
    assert found["seconds"] == sorted(found["seconds"])
    encoder = EncoderSettings().fit(train)
    ranker = Ranker(encoder, build("deepfm", encoder.spec, seed=3, arguments=trial.MODEL))
    given = {**settings, "batch_size": 240, "epochs": 2, "seed": 3, "device": "cpu"}
    fit(ranker, train, settings=fill(FitSettings, given))
    assert found["auc"][-1] == pytest.approx(auc(ranker.score(valid), valid.labels), abs=1e-6)


@pytest.mark.usefixtures("small")
def test_every_optimiser_has_as_many_trials_and_no_run_is_made_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(optimisers, "SEEDS", range(2))
    file = tmp_path / "results.json"
    result = optimisers.all_runs(tmp_path, file, facts(), map)
    assert json.loads(file.read_text()) == result
    for name in trial.DATA_SETS:
        assert {len([r for r in of(result["runs"], name, o) if r["seed"] == 0]) for o in NAMES} == {6}
        varied = [f"{verdict(result['runs']).best}, {variant}" for variant in optimisers.VARIANTS]
        for optimiser in (*NAMES, *varied):
            assert {run["seed"] for run in of(result["runs"], name, optimiser)} == {0, 1}

    def none(make: Any, jobs: list[Any]) -> Iterable[Any]:
        assert jobs == []
        return []

    assert optimisers.all_runs(tmp_path, file, {}, none) == result
    said = page(result)
    assert said.count("| dense Adam |") == 2 * (1 + 6)


@pytest.mark.usefixtures("small")
def test_a_trial_that_diverges_is_told_and_not_chosen(tmp_path: Path) -> None:
    wild = {**LAZY, "embedding_optimiser": "sgd", "embedding_learning_rate": 1e6}
    run = optimisers.made((tmp_path, ("criteo", "sgd", wild, 0)))
    assert "must be finite" in run["failed"]
    assert run["auc"] == []
    calm = drawn("criteo", "sgd", 0, [0.6])
    assert optimisers.chosen([run, calm], "criteo", "sgd") == calm["settings"]


def test_criteo_trains_on_the_first_rows_and_never_sees_the_last(tmp_path: Path) -> None:
    folder = tmp_path / "criteo-kaggle-137k"
    folder.mkdir()
    lines = ["\t".join([str(row % 2), *["1"] * 13, *[f"{row:08x}"] * 26]) for row in range(40)]
    (folder / "train.txt").write_text("\n".join(lines))
    train, valid = trial.parts("criteo", folder)
    assert train.row_ids.tolist() == list(range(32))
    assert valid.row_ids.tolist() == list(range(32, 36))
    assert len(criteo.read(folder)) == 40


def facts() -> dict[str, Any]:
    return {"model": trial.MODEL, "torch": "2", "python": "3", "processes": 1}


def drawn(name: str, optimiser: str, seed: int, aucs: list[float], speed: float = 100.0) -> dict[str, Any]:
    rows = [1000 * (k + 1) for k in range(len(aucs))]
    told = {
        "data": name,
        "optimiser": optimiser,
        "settings": {"learning_rate": 1e-3, "weight_decay": 0.0},
        "seed": seed,
    }
    return {**told, "rows": rows, "seconds": [n / speed for n in rows], "auc": aucs, "logloss": [0.5 for _ in aucs]}


def all_drawn(less: dict[str, float], spread: float) -> list[dict[str, Any]]:
    """Five runs each; an optimiser's AUC is dense Adam's but for a difference, whose deviation is `spread` or so."""
    runs = []
    for name in trial.DATA_SETS:
        for place, optimiser in enumerate(NAMES):
            for seed in range(5):
                noise = spread * (-1) ** seed if place else 0
                score = 0.75 + 0.001 * seed - less.get(optimiser, 0.0) + noise
                runs.append(drawn(name, optimiser, seed, [score - 0.02, score, score - 0.01], 100 * (1 + place)))
    return runs


def test_the_interval_is_that_of_a_paired_t_test() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.normal(0.7, 0.01, 5), rng.normal(0.7, 0.01, 5)
    by = difference(
        [drawn("criteo", "sgd", seed, [score]) for seed, score in enumerate(first)],
        [drawn("criteo", "dense", seed, [score]) for seed, score in enumerate(second)],
    )
    told = stats.ttest_rel(first, second)
    interval = told.confidence_interval(0.95)
    assert (by.mean, by.low, by.high) == pytest.approx((np.mean(first - second), interval.low, interval.high))


@pytest.mark.parametrize(
    ("less", "spread", "holds"),
    [(0.0009, 1e-6, True), (0.0011, 1e-6, False), (0.0011, 0.002, True), (-0.002, 1e-6, True)],
    ids=["little less", "less", "less, but for the spread", "more"],
)
def test_the_rule_is_a_thousandth_or_an_interval_that_holds_nothing(less: float, spread: float, holds: bool) -> None:
    found = verdict(all_drawn({"adagrad": less, "sgd": 0.1}, spread))
    assert ("adagrad" in found.holds) is holds
    assert "sgd" not in found.holds
    # In the order of NAMES each makes more rows per second than the one before.
    assert list(found.holds) == [name for name in reversed(SPARSE) if name in found.holds]
    assert found.best == ("adagrad" if holds else "rowwise_adagrad")
    assert found.speed["lazy_adam"] == pytest.approx(2)


def test_without_an_optimiser_that_holds_the_nearest_is_the_best() -> None:
    found = verdict(all_drawn({"lazy_adam": 0.01, "rowwise_adagrad": 0.02, "adagrad": 0.03, "sgd": 0.04}, 1e-6))
    assert (found.holds, found.best) == ((), "lazy_adam")


def test_a_budget_counts_the_best_evaluation_up_to_it() -> None:
    run = drawn("criteo", "sgd", 0, [0.6, 0.8, 0.7, 0.9])
    assert [best(run, until) for until in (1000, 2000, 3999, np.inf)] == [0, 1, 1, 3]
    assert scores([run, run], until=1999) == [0.6, 0.6]
    assert rate([run]) == pytest.approx(100)
    assert in_seconds([run], 29.99) == [0.8]
    # A slower run of the same seeds reaches as far: seconds are those of the median run.
    slow = drawn("criteo", "sgd", 1, [0.6, 0.8, 0.7, 0.9], speed=50)
    assert in_seconds([run, slow, run], 20) == [0.8, 0.8, 0.8]


def test_the_committed_page_is_of_all_runs_of_the_script() -> None:
    result = json.loads((RESULTS / "results.json").read_text())
    runs = result["runs"]
    stages = (optimisers.first_trials, optimisers.more_seeds, optimisers.varied)
    wanted = [job for stage in stages for job in stage(runs)]
    made = [optimisers.key(run) for run in runs]
    assert all(job in made for job in wanted)
    assert all(job in wanted for job in made)
    assert result["facts"]["model"] == trial.MODEL
    optimiser = verdict(runs).best
    for name in trial.DATA_SETS:
        again = seeds_of(runs, name, f"{optimiser}, unchanged")
        assert [run["auc"] for run in seeds_of(runs, name, optimiser)] == [run["auc"] for run in again]
    assert (RESULTS / "README.md").read_text() == page(result)
