"""Several files as one table: a folder or a pattern gives what one long file would, and its changes are noticed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import clicks
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from tiny import Call

from recdistill import datasets
from recdistill.datasets import files
from recdistill.errors import DataError, UsageError
from recdistill.readers import CsvSettings, Quarantine, read, read_all, typed
from recdistill.run_folder import RunFolder

SCHEMA = clicks.SCHEMA
ROLES = {"label": "click", "user": "user", "categorical": ["user", "country"], "number": ["price", "age"]}
PLAIN = CsvSettings()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A source in one file; a target in one, and the same rows in day files without and with columns in disorder."""
    clicks.write(tmp_path / "old.csv", seed=1)
    head, *lines = clicks.write(tmp_path / "new.csv").read_text("utf-8").splitlines()
    (tmp_path / "days").mkdir()
    for day, (start, stop) in {1: (0, 250), 2: (250, 251), 3: (251, 251), 10: (251, 600)}.items():
        (tmp_path / "days" / f"day_{day}.csv").write_text("\n".join([head, *lines[start:stop]]) + "\n", "utf-8")
    table = pa_csv.read_csv(tmp_path / "days" / "day_2.csv")
    pa_csv.write_csv(table.select(table.column_names[::-1]), tmp_path / "days" / "day_2.csv")
    return tmp_path


@pytest.mark.parametrize("where", ["days", "days/day_*.csv", "days/day_[0-9]*.csv"])
def test_day_files_are_read_as_if_they_were_one(root: Path, where: str) -> None:
    whole = typed(read(root / "new.csv"), SCHEMA, PLAIN, first=0)
    assert typed(read_all(root / where), SCHEMA, PLAIN, first=0).equals(whole.select(whole.column_names))
    one = files.load(root, source="old.csv", target="new.csv", schema=ROLES)
    many = files.load(root, source="old.csv", target=where, schema=ROLES)
    assert many[1].fingerprint == one[1].fingerprint
    swapped = files.load(root, source=where, target="old.csv", schema=ROLES)[0]
    assert swapped is not None
    assert swapped.row_ids.tolist() == [files.FIRST_SOURCE_ROW + row for row in range(600)]


def test_a_single_domain_may_be_in_day_files(root: Path) -> None:
    domain = {"column": "at", "at": 0.5}
    one = files.load(root, target="new.csv", schema=ROLES, domain=domain)
    many = files.load(root, target="days", schema=ROLES, domain=domain)
    assert [table.fingerprint for table in many if table] == [table.fingerprint for table in one if table]


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_wrong_row_is_found_in_its_own_file(tmp_path: Path, ending: str) -> None:
    for day, price in ((1, [1.0, 2.0]), (2, [3.0, float("inf"), 4.0]), (3, [5.0])):
        rows = pa.table({"click": [0] * len(price), "user": [f"u{day}"] * len(price), "price": price})
        if ending == "csv":
            pa_csv.write_csv(rows, tmp_path / f"day_{day}.csv")
        else:
            pq.write_table(rows, tmp_path / f"day_{day}.parquet")
    schema = datasets.files.Schema.from_dict({"label": "click", "categorical": ["user"], "number": ["price"]})
    place = "line 3" if ending == "csv" else "row 2"
    with pytest.raises(DataError, match=rf"day_2\.{ending} {place}, column 'price': numbers must be finite"):
        typed(read_all(tmp_path), schema, PLAIN, first=0)
    aside = Quarantine()
    found = typed(read_all(tmp_path, quarantine=aside), schema, PLAIN, first=0)
    assert found["row_id"].to_pylist() == [0, 1, 2, 4, 5]
    assert [(row.file.name, row.line) for row in aside.rows] == [(f"day_2.{ending}", int(place.split()[1]))]


def test_a_broken_line_in_a_later_file_keeps_its_number(root: Path) -> None:
    last = root / "days" / "day_10.csv"
    last.write_text(last.read_text("utf-8").replace("\n", "\nbroken\n", 3), "utf-8")
    aside = Quarantine()
    found = typed(read_all(root / "days", quarantine=aside), SCHEMA, PLAIN, first=0)
    assert [(row.file, row.line) for row in aside.rows] == [(last, line) for line in (2, 4, 6)]
    assert found["row_id"].to_pylist() == [row for row in range(603) if row not in (251, 253, 255)]


