"""The benchmark of teachers on Criteo: equal budgets, a choice that no test row moves, a page that says its figures."""

from __future__ import annotations

import json
import random
import sys
from copy import deepcopy
from dataclasses import asdict, replace
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import pytest

from recdistill.datasets import criteo
from recdistill.encoder_settings import EncoderSettings
from recdistill.fit_settings import FitSettings
from recdistill.metrics import auc
from recdistill.models import MODELS, require
from recdistill.ranker import Ranker
from recdistill.settings import fill

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"
sys.path.append(str(BENCHMARKS))

import criteo_teachers as teachers  # noqa: E402
from criteo_teachers_page import FLOOR, REFERENCE, compared, page, verdict  # noqa: E402

RESULTS = BENCHMARKS / "results" / "criteo_teachers"
ROWS, TEST_ROWS = 300, 30
SOME = ("lr", "fm", "mlp")


def write(folder: Path, *, turned: bool = False) -> Path:
    """Rows in Criteo's layout whose clicks follow a count and a category; the test rows' labels turned, if asked."""
    draw, lines = random.Random(0), []
    for row in range(ROWS):
        count, category = draw.randrange(8), draw.choice("abcd")
        click = draw.random() < 0.1 + 0.08 * count + 0.2 * (category == "a")
        counts = [str(count), *(str(draw.randrange(100)) for _ in range(12))]
        label = int(click != (turned and row >= ROWS - TEST_ROWS))
        lines.append("\t".join([str(label), *counts, category, *(draw.choice("xyz") for _ in range(25))]))
    folder.mkdir()
    (folder / "train.txt").write_text("\n".join(lines) + "\n")
    return folder


def tried(*models: str) -> list[teachers.Candidate]:
    """Two short trials of some models."""
    found = [c for c in teachers.candidates() if c.model in models and c.trial in (1, 6)]
    return [replace(c, fit={**c.fit, "epochs": 2, "batch_size": 64}) for c in found]


def untimed(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in entry.items() if key != "seconds"} for entry in entries]


def test_every_model_has_as_many_trials_and_no_trial_twice() -> None:
    by_model: dict[str, list[str]] = {}
    for c in teachers.candidates():
        require(c.model, c.arguments)
        fill(FitSettings, dict(c.fit))
        fill(EncoderSettings, dict(c.encoder))
        told = json.dumps([c.arguments, c.encoder, c.fit], sort_keys=True)
        by_model.setdefault(c.model, []).append(told)
    assert set(by_model) == set(MODELS)
    assert {len(told) for told in by_model.values()} == {len(teachers.TRIALS)}
    assert all(len(set(told)) == len(told) for told in by_model.values())


def test_a_small_run_chooses_by_validation_and_compares_by_test_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, runs, out = write(tmp_path / "data"), tmp_path / "runs", tmp_path / "out"
    result = teachers.run(root, runs, out, tried(*SOME))
    assert json.loads((out / "results.json").read_text()) == result
    assert (out / "README.md").read_text() == page(result)
    assert [part["rows"] for part in result["data"].values()] == [240, 30, 30]

    losses: dict[str, list[float]] = {}
    for entry in result["seeds"]:
        losses.setdefault(entry["model"], []).append(entry["logloss"])
        rivals = [trial for trial in result["trials"] if trial["model"] == entry["model"]]
        best = min(rivals, key=lambda trial: trial["logloss"])
        assert entry["trial"] == best["trial"]
        assert entry["seed"] != 0 or entry["logloss"] == best["logloss"]
    assert {len(found) for found in losses.values()} == {teachers.SEEDS}
    assert result["chosen"]["teacher"] == min(losses, key=lambda model: mean(losses[model]))

    test = teachers.split_rows(criteo.read(root))[2]
    for model in SOME:
        folders = [runs / f"{e['model']}/trial-{e['trial']}/seed-{e['seed']}" for e in result["seeds"]]
        scores = [Ranker.load(folder).score(test) for folder in folders if folder.parts[-3] == model]
        assert result["test"]["models"][model]["auc"] == [auc(found, test.labels) for found in scores]
        if model != REFERENCE:
            means = [np.mean(result["test"]["models"][name]["auc"]) for name in (model, REFERENCE)]
            assert compared(result, model)["delta"] == pytest.approx(means[0] - means[1])

    def refused(*_: object) -> str:
        raise AssertionError("what is whole is not trained again")

    monkeypatch.setattr(teachers, "train_one", refused)
    assert teachers.run(root, runs, out, tried(*SOME)) == result


def test_no_test_label_moves_the_choice(tmp_path: Path) -> None:
    found = []
    for name in ("as_it_is", "turned"):
        root = write(tmp_path / name, turned=name == "turned")
        found.append(teachers.run(root, tmp_path / "runs" / name, tmp_path / "out" / name, tried("lr", "mlp")))
    first, second = found
    assert first["chosen"] == second["chosen"]
    for stage in ("trials", "seeds"):
        assert untimed(first[stage]) == untimed(second[stage])
    for model, metrics in first["test"]["models"].items():
        turned = second["test"]["models"][model]["auc"]
        assert metrics["auc"] == pytest.approx([1 - value for value in turned])


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [(0.001, 0.003, "`fm` is better"), (-0.003, -0.001, "`fm` is worse"), (-0.001, 0.001, "no difference is shown")],
)
@pytest.mark.parametrize("teacher", ["fm", REFERENCE])
def test_the_verdict_follows_the_interval(low: float, high: float, said: str, teacher: str) -> None:
    result: dict[str, Any] = {
        "chosen": {"teacher": teacher, "best_but_reference": "fm"},
        "data": {"train": {"rows": 1000}},
        "test": {
            "models": {name: {"auc": [FLOOR + 0.001, FLOOR - 0.001]} for name in ("fm", REFERENCE)},
            "comparisons": [
                {"a": "fm", "metric": "auc", "delta": (low + high) / 2, "low": low, "high": high, "p": 0.5}
            ],
            "sampling_error": 0.005,
        },
    }
    words = "\n".join(verdict(result))
    assert said in words
    assert f"at least {FLOOR:.3f}" in words
    assert ("Logistic regression wins" in words) == (teacher == REFERENCE)
    lower = deepcopy(result)
    lower["test"]["models"][teacher]["auc"] = [FLOOR - 0.001]
    assert f"below {FLOOR:.3f}" in "\n".join(verdict(lower))


def test_the_committed_page_is_its_result_and_the_teacher_reaches_the_floor() -> None:
    result = json.loads((RESULTS / "results.json").read_text())
    assert (RESULTS / "README.md").read_text() == page(result)
    settings = ("model", "trial", "arguments", "encoder", "fit", "seed")
    assert [{key: t[key] for key in settings} for t in result["trials"]] == list(map(asdict, teachers.candidates()))
    assert mean(result["test"]["models"][result["chosen"]["teacher"]]["auc"]) >= FLOOR
    found = compared(result, result["chosen"]["best_but_reference"])
    assert found["low"] <= found["delta"] <= found["high"]


def test_what_the_page_on_models_says_of_few_rows() -> None:
    result = json.loads((RESULTS / "results.json").read_text())
    assert "none of the others" in (BENCHMARKS.parent / "docs" / "models.md").read_text()
    assert result["chosen"]["teacher"] == REFERENCE
    assert all(compared(result, model)["low"] <= 0 for model in MODELS if model != REFERENCE)
    assert all(compared(result, model, "logloss")["high"] >= 0 for model in MODELS if model != REFERENCE)
