"""Reading a user's files: formats agree, ids keep their zeros, and whatever is broken is named with its place."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recdistill.errors import DataError
from recdistill.readers import CsvSettings, Rows, read, typed
from recdistill.schema import Schema

SCHEMA = Schema(
    label="click",
    categorical=("user",),
    multi=("tags",),
    number=("price",),
    vector=("emb",),
    user="user",
    time="at",
    row_id="id",
)
TEXT = (
    "id,user,tags,price,emb,at,click\n"
    "5,007,a|b,1.5,0.5|1,2024-05-31 13:00:00,1\n"
    "6,8,,,[1|2e1],2024-05-31 13:00:01,false\n"
    '9,"x, ""y""", c | |d ,-3,3|4,2024-06-01,\n'
)
ROWS = {
    "id": [5, 6, 9],
    "user": ["007", "8", 'x, "y"'],
    "tags": [["a", "b"], None, ["c", "d"]],
    "price": [1.5, None, -3.0],
    "emb": [[0.5, 1.0], [1.0, 20.0], [3.0, 4.0]],
    "click": [1, 0, None],
}


def parsed(path: Path, schema: Schema = SCHEMA, **settings: Any) -> pa.Table:
    given = CsvSettings(**settings)
    return typed(read(path, given), schema, given)


def without_times(table: pa.Table) -> dict[str, list[Any]]:
    lists = table.drop_columns(["at"]).to_pydict()
    return {name: [value or None if name == "tags" else value for value in lists[name]] for name in ROWS}


def zstd(raw: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(raw)
    return sink.getvalue().to_pybytes()


@pytest.mark.parametrize(
    ("name", "packed"),
    [
        ("a.csv", lambda raw: raw),
        ("a.csv.gz", gzip.compress),
        ("a.CSV.zst", zstd),
        ("a.tsv", lambda raw: "\n".join("\t".join(r) for r in csv.reader(io.StringIO(raw.decode()))).encode()),
        ("bom.csv", lambda raw: b"\xef\xbb\xbf" + raw),
        ("windows.csv", lambda raw: raw.replace(b"\n", b"\r\n")),
    ],
)
def test_every_format_of_text_gives_the_same_columns(
    tmp_path: Path, name: str, packed: Callable[[bytes], bytes]
) -> None:
    raw = TEXT.replace('"x, ""y"""', "x").encode() if "tsv" in name else TEXT.encode()
    (tmp_path / name).write_bytes(packed(raw))
    table = parsed(tmp_path / name)
    wanted = ROWS | {"user": ["007", "8", "x"]} if "tsv" in name else ROWS
    assert without_times(table) == wanted
    assert str(table["at"][0]) == "2024-05-31 13:00:00"
    assert table.schema.field("at").type == pa.timestamp("us")


def test_parquet_gives_what_text_gives(tmp_path: Path) -> None:
    at = pa.array([1, 2, 3], pa.timestamp("ms"))
    numbers = {"user": pa.array([7.0, 8.0, 9.0]), "tags": pa.array([[1], None, [2, 3]]), "click": [True, False, None]}
    pq.write_table(pa.table(ROWS | {"at": at} | numbers), tmp_path / "a.parquet")
    table = parsed(tmp_path / "a.parquet")
    ids = {"user": ["7", "8", "9"], "tags": [["1"], None, ["2", "3"]]}
    assert without_times(table) == ROWS | ids
    coded = pa.table(ROWS | {"at": [1, 2, 3], "user": pa.array(["b", "a", "b"]).dictionary_encode()})
    pq.write_table(coded, tmp_path / "b.pq")
    assert parsed(tmp_path / "b.pq")["user"].to_pylist() == ["b", "a", "b"]


@given(st.lists(st.tuples(st.text(min_size=1), st.text(min_size=1)), min_size=1))
def test_any_quoted_text_comes_back_as_it_was(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str]]) -> None:
    rows = [tuple(value.replace("\r", "").replace("\0", "") or "x" for value in row) for row in rows]
    path = tmp_path_factory.mktemp("quoted") / "a.csv"
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows([("a", "b"), *rows])
    assert [tuple(row.values()) for row in read(path).arrow.to_pylist()] == rows


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["1", "-2"], pa.int64()),
        (["1.5", "2"], pa.float64()),
        (["+1700000199", " 5"], pa.int64()),
        (["2024-01-01", "2024-01-01T10:00:00"], pa.timestamp("us")),
        (["2024-01-01T10:00:00Z", "2024-01-01T10:00:00+02:00"], pa.timestamp("us", "UTC")),
    ],
)
def test_times_are_numbers_or_iso(tmp_path: Path, values: list[str], kind: pa.DataType) -> None:
    (tmp_path / "a.csv").write_text("at,b\n" + "".join(f"{value},1\n" for value in values))
    assert parsed(tmp_path / "a.csv", Schema(time="at"))["at"].type == kind


