"""Wrong rows set aside: exactly those that a slow look at each line finds, with their lines; the others go on."""

from __future__ import annotations

import gzip
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recdistill.datasets import criteo, files
from recdistill.errors import DataError
from recdistill.readers import (
    BadRow,
    Chunk,
    CsvSettings,
    Quarantine,
    chunks,
    parsed,
    read,
    require_few,
    set_aside_words,
    typed,
)
from recdistill.schema import Schema

SCHEMA = Schema(
    label="click",
    rating="stars",
    grades=(1, 2, 3),
    categorical=("user",),
    number=("price",),
    vector=("emb",),
    user="user",
    time="at",
    row_id="id",
)
HEAD = b"id,user,price,emb,at,click,stars\n"
GOOD = b"1,a,1.5,1|2,5,1,3\n"
PLAIN = CsvSettings()
ROW_IDS = "row ids must be whole numbers below 2^63 (leave the role out to number rows by position)"


def all_parsed(
    pieces: list[Chunk], schema: Schema = SCHEMA, settings: CsvSettings = PLAIN
) -> tuple[pa.Table, list[BadRow]]:
    kinds, tables, bad = None, [], []
    for piece in pieces:
        part = parsed(piece, schema, settings, kinds=kinds, on_bad_row="quarantine")
        kinds = part.kinds
        tables.append(part.table)
        bad += part.bad
    return pa.concat_tables(tables), sorted(bad, key=lambda row: row.line)


@pytest.mark.parametrize(
    ("line", "column", "rule"),
    [
        (b"2,b,1,1|2,5,1", None, "must have 7 fields like the first line"),
        (b"2,b,1,1|2,5,1,3,4", None, "must have 7 fields like the first line"),
        (b"2,caf\xe9,1,1|2,5,1,3", None, "must be UTF-8 text"),
        (b"2,b,cheap,1|2,5,1,3", "price", "numbers must be numbers"),
        (b"2,b,nan,1|2,5,1,3", "price", "numbers must be finite (leave a missing one empty)"),
        (b"2,b,-inf,1|2,5,1,3", "price", "numbers must be finite (leave a missing one empty)"),
        (b"2,b,1e999,1|2,5,1,3", "price", "numbers must be finite (leave a missing one empty)"),
        (b"2,b,1,1|2,5,2,3", "click", "a label must be 0 or 1, true or false, or missing"),
        (b"2,b,1,1|2,5,1,4", "stars", "ratings must be among the grades [1.0, 2.0, 3.0]"),
        (b"2,b,1,1|2,5,1,good", "stars", "numbers must be numbers"),
        (b"2,,1,1|2,5,1,3", "user", "users, items and times must not be missing"),
        (b"2,b,1,1|2,,1,3", "at", "users, items and times must not be missing"),
        (b"2,b,1,1|2,soon,1,3", "at", "times must all be numbers, or all ISO 8601 (2024-05-31 13:00:00)"),
        (b"2,b,1,,5,1,3", "emb", "vectors must not be missing"),
        (b"2,b,1,1|x,5,1,3", "emb", "vectors must be numbers separated by '|'"),
        (b"2,b,1,1|2|3,5,1,3", "emb", "vectors must have 2 numbers, as the others have"),
        (b"2,b,1,1|nan,5,1,3", "emb", "vectors must be finite"),
        (b"x,b,1,1|2,5,1,3", "id", ROW_IDS),
        (b"9223372036854775808,b,1,1|2,5,1,3", "id", ROW_IDS),
        (b",b,1,1|2,5,1,3", "id", ROW_IDS),
    ],
)
@pytest.mark.parametrize("size", [1, 1 << 20], ids=["a chunk each", "one chunk"])
def test_every_wrong_row_is_set_aside_and_the_others_go_on(
    tmp_path: Path, line: bytes, column: str | None, rule: str, size: int
) -> None:
    last = GOOD.replace(b"1,a", b"3,c", 1)
    path = tmp_path / "a.csv"
    path.write_bytes(HEAD + GOOD + b"\n" + line + b"\n" + last)
    bad = BadRow(path, 4, column, rule, line.decode(errors="replace"))
    table, found = all_parsed(list(chunks([path], chunk_bytes=size)))
    assert found == [bad]
    assert table["id"].to_pylist() == [1, 3]
    assert table["user"].to_pylist() == ["a", "c"]
    quarantine = Quarantine()
    whole = typed(read(path, quarantine=quarantine), SCHEMA, PLAIN)
    assert quarantine.rows == [bad]
    assert whole["id"].to_pylist() == [1, 3]


