"""The inspection in a run: kept with the rows, told when they are prepared, verified, and in the report."""

from __future__ import annotations

import json
import shutil
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from test_report import RESULT
from tiny import Call

from recdistill import report, run_inspection
from recdistill.artefacts import manifest
from recdistill.configuration import Config
from recdistill.datasets import synthetic
from recdistill.run_folder import RunFolder
from recdistill.settings import fill
from recdistill.tables import Table, concat

FOUND: dict[str, Any] = {
    "findings": [
        {"level": "warning", "about": "drift", "words": "price: another | unit?"},
        {"level": "note", "about": "overlap", "words": "source and target share no user_id"},
    ],
    "overlap": {
        "item_id": {"ids": 1000, "seen_ids": 900, "rows": 5000, "share_of_ids": 0.9, "share_of_rows": 0.99996},
        "user_id": {"ids": 10, "seen_ids": 0, "rows": 5000, "share_of_ids": 0.0, "share_of_rows": 0.0},
    },
}


def test_preparing_tells_what_the_rows_are_like(call: Call, tmp_path: Path) -> None:
    code, output, errors = call("prepare", "tiny.toml", "--out", "r")
    assert (code, errors) == (0, "")
    lines = output.splitlines()
    start = lines.index("ids of the target, and how many of them the source has")
    assert lines[start + 1].split() == [
        "column",
        "ids",
        "in",
        "the",
        "source",
        "too",
        "rows",
        "with",
        "such",
        "an",
        "id",
    ]
    assert lines[start + 2].split() == ["user_id", "60", "0", "(0", "%)", "2,000", "0", "%"]
    assert "note: source and target share no user_id; until it is adapted the teacher takes each" in output
    assert "warning" not in output
    run = RunFolder(tmp_path / "r")
    found = run_inspection.read(run)
    assert found is not None
    assert manifest(run.prepared("inspection"))["facts"] == {"kind": "inspection", "prepared": run.identity}
    assert found["columns"]["source"]["age"]["distinct"] == 6
    assert call("prepare", "tiny.toml", "--out", "r")[1].splitlines()[1:] == lines[5:], "the same again"


def test_it_is_verified_and_made_again_where_it_is_missing_or_of_other_rows(call: Call, tmp_path: Path) -> None:
    assert call("prepare", "tiny.toml", "--out", "r")[0] == 0
    run = RunFolder(tmp_path / "r")
    place = run.prepared("inspection")
    before = (place / "inspection.json").read_bytes()
    (place / "inspection.json").write_bytes(before.replace(b"note", b"nope", 1))
    assert "inspection.json was changed after it was written" in call("verify", "r")[2]
    shutil.rmtree(place)
    code, output, _ = call("verify", "r")
    assert code == 0
    assert "e.g. prepared/inspection" in output
    assert call("prepare", "tiny.toml", "--out", "r")[0] == 0
    assert (place / "inspection.json").read_bytes() == before
    valid = run.tables()["valid"]
    valid.take(np.arange(len(valid) - 5)).write(run.prepared("valid"))
    assert run_inspection.read(run) is None
    assert call("prepare", "tiny.toml", "--out", "r")[0] == 0
    assert run_inspection.read(run) is not None


def test_the_report_repeats_it(call: Call, tmp_path: Path) -> None:
    assert call("run", "tiny.toml", "--out", "r")[0] == 0
    result = json.loads((tmp_path / "r/report/report.json").read_text())
    found = run_inspection.read(RunFolder(tmp_path / "r"))
    assert found is not None
    assert result["inspection"] == {key: value for key, value in found.items() if key not in ("columns", "aucs")}
    page = (tmp_path / "r/report/report.md").read_text()
    assert "## What the rows are like" in page
    assert "| user_id | 60 | 0 (0 %) | 2,000 | 0 % |" in page


