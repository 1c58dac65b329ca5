"""What `report.json` holds behind its figures: curves, histories, segments, fidelity, many comparisons, the shift."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import precision_recall_curve, roc_auc_score, roc_curve
from tiny import TINY

from recdistill import report
from recdistill.configuration import Config
from recdistill.evidence import POINTS, adjusted, curves
from recdistill.experiment import run
from recdistill.metrics import holm, reliability
from recdistill.progress import SILENCE
from recdistill.run_folder import RunFolder
from recdistill.run_shift import of_report
from recdistill.settings import fill

RESULTS = Path(__file__).resolve().parent.parent / "benchmarks" / "results"
TOLD = TINY.replace('strategy = "hard_only"\n', "").replace("labels = [0.5]", "labels = [0.5]\nseeds = 2")
TOLD = TOLD.replace("[data.arguments]", '[ranking]\nprotocol = "full"\n[data.arguments]')


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunFolder, dict[str, Any]]:
    """A tiny run that ships what "auto" chooses."""
    place = tmp_path_factory.mktemp("evidence") / "run"
    run(fill(Config, tomllib.loads(TOLD)), place)
    return RunFolder(place), json.loads((place / "report" / "report.json").read_text())


def test_a_run_says_what_stands_behind_its_figures(made: tuple[RunFolder, dict[str, Any]]) -> None:
    result = made[1]
    pooled = result["pooled"][0]
    assert set(result["versions"]) == {"python", "recdistill", "torch", "numpy", "pyarrow", "scikit-learn"}
    shown = {"source_teacher", "adapted_teacher", "hard_only", "source_finetuned", "chosen", "auto"}
    assert set(pooled["curves"]) == shown
    assert shown < set(pooled["histories"])
    assert pooled["histories"]["chosen"] == pooled["histories"][pooled["chosen"][0]]
    assert pooled["histories"]["auto"] == pooled["histories"][pooled["shipped"][0]]
    for epochs in pooled["histories"].values():
        assert len(epochs) == 2  # before the one epoch, and after it
        assert set(epochs[1]) == {"loss", "logloss"}
    followers = {name for name, entry in pooled["rankers"].items() if entry["role"] in ("student", "control")}
    assert set(pooled["fidelity"]) == followers
    for found in pooled["fidelity"].values():
        assert set(found) - {"overlap@10"} == {"agreement", "kl", "rank_correlation"}  # users have few test rows
    assert {"full:coverage@10", "full:gini@10"} < set(pooled["ranking"]["rankers"]["chosen"])


def test_a_run_compares_by_segment_and_says_which_intervals_are_small(
    made: tuple[RunFolder, dict[str, Any]],
) -> None:
    pooled = made[1]["pooled"][0]
    found = pooled["segments"]
    keys = "column segment rows users positives a b metric value_a value_b delta low high p p_holm method small"
    if pooled["shipped"] != ["hard_only", "hard_only"]:
        assert found
        assert all(set(one) == set(keys.split()) for one in found)
        assert {(one["a"], one["b"], one["metric"]) for one in found} == {("auto", "hard_only", "auc")}
        assert [one["delta"] for one in found] == sorted(one["delta"] for one in found)
    for one in (*pooled["comparisons"], *pooled["ranking"]["comparisons"]):
        assert one["small"] is True  # 60 users
        assert one["p"] <= one["p_holm"] <= 1


def test_the_shift_is_that_of_the_source_and_the_training_rows(made: tuple[RunFolder, dict[str, Any]]) -> None:
    folder, result = made
    assert result["shift"]["target_rows"] == len(folder.tables()["train"])
    assert {"shifts", "words", "advice"} < set(result["shift"]["verdict"])
    assert result["shift"]["columns"][0]["column"]
    assert result["shift"]["teacher"]["whole"]["rows"] == folder.tables()["train"].labelled.sum()
    assert json.loads(json.dumps(of_report(folder, SILENCE))) == result["shift"]


def test_curves_are_scikit_learns_thinned_with_both_ends() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 3000).astype(float)
    scores = rng.normal(size=3000) + labels
    found = curves(scores, labels)
    false, true, _ = roc_curve(labels, scores)
    roc, pr = found["roc"], found["pr"]
    assert len(roc["x"]) == len(roc["y"]) <= POINTS
    assert (roc["x"][0], roc["y"][0], roc["x"][-1], roc["y"][-1]) == (0, 0, 1, 1)
    assert {*zip(roc["x"], roc["y"], strict=True)} <= {*zip(false.round(5), true.round(5), strict=True)}
    assert np.trapezoid(roc["y"], roc["x"]) == pytest.approx(roc_auc_score(labels, scores), abs=2e-3)
    precision, recall, _ = precision_recall_curve(labels, scores)
    assert len(pr["x"]) == len(pr["y"]) <= POINTS
    assert pr["x"][-1] == 1
    assert pr["x"] == sorted(pr["x"])
    reached = {*zip(recall[:-1].round(5), precision[:-1].round(5), strict=True)}  # without the end that is no score's
    assert {*zip(pr["x"], pr["y"], strict=True)} <= reached
    order = rng.permutation(3000)
    assert curves(scores[order], labels[order]) == found


def test_reliability_bins_have_wilsons_intervals() -> None:
    rng = np.random.default_rng(1)
    labels, scores = rng.integers(0, 2, 500).astype(float), rng.normal(size=500)
    found = curves(scores, labels)["reliability"]
    rows, said, observed = reliability(scores, labels)
    assert [one["rows"] for one in found] == rows.tolist()
    assert [one["predicted"] for one in found] == pytest.approx(said, abs=1e-5)
    clicks = round(observed[0] * rows[0])
    ends = binomtest(clicks, int(rows[0])).proportion_ci(method="wilson")
    assert [found[0]["low"], found[0]["high"]] == pytest.approx([ends.low, ends.high], abs=1e-5)
    assert all(one["low"] <= one["observed"] <= one["high"] for one in found)


def test_a_constant_ranker_has_curves() -> None:
    labels = np.random.default_rng(2).integers(0, 2, 60).astype(float)
    flat = curves(np.zeros(60), labels)
    assert flat["tied_pairs"] == 1
    assert flat["roc"] == {"x": [0.0, 1.0], "y": [0.0, 1.0]}


def test_p_values_are_adjusted_among_rankers_of_one_question() -> None:
    told = [("a", "x", "auc", 0.01), ("b", "x", "auc", 0.04), ("a", "x", "logloss", 0.02), ("a", "y", "auc", 0.03)]
    found = adjusted([{"a": a, "b": b, "metric": m, "p": p, "small": False} for a, b, m, p in told])
    assert [one["p_holm"] for one in found] == [*holm([0.01, 0.04]), 0.02, 0.03]
    assert not any(one["small"] for one in found)
    assert adjusted([{"b": "x", "metric": "auc", "p": 0.5, "small": True}])[0]["small"]  # as it was told


@pytest.mark.parametrize("file", sorted(RESULTS.glob("*/report.json")), ids=lambda file: file.parent.name)
def test_pages_are_still_written_of_earlier_reports(file: Path) -> None:
    result = json.loads(file.read_text())
    if all("enough" in pooled for pooled in result["pooled"]):
        assert report.page(result).startswith("#")
