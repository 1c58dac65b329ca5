"""Every bad input is refused with a message, leaves no prepared table behind, or is set aside with its reason."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import clicks
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recdistill.errors import DataError
from recdistill.preparation import prepare
from recdistill.prepared_table import PreparedTable
from recdistill.readers import CsvSettings, read, typed

BAD_LINE = 400  # in a late chunk: the header is line 1
NUMBERED = replace(clicks.SCHEMA, row_id="row")


def lines(path: Path) -> list[list[str]]:
    return [line.split(",") for line in path.read_text("utf-8").splitlines()]


def at(column: int, value: str) -> Callable[[list[list[str]]], None]:
    """A change of one field of one line."""

    def change(rows: list[list[str]]) -> None:
        rows[BAD_LINE - 1][column] = value

    return change


def without_last(rows: list[list[str]]) -> None:
    rows[BAD_LINE - 1].pop()


def with_more(rows: list[list[str]]) -> None:
    rows[BAD_LINE - 1].append("1")


BAD_ROWS: dict[str, tuple[Callable[[list[list[str]]], None], str, str | None]] = {
    "too few fields": (without_last, "must have 9 fields", None),
    "too many fields": (with_more, "must have 9 fields", None),
    "no number": (at(6, "old"), "numbers must be numbers", "age"),
    "NaN": (at(5, "nan"), "numbers must be finite", "price"),
    "infinity": (at(5, "inf"), "numbers must be finite", "price"),
    "no label": (at(0, "2"), "a label must be 0 or 1", "click"),
    "no user": (at(1, ""), "users, items and times must not be missing", "user"),
    "no time": (at(8, "yesterday"), "times must all be", "at"),
    "short vector": (at(7, "0.5"), "vectors must have 2 numbers, as the others have", "text"),
    "no vector": (at(7, "a|b"), "vectors must be numbers", "text"),
}


def written(path: Path, change: Callable[[list[list[str]]], None]) -> Path:
    rows = lines(clicks.write(path))
    change(rows)
    path.write_text("\n".join(map(",".join, rows)) + "\n", "utf-8")
    return path


def refused(raw: Path, message: str, **changes: object) -> str:
    """The error, after which nothing that a later stage accepts is there."""
    out = raw.parent / "out"
    with pytest.raises(DataError, match=message) as found:
        prepare(raw, out, schema=clicks.SCHEMA, settings=clicks.settings(**changes))
    assert not out.exists()
    with pytest.raises(DataError, match="there is no prepared table"):
        PreparedTable.read(out)
    for left in raw.parent.glob("out.unfinished/**/prepared"):
        with pytest.raises(DataError, match="is not finished"):
            PreparedTable.read(left)
    return str(found.value)


@pytest.mark.parametrize("name", BAD_ROWS)
def test_a_bad_row_is_refused_with_its_line(name: str, tmp_path: Path) -> None:
    change, message, column = BAD_ROWS[name]
    text = refused(written(tmp_path / "clicks.csv", change), message)
    assert f"clicks.csv line {BAD_LINE}" in text
    assert column is None or f"column {column!r}" in text


@pytest.mark.parametrize("name", BAD_ROWS)
def test_a_bad_row_is_set_aside_with_its_line_and_reason(name: str, tmp_path: Path) -> None:
    change, message, column = BAD_ROWS[name]
    raw = written(tmp_path / "clicks.csv", change)
    made = prepare(raw, tmp_path / "out", schema=clicks.SCHEMA, settings=clicks.settings(on_bad_row="quarantine"))
    (bad,) = [json.loads(line) for line in (made.path / "quarantine.jsonl").read_text("utf-8").splitlines()]
    assert (Path(bad["file"]).name, bad["line"], bad["column"]) == ("clicks.csv", BAD_LINE, column)
    assert message in bad["rule"]
    assert bad["row"] == raw.read_text("utf-8").splitlines()[BAD_LINE - 1]
    assert json.loads((made.path / "report.json").read_text())["bad_rows"] == {
        f"{column}: {bad['rule']}" if column else bad["rule"]: 1
    }
    kept = sorted(int(row) for split in made.rows for row in made.row_ids(split))
    assert kept == [row for row in range(600) if row != BAD_LINE - 2]  # ids do not depend on what is set aside


def test_a_bad_row_may_hold_breaks_that_json_leaves_as_they_are(tmp_path: Path) -> None:
    raw = written(tmp_path / "clicks.csv", at(6, "o\u2028l\x85d"))
    made = prepare(raw, tmp_path / "out", schema=clicks.SCHEMA, settings=clicks.settings(on_bad_row="quarantine"))
    assert json.loads((made.path / "report.json").read_text())["bad_rows"] == {"age: numbers must be numbers": 1}
    (line,) = (made.path / "quarantine.jsonl").read_text("utf-8").strip("\n").split("\n")
    assert "o\u2028l\x85d" in json.loads(line)["row"]


def test_too_many_bad_rows_are_no_accident(tmp_path: Path) -> None:
    def all_wrong(rows: list[list[str]]) -> None:
        for row in rows[1:]:
            row[6] = "old"

    raw = written(tmp_path / "clicks.csv", all_wrong)
    message = (
        r"clicks.csv: at most 10 % of the rows may be set aside, got 600 of 600 \(age: numbers must be numbers\); "
        r"is a setting or a role wrong\? Else raise most_bad"
    )
    refused(raw, message, on_bad_row="quarantine")


def test_a_file_that_is_wrong_as_a_whole_is_refused_in_both_modes(tmp_path: Path) -> None:
    raw = clicks.write(tmp_path / "clicks.csv")
    for mode in ("strict", "quarantine"):
        refused(
            raw,
            "must have several columns, got one with the delimiter ';'",
            csv=CsvSettings(delimiter=";"),
            on_bad_row=mode,
        )
        packed = tmp_path / "clicks.csv.gz"
        packed.write_bytes(gzip.compress(raw.read_bytes())[:-300])
        refused(packed, "must be a whole file, got one that cannot be decompressed", on_bad_row=mode)
        parquet = tmp_path / "clicks.parquet"
        pq.write_table(typed(read(raw, CsvSettings()), clicks.SCHEMA, CsvSettings()), parquet)
        parquet.write_bytes(parquet.read_bytes()[:-100])
        refused(parquet, "must be a whole Parquet file", on_bad_row=mode)


def test_row_ids_are_unique_over_all_parts(tmp_path: Path) -> None:
    raw = clicks.write(tmp_path / "clicks.csv")
    table = typed(read(raw, CsvSettings()), clicks.SCHEMA, CsvSettings())
    ids = list(range(600))
    ids[599] = 3
    pq.write_table(table.append_column("row", pa.array(ids)), tmp_path / "clicks.parquet", row_group_size=100)
    with pytest.raises(DataError, match="row ids must be unique, got 1 repeated in 'row'"):
        prepare(tmp_path / "clicks.parquet", tmp_path / "out", schema=NUMBERED, settings=clicks.settings())
    assert not (tmp_path / "out").exists()


def test_a_feature_without_any_value_teaches_nothing(tmp_path: Path) -> None:
    def emptied(rows: list[list[str]]) -> None:
        for row in rows[1:]:
            row[5] = ""

    refused(
        written(tmp_path / "clicks.csv", emptied),
        "a feature needs a value in some row, got 'price' missing in all of the training rows",
    )


def test_labels_of_one_class_are_refused(tmp_path: Path) -> None:
    def never(rows: list[list[str]]) -> None:
        for row in rows[1:]:
            row[0] = "0"

    refused(written(tmp_path / "clicks.csv", never), "the train split needs at least two classes among its labels")


def test_a_constant_is_remarked_on(tmp_path: Path) -> None:
    def constant(rows: list[list[str]]) -> None:
        for row in rows[1:]:
            row[3] = "de"

    raw = written(tmp_path / "clicks.csv", constant)
    made = prepare(raw, tmp_path / "out", schema=clicks.SCHEMA, settings=clicks.settings())
    found = json.loads((made.path / "report.json").read_text())["findings"]
    assert {"level": "warning", "about": "columns", "words": "country is the same in all of the training rows"} in found


def test_a_flipped_bit_in_any_file_is_noticed(tmp_path: Path) -> None:
    raw = clicks.write(tmp_path / "clicks.csv", rows=200)
    made = prepare(raw, tmp_path / "out", schema=clicks.SCHEMA, settings=clicks.settings())
    for path in sorted(made.path.rglob("*.parquet")):
        good = path.read_bytes()
        flipped = bytearray(good)
        flipped[len(good) // 2] ^= 4
        path.write_bytes(flipped)
        with pytest.raises(DataError, match="was changed after it was written"):
            PreparedTable.read(made.path)
        path.write_bytes(good)
    PreparedTable.read(made.path)
