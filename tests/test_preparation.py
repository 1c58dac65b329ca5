"""Raw files to a prepared table: what memory would give, whatever the chunks or the engine, and nothing twice."""

from __future__ import annotations

import gzip
import shutil
import subprocess
import sys
from collections import Counter as Bag
from collections.abc import Callable
from pathlib import Path
from typing import Any

import clicks
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recdistill import fingerprints as fp
from recdistill.artefacts import read_json
from recdistill.encoder_settings import EncoderSettings
from recdistill.errors import DataError, UsageError
from recdistill.features import PAD
from recdistill.inspection import SHARES
from recdistill.preparation import SplitBy, Threads, prepare, preparing
from recdistill.preparation.counting import Counter
from recdistill.prepared_table import PreparedTable
from recdistill.readers import CsvSettings, read, typed
from recdistill.schema import Schema
from recdistill.tables import Table
from recdistill.transforms import Counts

SPLITS = ("train", "valid", "test")


def stored(folder: Path, split: str) -> pa.Table:
    return pa.concat_tables(pq.read_table(path) for path in sorted((folder / split).glob("*.parquet")))


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clicks.write(tmp_path_factory.mktemp("raw") / "clicks.csv")


@pytest.fixture(scope="module")
def made(raw: Path) -> PreparedTable:
    return prepare(raw, raw.parent / "made", schema=clicks.SCHEMA, settings=clicks.settings())


WITHOUT_PANDAS = """
import sys
from recdistill.preparation import prepare
from recdistill.schema import Schema

prepare(*sys.argv[1:], schema=Schema(label="click", categorical=("user", "country"), number=("price", "age")))
print(*[name for name in ("pandas", "torch", "scipy", "sklearn") if name in sys.modules])
"""


def test_plain_rows_are_prepared_without_what_takes_long_to_import(raw: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", WITHOUT_PANDAS, raw, tmp_path / "made"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []


def whole(raw: Path) -> Table:
    """The same rows in memory."""
    return Table(typed(read(raw, CsvSettings()), clicks.SCHEMA, CsvSettings()), clicks.SCHEMA)


ENCODERS = {
    "vocabulary": {"min_count": 1},
    "min_count": {"min_count": 5},
    "hashing": {"hashing": {"user": 7, "tags": 2}},
    "beyond": {"max_vocabulary": 10},
    "log": {"numbers": "log"},
    "quantiles": {"numbers": "quantiles"},
    "log_buckets": {"numbers": "log_buckets"},
}


@pytest.mark.parametrize("name", ENCODERS)
def test_parts_hold_what_an_encoder_in_memory_gives(name: str, raw: Path, tmp_path: Path) -> None:
    how = EncoderSettings.model_validate(ENCODERS[name])
    made = prepare(raw, tmp_path / "made", schema=clicks.SCHEMA, settings=clicks.settings(encoder=how))
    assert sum(len(made.parts(split)) for split in SPLITS) > 5
    rows = whole(raw)
    by_id = {split: stored(made.path, split)["_row_id"].to_numpy() for split in SPLITS}
    assert sorted(np.concatenate(list(by_id.values())).tolist()) == rows.row_ids.tolist()
    encoder = how.fit(rows.take(by_id["train"]))
    for column, (kind, transform) in encoder.columns.items():
        mine = made.encoder.columns[column]
        assert (mine[0], type(mine[1]), getattr(mine[1], "rows", None)) == (
            kind,
            type(transform),
            getattr(transform, "rows", None),
        )
        if hasattr(transform, "values"):
            assert mine[1].values.equals(transform.values)
    for split, ids in by_id.items():
        examples, expected = made.examples(split), encoder.encode(rows.take(ids))
        assert examples.features.ids.equal(expected.ids)
        for one, other in zip(examples.features.multi, expected.multi, strict=True):
            assert [[i for i in r if i != PAD] for r in one.tolist()] == [
                [i for i in r if i != PAD] for r in other.tolist()
            ]
        assert examples.features.number.numpy() == pytest.approx(expected.number.numpy(), rel=1e-6, abs=1e-7)
        assert examples.features.vector[0].numpy() == pytest.approx(expected.vector[0].numpy(), rel=1e-6, abs=1e-7)
        assert examples.label.tolist() == rows.take(ids).labels.tolist()


def test_the_order_of_rows_in_a_split_is_the_files(made: PreparedTable) -> None:
    for split in SPLITS:
        ids = stored(made.path, split)["_row_id"].to_numpy()
        assert (np.diff(ids) > 0).all()


def test_chunks_and_workers_change_nothing_but_where_parts_end(raw: Path, made: PreparedTable, tmp_path: Path) -> None:
    for workers in (1, 3):
        again = prepare(
            raw, tmp_path / f"by{workers}", schema=clicks.SCHEMA, settings=clicks.settings(), engine=Threads(workers)
        )
        assert clicks.content(again.path) == clicks.content(made.path)
    one = prepare(raw, tmp_path / "one", schema=clicks.SCHEMA, settings=clicks.settings(chunk_bytes=1 << 20))
    assert one.rows == made.rows
    assert one.rows_fingerprint == made.rows_fingerprint
    for split in SPLITS:
        one_part, several = stored(one.path, split), stored(made.path, split)
        for name in one_part.column_names:
            if name in ("price", "age", "text"):  # moments of pieces are joined, with another rounding
                continue
            assert one_part[name].to_pylist() == several[name].to_pylist(), name


def test_packed_files_a_folder_and_parquet_give_the_same_rows(raw: Path, made: PreparedTable, tmp_path: Path) -> None:
    (tmp_path / "clicks.csv.gz").write_bytes(gzip.compress(raw.read_bytes()))
    lines = raw.read_bytes().splitlines(keepends=True)
    (tmp_path / "days").mkdir()
    (tmp_path / "days" / "day_2.csv").write_bytes(b"".join(lines[:301]))
    (tmp_path / "days" / "day_10.csv").write_bytes(b"".join(lines[:1] + lines[301:]))
    for number, where in enumerate([tmp_path / "clicks.csv.gz", tmp_path / "days", str(tmp_path / "days" / "*.csv")]):
        other = prepare(where, tmp_path / str(number), schema=clicks.SCHEMA, settings=clicks.settings())
        assert (other.rows, other.rows_fingerprint) == (made.rows, made.rows_fingerprint)


# ---------------------------------------------------------------------------------------------- splits


def splitmix(x: int) -> int:
    x = (x + 0x9E3779B97F4A7C15) % 2**64
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) % 2**64
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) % 2**64
    return x ^ (x >> 31)