def test_a_row_is_set_aside_once_by_the_first_rule_that_it_breaks(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(HEAD + GOOD + b"x,,cheap,,soon,9,9\n")
    _, (bad,) = all_parsed(list(chunks([tmp_path / "a.csv"])))
    assert (bad.line, bad.column) == (3, "id")


def test_what_most_rows_are_is_right_even_where_the_first_is_not(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(HEAD + GOOD.replace(b"1|2,5", b"1|2|3,soon") + GOOD * 2)
    table, (bad,) = all_parsed(list(chunks([tmp_path / "a.csv"])))
    assert (bad.line, table["at"].to_pylist(), table["emb"].to_pylist()) == (2, [5, 5], [[1, 2]] * 2)


LINES = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", '"x\ny"', '"p,q"', "", "é", '5"']),
        st.sampled_from(["1", "-2.5", "", "nan", "1e3", "x", " 7 ", "1_0"]),
        st.sampled_from(["0", "1", "", "2", "TRUE", "1.0", "1.00"]),
        st.sampled_from(["", "", "", ",more", "\nshort", "\n"]),
    ),
    min_size=1,
    max_size=10,
)


def is_good(user: str, price: str, click: str) -> bool:
    """Whether one row breaks no rule, by Python's own reading."""
    try:
        finite = not price or ("_" not in price and math.isfinite(float(price)))
    except ValueError:
        finite = False
    return bool(user) and finite and click.lower() in ("", "0", "1", "true", "1.0")


@given(LINES, st.sampled_from([1, 10, 40, 10_000]), st.booleans())
def test_what_is_kept_is_what_a_look_at_each_line_keeps(
    tmp_path_factory: pytest.TempPathFactory, lines: list[tuple[str, str, str, str]], size: int, packed: bool
) -> None:
    text, kept, bad, place, line = "user,price,click\n", [], [], 0, 2
    for user, price, click, tail in lines:
        record = f"{user},{price},{click}{tail.partition(chr(10))[0]}"
        good = is_good(user, price, click) and tail != ",more"
        (kept if good else bad).append(place if good else line)
        text += record + tail[len(tail.partition("\n")[0]) :] + "\n"
        place, line = place + 1, line + 1 + user.count("\n")
        if tail == "\nshort":
            bad.append(line)
            place += 1
        line += tail.startswith("\n")
    path = tmp_path_factory.mktemp("bad") / ("a.csv.gz" if packed else "a.csv")
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    schema = Schema(label="click", categorical=("user",), number=("price",), user="user")
    table, found = all_parsed(list(chunks([path], chunk_bytes=size)), schema)
    assert table["row_id"].to_pylist() == kept
    assert [row.line for row in found] == bad
    quarantine = Quarantine()
    whole = typed(read(path, quarantine=quarantine), schema, PLAIN, first=0)
    assert whole.to_pydict() == table.to_pydict()
    assert sorted(quarantine.rows, key=lambda row: row.line) == found


