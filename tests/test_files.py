"""A user's own tables: two files with other names, one file told apart, scores alone; and every wrong setting."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from recdistill.datasets import load
from recdistill.errors import DataError, UsageError
from recdistill.tables import Table

SOURCE = {
    "kunde": ["007", "8", "8", "9"],
    "country": ["de", "de", "at", "at"],
    "price": [1.0, None, 3.0, 4.0],
    "dwell": [0.1, 0.2, 0.3, 0.4],
    "gekauft": [1, 0, 1, 0],
}
TARGET = {
    "user": ["007", "1", "2", "2", "3"],
    "country": ["ch", "ch", "fr", "fr", "fr"],
    "price": [1.5, 2.5, None, 2.0, 2.0],
    "ts": ["2024-01-01", "2024-01-02", "2024-01-03", "2024-01-04", "2024-01-05"],
    "p": [0.1, 0.2, 0.3, 0.4, 0.5],
    "click": [1, 0, 1, 0, None],
}
SCHEMA = {
    "label": "click",
    "user": "user",
    "categorical": ["user", "country"],
    "number": ["price", "dwell"],
    "privileged": ["dwell"],
}
GIVEN: dict[str, Any] = {
    "source": "old.csv",
    "target": "new.parquet",
    "columns": {"kunde": "user", "gekauft": "click"},
    "schema": SCHEMA,
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    pa_csv.write_csv(pa.table(SOURCE), tmp_path / "old.csv")
    pq.write_table(pa.table(TARGET), tmp_path / "new.parquet")
    return tmp_path


def both(root: Path, **changed: Any) -> tuple[Table, Table]:
    source, target = load("files", root, {k: v for k, v in (GIVEN | changed).items() if v is not None})
    assert source is not None
    return source, target


def schema(**changed: Any) -> dict[str, Any]:
    return {k: v for k, v in (SCHEMA | changed).items() if v is not None}


def test_two_files_with_other_names(root: Path) -> None:
    source, target = both(root)
    assert source.numpy("user").tolist() == ["007", "8", "8", "9"]
    assert source.labels.tolist() == [1, 0, 1, 0]
    assert target.labelled.tolist() == [True] * 4 + [False]
    assert source.schema == target.schema
    assert source.schema.privileged_features == ("dwell",)
    assert source.numpy("dwell").tolist() == SOURCE["dwell"]
    assert target.column("dwell").null_count == len(target)
    assert both(root)[0].fingerprint == source.fingerprint


def test_rows_are_numbered_so_that_they_never_meet_and_the_targets_do_not_depend_on_the_source(root: Path) -> None:
    source, target = both(root)
    assert target.row_ids.tolist() == [0, 1, 2, 3, 4]
    assert source.row_ids.tolist() == [10**12 + row for row in range(4)]
    pa_csv.write_csv(pa.table(SOURCE | {"row_id": [10, 20, 30, 40]}), root / "old.csv")
    assert both(root)[0].row_ids.tolist() == [10, 20, 30, 40]


def test_row_ids_that_meet_are_refused(root: Path) -> None:
    pa_csv.write_csv(pa.table(SOURCE | {"row_id": [1, 20, 30, 40]}), root / "old.csv")
    for disjoint in ([], ["rows"]):
        with pytest.raises(DataError, match=r"no rows may be in both domains, got 1 shared, e\.g\. 1$"):
            both(root, disjoint=disjoint)
    pa_csv.write_csv(pa.table(SOURCE), root / "old.csv")
    with pytest.raises(DataError, match=r"no user may be in both domains, got 1 shared, e.g. '007'"):
        both(root, disjoint=["user"])


def test_scores_alone_need_no_source(root: Path) -> None:
    given = {"target": "new.parquet", "schema": {"label": "click", "categorical": ["user"], "score": "p"}}
    source, target = load("files", root, given)
    assert source is None
    assert target.numpy("p").tolist() == TARGET["p"]


def test_one_file_told_apart_by_values(root: Path) -> None:
    pq.write_table(pa.table(TARGET | {"market": [1, 1, 2, 2, 3]}), root / "new.parquet")
    rows = {"schema": schema(number=["price"], privileged=None, categorical=["user", "market"])}
    domain = {"column": "market", "source": [1], "target": [2, "3"]}
    source, target = both(root, source=None, columns=None, domain=domain, **rows)
    assert (source.row_ids.tolist(), target.row_ids.tolist()) == ([0, 1], [2, 3, 4])
    assert source.schema.domain == "market"
    assert source.schema.features == ("user", "price")


def test_one_side_may_be_every_other_row(root: Path) -> None:
    rows = {"source": None, "columns": None, "schema": {"label": "click", "categorical": ["country"]}}
    source, target = both(root, domain={"column": "country", "target": "ch"}, disjoint=[], **rows)
    assert (source.row_ids.tolist(), target.row_ids.tolist()) == ([2, 3, 4], [0, 1])
    pq.write_table(pa.table(TARGET | {"tags": [["a"], ["a", "b"], ["b"], [], ["b"]]}), root / "new.parquet")
    source, target = both(root, domain={"column": "tags", "source": "a"}, disjoint=[], **rows)
    assert (source.row_ids.tolist(), target.row_ids.tolist()) == ([0, 1], [2, 3, 4]), "lists that are no feature"
    rows["schema"] = {"label": "click", "multi": ["tags"]}
    source, target = both(root, domain={"column": "tags", "source": ["a"]}, disjoint=[], **rows)
    assert (source.row_ids.tolist(), target.row_ids.tolist()) == ([0, 1], [2, 3, 4])


def test_one_file_told_apart_by_time(root: Path) -> None:
    domain = {"column": "ts", "at": 0.5}
    rows = {"schema": schema(number=["price"], privileged=None)}
    source, target = both(root, source=None, columns=None, domain=domain, **rows)
    assert (source.row_ids.tolist(), target.row_ids.tolist()) == ([0, 1], [2, 3, 4])
    assert target.schema.time == "ts"


def test_a_source_may_lack_what_only_the_target_needs(root: Path) -> None:
    source, target = both(root, schema=schema(time="ts", score="p"))
    assert (source.schema.time, source.schema.score) == (None, None)
    assert (target.schema.time, target.schema.score) == ("ts", "p")


@pytest.mark.parametrize(
    ("changed", "kind", "message"),
    [
        ({"schema": schema(labl="click")}, UsageError, "unknown role 'labl' in the schema, did you mean 'label'"),
        ({"schema": schema(label=["click"])}, UsageError, r"label must be the name of one column, got \['click'\]"),
        ({"schema": schema(number=[1])}, UsageError, r"number must be a list of columns, got \[1\]"),
        ({"schema": schema(multi="tags")}, UsageError, "multi must be a list of columns, got 'tags'"),
        ({"schema": schema(rating="p", grades=["a", "b"])}, UsageError, r"grades must be numbers, got \('a', 'b'\)"),
        ({"schema": schema(label=None)}, UsageError, "must name the label, a column of 0 and 1 .*schema.label"),
        ({"schema": schema(label="clik")}, UsageError, r"old.csv has no column 'clik', did you mean 'click'\? \(if it"),
        ({"schema": schema(number=["prise"], privileged=None)}, UsageError, "has no column 'prise', did you mean"),
        ({"schema": schema(privileged=None)}, UsageError, "new.parquet has no column 'dwell', .* under privileged too"),
        (
            {"schema": schema(categorical=["kunde"])},
            UsageError,
            "'kunde' is renamed to 'user' under columns; the schema must name it so",
        ),
        ({"schema": schema(categorical=["p"])}, UsageError, r"old.csv has no column 'p', .*columns = \{\"its name\""),
        (
            {"columns": {"kunden": "user"}},
            UsageError,
            "columns: .*old.csv has no column 'kunden', did you mean 'kunde'",
        ),
        ({"columns": {"kunde": "usr"}}, UsageError, "columns: .*new.parquet has no column 'usr', did you mean 'user'"),
        ({"columns": {"kunde": "price"}}, UsageError, r"may stand for one column of .*old.csv, got \['price'\]"),
        ({"csv": {"delimeter": ";"}}, UsageError, "unknown setting 'delimeter', did you mean 'delimiter'"),
        ({"csv": {"delimiter": ";;"}}, UsageError, "at most 1"),
        ({"csv": {"separators": {"country": ""}}}, UsageError, "at least 1"),
        ({"csv": {"separators": {"prise": ";"}}}, UsageError, "multi and vector columns, got 'prise', known: none"),
        (
            {"csv": {"separators": {"tag": ";"}}, "schema": schema(multi=["tags"])},
            UsageError,
            r"got 'tag', did you mean 'tags'\?",
        ),
        ({"domain": {"column": "country", "at": 0.5}}, UsageError, "got two files; leave out source or domain"),
        ({"source": "odl.csv"}, DataError, r"odl.csv is missing, did you mean '.*old.csv'"),
        ({"target": "new.parqet"}, DataError, r"new.parqet is missing, did you mean '.*new.parquet'"),
    ],
)
def test_what_is_wrong_with_two_files_is_named(
    root: Path, changed: dict[str, Any], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        both(root, **changed)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({}, "needs a source file, a domain .* or a score column in the schema, got none"),
        ({"columns": {"a": "b"}}, "columns .* a source file's names, got no source"),
        ({"domain": {"colum": "ts"}}, "unknown setting 'colum', did you mean 'column'"),
        ({"domain": {"column": "tss", "at": 0.5}}, r"domain: .*new.parquet has no column 'tss', did you mean 'ts'"),
        ({"domain": {"column": "country"}}, "told by values of its column .*, or by the time `at`"),
        ({"domain": {"column": "ts", "at": 0.5, "source": ["x"]}}, "told by values"),
        (
            {"domain": {"column": "ts", "at": 0.5}, "schema": {"label": "click", "time": "p"}},
            "one time column, got 'ts' in the domain and 'p' in the schema",
        ),
        (
            {"domain": {"column": "country", "source": ["ch"], "target": ["fx"]}},
            "'fx' does not occur .*, known: ch, fr",
        ),
    ],
)
def test_what_is_wrong_with_one_file_is_named(root: Path, changed: dict[str, Any], message: str) -> None:
    plain = {"label": "click", "categorical": ["country"]}
    with pytest.raises(UsageError, match=message):
        load("files", root, {"target": "new.parquet", "schema": plain} | changed)


def test_a_source_of_one_class_is_refused(root: Path) -> None:
    pa_csv.write_csv(pa.table(SOURCE | {"gekauft": [1, 1, 1, 1]}), root / "old.csv")
    with pytest.raises(DataError, match="the source part needs both classes"):
        both(root)


def test_a_tables_own_rules_name_the_file(root: Path) -> None:
    pa_csv.write_csv(pa.table(SOURCE | {"row_id": [7, 7, 8, 9]}), root / "old.csv")
    with pytest.raises(DataError, match=r"old.csv: row ids must be unique, got 1 repeated in 'row_id'"):
        both(root)


def test_source_and_target_are_different_rows(root: Path) -> None:
    (root / "again.parquet").symlink_to(root / "new.parquet")
    alone = {"columns": None, "schema": {"label": "click", "categorical": ["user"], "number": ["price"], "time": "ts"}}
    for name in ("new.parquet", "again.parquet"):
        with pytest.raises(UsageError, match=r"must be two files, got .*new.parquet twice"):
            both(root, source=name, **alone)
    pq.write_table(pa.table(TARGET | {"note": ["x"] * 5}), root / "copy.parquet")
    with pytest.raises(DataError, match="must be different rows, got the same 5 rows twice"):
        both(root, source="copy.parquet", **alone)
    pq.write_table(pa.table(TARGET | {"click": [0, 0, 1, 0, None]}), root / "other.parquet")
    assert len(both(root, source="other.parquet", **alone)[0]) == 5


def test_a_column_named_time_can_tell_by_its_values(root: Path) -> None:
    pq.write_table(pa.table(TARGET | {"time": ["day", "day", "night", "night", "night"]}), root / "new.parquet")
    rows = {"source": None, "columns": None, "schema": {"label": "click", "categorical": ["country"], "time": "ts"}}
    source, target = both(root, domain={"column": "time", "source": "day"}, **rows)
    assert (source.row_ids.tolist(), target.row_ids.tolist()) == ([0, 1], [2, 3, 4])