def of_place(place: float, split: SplitBy) -> int:
    return int(place >= 1 - split.valid - split.test) + int(place >= 1 - split.test)


@given(st.lists(st.integers(0, 2**62), min_size=1, max_size=40), st.integers(0, 5))
@settings(max_examples=30)
def test_a_random_split_looks_at_the_row_id_alone(ids: list[int], seed: int) -> None:
    by = SplitBy(by="random", valid=0.2, test=0.3, seed=seed)
    codes = by.codes([len(ids)], lambda part, name: pa.array(ids, pa.int64()), clicks.SCHEMA)
    assert codes[0].tolist() == [of_place((splitmix(i ^ splitmix(seed)) >> 11) / 2**53, by) for i in ids]


def test_users_stay_together_and_times_in_order(raw: Path, tmp_path: Path) -> None:
    by_user = prepare(
        raw,
        tmp_path / "user",
        schema=clicks.SCHEMA,
        settings=clicks.settings(split=SplitBy(by="user", valid=0.2, test=0.2)),
    )
    users = [set(stored(by_user.path, split)["_user"].to_pylist()) for split in SPLITS]
    assert not (users[0] & users[1]) | (users[0] & users[2]) | (users[1] & users[2])
    by_time = prepare(raw, tmp_path / "time", schema=clicks.SCHEMA, settings=clicks.settings())
    times = [stored(by_time.path, split)["_time"].to_pylist() for split in SPLITS]
    assert max(times[0]) < min(times[1]) <= max(times[1]) < min(times[2])
    assert by_time.rows["test"] == pytest.approx(60, abs=25)


def test_a_split_needs_its_column(raw: Path, tmp_path: Path) -> None:
    bare = clicks.SCHEMA.from_dict({k: v for k, v in clicks.SCHEMA.to_dict().items() if k not in ("time", "user")})
    for by in ("time", "user"):
        with pytest.raises(DataError, match=f"a split by {by} needs a {by} column, got a schema without one"):
            prepare(raw, tmp_path / by, schema=bare, settings=clicks.settings(split=SplitBy(by=by)))


# ---------------------------------------------------------------------------------------------- counts


