"""Files in chunks: together they are the file, for any size; rows and lines are counted as if it were read at once."""

from __future__ import annotations

import gzip
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recdistill.datasets import criteo
from recdistill.errors import DataError
from recdistill.readers import Chunk, CsvSettings, chunks, files_of, parsed, read, stored_bytes, typed
from recdistill.readers.records import cut, records
from recdistill.schema import Schema

SCHEMA = Schema(label="click", categorical=("user",), number=("price",), user="user")
PLAIN = CsvSettings()
SIZES = st.sampled_from([1, 2, 3, 7, 16, 50, 200, 10_000])
# What text may hold beside delimiters and quotes: a quote, line breaks, more than one byte a letter.
WORDS = st.text(st.sampled_from('ab1, "\n\r;éß€😀'), min_size=1, max_size=6)
NUMBERS = st.one_of(st.none(), st.integers(-9, 9), st.floats(allow_nan=False, allow_infinity=False, width=32))
ROW = st.tuples(WORDS, NUMBERS, st.sampled_from([0, 1, None]))


def zstd(raw: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(raw)
    return sink.getvalue().to_pybytes()


PACKED: dict[str, Callable[[bytes], bytes]] = {"": bytes, ".gz": gzip.compress, ".zst": zstd}


def field(value: Any) -> str:
    text = "" if value is None else str(value)
    return '"' + text.replace('"', '""') + '"' if set(text) & set(',"\r\n') else text


def written(rows: list[tuple[Any, ...]], line_end: str = "\n") -> bytes:
    lines = [",".join(map(field, row)) for row in [("user", "price", "click"), *rows]]
    return "".join(line + line_end for line in lines).encode()


def together(pieces: list[Chunk], schema: Schema = SCHEMA, settings: CsvSettings = PLAIN, **said: Any) -> pa.Table:
    """All chunks' rows; how columns are written the first says."""
    kinds, tables = None, []
    for piece in pieces:
        part = parsed(piece, schema, settings, kinds=kinds, **said)
        kinds = part.kinds
        tables.append(part.table)
    return pa.concat_tables(tables)


def at_once(file: Path, schema: Schema = SCHEMA, settings: CsvSettings = PLAIN) -> dict[str, list[Any]]:
    return typed(read(file, settings), schema, settings, first=0).to_pydict()


def require_tiling(pieces: list[Chunk], text: bytes) -> None:
    """Chunks follow each other in the text without a gap but blank lines, and count what they hold."""
    assert [piece.number for piece in pieces] == list(range(len(pieces)))
    at, row = pieces[0].start, 0
    for piece in pieces:
        assert not text[at : piece.start].strip()
        held = piece.read()
        assert held == text[piece.start : piece.stop]
        assert piece.first_row == row
        assert (
            piece.first_line
            == 1 + len(text[: piece.start].replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")) - 1
        )
        at, row = piece.stop, row + piece.rows
    assert not text[at:].strip()


@given(
    rows=st.lists(ROW, min_size=1, max_size=12),
    size=SIZES,
    line_end=st.sampled_from(["\n", "\r\n"]),
    packing=st.sampled_from(list(PACKED)),
    blank=st.integers(0, 2),
    last_end=st.booleans(),
    mark=st.booleans(),
)
def test_chunks_of_text_are_the_file(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[Any, ...]],
    size: int,
    line_end: str,
    packing: str,
    blank: int,
    last_end: bool,
    mark: bool,
) -> None:
    header, _, body = written(rows, line_end).partition(line_end.encode())
    text = b"\xef\xbb\xbf" * mark + header + line_end.encode() + body + line_end.encode() * blank + body
    text = text if last_end else text.removesuffix(line_end.encode())
    path = tmp_path_factory.mktemp("chunks") / f"a.csv{packing}"
    path.write_bytes(PACKED[packing](text))
    pieces = list(chunks([path], chunk_bytes=size))
    require_tiling(pieces, text)
    table = together(pieces)
    assert table.to_pydict() == at_once(path)
    assert table["row_id"].to_pylist() == list(range(2 * len(rows)))
    assert table["user"].to_pylist() == [row[0] for row in rows] * 2
    assert pieces == list(chunks([path], chunk_bytes=size))


def test_chunks_of_a_plain_text_are_as_long_as_one_another(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(text := written([(f"u{row:04d}", row % 7, row % 2) for row in range(20_000)]))
    pieces = list(chunks([path], chunk_bytes=1 << 16, first_bytes=1 << 12))
    require_tiling(pieces, text)
    first, *others, last = (piece.stop - piece.start for piece in pieces)
    assert first <= 1 << 12
    assert len(others) + 1 == -(-(len(text) - first) // (1 << 16))
    assert max(others) <= 1 << 16
    assert max(others) - min(others) < 16  # a record
    assert last > 0.5 * others[0]


@pytest.mark.parametrize("every", [1, 2, 3])
def test_a_chunk_keeps_its_text_while_others_come_and_go(tmp_path: Path, every: int) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(text := written([(f"u{row:04d}", row % 7, row % 2) for row in range(5_000)]))
    kept = []
    for chunk in chunks([path], chunk_bytes=1 << 12, hold=True):
        assert chunk.read() == text[chunk.start : chunk.stop]
        kept += [chunk] if chunk.number % every == 0 else []
    assert len(kept) > 4
    for chunk in kept:
        assert chunk.read() == text[chunk.start : chunk.stop]


def by_hand(text: bytes) -> Iterator[tuple[int, int]]:
    """(start, stop) of each record, a byte at a time, as Arrow reads it."""
    start, quoted, fresh, at = 0, False, True, 0
    while at < len(text):
        byte = text[at : at + 1]
        if quoted and text[at : at + 2] == b'""':
            at += 1
        elif quoted or (fresh and byte == b'"'):
            quoted = not quoted if byte == b'"' else quoted
            fresh = False
        elif byte in (b"\n", b"\r"):
            yield from [(start, at)] * (at > start)
            at += text[at : at + 2] == b"\r\n"
            start, fresh = at + 1, True
        else:
            fresh = byte == b","
        at += 1
    yield from [(start, at)] * (at > start)


@given(st.text(st.sampled_from('a,"\n\r'), max_size=24), st.booleans())
def test_records_are_found_as_by_hand_in_any_text(text: str, last: bool) -> None:
    raw = text.encode()
    found = records(raw, ",", quoted=True)
    wanted = list(by_hand(raw))
    assert list(zip(found.starts.tolist(), found.stops.tolist(), strict=True)) == wanted
    run = cut(raw, ",", quoted=True, last=last)
    if run is not None:
        assert run.rows == sum(start < run.length for start, _ in wanted)
        assert all(stop < run.length or last for start, stop in wanted if start < run.length)
    plain = records(raw, ",", quoted=False)
    assert [raw[a:b] for a, b in zip(plain.starts, plain.stops, strict=True)] == [s for s in raw.splitlines() if s]


@given(st.lists(st.integers(0, 7), min_size=1, max_size=6), st.sampled_from([1, 2, 3, 5, 100]))
def test_chunks_of_parquet_are_the_file(tmp_path_factory: pytest.TempPathFactory, groups: list[int], size: int) -> None:
    path = tmp_path_factory.mktemp("chunks") / "a.parquet"
    count = sum(groups) + 1
    whole = pa.table({"user": [f"u{n % 3}" for n in range(count)], "price": [*range(count)], "click": [0] * count})
    with pq.ParquetWriter(path, whole.schema) as writer:
        first = 0
        for rows in [*groups, 1]:
            writer.write_table(whole.slice(first, rows))
            first += rows
    pieces = list(chunks([path], chunk_rows=size))
    assert together(pieces).to_pydict() == at_once(path)
    assert [(p.start, p.stop) for p in pieces] == [(p.first_row, p.first_row + p.rows) for p in pieces]
    assert sum(p.rows for p in pieces) == count
    assert all(p.rows <= 2 * size for p in pieces)


def test_several_files_are_one_after_another_and_their_bytes_are_told(tmp_path: Path) -> None:
    rows = [(f"u{n}", n, n % 2) for n in range(100)]
    for day, packing in enumerate(PACKED):
        (tmp_path / f"day_{day + 8}.csv{packing}").write_bytes(PACKED[packing](written(rows)))
    files = files_of(tmp_path)
    assert [file.name for file in files] == ["day_8.csv", "day_9.csv.gz", "day_10.csv.zst"]
    moves: list[int] = []
    pieces = list(chunks(files, chunk_bytes=300, moved=moves.append))
    assert sum(moves) == stored_bytes(files)
    assert min(moves) > 0
    assert [piece.number for piece in pieces] == list(range(len(pieces)))
    assert together(pieces)["row_id"].to_pylist() == list(range(300))
    assert {piece.first_line for piece in pieces if piece.first_row in (0, 100, 200)} == {2}


def test_a_chunk_finds_its_rows_in_another_process(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(written([("u", n, 1) for n in range(1000)]))
    for piece in chunks([tmp_path / "a.csv"], chunk_bytes=1000):
        sent = pickle.dumps(piece)
        assert len(sent) < 500
        assert pickle.loads(sent).read() == piece.read()


def test_columns_may_be_renamed_and_ids_are_coded(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(written([("x", 1, 0), ("y", 2, 1), ("x", 3, 0)]).replace(b"user", b"kunde"))
    (piece,) = chunks([tmp_path / "a.csv"])
    table = parsed(piece, SCHEMA, PLAIN, columns={"kunde": "user"}).table
    assert table.schema.field("user").type == pa.dictionary(pa.int32(), pa.large_string())
    assert table["user"].chunk(0).dictionary.to_pylist() == ["x", "y"]
    assert table.schema.field("row_id").type == pa.int64()


def test_a_files_own_row_ids_are_kept(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,user\n7,a\n+3,b\n")
    schema = Schema(categorical=("user",), row_id="id")
    assert together(list(chunks([tmp_path / "a.csv"], chunk_bytes=1)), schema)["id"].to_pylist() == [7, 3]


@pytest.mark.parametrize("size", [1, 20, 64, 1000])
@pytest.mark.parametrize("packing", PACKED)
def test_lines_in_errors_are_the_files(tmp_path: Path, size: int, packing: str) -> None:
    text = 'user,price,click\n"two\nlines",1,0\n\nb,2,1\n"c","3",0\n\nd,4,1\ne,dear,0\n'
    (tmp_path / f"a.csv{packing}").write_bytes(PACKED[packing](text.encode()))
    with pytest.raises(DataError, match=r"line 9, column 'price': numbers must be numbers, got 'dear'"):
        together(list(chunks([tmp_path / f"a.csv{packing}"], chunk_bytes=size)))


@pytest.mark.parametrize("size", [1, 3, 100])
def test_rows_in_errors_are_the_parquet_files(tmp_path: Path, size: int) -> None:
    table = pa.table({"user": ["a"] * 9, "price": [1.0] * 8 + [float("nan")], "click": [1] * 9})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=4)
    with pytest.raises(DataError, match=r"a.parquet row 9, column 'price': numbers must be finite .*, got nan"):
        together(list(chunks([tmp_path / "a.parquet"], chunk_rows=size)))


TIMES = Schema(categorical=("user",), vector=("emb",), time="at")


@pytest.mark.parametrize(
    ("first", "later", "rule"),
    [
        ("7.0,5,1|2", "8,5,1|2", r"line 3, column 'user': ids must all be written like 7.0, as the first are, got '8'"),
        ("a,5,1|2", "a,5.5,1|2", r"line 3, column 'at': times must be integers, as the first are, got '5.5'"),
        ("a,5,1|2", "a,2024-01-01,1|2", r"line 3, column 'at': times must all be numbers, or .*, got '2024-01-01'"),
        ("a,5.5,1|2", "a,soon,1|2", r"line 3, column 'at': times must all be numbers, or .*, got 'soon'"),
        ("a,2024-01-01,1|2", "a,7,1|2", r"line 3, column 'at': .* or all ISO 8601 .*, got '7'"),
        ("a,2024-01-01T10:00:00Z,1|2", "a,2024-01-01,1|2", r"line 3, column 'at': .* a time zone each or none"),
        ("a,5,1|2", "a,5,1|2|3", r"line 3, column 'emb': vectors must have 2 numbers, as the others have, got '1.2.3'"),
    ],
)
def test_the_first_chunk_decides_how_columns_are_written(tmp_path: Path, first: str, later: str, rule: str) -> None:
    (tmp_path / "a.csv").write_text(f"user,at,emb\n{first}\n{later}\n")
    with pytest.raises(DataError, match=rule):
        together(list(chunks([tmp_path / "a.csv"], chunk_bytes=1)), TIMES)


def test_what_the_first_chunk_decided_holds_for_all(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("user,at,emb\n7.0,1.5,1|2\n8.00,3,[3|4]\n,5,5|6\n")
    table = together(list(chunks([tmp_path / "a.csv"], chunk_bytes=1)), TIMES)
    assert table["user"].to_pylist() == ["7", "8", None]
    assert table["at"].to_pylist() == [1.5, 3.0, 5.0]
    (first, *_) = chunks([tmp_path / "a.csv"], chunk_bytes=1)
    assert parsed(first, TIMES, PLAIN).kinds == {"user": "ids like 7.0", "at": "numbers", "emb": 2}
    pq.write_table(pa.table({"at": pa.array([1, 2], pa.timestamp("s", "Europe/Berlin"))}), tmp_path / "a.parquet")
    (piece,) = chunks([tmp_path / "a.parquet"])
    table = parsed(piece, Schema(time="at"), PLAIN).table
    assert table.schema.field("at").type == pa.timestamp("us", "UTC")
    with pytest.raises(DataError, match=r"column 'at' must hold integers, as the first times are, got timestamp"):
        parsed(piece, Schema(time="at"), PLAIN, kinds={"at": "integers"})


def test_files_without_a_header(tmp_path: Path) -> None:
    settings = CsvSettings(delimiter="\t", names=("click", "user", "price"))
    (tmp_path / "day_2").write_text('1\t"a\t0.5\n0\tb"\t\n')
    (tmp_path / "day_10.gz").write_bytes(gzip.compress(b"\xef\xbb\xbf1\tc\t2\n"))
    (tmp_path / "notes.md").write_text("not data")
    (tmp_path / ".day_3.tmp").write_text("")
    (tmp_path / "day_4.part").write_text("")
    files = files_of(tmp_path, settings)
    assert [file.name for file in files] == ["day_2", "day_10.gz"]
    table = together(list(chunks(files, settings, chunk_bytes=1)), SCHEMA, settings)
    wanted = {"row_id": [0, 1, 2], "click": [1, 0, 1], "user": ['"a', 'b"', "c"], "price": [0.5, None, 2.0]}
    assert table.to_pydict() == wanted
    assert read(tmp_path / "day_2", settings).arrow["user"].to_pylist() == ['"a', 'b"']
    with pytest.raises(DataError, match=r"day_2 line 1, column 'user': a label must be .*, got '\"a'"):
        typed(read(files[0], settings).renamed({"click": "x", "user": "click"}), SCHEMA, settings)


def test_files_are_found_by_pattern_and_in_the_order_given(tmp_path: Path) -> None:
    for name in ("b.csv", "a.csv", "a.tsv"):
        (tmp_path / name).write_text("a,b\n1,2\n")
    assert files_of(f"{tmp_path}/*.csv") == [tmp_path / "a.csv", tmp_path / "b.csv"]
    assert files_of([tmp_path / "b.csv", str(tmp_path / "a.tsv")]) == [tmp_path / "b.csv", tmp_path / "a.tsv"]
    (tmp_path / "[x].csv").write_text("a,b\n1,2\n")
    assert files_of(tmp_path / "[x].csv") == [tmp_path / "[x].csv"]


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ([], "there must be files to read, got none"),
        ("*.tsv", r"\*.tsv must be a pattern that fits files, got none; beside it: a.csv, b.parquet, c.xlsx, none"),
        ("nowhere/*.csv", r"must be a pattern that fits files, got no folder .*nowhere"),
        ("none", r"none must be a folder with files that end in .csv, .*, got none; beside it: nothing"),
        ("a.cvs", r"a.cvs is missing, did you mean '.*a.csv'"),
        ("c.xlsx", r"c.xlsx must end in one of .csv, .* any ending: give the names of its columns"),
        (["a.csv", "*.csv"], r"each file must be read once, got .*a.csv twice"),
        (["a.csv", "none/../a.csv"], r"each file must be read once, got .*a.csv twice, also as .*none/../a.csv"),
        (["a.csv", "b.parquet"], r"files must be all text or all Parquet, got .*a.csv and .*b.parquet"),
    ],
)
def test_files_that_are_not_there_or_not_alike_are_refused(tmp_path: Path, where: Any, message: str) -> None:
    (tmp_path / "none").mkdir()
    for name in ("a.csv", "b.parquet", "c.xlsx"):
        (tmp_path / name).touch()
    place = f"{tmp_path}/{where}" if isinstance(where, str) else [f"{tmp_path}/{one}" for one in where]
    with pytest.raises(DataError, match=message):
        files_of(place)


GOOD = b"user,price,click\na,1,1\n"


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            {"a.csv": GOOD, "b.csv": b"user,price\na,1\n"},
            r"the same columns, got 'click' in .*a.csv but not in .*b.csv",
        ),
        ({"a.csv": GOOD, "b.csv": b"user,price,click,x\n"}, r"same columns, got 'x' in .*b.csv but not in .*a.csv"),
        ({"a.csv": GOOD, "b.csv": b""}, r"b.csv must begin with the names of its columns, got an empty file"),
        ({"a.csv": b"user,price,click\n"}, r"a.csv must have rows, got only the names of its columns"),
        ({"a.csv": b"user;price\na;1\n"}, r"a.csv must have several columns, got one .* set csv.delimiter = \";\""),
        ({"a.csv": b"user,user\n"}, r"each another, got \['user'\] several times"),
        ({"a.csv": b'"user,price\n1,2\n'}, r"must close every quote, got one that is open from line 1 on"),
        (
            {"a.csv.gz": gzip.compress(GOOD * 9, mtime=0)[:-9]},
            r"a whole file, got one that cannot be decompressed: Truncated",
        ),
        ({"a.csv.gz": gzip.compress(GOOD + bytes(1 << 20), 0, mtime=0)[:-9]}, r"cannot be decompressed: Truncated"),
        ({"a.csv.zst": zstd(GOOD * 9)[:-4]}, r"a.csv.zst must be a whole file, got one that cannot be decompressed"),
        ({"a.parquet": b""}, r"a.parquet must be a Parquet file, got an empty one"),
        ({"a.parquet": b"PAR1" * 9}, r"a.parquet must be a whole Parquet file, got one that cannot be read"),
        ({"a.csv": GOOD + b"b,2\n"}, r"a.csv line 3 must have 3 fields like the first line, got 2: 'b,2'"),
        ({"a.csv": GOOD + b"caf\xe9,2,1\n"}, r"a.csv line 3 must be UTF-8 text, got byte 0xe9 in 'caf"),
        ({"a.csv": GOOD + b'b,2,"1\n'}, r"a.csv must close every quote, got one that is open from line 3 on"),
    ],
)
@pytest.mark.parametrize("size", [1, 1 << 20])
def test_a_broken_file_is_named(tmp_path: Path, files: dict[str, bytes], message: str, size: int) -> None:
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        together(list(chunks([tmp_path / name for name in files], chunk_bytes=size)))


def test_two_columns_of_one_name_are_refused_in_parquet_too(tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_arrays([pa.array([1])] * 2, ["a", "a"]), tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"each another, got \['a'\] several times"):
        next(chunks([tmp_path / "a.parquet"]))


def test_a_file_without_rows_among_others_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"user,price,click\n")
    (tmp_path / "b.csv").write_bytes(b"click,price,user\n1,2,x\n")
    (piece,) = chunks(files_of(tmp_path))
    assert parsed(piece, SCHEMA, PLAIN).table["user"].to_pylist() == ["x"]


