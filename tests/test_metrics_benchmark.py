"""The benchmark of metrics at a tiny size: the same values as the others, and a page that says which bar holds."""

from __future__ import annotations

import json
import sys
from copy import deepcopy
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"
sys.path.append(str(BENCHMARKS))

pytest.importorskip("pytrec_eval")

import metrics  # noqa: E402


def test_values_are_the_others_and_the_page_says_which_bar_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = {"--rows": 2000, "--users": 200, "--loop-users": 20, "--trec-users": 50, "--turns": 1}
    told = [str(part) for pair in sizes.items() for part in pair]
    monkeypatch.setattr(sys, "argv", ["metrics.py", *told, "--out", str(tmp_path)])
    metrics.main()
    result = json.loads((tmp_path / "results.json").read_text())
    assert (tmp_path / "README.md").read_text() == metrics.page(result)
    entries = [*result["loop"], *result["trec"]]
    assert len(entries) == len(metrics.OURS) + len(metrics.TREC)
    assert max(entry["furthest"] for entry in entries) <= metrics.CLOSE
    assert result["intervals"]["furthest"] <= metrics.CLOSE


def figures(theirs: float, delong: float, furthest: float = 0.0) -> dict[str, object]:
    times = {"ours": [1.0], "theirs": [theirs], "dictionaries": [7.0]}
    entry = {"metric": "recall@10", "users": 5, "of": 10, "furthest": furthest, "seconds": times}
    seconds = {"roc_auc_score": [2.0], "paired DeLong": [delong], "clustered DeLong": [delong]}
    head = {"rows": 100, "users": 10, "turns": 1, "cores": 2, "versions": {"numpy": "2"}, "peak_bytes": 1e9}
    found = {"loop": [entry], "trec": [deepcopy(entry)], "intervals": {"seconds": seconds, "furthest": 0.0}}
    return {**head, **found}


@pytest.mark.parametrize(
    ("theirs", "delong", "furthest", "held"),
    [
        (60, 6, 0.0, ["50: holds", "10: holds", "3: holds", "4: holds"]),
        (20, 7, 0.0, ["50: does not hold", "10: holds", "3: does not hold", "4: holds"]),
        (60, 9, 1e-6, ["50: does not hold", "10: does not hold", "3: does not hold", "4: does not hold"]),
    ],
)
def test_a_bar_holds_where_it_is_reached_with_the_same_values(
    theirs: float, delong: float, furthest: float, held: list[str]
) -> None:
    page = metrics.page(figures(theirs, delong, furthest))
    assert [line.split("|")[-2].strip() for line in page.splitlines() if "hold" in line] == held