@given(st.lists(st.lists(st.sampled_from("abcdefghijklmnop"), max_size=12), min_size=1, max_size=8), st.integers(1, 30))
@settings(max_examples=40)
def test_counts_are_exact_whether_they_spill_or_not(tmp_path_factory: Any, pieces: list[list[str]], room: int) -> None:
    folder = tmp_path_factory.mktemp("counts") / "column"
    with Counter(folder, room) as counter:
        for piece in pieces:
            counter.add(Counts.of(pa.array(piece, pa.large_string())))
        found = list(counter.partitions())
    values = [value for part in found for value in part.values.to_pylist()]
    counts = [count for part in found for count in part.counts.tolist()]
    assert len(values) == len(set(values))  # no value is in two partitions
    assert dict(zip(values, counts, strict=True)) == dict(Bag(value for piece in pieces for value in piece))
    assert not folder.exists()


def test_fingerprints_tell_values_apart_and_nothing_else() -> None:
    columns = [
        pa.array(["a", "b", None, "", "ab", "ba", "é"]),
        pa.array([1.5, -0.0, None, 0.0, 2.0**60, 1, -1], pa.float64()),
        pa.array([1, None, 3, 2**62, -1, 0, 7], pa.int64()),
        pa.array([["a", "b"], ["b", "a"], [], None, ["ab"], ["a"], ["a", "a"]]),
    ]
    for column in columns:
        plain = [[] if value is None and pa.types.is_list(column.type) else value for value in column.to_pylist()]
        values = [0.0 if value == 0 and isinstance(value, float) else repr(value) for value in plain]
        words = fp.fingerprints(column).tolist()
        assert len(set(words)) == len(set(values))
        assert [words.index(w) for w in words] == [values.index(v) for v in values]
        assert fp.fingerprints(column[2:]).tolist() == words[2:]  # whatever stands before
        if not pa.types.is_list(column.type):
            assert fp.fingerprints(column.dictionary_encode()).tolist() == words


# ------------------------------------------------------------------------------- once, and what changes


