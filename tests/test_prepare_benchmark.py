"""The benchmark of preparation: rows like Criteo's by a seed, and a page that says what its figures say."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"
sys.path.append(str(BENCHMARKS))

from criteo_like import generate, measure  # noqa: E402
from measured import measured  # noqa: E402
from prepare_page import page, speed_ratio  # noqa: E402

RESULTS = BENCHMARKS / "results" / "prepare"
SHAPE: dict[str, Any] = generate.SHAPE
NAMES = ["click", *SHAPE["numbers"], *SHAPE["categories"]]


def cost(wall: float, gigabytes: float) -> dict[str, Any]:
    return {
        "work": wall - 0.5,
        "wall": wall,
        "cpu": 1.5 * wall,
        "peak_bytes": gigabytes * 1e9,
        "turns": [[wall - 0.5, wall, 1.5 * wall, gigabytes * 1e9]],
        "written_bytes": 30_000_000,
    }


def figures() -> dict[str, Any]:
    distinct = {name: shape["distinct"] + 1 for name, shape in SHAPE["categories"].items()}
    million = {"recdistill": cost(4, 0.5), "polars": cost(3, 0.6), "pandas": cost(10, 1.0)}
    more = {"recdistill": cost(30, 2.5), "polars": cost(27, 1.2)}
    sizes = [
        {"rows": 1_000_000, "bytes": 240e6, "distinct": distinct, "agreed": {}, "peers": million},
        {"rows": 10_000_000, "bytes": 2.4e9, "distinct": distinct, "agreed": {}, "peers": more},
    ]
    head = {"command": "python benchmarks/prepare.py", "cores": 2, "versions": {"polars": "1.30"}}
    return {**head, "sizes": sizes}


def test_rows_are_the_seeds_and_do_not_depend_on_how_many_follow(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(generate, "CHUNK", 1_000)
    for name, rows, seed in (("few", 1_500, 3), ("many", 2_700, 3), ("again", 2_700, 3), ("other", 2_700, 4)):
        generate.write(tmp_path / name, rows, seed=seed)
    few, many, again, other = ((tmp_path / name).read_bytes() for name in ("few", "many", "again", "other"))
    assert many == again != other
    assert many.startswith(few)
    assert (few.count(b"\n"), many.count(b"\n")) == (1_500, 2_700)
    assert {line.count(b"\t") for line in many.splitlines()} == {39}


def test_rows_are_like_the_real_ones() -> None:
    made = generate.chunk(0, seed=0).to_pandas().head(SHAPE["rows"])
    assert made.columns.tolist() == NAMES
    assert made["click"].mean() == pytest.approx(SHAPE["clicks"], abs=0.02)
    for name, shape in {**SHAPE["numbers"], **SHAPE["categories"]}.items():
        assert made[name].isna().mean() == pytest.approx(shape["missing"], abs=0.01), name
    for name, shape in SHAPE["categories"].items():
        assert made[name].nunique() == pytest.approx(shape["distinct"], rel=0.1, abs=5), name
        top = made[name].value_counts().iloc[0] / made[name].notna().sum()
        assert top == pytest.approx(shape["head"][0][1], abs=0.02), name
    for name, shape in SHAPE["numbers"].items():
        middle = shape["quantiles"][SHAPE["quantiles_at"].index(0.5)]
        assert made[name].median() == pytest.approx(middle, rel=0.15, abs=1), name


def test_values_of_ranks_are_distinct_and_hexadecimal() -> None:
    values = generate.scrambled(np.arange(100_000, dtype=np.uint32), np.uint32(7))
    assert len(np.unique(values)) == 100_000
    text = generate.hexadecimal(values, np.arange(100_000) == 1)
    assert text[0].as_py() == f"{values[0]:08x}"
    assert text[1].as_py() is None


def test_a_tail_has_the_distinct_values_it_was_made_for() -> None:
    exponent = measure.tail_exponent(100, 10_000_000, 0.4, 200_000, 30_000)
    assert measure.expected(100, 10_000_000, 0.4, exponent, 200_000) == pytest.approx(30_000, rel=0.001)
    few, more, most = (measure.expected(100, 10**7, 0.4, exponent, rows) for rows in (10**4, 10**6, 10**8))
    assert few < more < most <= 10**7


def test_the_committed_shape_is_what_is_measured(shared_data: Callable[[str], Path]) -> None:
    rows = pd.read_csv(shared_data("criteo-kaggle-137k") / "train.txt.gz", sep="\t", header=None, names=NAMES)
    assert (len(rows), round(rows["click"].mean(), 4)) == (SHAPE["rows"], SHAPE["clicks"])
    for name in ("I2", "I12"):
        assert measure.number(rows[name]) == SHAPE["numbers"][name]
    for name in ("C3", "C9", "C26"):
        assert measure.category(rows[name], measure.DISTINCT[name]) == SHAPE["categories"][name]


def test_a_script_is_charged_for_its_own_processes(tmp_path: Path) -> None:
    script = tmp_path / "heavy.py"
    heavy = "kept = bytearray(200_000_000); kept[::4096] = b'x' * len(kept[::4096])"
    lines = ["import subprocess, sys", f"subprocess.run([sys.executable, '-c', {heavy!r}], check=True)", "print(0.25)"]
    script.write_text("\n".join(lines))
    run = measured([script])
    assert run.peak_bytes > 200e6
    assert run.cpu > 0
    assert run.wall > 0
    assert run.work == 0.25
    script.write_text("raise SystemExit(3)")
    with pytest.raises(SystemExit, match=r"heavy.py failed with 3"):
        measured([script])


def test_the_page_says_which_goals_are_met() -> None:
    text = page(figures())
    assert "| rows/s of the work at 1,000,000 rows, times those of pandas | at least 3 | 2.71 | no |" in text
    assert "| rows/s of the whole process at 1,000,000 rows, times those of pandas | at least 3 | 2.50 | no |" in text
    assert "| rows/s of the work at 10,000,000 rows, times those of polars | at least 0.65 | 0.90 | yes |" in text
    assert "| most memory, at 10,000,000 rows | below 2 GB | 2.50 GB | no |" in text
    assert "10 times the rows took 5.0 times the memory." in text
    assert "| C9 | 0.0% | 3 | 4 | +33.3% |" in text
    assert speed_ratio(figures(), "pandas", 10_000_000, "work") is None


def test_too_small_a_disk_is_named(tmp_path: Path) -> None:
    command = [sys.executable, str(BENCHMARKS / "prepare.py"), "--rows", str(10**12), "--folder", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "1,000,000,000,000 rows need 500000.0 GB of disk, got" in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_small_run_from_rows_to_page(tmp_path: Path) -> None:
    pytest.importorskip("polars", reason="needs the extra [bench]")
    command = [sys.executable, str(BENCHMARKS / "prepare.py"), "--rows", "20000", "50000", "--repeats", "1"]
    places = ["--pandas-up-to", "20000", "--folder", str(tmp_path), "--out", str(tmp_path / "page")]
    subprocess.run([*command, *places], check=True)
    assert [path.name for path in tmp_path.iterdir()] == ["page"], "the temporary files are gone"
    result = json.loads((tmp_path / "page" / "results.json").read_text())
    assert (tmp_path / "page" / "README.md").read_text() == page(result)
    assert [list(entry["peers"]) for entry in result["sizes"]] == [
        ["recdistill", "polars", "pandas"],
        ["recdistill", "polars"],
    ]
    assert all(entry["agreed"]["values"] > 0 for entry in result["sizes"])


@pytest.mark.skipif(not RESULTS.is_dir(), reason="the benchmark was not run yet")
def test_the_committed_page_is_its_figures_in_words() -> None:
    result = json.loads((RESULTS / "results.json").read_text())
    assert (RESULTS / "README.md").read_text() == page(result)
    for entry in result["sizes"]:
        others = len(entry["peers"]) - 1
        assert entry["agreed"]["values"] == others * len(entry["agreed"]["columns"]) * entry["rows"]
