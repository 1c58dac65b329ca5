"""Overlap of a pair and single columns' statistics: as Python's own sets, counts and formulas give them."""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import Call

from recdistill import run_inspection
from recdistill.arms import ARMS
from recdistill.configuration import Config
from recdistill.datasets import synthetic
from recdistill.errors import DataError
from recdistill.inspection import ColumnProfile, Overlap, overlap, overlaps, profile, profiles, unshared
from recdistill.inspection.columns import column_findings, label_findings
from recdistill.inspection.overlap import overlap_findings
from recdistill.label_budget import Cell
from recdistill.ranker import Ranker
from recdistill.run_folder import RunFolder
from recdistill.schema import Schema
from recdistill.settings import fill
from recdistill.splits import split
from recdistill.tables import Table
from recdistill.transforms import Counts, Vocabulary

IDS = st.lists(st.one_of(st.none(), st.sampled_from(["1", "2", "7", "07", "a"])), min_size=1, max_size=30)
LISTS = st.lists(st.one_of(st.none(), st.lists(st.sampled_from("abc"), max_size=3)), min_size=1, max_size=12)
CELL = Cell(0.5, 0)


def ids(values: list[str | None]) -> ColumnProfile:
    return profile(pa.array(values, pa.string()), "categorical")


def counts(of: ColumnProfile) -> Counts:
    assert of.counts is not None
    return of.counts


@given(IDS, IDS)
def test_overlap_is_what_sets_and_counts_say(source: list[str | None], target: list[str | None]) -> None:
    there, here = counts(ids(source)), counts(ids(target))
    found = overlap("c", there, here)
    known = [value for value in target if value is not None]
    assert (found.rows, found.ids) == (len(known), len(set(known)))
    assert found.seen_rows == sum(value in set(source) for value in known)
    assert found.seen_ids == len(set(known) & set(source))
    assert found.shares_nothing == (bool(known) and not set(known) & set(source))


@given(LISTS)
def test_lists_count_their_items(values: list[list[str] | None]) -> None:
    found = profile(pa.array(values, pa.list_(pa.string())), "multi")
    counts = Counter(item for value in values for item in value or ())
    assert found.counts is not None
    assert dict(zip(found.counts.values.to_pylist(), found.counts.counts.tolist(), strict=True)) == counts
    assert found.missing == sum(not value for value in values)
    assert (found.rows, found.distinct) == (len(values), len(counts))


@given(st.lists(st.one_of(st.none(), st.floats(-1e6, 1e6)), min_size=1, max_size=40))
def test_numbers_have_their_moments_and_quantiles(values: list[float | None]) -> None:
    found = profile(pa.array(values, pa.float64()), "number")
    there = np.array([value for value in values if value is not None])
    assert (found.missing, found.is_empty) == (len(values) - len(there), not len(there))
    assert found.distinct == len(set(there.tolist()))
    assert found.is_constant == (len(set(values)) == 1 and len(there) > 0)
    if len(there):
        assert found.numbers is not None
        ordered = sorted(there.tolist())
        assert (found.numbers.low, found.numbers.high) == (ordered[0], ordered[-1])
        assert found.numbers.mean == pytest.approx(sum(ordered) / len(ordered), abs=1e-6)
        assert found.numbers.deviation**2 == pytest.approx(there.var(), rel=1e-6, abs=1e-6)
        assert found.numbers.quantiles == pytest.approx(np.quantile(there, [0.01, 0.25, 0.5, 0.75, 0.99]).tolist())
    assert json.loads(json.dumps(found.to_dict()))["missing"] == found.missing


@pytest.mark.parametrize("kind", [pa.int64(), pa.int8(), pa.string(), pa.dictionary(pa.int32(), pa.string())], ids=str)
def test_ids_meet_as_text_whatever_their_type(kind: pa.DataType) -> None:
    text = pa.array(["7", "8", None])
    own = text if "string" in str(kind) else pa.array([7, 8, None])
    there, here = counts(profile(own.cast(kind), "categorical")), counts(ids(["7", "9"]))
    found = overlap("c", there, here)
    assert (found.seen_rows, found.seen_ids, found.rows) == (1, 1, 2)


def test_another_spelling_is_told() -> None:
    there, here = counts(ids(["a", "b", "17"])), counts(ids(["A ", "0017", "c"]))
    found = overlap("c", there, here)
    assert (found.seen_ids, found.respelt_ids) == (0, 2)
    (told, _) = overlap_findings([found], ["c"], ["c", "d"], own=(), setting="keep")
    assert told.words.startswith("c: 2 of its 3 ids are in the source in another spelling")


@pytest.mark.parametrize(
    ("apart", "own", "level", "words"),
    [
        ([], [], None, ""),
        (["u"], ["u"], "note", "source and target share no u; until it is adapted the teacher"),
        (["c"], ["u"], "warning", "source and target share no c;"),
        (["u", "c"], ["u"], "warning", "source and target share no id at all, only x can carry over;"),
    ],
)
def test_what_shares_nothing_is_said(apart: list[str], own: list[str], level: str | None, words: str) -> None:
    found = [Overlap(name, 5, 0 if name in apart else 5, 3, 0 if name in apart else 3) for name in "uc"]
    told = overlap_findings(found, apart, ["u", "c", "x"], own=own, setting="keep")
    assert [finding.level for finding in told] == ([level] if level else [])
    assert all(finding.words.startswith(words) for finding in told)