def test_a_quote_that_is_never_closed_sets_its_record_aside(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(HEAD + GOOD + b'2,"b,1\n' + GOOD)
    table, (bad,) = all_parsed(list(chunks([tmp_path / "a.csv"])))
    assert (bad.line, bad.rule, len(table)) == (3, "must close every quote", 1)


def test_rows_of_parquet_are_set_aside_with_their_values(tmp_path: Path) -> None:
    columns: dict[str, Any] = {
        "user": [7.0, 7.5, None, 8.0],
        "price": [1.0, 1.0, 1.0, float("inf")],
        "click": [1, 0, 1, 0],
    }
    pq.write_table(pa.table(columns), tmp_path / "a.parquet", row_group_size=2)
    schema = Schema(label="click", categorical=("user",), number=("price",), user="user")
    for size in (1, 2, 100):
        table, bad = all_parsed(list(chunks([tmp_path / "a.parquet"], chunk_rows=size)), schema)
        assert table["row_id"].to_pylist() == [0]
        assert [(row.line, row.column) for row in bad] == [(2, "user"), (3, "user"), (4, "price")]
        assert json.loads(bad[0].row) == {"user": 7.5, "price": 1.0, "click": 0}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"user;price\n1;2\n", "must have several columns"),
        ("a.csv.gz", gzip.compress(HEAD + GOOD * 9, mtime=0)[:-9], "cannot be decompressed: Truncated"),
        ("a.csv", b"", "got an empty file"),
        ("a.parquet", b"PAR1", "must be a whole Parquet file"),
    ],
)
def test_a_file_that_is_wrong_as_a_whole_is_refused_all_the_same(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        all_parsed(list(chunks([tmp_path / name])))
    with pytest.raises(DataError, match=message):
        read(tmp_path / name, quarantine=Quarantine())


def test_rules_are_counted_and_rows_written_as_json(tmp_path: Path) -> None:
    quarantine = Quarantine()
    assert quarantine.counts() == {}
    rows = [
        BadRow(Path("a.csv"), line, column, rule, "é,1")
        for line, column, rule in ((9, "b", "x"), (2, None, "y"), (3, "b", "x"))
    ]
    quarantine.add(rows)
    assert len(quarantine) == 3
    assert quarantine.counts() == {"b: x": 2, "y": 1}
    quarantine.write(tmp_path / "new" / "quarantine.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "new" / "quarantine.jsonl").read_text("utf-8").splitlines()]
    assert lines[0] == {"file": "a.csv", "line": 9, "column": "b", "rule": "x", "row": "é,1"}
    assert [line["line"] for line in lines] == [9, 2, 3]


def test_the_most_frequent_rules_are_told(tmp_path: Path) -> None:
    words = set_aside_words({"price: must be cheap": 1}, "here.jsonl")
    assert words == "1 row was set aside (price: must be cheap), see here.jsonl"
    counts = {"a": 1500, "b: x": 7, "c": 3, "d": 2, "e": 1}
    words = set_aside_words(counts, "here.jsonl")
    assert words == "1,513 rows were set aside (a (1,500); b: x (7); c (3); and 2 more), see here.jsonl"
    require_few({"a": 10}, 90, tmp_path)
    require_few({}, 0, tmp_path)
    with pytest.raises(
        DataError, match=r"at most 10 % .*, got 11 of 100 \(a \(10\); b \(1\)\); is a setting or a role wrong"
    ):
        require_few({"a": 10, "b": 1}, 89, tmp_path)


def test_a_users_two_files_go_on_without_their_wrong_rows(tmp_path: Path) -> None:
    many = [f"u{row},{row},{row % 2}\n" for row in range(20)]
    (tmp_path / "old.csv").write_text("".join(["kunde,price,click\na,1,1\nb,dear,0\nc,3,0\nd,4,1,9\n", *many]))
    (tmp_path / "new.csv").write_text("".join(["user,price,click\n,1,1\nx,2,0\ny,3,1\n", *many[:9]]))
    schema = {"label": "click", "categorical": ["user"], "number": ["price"], "user": "user"}
    given = files.Files("new.csv", schema, source="old.csv", columns={"kunde": "user"})
    quarantine = Quarantine()
    source, target = files.tables(tmp_path, given, quarantine=quarantine)
    assert source is not None
    assert source.row_ids.tolist() == [10**12 + row for row in range(24) if row not in (1, 3)]
    assert target.row_ids.tolist() == list(range(1, 12))
    found = [(row.file.name, row.line, row.column) for row in quarantine.rows]
    assert found == [("old.csv", 5, None), ("old.csv", 3, "price"), ("new.csv", 2, "user")]
    with pytest.raises(DataError, match=r"old.csv line 5 must have 3 fields like the first line, got 4"):
        files.tables(tmp_path, given)
    (tmp_path / "new.csv").write_text("user,price,click\n,1,1\nx,2,0\n")
    rule = r"new.csv: at most 10 % of the rows may be set aside, got 1 of 2 \(user: users, items and times must not be"
    with pytest.raises(DataError, match=rule):
        files.tables(tmp_path, given, quarantine=Quarantine())


def criteo_line(label: str = "0", count: str = "3", fields: int = 40) -> str:
    return "\t".join([label, *[count] * 13, *["0a1b2c3d"] * 26][:fields])


def test_criteo_without_its_wrong_lines(tmp_path: Path) -> None:
    lines = [criteo_line(), criteo_line(""), criteo_line("2"), criteo_line(count="3.5"), criteo_line(count="9" * 10)]
    lines += [criteo_line(fields=39), criteo_line("1", count=""), *[criteo_line()] * 43]
    (tmp_path / "train.txt").write_text("\n".join(lines))
    quarantine = Quarantine()
    table = criteo.read(tmp_path, quarantine=quarantine)
    assert table.row_ids.tolist() == [0, *range(6, 50)]
    assert table.column("I1").to_pylist()[:3] == [3, None, 3]
    assert quarantine.counts() == {
        "click: labels must be 0 or 1": 2,
        "I1: counts must be whole numbers below 2^31": 2,
        "must have 40 fields, one for each name": 1,
    }
    assert sorted(row.line for row in quarantine.rows) == [2, 3, 4, 5, 6]
    (tmp_path / "train.txt").write_text("\n".join([lines[0], lines[6]]))
    whole = criteo.read(tmp_path)
    again = criteo.read(tmp_path, quarantine=Quarantine())
    assert again.arrow.schema == whole.arrow.schema
    assert again.fingerprint == whole.fingerprint


def test_nothing_of_real_criteo_is_set_aside(shared_data: Callable[[str], Path]) -> None:
    quarantine = Quarantine()
    root = shared_data("criteo-kaggle-137k")
    assert criteo.read(root, quarantine=quarantine).arrow.equals(criteo.read(root).arrow)
    assert len(quarantine) == 0