def test_an_empty_file_or_one_delimited_otherwise_is_named_without_a_header_too(tmp_path: Path) -> None:
    settings = CsvSettings(names=("a", "b"))
    (tmp_path / "day_0").write_text("")
    with pytest.raises(DataError, match=r"day_0 must have rows, got an empty file"):
        list(chunks([tmp_path / "day_0"], settings))
    (tmp_path / "day_0").write_text("1\t2\n")
    with pytest.raises(DataError, match=r"several columns, got one with the delimiter ','; .* set csv.delimiter = "):
        list(chunks([tmp_path / "day_0"], settings))


def test_a_record_that_never_ends_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recdistill.readers.cutting.LONGEST_RECORD", 1 << 12)
    (tmp_path / "a.csv").write_bytes(GOOD + b'"open' + b"a,1,1\n" * 9000)
    with pytest.raises(
        DataError, match=r"a.csv line 3 must have records of less than 0 MiB, .* is a quote never closed"
    ):
        list(chunks([tmp_path / "a.csv"], chunk_bytes=100))


def test_a_file_that_changes_while_it_is_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(GOOD * 3)
    (piece,) = chunks([tmp_path / "a.csv"])
    (tmp_path / "a.csv").write_bytes(GOOD)
    with pytest.raises(DataError, match=r"must stay as it is while it is read, got one that became shorter"):
        piece.read()