@pytest.mark.parametrize("wrong", ["2024-13-01", "5", "2024-01-01T10:00:00Z"])
def test_a_wrong_iso_time_is_named(tmp_path: Path, wrong: str) -> None:
    (tmp_path / "a.csv").write_text(f"at,b\n2024-01-01,1\n{wrong},1\n")
    with pytest.raises(DataError, match=rf"line 3, column 'at': .* with a time zone each or none, got '{wrong}'"):
        parsed(tmp_path / "a.csv", Schema(time="at"))


def test_row_ids_are_any_whole_numbers_below_2_to_the_63(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,b\n9223372036854775807,1\n+5,1\n -6 ,1\n")
    assert parsed(tmp_path / "a.csv", Schema(row_id="id"))["id"].to_pylist() == [2**63 - 1, 5, -6]


@pytest.mark.parametrize(
    ("written", "read_as"),
    [
        (["7.0", None, "-8.00"], ["7", None, "-8"]),
        (["7.0", "8"], ["7.0", "8"]),
        (["7.0", "1.5"], ["7.0", "1.5"]),
        (["007", "1"], ["007", "1"]),
        (pa.array(["7", None, "8"]).cast(pa.decimal128(9, 0)).cast(pa.decimal128(11, 2)), ["7", None, "8"]),
    ],
)
def test_ids_with_a_point_only_because_one_is_missing_meet_whole_ones(
    tmp_path: Path, written: Any, read_as: list[str | None]
) -> None:
    pq.write_table(pa.table({"user": written, "b": [1] * len(written)}), tmp_path / "a.parquet")
    assert parsed(tmp_path / "a.parquet", Schema(categorical=("user",)))["user"].to_pylist() == read_as


def test_a_header_may_hold_line_breaks(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('"unit\nprice",007\n2,01\n', newline="")
    assert read(tmp_path / "a.csv").arrow.to_pydict() == {"unit\nprice": ["2"], "007": ["01"]}


def test_text_that_arrow_keeps_as_views_is_text(tmp_path: Path) -> None:
    pq.write_table(pa.table({"user": pa.array(["a", None], pa.string_view()), "b": [1, 2]}), tmp_path / "a.parquet")
    column = read(tmp_path / "a.parquet").column("user").values
    assert (column.type, column.to_pylist()) == (pa.large_string(), ["a", None])


@pytest.mark.parametrize(
    ("user", "place"),
    [('"a"b', "a.csv line 3"), ("x" * 200_000, "a.csv line 3")],
    ids=["quotes that Arrow alone reads", "a long field"],
)
def test_a_wrong_value_is_named_in_every_file_that_arrow_reads(tmp_path: Path, user: str, place: str) -> None:
    (tmp_path / "a.csv").write_text(f"user,price\n{user},1\nb,cheap\n")
    with pytest.raises(DataError, match=rf"{place}, column 'price': numbers must be numbers, got 'cheap'"):
        parsed(tmp_path / "a.csv", Schema(number=("price",)))


def test_only_an_open_quote_is_refused_at_the_end(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('user,note\n"a"b,"two\nlines"\n')
    assert read(tmp_path / "a.csv").arrow["note"].to_pylist() == ["two\nlines"]


def test_what_text_files_are_told(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("u;tags;v\nA;x y;1,2\nNA;NA;3,4\n")
    schema = Schema(categorical=("u",), multi=("tags",), vector=("v",))
    table = parsed(tmp_path / "a.csv", schema, delimiter=";", separators={"tags": " ", "v": ","}, missing=["", "NA"])
    assert table.to_pydict() == {"u": ["A", None], "tags": [["x", "y"], None], "v": [[1, 2], [3, 4]]}


HEAD = "id,user,tags,price,emb,at,click\n"
GOOD = "1,a,x,1,1|2,5,1\n"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("2,b,x,cheap,1|2,5,1", r"a.csv line 3, column 'price': numbers must be numbers, got 'cheap'"),
        ("2,b,x,1_0,1|2,5,1", r"line 3, column 'price': numbers must be numbers, got '1_0'"),
        ("2,b,x,nan,1|2,5,1", r"line 3, column 'price': numbers must be finite .*, got 'nan'"),
        ("2,b,x,-inf,1|2,5,1", r"line 3, column 'price': numbers must be finite .*, got '-inf'"),
        ("2,b,x,1,1|2,5,2", r"line 3, column 'click': a label must be 0 or 1, true or false, or missing, got '2'"),
        ("2,b,x,1,1|2,5,yes", r"line 3, column 'click': a label must be .*, got 'yes'"),
        ("2,b,x,1,1|2,soon,1", r"line 3, column 'at': times must all be numbers, or all ISO 8601 .*, got 'soon'"),
        ("2,,x,1,1|2,5,1", r"line 3, column 'user': users, items and times must not be missing, got None"),
        ("2,b,x,1,1|2,,1", r"line 3, column 'at': users, items and times must not be missing, got None"),
        (
            "2,b,x,1,1|2|3,5,1",
            r"line 3, column 'emb': vectors must have 2 numbers, as the others have, got '1.2.3'",
        ),
        ("2,b,x,1,1|x,5,1", r"line 3, column 'emb': vectors must be numbers separated by '\|', got '1\|x'"),
        ("2,b,x,1,1|nan,5,1", r"line 3, column 'emb': vectors must be finite, got '1\|nan'"),
        ("2,b,x,1,,5,1", r"line 3, column 'emb': vectors must not be missing, got None"),
        ("2.5,b,x,1,1|2,5,1", r"line 3, column 'id': row ids must be whole numbers .*, got '2.5'"),
        (
            "9223372036854775808,b,x,1,1|2,5,1",
            r"line 3, column 'id': row ids .* below 2\^63 .*, got '9223372036854775808'",
        ),
        (",b,x,1,1|2,5,1", r"line 3, column 'id': row ids must be whole numbers .*, got None"),
        ("2,b,x,1", r"line 3 must have 7 fields like the first line, got 4: '2,b,x,1'"),
        ("2,b,x,1,1|2,5,1,9", r"line 3 must have 7 fields like the first line, got 8: '2,b,x,1,1\|2,5,1,9'"),
        ('2,"b,x,1,1|2,5,1', r"a.csv must close every quote, got one that is open from line 3 on"),
        ('2,b,x,1,1|2,5,"1\n', r"must close every quote, got one that is open from line 3 on"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "a.csv").write_text(HEAD + GOOD + line + "\n")
    with pytest.raises(DataError, match=message):
        parsed(tmp_path / "a.csv")


def test_the_line_is_the_editors_not_the_rows(tmp_path: Path) -> None:
    text = HEAD + '1,"two\nlines",x,1,1|2,5,1\n\n' + GOOD.replace("1,a,x,1", "2,a,x,dear")
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(text.encode()))
    with pytest.raises(DataError, match=r"a.csv.gz line 5, column 'price': .*'dear'"):
        parsed(tmp_path / "a.csv.gz")


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("price", [1.0, float("nan")], r"a.parquet row 2, column 'price': numbers must be finite .*, got nan"),
        ("price", [[1.0], [2.0]], r"column 'price' must hold numbers, got list<"),
        ("click", [1, 3], r"row 2, column 'click': a label must be .*, got 3"),
        ("click", [[1], [0]], r"column 'click' must hold labels \(0 or 1\), got list<"),
        ("user", [1.0, 1.5], r"row 2, column 'user': ids must be text or whole numbers below 2\^63, got 1.5"),
        ("user", [1.0, 1e300], r"row 2, column 'user': ids must be .* below 2\^63, got 1e\+300"),
        ("user", [1.0, float("nan")], r"row 2, column 'user': ids must be text or whole numbers .*, got nan"),
        ("user", [{"a": 1}, {"a": 2}], r"column 'user' must hold ids \(text or whole numbers\), got struct<"),
        ("tags", [1, 2], r"column 'tags' must hold lists of ids, got int64"),
        ("tags", [[{"a": 1}], []], r"column 'tags' must hold lists of ids, got list<"),
        ("emb", [1, 2], r"column 'emb' must hold lists of numbers, got int64"),
        ("emb", [[1.0, 2.0], [1.0]], r"row 2, column 'emb': vectors must have 2 numbers, as the others have"),
        ("emb", [[1.0], [None]], r"row 2, column 'emb': vectors must be finite, got \[None\]"),
        ("emb", [["a"], ["b"]], r"column 'emb' must hold lists of numbers, got list<"),
        ("at", [[1], [2]], r"column 'at' must hold times, got list<"),
        ("id", [1.5, 2.5], r"column 'id' must hold row ids \(whole numbers\), got double"),
    ],
)
def test_a_wrong_row_of_parquet_is_named(tmp_path: Path, column: str, values: list[Any], message: str) -> None:
    good = {"id": [1, 2], "user": ["a", "b"], "tags": [["x"], []], "price": [1, 2], "emb": [[1.0], [2.0]]}
    pq.write_table(pa.table(good | {"at": [1, 2], "click": [0, 1]} | {column: values}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match=message):
        parsed(tmp_path / "a.parquet")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"", r"a.csv must begin with the names of its columns, got an empty"),
        ("a.csv", b"\n1,2\n", r"must begin with the names of its columns, got an empty"),
        ("a.csv", b"a,b\n", r"a.csv must have rows, got only the names of its columns"),
        (
            "a.csv",
            b"a,b,a\n1,2,3\n",
            r"must begin with the names of its columns, each another, got \['a'\] several times",
        ),
        (
            "a.csv",
            b"a;b\n1;2\n",
            r"got one with the delimiter ','; it looks .*: set csv.delimiter = \";\"",
        ),
        ("a.csv", b"a\tb\n1\t2\n", r"set csv.delimiter = \"\\t\""),
        ("a.csv", b"a\n1\n", r"must have several columns, got one with the delimiter ','$"),
        ("a.csv", b"a,b\n1,caf\xe9\n", r"a.csv line 2 must be UTF-8 text, got byte 0xe9 in '1,caf.'; save"),
        ("a.csv", b"\xff\xfea\0,\0b\0\n\0", r"a.csv line 1 must be UTF-8 text, got byte 0xff"),
        ("a.csv.gz", b"a,b\n1,2\n", r"a.csv.gz must be a whole file, got one that cannot be decompressed"),
        ("a.csv.gz", gzip.compress(b"a,b\n" + bytes(range(32, 127)) * 99, mtime=0)[:90], r"must be a whole file"),
        ("a.csv.zst", zstd(b"a,b\n1,2\n" * 999)[:-4], r"must be a whole file"),
        ("a.parquet", b"", r"a.parquet must be a Parquet file, got an empty one"),
        ("a.parquet", b"a,b\n1,2\n" * 9, r"a.parquet must be a whole Parquet file"),
        ("a.xlsx", b"PK", r"a.xlsx must end in one of .csv, .txt, .tsv, .parquet, .pq"),
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        read(tmp_path / name)


def test_a_truncated_parquet_file_is_named(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1], "b": [2]}), tmp_path / "whole.parquet")
    whole = (tmp_path / "whole.parquet").read_bytes()
    (tmp_path / "a.parquet").write_bytes(whole[:-9])
    with pytest.raises(DataError, match="must be a whole Parquet file, got one that cannot be read"):
        read(tmp_path / "a.parquet")
    pq.write_table(pa.table({"a": pa.array([], pa.int64())}), tmp_path / "none.parquet")
    with pytest.raises(DataError, match="must have rows"):
        read(tmp_path / "none.parquet")


def test_a_missing_file_names_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "market.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match=r"markt.csv is missing, did you mean '.*market.csv'\?"):
        read(tmp_path / "markt.csv")
    with pytest.raises(DataError, match=r"zzz.parquet is missing$"):
        read(tmp_path / "zzz.parquet")
    with pytest.raises(DataError, match=r"is missing: there is no folder .*nowhere"):
        read(tmp_path / "nowhere" / "a.csv")
    with pytest.raises(DataError, match="is a folder, not a file"):
        read(tmp_path)


def test_a_renamed_column_is_named_as_the_file_names_it(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("kunde,preis\n1,2\n3,x\n")
    rows = read(tmp_path / "a.csv").renamed({"preis": "price"})
    assert isinstance(rows, Rows)
    with pytest.raises(DataError, match=r"line 3, column 'preis'"):
        typed(rows, Schema(number=("price",)), CsvSettings())
