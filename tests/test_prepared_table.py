"""PreparedTable: what was written is what is read, and what is not whole is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import chain
from pathlib import Path

import numpy as np
import prepared
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from recdistill.artefacts import MANIFEST, new_folder, sha256
from recdistill.encoded_rows import EncodedRows, Lists
from recdistill.errors import DataError, UsageError
from recdistill.examples import Examples
from recdistill.prepared_table import PreparedTable, feature_types
from recdistill.schema import Schema
from recdistill.tables import Table, concat

ROWS = [prepared.made(40, seed=1), prepared.made(25, seed=2, first=1_000), prepared.made(30, seed=3, first=2_000)]
ENCODER = prepared.fitted(ROWS[0])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return prepared.write(
        tmp_path / "made", {"train": [ROWS[0], None, ROWS[1]], "valid": [None, ROWS[2]]}, ENCODER, group_rows=16
    )


def change(folder: Path, name: str, edit: Callable[[Path], None]) -> None:
    """Change a file so that the manifest agrees with it."""
    edit(folder / name)
    stored = json.loads((folder / MANIFEST).read_text())
    stored["files"][name] = {"bytes": (folder / name).stat().st_size, "sha256": sha256(folder / name)}
    (folder / MANIFEST).write_text(json.dumps(stored))


def say(folder: Path, **facts: object) -> None:
    stored = json.loads((folder / MANIFEST).read_text())
    stored["facts"] |= facts
    (folder / MANIFEST).write_text(json.dumps(stored))


def rewritten(name: str, values: pa.Array) -> Callable[[Path], None]:
    def edit(path: Path) -> None:
        table = pq.read_table(path)
        pq.write_table(table.set_column(table.column_names.index(name), name, values), path)

    return edit


@pytest.mark.parametrize("schema", [prepared.CLICKS, prepared.RATINGS], ids=["clicks", "ratings"])
def test_examples_are_those_of_the_encoder_and_the_table(tmp_path: Path, schema: Schema) -> None:
    tables = [prepared.made(40, schema=schema, seed=1), prepared.made(25, schema=schema, seed=2, first=1_000)]
    encoder = prepared.fitted(tables[0])
    read = PreparedTable.read(prepared.write(tmp_path / "made", {"train": tables}, encoder, group_rows=16))
    whole = concat(tables)
    expected = Examples.of(encoder, whole)
    for found, wanted in zip(read.examples("train").tensors(), expected.tensors(), strict=True):
        assert found.dtype == wanted.dtype
        assert torch.equal(torch.nan_to_num(found, -9.0), torch.nan_to_num(wanted, -9.0))
    assert (read.row_ids("train") == whole.row_ids).all()
    assert np.array_equal(read.labels("train"), whole.labels, equal_nan=True)
    assert read.classes == schema.classes
    assert read.schema == schema


def test_parts_groups_and_rows_are_in_order_and_may_be_lacking(folder: Path) -> None:
    read = PreparedTable.read(folder)
    assert read.rows == {"train": 65, "valid": 30, "test": 0}
    assert [path.name for path in read.parts("train")] == ["part-00000.parquet", "part-00002.parquet"]
    assert [group.rows for group in read.groups("train")] == [16, 16, 8, 16, 9]
    assert read.parts("test") == []
    assert len(read.examples("test")) == len(read.row_ids("test")) == len(read.labels("test")) == 0
    assert (read.row_ids("valid") == ROWS[2].row_ids).all()
    assert repr(read) == f"PreparedTable({str(folder)!r}, rows: train 65, valid 30, test 0)"
    with pytest.raises(UsageError, match=r"there is no split 'training', did you mean 'train'\?"):
        read.parts("training")


def test_a_group_says_how_many_bytes_its_rows_take(folder: Path) -> None:
    read = PreparedTable.read(folder)
    for group in read.groups("train"):
        rows = read.read_group(group)
        lists = [array for lists in rows.multi for array in (lists.offsets[1:], lists.ids)]
        taken = sum(a.nbytes for a in [rows.ids, rows.number, rows.label, rows.row_id, *rows.vector, *lists])
        assert taken <= group.bytes <= 1.5 * taken, "an empty list counts as one value in a footer"


def test_fingerprints_follow_what_they_are_of(folder: Path, tmp_path: Path) -> None:
    read = PreparedTable.read(folder)
    again = PreparedTable.read(folder, verify=False)
    assert read.fingerprint == again.fingerprint
    assert read.split_fingerprint("train") == again.split_fingerprint("train") != read.split_fingerprint("valid")
    other = prepared.write(tmp_path / "other", {"train": [ROWS[0], ROWS[1]], "valid": [ROWS[2]]}, ENCODER)
    assert PreparedTable.read(other).split_fingerprint("train") == read.split_fingerprint("train")
    assert PreparedTable.read(other).fingerprint != read.fingerprint


@pytest.mark.parametrize("index", [slice(3, 9), np.array([5, 0, 5, 11]), np.zeros(0, dtype=np.int64), slice(0, 12)])
def test_rows_taken_are_the_rows_decoded_by_hand(index: slice | np.ndarray) -> None:
    lists = [[1, 2], [], [3], [], [4, 5, 6], [7], [], [8], [9, 1], [], [2], [3, 3]]
    kept = Lists.of(np.array([len(x) for x in lists]), np.array(list(chain(*lists)), np.int32)).take(index)
    wanted = [lists[k] for k in np.arange(12)[index]]
    assert kept.ids.tolist() == list(chain(*wanted))
    assert kept.lengths.tolist() == [len(x) for x in wanted]


def test_a_slice_of_a_part_is_decoded_as_such() -> None:
    arrow = prepared.encoded(ROWS[0], ENCODER)
    whole, part = EncodedRows.of(arrow, ENCODER.spec), EncodedRows.of(arrow.slice(7, 11), ENCODER.spec)
    assert part.multi[0].ids.tolist() == whole.take(slice(7, 18)).multi[0].ids.tolist()
    assert (part.vector[0] == whole.vector[0][7:18]).all()
    assert len(part.batch().multi[0][0]) == max(1, part.multi[0].lengths.max())


def test_lists_in_place_of_fixed_vectors_are_read_too(folder: Path) -> None:
    before = PreparedTable.read(folder).examples("valid").features.vector[0]
    name, column = "valid/part-00001.parquet", pq.read_table(folder / "valid/part-00001.parquet")["text"]
    change(folder, name, rewritten("text", column.cast(pa.list_(pa.float32()))))
    assert torch.equal(PreparedTable.read(folder).examples("valid").features.vector[0], before)
    change(folder, name, rewritten("text", pa.array([[1.0, 2.0]] * 30, pa.list_(pa.float32()))))
    with pytest.raises(DataError, match=r"part-00001.parquet: vectors of 'text' must have length 3, got \[2\]"):
        PreparedTable.read(folder).examples("valid")


def test_what_is_not_a_finished_prepared_table_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"there is no prepared table '.*/mad', did you mean '.*/made'\?"):
        PreparedTable.read(tmp_path / "mad")
    with new_folder(tmp_path / "table", kind="table"):
        pass
    with pytest.raises(DataError, match="table must be a prepared table, got kind='table'"):
        PreparedTable.read(tmp_path / "table")
    with new_folder(tmp_path / "bare", kind="prepared_table", schema={}):
        pass
    with pytest.raises(DataError, match=r"must say schema, .* got none of \['rows', 'parts', 'encoder', "):
        PreparedTable.read(tmp_path / "bare")
    (folder / MANIFEST).unlink()
    with pytest.raises(DataError, match="made is not finished; the same prepare command continues"):
        PreparedTable.read(folder)


def test_a_flipped_bit_is_found_before_and_while_rows_are_read(folder: Path) -> None:
    path = folder / "train" / "part-00000.parquet"
    whole = path.read_bytes()
    chunk = pq.read_metadata(path).row_group(1).column(2)
    last = chunk.dictionary_page_offset + chunk.total_compressed_size - 1  # of a page of user ids
    for place in (last, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(DataError, match=r"part-00000.parquet was changed after it was written"):
            PreparedTable.read(folder)
    path.write_bytes(whole)
    read = PreparedTable.read(folder)
    path.write_bytes(whole[:last] + bytes([whole[last] ^ 1]) + whole[last + 1 :])
    with pytest.raises(DataError, match=r"part-00000.parquet cannot be read: .*CRC"):
        read.examples("train")


def test_missing_and_truncated_parts_are_found(folder: Path) -> None:
    path = folder / "train" / "part-00002.parquet"
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    with pytest.raises(DataError, match=rf"part-00002.parquet must have {len(whole)} bytes, got {len(whole) - 20}"):
        PreparedTable.read(folder)
    with pytest.raises(DataError, match=r"part-00002.parquet is not a whole Parquet file"):
        PreparedTable.read(folder, verify=False)
    path.unlink()
    with pytest.raises(DataError, match=r"part-00002.parquet is listed in manifest.json but missing"):
        PreparedTable.read(folder)
    with pytest.raises(DataError, match=r"part-00002.parquet does not exist"):
        PreparedTable.read(folder, verify=False)


def test_facts_that_do_not_fit_the_parts_are_found(folder: Path) -> None:
    say(folder, parts={"train": [40, 0, 24], "valid": [0, 30]})
    with pytest.raises(DataError, match="the parts of train must have 65 rows together, got 64"):
        PreparedTable.read(folder)
    say(folder, parts={"train": [41, 0, 24], "valid": [0, 30]})
    with pytest.raises(DataError, match=r"part-00000.parquet must have 41 rows, got 40"):
        PreparedTable.read(folder)
    say(folder, parts={"train": [40, 1, 24], "valid": [0, 30]})
    with pytest.raises(DataError, match=r"part-00001.parquet must be listed in manifest.json, got no such entry"):
        PreparedTable.read(folder)
    say(folder, parts={"train": [40, 0, 25], "valid": [0, 30]}, encoder="0123456789abcdef")
    with pytest.raises(DataError, match="was prepared by encoder 0123456789ab, got encoder"):
        PreparedTable.read(folder)


BAD = [
    ("user", pa.array([99] * 30, pa.int32()), r"ids of 'user' must be in \[0, \d+\), got \[99, 99\]"),
    ("item", pa.array([-1] * 30, pa.int32()), r"ids of 'item' must be in \[0, \d+\), got \[-1, -1\]"),
    (
        "unit.price",
        pa.array([None] + [1] * 29, pa.int32()),
        "features are never missing, got 1 missing in 'unit.price'",
    ),
    (
        "tags",
        pa.array([[1, 80]] + [[]] * 29, pa.list_(pa.int32())),
        r"ids of 'tags' must be in \[0, 8\), got \[1, 80",
    ),
    ("tags", pa.array([None] + [[]] * 29, pa.list_(pa.int32())), "features are never missing, got 1 missing in 'tags'"),
    ("age", pa.array([np.inf] + [0.0] * 29, pa.float32()), "numbers must be finite, got NaN or infinity in 'age'"),
    ("_label", pa.array([2.0] + [1.0] * 29, pa.float32()), r"labels must be 0 or 1 \(or missing\), got \[2.0\]"),
]


@pytest.mark.parametrize(("name", "values", "message"), BAD)
def test_values_that_no_encoder_gives_are_refused(folder: Path, name: str, values: pa.Array, message: str) -> None:
    change(folder, "valid/part-00001.parquet", rewritten(name, values))
    with pytest.raises(DataError, match=r"part-00001.parquet: .*" + message):
        PreparedTable.read(folder).examples("valid")


@pytest.mark.parametrize(("name", "kind"), [("user", pa.int64()), ("age", pa.float64()), ("_row_id", pa.int32())])
def test_columns_of_another_type_are_refused(folder: Path, name: str, kind: pa.DataType) -> None:
    file, wanted = "valid/part-00001.parquet", pq.read_schema(folder / "valid/part-00001.parquet").field(name).type
    change(folder, file, rewritten(name, pa.nulls(30, kind)))
    with pytest.raises(DataError, match=f"column '{name}' of .*part-00001.parquet must be {wanted}, got {kind}"):
        PreparedTable.read(folder)


def test_a_lacking_column_is_refused_and_types_follow_the_encoder(folder: Path) -> None:
    change(folder, "valid/part-00001.parquet", lambda p: pq.write_table(pq.read_table(p).drop_columns("tags"), p))
    with pytest.raises(DataError, match=r"column 'tags' of .* must be list<.*: int32>, got no such column"):
        PreparedTable.read(folder)
    types = dict(feature_types(ENCODER))
    assert list(types) == list(ENCODER.columns)
    assert types["unit.price"] == types["user"] == pa.int32(), "a number in quantiles is an id"


def test_real_rows_prepared_are_the_rows_encoded(shared_data: Callable[[str], Path], tmp_path: Path) -> None:
    from recdistill.datasets import movielens

    _, target = movielens.load(shared_data("ml-100k"))
    table = Table(target.arrow.slice(0, 5_000), target.schema)
    encoder = prepared.Encoder.fit(table)
    read = PreparedTable.read(prepared.write(tmp_path / "made", {"train": [table]}, encoder, group_rows=999))
    batch, wanted = read.examples("train").features, encoder.encode(table)
    assert torch.equal(batch.ids, wanted.ids)
    assert all(torch.equal(a, b) for a, b in zip(batch.multi, wanted.multi, strict=True))