def test_a_second_call_does_nothing_and_says_so(raw: Path, tmp_path: Path) -> None:
    copy, out = shutil.copy(raw, tmp_path / "clicks.csv"), tmp_path / "out"

    def again(**changes: Any) -> PreparedTable:
        return prepare(copy, out, schema=clicks.SCHEMA, settings=clicks.settings(**changes))

    again()
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    again()
    assert before == {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    with pytest.raises(UsageError, match=r"prepared otherwise: settings.encoder.min_count is 2 there and 3 here"):
        again(encoder=EncoderSettings(min_count=3))
    Path(copy).write_bytes(raw.read_bytes())  # touched, but the same
    again()
    Path(copy).write_bytes(raw.read_bytes().replace(b"de", b"fr"))
    with pytest.raises(UsageError, match=r"clicks.csv has changed since .* pass --overwrite"):
        again()
    fresh = prepare(copy, out, schema=clicks.SCHEMA, settings=clicks.settings(), overwrite=True)
    assert "fr" in fresh.encoder.columns["country"][1].values.to_pylist()


def test_nothing_but_a_prepared_table_is_replaced(raw: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("keep me")
    for overwrite in (False, True):
        with pytest.raises(UsageError, match="mine holds something else than a prepared table"):
            prepare(raw, tmp_path / "mine", schema=clicks.SCHEMA, settings=clicks.settings(), overwrite=overwrite)
    assert (tmp_path / "mine" / "letter.txt").read_text() == "keep me"
    (tmp_path / "empty").mkdir()
    prepare(raw, tmp_path / "empty", schema=clicks.SCHEMA, settings=clicks.settings())


def test_an_unfinished_preparation_of_other_files_is_begun_anew(raw: Path, tmp_path: Path, monkeypatch: Any) -> None:
    copy = Path(shutil.copy(raw, tmp_path / "clicks.csv"))
    monkeypatch.setattr("recdistill.preparation.preparing.measured", lambda *_: pytest.fail("stopped"))
    with pytest.raises(pytest.fail.Exception):
        prepare(copy, tmp_path / "out", schema=clicks.SCHEMA, settings=clicks.settings())
    monkeypatch.undo()
    with pytest.raises(
        DataError, match=r"is not finished; the same prepare command continues|there is no prepared table"
    ):
        PreparedTable.read(tmp_path / "out")
    clicks.write(copy, seed=1)
    made = prepare(copy, tmp_path / "out", schema=clicks.SCHEMA, settings=clicks.settings())
    direct = prepare(copy, tmp_path / "direct", schema=clicks.SCHEMA, settings=clicks.settings())
    assert clicks.content(made.path) == clicks.content(direct.path)
    assert not (tmp_path / "out.unfinished").exists()


def test_two_processes_do_not_prepare_the_same_folder(raw: Path, tmp_path: Path, monkeypatch: Any) -> None:
    def meanwhile(*_: Any) -> Any:
        with pytest.raises(UsageError, match="is worked on by another process"):
            prepare(raw, tmp_path / "out", schema=clicks.SCHEMA, settings=clicks.settings())
        raise KeyboardInterrupt

    monkeypatch.setattr("recdistill.preparation.preparing.staged", meanwhile)
    with pytest.raises(KeyboardInterrupt):
        prepare(raw, tmp_path / "out", schema=clicks.SCHEMA, settings=clicks.settings())


# --------------------------------------------------------------------------------- a teacher's encoder


def test_rows_encoded_by_a_teachers_encoder_are_the_same_rows(raw: Path, made: PreparedTable, tmp_path: Path) -> None:
    other = clicks.write(tmp_path / "other.csv", rows=500, seed=3)
    teacher = prepare(other, tmp_path / "teacher", schema=clicks.SCHEMA, settings=clicks.settings())
    seen = prepare(raw, tmp_path / "seen", schema=clicks.SCHEMA, settings=clicks.settings(), encoder=teacher.encoder)
    assert seen.encoder.fingerprint == teacher.encoder.fingerprint
    assert (seen.rows, seen.rows_fingerprint) == (made.rows, made.rows_fingerprint)
    rows = whole(raw)
    ids = stored(seen.path, "test")["_row_id"].to_numpy()
    assert seen.examples("test").features.ids.equal(teacher.encoder.encode(rows.take(ids)).ids)


# ------------------------------------------------------------------------------------------ what is found


def words(made: PreparedTable) -> str:
    findings = read_json(made.path / "report.json")["findings"]
    return "\n".join(f"{finding['level']}: {finding['words']}" for finding in findings)


def changed(path: Path, change: Callable[[int, list[str]], None]) -> Path:
    """The file with each of its lines of fields changed; the header is line 0."""
    lines = [line.split(",") for line in path.read_text("utf-8").splitlines()]
    for number, fields in enumerate(lines):
        change(number, fields)
    path.write_text("\n".join(map(",".join, lines)) + "\n", "utf-8")
    return path


def test_statistics_are_those_of_the_training_rows(raw: Path, made: PreparedTable) -> None:
    statistics = read_json(made.path / "statistics.json")
    train = whole(raw).take(made.row_ids("train"))
    for name in ("user", "item", "country", "tags"):
        values = train.column(name).to_pylist()
        items = [item for value in values for item in value or ()] if name == "tags" else [v for v in values if v]
        assert (statistics[name]["distinct"], statistics[name]["values"]) == (len(set(items)), len(items))
        assert statistics[name]["missing"] == sum(not value for value in values)
    for name in ("price", "age"):
        values = train.column(name).drop_null().to_numpy()
        found = statistics[name]["numbers"]
        expected = [values.mean(), values.std(), values.min(), values.max(), *np.quantile(values, SHARES)]
        assert [found[k] for k in ("mean", "deviation", "low", "high")] + found["quantiles"] == pytest.approx(expected)


def test_unseen_shares_are_what_is_encoded_as_0(made: PreparedTable) -> None:
    unseen = read_json(made.path / "report.json")["unseen"]
    for split in SPLITS:
        rows = stored(made.path, split)
        for name in ("user", "item", "country"):
            assert unseen[split][name] == pytest.approx((rows[name].to_numpy() == 0).mean())


def test_a_column_that_is_the_label_is_refused(raw: Path, tmp_path: Path) -> None:
    leaking = changed(
        Path(shutil.copy(raw, tmp_path / "clicks.csv")), lambda n, f: f.__setitem__(6, f[0] if n else f[6])
    )
    with pytest.raises(DataError, match="a feature must not be the label itself, got 'age'"):
        prepare(leaking, tmp_path / "out", schema=clicks.SCHEMA, settings=clicks.settings())
    assert not (tmp_path / "out").exists()


def test_test_rows_that_also_train_are_refused(raw: Path, tmp_path: Path) -> None:
    lines = raw.read_text("utf-8").splitlines(keepends=True)
    twice = tmp_path / "clicks.csv"
    twice.write_text("".join([*lines[:301], *lines[1:201]]), "utf-8")
    settings = clicks.settings(split=SplitBy(by="position", valid=0.2, test=0.2))
    with pytest.raises(DataError, match="must not be among the training rows, got 100 of 100 validation rows"):
        prepare(twice, tmp_path / "out", schema=clicks.SCHEMA, settings=settings)


def test_what_the_teacher_learnt_does_not_judge_the_student(raw: Path, made: PreparedTable, tmp_path: Path) -> None:
    """The target's rows are among those that the table of the teacher's encoder trains on."""
    copy = tmp_path / "clicks.csv"
    copy.write_text("".join(raw.read_text("utf-8").splitlines(keepends=True)[:401]), "utf-8")
    with pytest.raises(DataError, match="among the source's rows, which the teacher learns, got 40 of 40"):
        prepare(copy, tmp_path / "out", schema=clicks.SCHEMA, settings=clicks.settings(), encoder=made)
    prepare(copy, tmp_path / "out", schema=clicks.SCHEMA, settings=clicks.settings(), encoder=made.encoder)


def test_overlap_and_drift_are_told_against_the_table_of_the_encoder(made: PreparedTable, tmp_path: Path) -> None:
    def other(number: int, fields: list[str]) -> None:
        if number:
            fields[1], fields[6] = f"new{fields[1]}", str(10 * float(fields[6]) + 1000)

    target = changed(clicks.write(tmp_path / "target.csv", rows=300, seed=9), other)
    found = prepare(target, tmp_path / "out", schema=clicks.SCHEMA, settings=clicks.settings(), encoder=made)
    report, train = read_json(found.path / "report.json"), whole(target).take(found.row_ids("train"))
    for name in ("user", "item", "country"):
        known = set(made.encoder.columns[name][1].values.to_pylist())
        values = [value for value in train.column(name).to_pylist() if value is not None]
        of = report["overlap"][name]
        assert (of["rows"], of["seen_rows"]) == (len(values), sum(value in known for value in values))
        assert (of["ids"], of["seen_ids"]) == (len(set(values)), len(set(values) & known))
    assert "note: source and target share no user" in words(found)
    assert "warning: age: " in words(found)


def test_rows_of_a_domain_are_chosen_and_keep_their_ids(raw: Path, tmp_path: Path) -> None:
    rows = whole(raw)
    german = np.array([value == "de" for value in rows.column("country").to_pylist()])
    for how, kept in (("only", german), ("without", ~german)):
        chosen = clicks.settings(**{how: {"country": ["de"]}})
        made = prepare(raw, tmp_path / how, schema=clicks.SCHEMA, settings=chosen)
        ids = np.sort(np.concatenate([made.row_ids(split) for split in SPLITS]))
        assert ids.tolist() == rows.row_ids[kept].tolist()
    with pytest.raises(UsageError, match="no column 'contry' to choose rows by, did you mean 'country'"):
        prepare(raw, tmp_path / "none", schema=clicks.SCHEMA, settings=clicks.settings(only={"contry": ["de"]}))


def test_names_that_the_table_keeps_for_itself_are_refused(raw: Path, tmp_path: Path) -> None:
    schema = Schema(label="click", number=("_label",))
    with pytest.raises(DataError, match=r"keeps the columns _row_id, .* for itself, got a feature '_label'"):
        prepare(raw, tmp_path / "out", schema=schema, settings=clicks.settings())


def test_a_file_that_changes_while_it_is_read_is_refused(raw: Path, tmp_path: Path, monkeypatch: Any) -> None:
    copy, real = Path(shutil.copy(raw, tmp_path / "clicks.csv")), preparing.measured

    def meanwhile(*arguments: Any) -> Any:
        with copy.open("a") as stream:
            stream.write(raw.read_text("utf-8").splitlines()[1] + "\n")
        return real(*arguments)

    monkeypatch.setattr(preparing, "measured", meanwhile)
    with pytest.raises(DataError, match=r"clicks\.csv must stay as it is while it is read, got one that changed"):
        prepare(copy, tmp_path / "out", schema=clicks.SCHEMA, settings=clicks.settings())
    assert not (tmp_path / "out").exists()