def pair(target_users: list[str]) -> tuple[Table, Table]:
    schema = Schema(label="y", categorical=("u", "c"), multi=("t",), number=("x",), user="u")
    rows = {"c": ["a", "b"], "t": [["x"], []], "x": [1.0, 2.0], "y": [0, 1]}
    source = Table(pa.table({"u": ["1", "2"], **rows}), schema)
    return source, Table(pa.table({"u": target_users, **rows, "row_id": [5, 6]}), schema)


def test_unshared_columns_are_those_without_a_common_value() -> None:
    assert unshared(*pair(["3", "4"])) == ("u",)
    assert unshared(*pair(["3", "2"])) == ()
    source, target = pair(["3", "4"])
    found = overlaps(profiles(source), profiles(target))
    assert [one.column for one in found if one.shares_nothing] == ["u"]


@pytest.mark.parametrize(("test", "level"), [(0.25, None), (0.4, "note"), (0.9, "warning")])
def test_label_rates_of_the_parts_are_compared(test: float, level: str | None) -> None:
    found = label_findings({"source": 0.9, "train": 0.2, "valid": 0.2, "test": test})
    assert [finding.level for finding in found] == ([level] if level else [])
    if level:
        assert found[0].words == f"20 % of the training labels are 1, of the test labels {100 * test:.0f} %"