def test_a_record_may_be_longer_than_what_arrow_reads_at_once(tmp_path: Path) -> None:
    long = "x" * (3 << 20)
    (tmp_path / "a.csv").write_bytes(written([("a", 1, 0), (long, 2, 1), ("b\nc", 3, 0)]))
    table = together(list(chunks([tmp_path / "a.csv"])))
    assert [len(user) for user in table["user"].to_pylist()] == [1, 3 << 20, 3]


def test_times_without_a_value_in_the_first_chunk_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("at,user\n,a\n5,b\n")
    (first, _) = chunks([tmp_path / "a.csv"], chunk_bytes=1)
    with pytest.raises(DataError, match=r"column 'at' must have a value in its first 1 rows, which say how"):
        parsed(first, Schema(time="at"), PLAIN, on_bad_row="quarantine")


def test_real_criteo_is_what_is_read_at_once(shared_data: Callable[[str], Path]) -> None:
    files = files_of(shared_data("criteo-kaggle-137k") / "train.txt.gz", criteo.LAYOUT)
    table = together(list(chunks(files, criteo.LAYOUT, chunk_bytes=4 << 20)), criteo.SCHEMA, criteo.LAYOUT)
    whole = criteo.read(files[0]).arrow
    for name in whole.column_names:
        plain = table[name].cast(pa.large_string()) if name in criteo.CATEGORIES else table[name]
        assert plain.combine_chunks().cast(whole[name].type).equals(whole[name].combine_chunks()), name
