"""Ideas to raise what distillation adds: the committed page is its results in words, by the ideas that stand here."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"
sys.path.append(str(BENCHMARKS))

import raising  # noqa: E402
from raising_ideas import IDEAS  # noqa: E402
from raising_page import WHAT, page  # noqa: E402

RESULTS = json.loads((raising.FOLDER / "results.json").read_text())["tasks"]


def test_the_page_is_the_results_in_words() -> None:
    assert (raising.FOLDER / "README.md").read_text() == page(RESULTS)


@pytest.mark.parametrize("name", RESULTS)
def test_what_is_reported_was_made_by_the_ideas_and_the_task_that_stand_here(name: str) -> None:
    assert RESULTS[name]["made_by"] == raising.made_by(name)
    tried = set(RESULTS[name]["ideas"]) - {RESULTS[name]["control"]}
    assert len(tried - {"kd"}) >= 3, "several ideas were tried beside plain KD"
    assert tried <= set(IDEAS) == set(WHAT)


def entry(delta: float, p: float) -> dict[str, Any]:
    """An idea that differs so from both."""
    low, high = delta - 0.01, delta + 0.01
    over = [{"delta": delta, "low": low, "high": high, "p": p}] * 2
    return {"metrics": {"auc": 0.7, "logloss": 0.5}, "over": {"start": over, "kd": over}, "alphas": [0.5], "p": p}


def test_only_what_stands_after_holm_is_called_shown() -> None:
    ideas = {"better": entry(0.02, 0.01), "lucky": entry(0.005, 0.2), "worse": entry(-0.02, 0.01)}
    told = page(
        {"t": {"labels": 0.1, "headline": "auc", "control": "start", "test_rows": 9, "seeds": 1, "ideas": ideas}}
    )
    assert "shown to be above start: better; above plain KD: better." in told