def test_columns_that_teach_nothing_are_found() -> None:
    rows = 30
    columns = {
        "own": [str(n) for n in range(rows)],
        "same": ["x"] * rows,
        "none": pa.nulls(rows, pa.string()),
        "some": ["x", None] * (rows // 2),
        "empty": pa.array([[]] * rows, pa.list_(pa.string())),
        "zero": [0.0] * rows,
        "y": [0, 1] * (rows // 2),
    }
    schema = Schema(label="y", categorical=("own", "same", "none", "some"), multi=("empty",), number=("zero",))
    described = {"train": profiles(Table(pa.table(columns), schema))}
    found = column_findings(described, unused=())
    assert [(f.level, f.words.split()[0]) for f in found if f.level == "warning"] == [
        ("warning", "own"),
        ("warning", "same"),
        ("warning", "zero"),
    ]
    errors = [finding.words for finding in found if finding.level == "error"]
    assert "got 'none' missing in all of the training rows" in errors[0]
    assert "got 'empty' missing in all of the training rows" in errors[1]
    assert not [f for f in column_findings(described, unused=("none", "empty")) if f.level == "error"]


def test_a_column_without_a_value_is_wrong_where_an_encoder_is_fitted_on_it() -> None:
    full, empty = (profile(pa.array(values, pa.float64()), "number") for values in ([1.0, 2.0], [None, None]))

    def told(source: Any, train: Any, **facts: Any) -> list[tuple[str, str]]:
        found = column_findings({"source": {"x": source}, "train": {"x": train}}, unused=(), **facts)
        return [(finding.level, finding.words) for finding in found]

    rule = "a feature needs a value in some row, got 'x' missing in all of "
    there = (
        "warning",
        "x is missing in all of the source's rows: the student that is trained there learns nothing of it",
    )
    words = "a ranker whose encoder is not fitted there meets its mean, or unseen, alone"
    here = ("warning", f"x is missing in all of the training rows: {words}")
    for facts in ({}, {"optional": {"train": ["x"]}}):
        ((level, said),) = told(empty, full, **facts)
        assert (level, said.startswith(f"{rule}the source's rows: ")) == ("error", True)
    assert told(empty, full, optional={"source": ["x"]}) == [there]
    assert told(full, empty, optional={"train": ["x"]}) == [here]
    ((level, said),) = told(full, empty, optional={"source": ["x"]})
    assert (level, said.startswith(f"{rule}the training rows: ")) == ("error", True)
    assert told(full, full) == told(full, full, fitted=False) == []
    assert told(full, empty, fitted=False) == [here]
    assert column_findings({"train": {"x": empty}}, unused=(), fitted=False)[0].words == here[1]


@pytest.mark.parametrize("side", ["source", "target"])
@pytest.mark.parametrize("drop", [(), ("teacher",), ("student",), ("teacher", "student")])
def test_a_run_does_without_a_price_that_it_does_not_fit(side: str, drop: tuple[str, ...]) -> None:
    source, target = synthetic.load(source_rows=600, target_rows=600)
    sides = {"source": source, "target": target}
    rows = sides[side].arrow
    none = pa.nulls(len(rows), rows.schema.field("price").type)
    sides[side] = Table(rows.set_column(rows.column_names.index("price"), "price", none), sides[side].schema)
    config = fill(Config, {who: {"encoder": {"drop": ["price"]}} for who in drop})
    parts = dict(zip(("train", "valid", "test"), split(sides["target"], by="random"), strict=True))
    fits = {"source": "teacher", "target": "student"}[side]
    if fits not in drop:
        with pytest.raises(DataError, match="a feature needs a value in some row, got 'price' missing in all of"):
            run_inspection.inspected(config, sides["source"], parts)
        return
    found = run_inspection.inspected(config, sides["source"], parts).findings
    told = [finding.level for finding in found if finding.words.startswith("price is missing in all of")]
    assert told == (["warning"] if len(drop) == 1 else [])


@pytest.mark.parametrize(
    ("there", "here", "words"),
    [
        (pa.array([1, 2]), pa.array(["1", "a7"]), "got int64 in the source's 'c' and string in the target's"),
        (pa.array([1, 2], pa.int8()), pa.array([1, 300]), ""),
        (pa.array([1, 2]), pa.array(["1", "7"]), ""),
        (pa.array(["1", "a7"]), pa.array([1, 2]), ""),
        (pa.array([[1.0], [2.0]]), pa.array([[1.0, 2.0], [3.0, 4.0]]), "one length, got 1 in the source and 2 in the"),
    ],
)
def test_types_that_would_stop_a_run_are_refused(there: pa.Array, here: pa.Array, words: str) -> None:
    kind = "vector" if pa.types.is_list(there.type) else "categorical"
    sides = {side: {"c": profile(column, kind)} for side, column in (("source", there), ("train", here))}
    found = [finding.words for finding in column_findings(sides, unused=()) if finding.level == "error"]
    assert bool(found) == bool(words)
    assert not words or words in found[0]
    if kind == "categorical":
        with pytest.raises(DataError) if words else contextlib.nullcontext():
            Vocabulary().fit(there).extended(here)


NOTHING_SHARED = "[data]\nname = 'files'\nroot = '.'\n[data.arguments]\nsource = 's.csv'\ntarget = 't.csv'\n"


def apart(tmp_path: Path, *, content: bool) -> None:
    """Two tables of other users and items, whose prices and sizes mean the same."""
    rng = np.random.default_rng(0)
    for side, rows in (("s", 3000), ("t", 2000)):
        user, item = rng.integers(0, 60, rows), rng.integers(0, 40, rows)
        size = rng.normal(size=rows)
        click = rng.random(rows) < 1 / (1 + np.exp(-1.5 * size))
        lines = [f"{side}{u},{side}{i},{x:.4f},{int(y)}" for u, i, x, y in zip(user, item, size, click, strict=True)]
        (tmp_path / f"{side}.csv").write_text("user,item,size,click\n" + "\n".join(lines) + "\n")
    number = "number = ['size']\n" if content else ""
    schema = f"[data.arguments.schema]\nlabel = 'click'\ncategorical = ['user', 'item']\nuser = 'user'\n{number}"
    tiny = (tmp_path / "tiny.toml").read_text()
    tiny = tiny[: tiny.index("[data.arguments]")] + tiny[tiny.index("[teacher]") :]
    (tmp_path / "apart.toml").write_text(tiny + NOTHING_SHARED + schema)


@pytest.mark.parametrize("setting", ["keep", "drop"])
def test_without_a_shared_id_content_carries_over(call: Call, tmp_path: Path, setting: str) -> None:
    apart(tmp_path, content=True)
    code, output, errors = call("prepare", "apart.toml", "--out", "r", "--set", f"teacher.unshared={setting}")
    assert (code, errors) == (0, "")
    assert "source and target share no id at all, only size can carry over" in output
    assert f"(teacher.unshared = {setting})" in output
    assert call("run", "apart.toml", "--out", "r", "--set", f"teacher.unshared={setting}")[0] == 0
    run = RunFolder(tmp_path / "r")
    teachers = [Ranker.load(place) for place in run.teacher_models(CELL).values()]
    assert all(
        set(t.encoder.columns) == ({"size"} if setting == "drop" else {"user", "item", "size"}) for t in teachers
    )
    students = [Ranker.load(run.student(name, CELL)) for name in run.arms(0.5) if name in ARMS]
    assert all(set(student.encoder.columns) == {"user", "item", "size"} for student in students)
    auc = json.loads((tmp_path / "r/report/report.json").read_text())["rankers"]["source_teacher"]["metrics"]["auc"]
    assert auc > 0.6, "the teacher never saw a target row"


def test_without_anything_shared_nothing_can_transfer(call: Call, tmp_path: Path) -> None:
    apart(tmp_path, content=False)
    code, _, errors = call("prepare", "apart.toml", "--out", "r")
    assert code == 3
    assert "nothing can transfer: a teacher needs a feature that source and target share" in errors
    assert "share none: ['user', 'item']" in errors
    assert not (tmp_path / "r").exists()


def test_hashed_columns_are_kept(call: Call, tmp_path: Path) -> None:
    given = ["--set", "teacher.unshared=drop", "--set", "teacher.encoder.hashing={user_id = 50}"]
    assert call("prepare", "tiny.toml", "--out", "r", *given)[0] == 0
    assert call("teacher", "r")[0] == 0
    assert "user_id" in Ranker.load(RunFolder(tmp_path / "r").pretrained("source_teacher", 0)).encoder.columns