def test_a_page_of_a_result_without_it_is_as_before() -> None:
    with_it = report.page({**deepcopy(RESULT), "inspection": FOUND})
    without = report.page(deepcopy(RESULT))
    assert report.page({**deepcopy(RESULT), "inspection": None}) == without
    start, end = with_it.index("## What the rows are like"), with_it.index("## 2 % of the labels")
    assert with_it[:start] + with_it[end:] == without
    section = with_it[start:end]
    assert "| item_id | 1,000 | 900 (90.0 %) | 5,000 | 99.9 % |" in section
    assert section.index("| user_id |") < section.index("| item_id |"), "the least shared first"
    assert "- warning: price: another \\| unit?." in section
    assert "- note: source and target share no user_id." in section


def test_long_lists_are_cut_and_say_so() -> None:
    of = FOUND["overlap"]["item_id"]
    found = {
        "overlap": {f"c{n}": of for n in range(15)},
        "findings": [{"level": "note", "about": "drift", "words": f"c{n}"} for n in range(15)],
    }
    assert len(report.overlap_table(found)) == 13
    assert report.more_columns(found) == "and 3 more columns, each shared more than these"
    lines = report.finding_lines(found, "warning", "note")
    assert (len(lines), lines[0], lines[-1]) == (
        13,
        "note: c0",
        "note: and 3 more in prepared/inspection/inspection.json",
    )
    assert report.more_columns(FOUND) == ""
    assert (report.overlap_table(None), report.finding_lines(None, "note"), report.more_columns(None)) == ([], [], "")


def test_a_run_says_its_warnings_first(call: Call, tmp_path: Path) -> None:
    given = files(tmp_path, source_price=lambda price: price / 100)
    code, output, _ = call("run", "tiny.toml", "--out", "r", *given)
    assert code == 0
    assert output.index("warning: price: ") < output.index("teachers on the source")
    assert "another unit?" in output
    assert "note: " not in output


def test_what_can_never_be_right_leaves_no_run(call: Call, tmp_path: Path) -> None:
    code, _, errors = call("prepare", "tiny.toml", "--out", "r", *files(tmp_path, copied=True))
    assert code == 3
    assert (
        "source and target must be different rows, got every one of the target's 1,000 rows in the source too" in errors
    )
    code, _, errors = call("prepare", "tiny.toml", "--out", "r", *files(tmp_path, empty=True))
    assert code == 3
    assert "got 'region' missing in all of the training rows: leave it out (of the schema, or by drop of" in errors
    assert not (tmp_path / "r").exists()
    drops = ("--set", "teacher.encoder.drop=['region']", "--set", "student.encoder.drop=['region']")
    assert call("prepare", "tiny.toml", "--out", "r", *files(tmp_path, empty=True), *drops)[0] == 0


def test_dropping_what_is_not_shared_is_for_a_teacher_that_is_trained() -> None:
    assert Config().teacher.unshared == "keep"
    with pytest.raises(ValueError, match=r"teacher.unshared is set by the experiment \(scores teach\), got 'drop'"):
        fill(Config, {"teacher": {"scores": "logit", "unshared": "drop"}})


def files(
    tmp_path: Path, *, source_price: Any = lambda price: price, copied: bool = False, empty: bool = False
) -> list[str]:
    """Two Parquet files of a synthetic world, spoilt, and what a run is told of them."""
    source, target = synthetic.load(source_rows=1500, target_rows=1000, items=60)
    if copied:
        mixed = np.random.default_rng(0).permutation(len(target))
        source = concat([Table(source.arrow, target.schema), target.take(mixed)])
    roles = ["click", "user_id", "item_id", "region", "price", "time"]
    for name, table in (("source", source), ("target", target)):
        frame = table.arrow.select(roles).to_pandas()
        frame["price"] = source_price(frame["price"]) if name == "source" else frame["price"]
        frame["region"] = None if empty and name == "target" else frame["region"].astype(str)
        frame.astype({"region": "string"}).to_parquet(tmp_path / f"{name}.parquet", index=False)
        assert pq.read_metadata(tmp_path / f"{name}.parquet").num_rows == len(table)
    schema = '{label = "click", user = "user_id", time = "time", categorical = ["user_id", "item_id", "region"], '
    schema += 'number = ["price"]}'
    arguments = f'{{source = "source.parquet", target = "target.parquet", schema = {schema}}}'
    given = ["data.name=files", "data.root=.", f"data.arguments={arguments}"]
    return [word for one in given for word in ("--set", one)]