def columns_differ(root: Path) -> None:
    (root / "days" / "day_4.csv").write_text("click,user\n1,a\n")


def kinds_differ(root: Path) -> None:
    pq.write_table(pa.table({"click": [1], "user": ["a"]}), root / "days" / "day_4.parquet")


def types_differ(root: Path) -> None:
    for file in (root / "days").iterdir():
        file.unlink()
    for day, user in ((1, "a"), (2, 7)):
        pq.write_table(pa.table({"click": [1], "user": [user]}), root / "days" / f"day_{day}.parquet")


def none_left(root: Path) -> None:
    for file in (root / "days").iterdir():
        file.rename(file.with_suffix(".csv.tmp"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (columns_differ, "must have the same columns, got 'age' in .*day_1.csv but not in .*day_4.csv"),
        (kinds_differ, "must be all text or all Parquet, got .*day_1.csv and .*day_4.parquet"),
        (types_differ, "days: files read together must have columns of the same types: .*user"),
        (none_left, r"days must be a folder with files that end in \.csv, .*, got none; beside it: day_1.csv.tmp, "),
    ],
)
def test_files_that_are_no_table_are_refused(root: Path, change: Callable[[Path], None], message: str) -> None:
    change(root)
    with pytest.raises(DataError, match=message):
        files.load(root, source="old.csv", target="days", schema=ROLES)


def test_no_file_is_of_both_sides(root: Path) -> None:
    with pytest.raises(UsageError, match=r"source and target must be two files, got .*day_2\.csv twice"):
        files.load(root, source="days/day_[12].csv", target="days/day_2.csv", schema=ROLES)
    with pytest.raises(DataError, match=r"nights is missing, did you mean|nights is missing"):
        files.load(root, source="old.csv", target="nights", schema=ROLES)


def test_only_names_is_no_table(root: Path) -> None:
    with pytest.raises(DataError, match=r"days/day_3\.\* must have rows|day_3\.csv must have rows"):
        files.load(root, source="old.csv", target="days/day_3.*", schema=ROLES)


def given(**arguments: Any) -> list[str]:
    schema = '{label = "click", user = "user", categorical = ["user", "country"], number = ["price", "age"]}'
    told = ["data.name=files", "data.root=$HERE", f"data.arguments.schema={schema}"]
    told += [f'data.arguments.{name}="{value}"' for name, value in arguments.items()]
    return [word for one in told for word in ("--set", one)]


def test_a_new_a_gone_and_a_changed_day_are_noticed(call: Call, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HERE", str(root))
    (root / "plain.toml").write_text("labels = [0.5]\nfolds = 2\n")
    prepare = ["prepare", "plain.toml", "--out", "r", *given(source="old.csv", target="days")]
    assert call(*prepare)[0] == 0
    inputs = RunFolder(root / "r").inputs
    assert inputs is not None
    days = [f"$HERE/days/day_{day}.csv" for day in (1, 2, 3, 10)]
    assert [one.path for one in inputs] == ["$HERE/old.csv", *days]
    assert "nothing to do" in call(*prepare)[1]

    day = root / "days" / "day_11.csv"
    day.write_text((root / "days" / "day_2.csv").read_text("utf-8"), "utf-8")
    code, _, errors = call(*prepare)
    assert code == 2
    assert "from other files than there are now: $HERE/days/day_11.csv (not among them then); --overwrite" in errors
    day.unlink()
    assert "nothing to do" in call(*prepare)[1]
    (root / "days" / "day_3.csv").unlink()
    assert "$HERE/days/day_3.csv (not among them now); --overwrite" in call(*prepare)[2]
    assert call(*prepare, "--overwrite")[0] == 0
    assert "nothing to do" in call(*prepare)[1]
    first = root / "days" / "day_1.csv"
    first.write_text(first.read_text("utf-8").replace("de", "fr"), "utf-8")
    assert "$HERE/days/day_1.csv (" in call(*prepare)[2]
    for file in (root / "days").iterdir():
        file.unlink()
    assert "no longer there to compare: $HERE/days/day_1.csv, " in call(*prepare)[1], "the data set is gone as a whole"


def test_a_first_draft_of_day_files(call: Call, root: Path) -> None:
    code, output, errors = call("init", "old.csv", "days")
    assert (code, errors) == (0, "")
    assert "label: named like a label" in output
    assert 'target = "days"  # 600 rows, 9 columns' in (root / "experiment.toml").read_text()
