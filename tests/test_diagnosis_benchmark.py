"""The benchmark of the diagnosis: the page says its figures, and worlds made again are named for what was planted."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from recdistill.shift.verdict import BASE_RATE, CONCEPT, POPULATION

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"
sys.path.append(str(BENCHMARKS))

import diagnosis  # noqa: E402
from diagnosis_page import page, right  # noqa: E402

RESULT: dict[str, Any] = json.loads((BENCHMARKS / "results" / "diagnosis" / "results.json").read_text())
REPORTED = [world for world in RESULT["worlds"] if world["seed"] in diagnosis.REPORTED]


def test_the_page_is_its_results_in_words() -> None:
    assert (BENCHMARKS / "results" / "diagnosis" / "README.md").read_text() == page(RESULT)
    assert len(REPORTED) == len(diagnosis.KINDS) * len(diagnosis.REPORTED)
    assert RESULT["sizes"] == diagnosis.SIZES


def test_the_planted_shift_is_named_in_17_of_20_worlds_and_none_in_18() -> None:
    assert {kind: right(REPORTED, kind) >= (18 if kind == "none" else 17) for kind in diagnosis.KINDS} == dict.fromkeys(
        diagnosis.KINDS, True
    )


def test_what_is_named_follows_from_the_limits() -> None:
    for world in RESULT["worlds"]:
        (auc, low, _), (rate, below, above), (gain, least, _) = (world[name] for name in ("auc", "base_rate", "gain"))
        named = {
            "population": auc >= POPULATION and low > 0.5,
            "base_rate": abs(rate) >= BASE_RATE and below * above > 0,
            "concept": gain >= CONCEPT and least > 0,
        }
        assert world["named"] == [name for name, there in named.items() if there]


def test_a_world_made_again_is_diagnosed_the_same() -> None:
    again = diagnosis.diagnosed(("concept", 0))
    known = next(world for world in REPORTED if (world["kind"], world["seed"]) == ("concept", 0))
    assert again["named"] == known["named"] == ["concept"]
    for name in ("auc", "base_rate", "gain"):
        assert again[name] == pytest.approx(known[name], abs=2e-3)


def test_results_are_kept_after_each_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, int]] = []

    def measured(told: tuple[str, int]) -> dict[str, Any]:
        asked.append(told)
        if len(asked) == 3:
            raise KeyboardInterrupt
        return {"kind": told[0], "seed": told[1], "named": []}

    monkeypatch.setattr(diagnosis, "diagnosed", measured)
    with pytest.raises(KeyboardInterrupt):
        diagnosis.all_worlds([7], tmp_path / "results.json", map)
    result = diagnosis.all_worlds([7], tmp_path / "results.json", map)
    assert [(world["kind"], world["seed"]) for world in result["worlds"]] == [(kind, 7) for kind in diagnosis.KINDS]
    assert len(asked) == len(diagnosis.KINDS) + 1


@pytest.mark.slow
@pytest.mark.parametrize("kind", diagnosis.KINDS)
def test_worlds_of_eight_seeds_are_named_for_what_was_planted(kind: str) -> None:
    assert right([diagnosis.diagnosed((kind, seed)) for seed in range(8)], kind) >= 7
