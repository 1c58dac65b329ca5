"""Criteo: the official layout, plain and packed, real counts, and broken lines."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from recdistill.datasets import criteo
from recdistill.errors import DataError, UsageError
from recdistill.splits import split


def line(label: str = "0", count: str = "3", category: str = "0a1b2c3d", fields: int = 40) -> str:
    return "\t".join([label, *[count] * 13, *[category] * 26][:fields])


GOOD = [line("1", "-1"), line("0", "", ""), line("1", "7", 'a"b')]


def test_plain_and_packed_files_agree_and_missing_stays_missing(tmp_path: Path) -> None:
    (tmp_path / "train.txt.gz").write_bytes(gzip.compress("\n".join(GOOD).encode()))
    packed = criteo.read(tmp_path)
    (tmp_path / "train.txt").write_text("\n".join(GOOD) + "\n")
    table = criteo.read(tmp_path)
    assert packed.fingerprint == table.fingerprint == criteo.read(tmp_path / "train.txt").fingerprint
    assert table.row_ids.tolist() == [0, 1, 2]
    assert table.labels.tolist() == [1, 0, 1]
    assert table.column("I13").to_pylist() == [-1, None, 7]
    assert table.column("C26").to_pylist() == ["0a1b2c3d", None, 'a"b']
    assert len(table.schema.features) == 39


def test_domains_by_a_category(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("\n".join(GOOD))
    source, target = criteo.load(tmp_path, column="C2", target=["0a1b2c3d"])
    assert (source.row_ids.tolist(), target.row_ids.tolist()) == ([1, 2], [0])
    assert "C2" not in source.schema.features
    assert "C2" in criteo.load(tmp_path, column="C2", source="0a1b2c3d", drop_column=False)[0].schema.features
    with pytest.raises(UsageError, match="'07d13a8f' does not occur in column 'C14'"):
        criteo.load(tmp_path)
    with pytest.raises(UsageError, match="no column 'C27'"):
        criteo.load(tmp_path, column="C27", target="x")


@pytest.mark.parametrize(
    ("bad", "rule"),
    [
        (line(fields=39), "Row #4: Expected 40 columns, got 39"),
        (line("2"), "labels must be 0 or 1, got 2 in .* row 4"),
        (line(""), "labels must be 0 or 1, got None in .* row 4"),
        (line("yes"), "column #0: Row #4: .*invalid value 'yes'"),
        (line(count="1.5"), "column #1: Row #4: .*int32: invalid value '1.5'"),
    ],
)
def test_broken_lines_are_named(tmp_path: Path, bad: str, rule: str) -> None:
    (tmp_path / "train.txt").write_text("\n".join([*GOOD, bad, line()]))
    with pytest.raises(DataError, match=rule):
        criteo.read(tmp_path)


def test_missing_and_damaged_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "test.txt").touch()
    with pytest.raises(DataError, match=r"must hold train.txt or train.txt.gz, got test.txt; see https"):
        criteo.read(tmp_path)
    whole = gzip.compress("\n".join(GOOD * 1000).encode())
    (tmp_path / "train.txt.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"train.txt.gz must have the columns click to C26, 40 of them"):
        criteo.read(tmp_path)
    (tmp_path / "train.txt").touch()
    with pytest.raises(DataError, match="Empty"):
        criteo.read(tmp_path)


def test_real_counts(shared_data: Callable[[str], Path]) -> None:
    source, target = criteo.load(shared_data("criteo-kaggle-137k"))
    assert len(source) + len(target) == 137_139
    assert len(target) == 46_865
    clicks = source.labels.sum() + target.labels.sum()
    assert clicks / 137_139 == pytest.approx(0.2568, abs=5e-5)
    parts = split(target, valid=0.1, test=0.3, by="position")
    assert [len(part) for part in parts] == [28_119, 4_686, 14_060]
    assert parts[0].row_ids.max() < parts[1].row_ids.min() < parts[2].row_ids.min()
    _, few = criteo.load(shared_data("criteo-kaggle-137k"), column="C9", target=["7cc72ec2"])
    assert len(few) == 13_697
    assert few.labels.mean() == pytest.approx(0.125, abs=5e-4)
