"""The gate of planted teachers: one that helps is let in, one that harms is not, and the page says what was found."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"
sys.path.append(str(BENCHMARKS))

import gate  # noqa: E402
from gate_page import accepted, alarmed, of, page  # noqa: E402

RESULTS = BENCHMARKS / "results" / "gate"
PLANTED = ("helpful", "harmful")


def test_the_committed_page_is_its_result_and_the_gate_holds() -> None:
    result = json.loads((RESULTS / "results.json").read_text())
    assert (RESULTS / "README.md").read_text() == page(result)
    assert (result["sizes"], result["alpha"], result["share"]) == (gate.SIZES, gate.TAUGHT.alpha, gate.SHARE)
    for teacher in gate.TEACHERS:
        assert [world["seed"] for world in of(result, teacher)] == list(gate.SEEDS)
    assert accepted(result, "helpful") >= 18
    assert accepted(result, "harmful") == 0
    assert alarmed(result, "harmful") > 10
    assert alarmed(result, "helpful") == 0
    assert all(world["test_gain"]["logloss"] > 0 for world in of(result, "helpful")), "it was planted to help"
    assert all(world["test_gain"]["logloss"] < 0 for world in of(result, "harmful")), "and it to harm"


def test_planted_teachers_are_told_apart_in_a_world() -> None:
    helpful, harmful = gate.gated(0, PLANTED)
    assert helpful["decision"]["chosen"] == "taught"
    assert harmful["decision"]["chosen"] == "hard_only"
    assert harmful["decision"]["harmful"] == ["taught"]


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_planted_teachers_are_told_apart_in_every_world() -> None:
    found = [entry for seed in gate.SEEDS for entry in gate.gated(seed, PLANTED)]
    result = {"worlds": found}
    assert accepted(result, "helpful") >= 18
    assert accepted(result, "harmful") == 0
    assert alarmed(result, "harmful") > 10
