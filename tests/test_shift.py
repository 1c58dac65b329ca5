"""The diagnosis of shift: formulas against slow references, known answers, refusals, and what the command says."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import Call

import recdistill as rd
from recdistill.datasets import synthetic
from recdistill.errors import DataError, UsageError
from recdistill.metrics import auc, logloss
from recdistill.shift.columns import column_shifts, jensen_shannon, psi, psi_by_chance
from recdistill.shift.domain import DomainShift
from recdistill.shift.prior import LabelShift, bbse
from recdistill.shift.rows import MOST_ROWS, drawn, first_liked, folds
from recdistill.shift.teacher import Segment, TeacherQuality, click_logits, teacher_quality
from recdistill.shift.verdict import is_off, is_untold, is_useless, verdict

SMALL = {"source_rows": 3000, "target_rows": 2000, "source_users": 300, "target_users": 200, "items": 50}
COUNTS = st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=2, max_size=8)
Pair = tuple[rd.Table, rd.Table]
# Of the world before shifts could be chosen.
FIRST_ITEMS = [9, 7, 3, 1, 6, 1, 3, 19, 1, 1, 9, 1]
FIRST_CLICKS = [0, 0, 0, 0, 0, 0, 1, 0, 1, 1, 0, 0, 0, 0, 0, 1, 0, 0, 1, 0, 1, 0, 0, 0]


@pytest.fixture(scope="module")
def pair() -> Pair:
    return synthetic.load(seed=100, **SMALL)


@pytest.fixture(scope="module")
def found(pair: Pair) -> rd.Diagnosis:
    return rd.diagnose(*pair)


def shuffled(table: rd.Table) -> rd.Table:
    return table.take(np.random.default_rng(0).permutation(len(table)))


# ------------------------------------------------------------------------------------------- planted worlds


def test_the_default_world_is_what_it_was() -> None:
    _, target = synthetic.load(seed=5, source_rows=500, target_rows=300, items=20)
    assert (
        target.fingerprint
        == synthetic.load(seed=5, source_rows=500, target_rows=300, items=20, shifts=("population", "base_rate"))[
            1
        ].fingerprint
    )
    assert target.numpy("item_id")[:12].tolist() == FIRST_ITEMS
    assert target.labels[:24].astype(int).tolist() == FIRST_CLICKS


def test_each_shift_moves_what_it_says() -> None:
    kinds = ((), ("population",), ("base_rate",), ("concept",))
    worlds = {shifts: synthetic.load(seed=100, **SMALL, shifts=shifts) for shifts in kinds}
    assert len({source.fingerprint for source, _ in worlds.values()}) == 1
    plain = worlds[()][1]

    def same(shifts: tuple[str, ...], name: str) -> bool:
        return bool(worlds[shifts][1].column(name).equals(plain.column(name)))

    assert [same(("population",), name) for name in ("age", "item_id")] == [False, False]
    assert all(same((kind,), name) for kind in ("base_rate", "concept") for name in plain.schema.features)
    truth = {shifts: target.numpy("true_probability") for shifts, (_, target) in worlds.items()}
    logits = {shifts: np.log(p / (1 - p)) for shifts, p in truth.items()}
    moved = synthetic.BASE["target"] - synthetic.BASE["source"]
    np.testing.assert_allclose(logits[("base_rate",)] - logits[()], moved)
    assert truth[("concept",)].mean() == pytest.approx(truth[()].mean())
    assert 0.5 < np.corrcoef(logits[("concept",)], logits[()])[0, 1] < 0.95
    with pytest.raises(UsageError, match="did you mean 'base_rate'"):
        synthetic.load(shifts=("baserate",), **SMALL)


# ------------------------------------------------------------------------------------------------- formulas


@given(COUNTS)
def test_psi_and_jensen_shannon_are_their_formulas(counts: list[tuple[int, int]]) -> None:
    there, here = (np.array(side) for side in zip(*counts, strict=True))
    p, q = ([(n + 0.5) / (sum(side) + 0.5 * len(side)) for n in side.tolist()] for side in (there, here))
    assert psi(there, here) == pytest.approx(sum((b - a) * math.log(b / a) for a, b in zip(p, q, strict=True)))
    assert psi(there, there) == 0
    assert psi(there, here) == pytest.approx(psi(here, there))
    if there.sum() and here.sum():
        p, q = (side / side.sum() for side in (there, here))
        middle = (p + q) / 2
        slow = sum(a * math.log2(a / m) for side in (p, q) for a, m in zip(side, middle, strict=True) if a) / 2
        assert jensen_shannon(there, here) == pytest.approx(slow, abs=1e-9)


def test_psi_of_one_distribution_is_what_chance_gives() -> None:
    rng = np.random.default_rng(0)
    sides = [rng.multinomial(n, np.full(20, 1 / 20), size=300) for n in (4000, 1500)]
    seen = np.mean([psi(*both) for both in zip(*sides, strict=True)])
    assert seen == pytest.approx(psi_by_chance(sides[0][0], sides[1][0]), rel=0.1)


def test_columns_are_told_apart_by_value_whatever_their_type() -> None:
    schema = rd.Schema(label="y", categorical=("c",), multi=("m",), number=("n",))
    rows = {"y": [0, 1] * 4, "c": list("aabbccdd"), "m": [["u", "v"]] * 8, "n": np.arange(8.0)}
    here = {**rows, "c": list("aaaabbxx"), "n": np.arange(8.0) + 4}
    shifts = {
        one.column: one for one in column_shifts(rd.Table(pa.table(rows), schema), rd.Table(pa.table(here), schema))
    }
    assert shifts["c"].unseen == pytest.approx(2 / 8)
    assert shifts["c"].psi == pytest.approx(psi(np.array([2, 2, 2, 2, 0]), np.array([4, 2, 0, 0, 2])))
    assert shifts["n"].ks == pytest.approx(0.5)
    assert (shifts["m"].psi, shifts["m"].jensen_shannon, shifts["m"].unseen) == (0, 0, 0)


def test_bbse_finds_the_shares_of_the_classes() -> None:
    confusion = np.array([[0.8, 0.3, 0.1], [0.1, 0.6, 0.2], [0.1, 0.1, 0.7]])  # P(prediction | class), by column
    shares, other = np.array([0.5, 0.3, 0.2]), np.array([0.2, 0.2, 0.6])
    counts = np.rint(confusion * shares * 10_000).astype(int)  # exact
    predicted, labels = (axis.ravel().repeat(counts.ravel()) for axis in np.indices((3, 3)))
    target = np.arange(3).repeat(np.rint(confusion @ other * 10_000).astype(int))
    weights = bbse(predicted, labels, target, classes=3)
    assert weights == pytest.approx(other / shares, abs=1e-9)
    assert bbse(predicted * 0, labels, target, classes=3) is None


def test_bbse_finds_a_base_rate_that_alone_was_changed() -> None:
    """Target rows are source rows of other users, drawn anew with a click as often as a given rate."""
    source, target = synthetic.load(seed=100, **{**SMALL, "source_rows": 8000, "target_rows": 6000}, shifts=())
    rng, clicks = np.random.default_rng(0), target.labels == 1
    kept = ~clicks | (rng.random(len(target)) < 0.3)
    found = rd.diagnose(source, target.take(kept)).labels
    assert found.target_rate == pytest.approx(target.labels[kept].mean())
    assert abs(found.implied_rate - found.target_rate) < abs(found.source_rate - found.target_rate) / 3


def test_the_density_ratio_is_the_ratio_of_the_shares() -> None:
    schema = rd.Schema(label="y", categorical=("c", "d"))
    rng = np.random.default_rng(0)
    shares = np.array([0.5, 0.4, 0.1]), np.array([0.2, 0.4, 0.4])
    sides = [rng.choice(3, n, p=p) for n, p in zip((20_000, 8_000), shares, strict=True)]
    tables = [
        rd.Table(
            pa.table({"y": c % 2, "c": c, "d": rng.integers(0, 3, len(c)), "row_id": start + np.arange(len(c))}), schema
        )
        for start, c in zip((0, 100_000), sides, strict=True)
    ]
    for of, c in zip(("source", "target"), sides, strict=True):
        ratio = rd.density_ratio(*tables, of=of)
        assert ratio == pytest.approx((shares[1] / shares[0])[c], rel=0.15)
    with pytest.raises(UsageError, match="of='both'"):
        rd.density_ratio(*tables, of="both")


def test_the_density_ratio_is_clipped_and_goes_with_its_row(pair: Pair) -> None:
    ratio = rd.density_ratio(*pair)
    assert ratio.shape == (len(pair[1]),)
    assert 0.1 - 1e-12 <= ratio.min() < 1 < ratio.max() <= 10 + 1e-12
    other = shuffled(pair[1])
    again = dict(zip(other.row_ids, rd.density_ratio(shuffled(pair[0]), other), strict=True))
    np.testing.assert_array_equal(ratio, [again[row] for row in pair[1].row_ids])


# ---------------------------------------------------------------------------------------------- the teacher


def judged(logits: np.ndarray, clicks: np.ndarray, users: np.ndarray, moved: float = 0.0) -> TeacherQuality:
    """What is found of a teacher that says `logits + moved` where a click's are `logits`."""
    schema = rd.Schema(label="y", categorical=("c",), user="u")
    rows = rd.Table(pa.table({"y": clicks, "c": np.zeros(len(clicks), int), "u": users}), schema)
    return teacher_quality(logits + moved, clicks, rows, rows)


@pytest.mark.parametrize("rows", [100, 300, 1000])
def test_a_calibrated_teacher_is_seldom_called_off_and_one_of_another_base_rate_is(rows: int) -> None:
    rng, draws, off = np.random.default_rng(rows), 60, np.zeros(2)
    for _ in range(draws):
        logits, users = rng.normal(-1, 1, rows), np.arange(rows) // 2
        clicks = (rng.random(rows) < 1 / (1 + np.exp(-logits))).astype(float)
        off += [is_off(judged(logits, clicks, users, moved)) for moved in (0.0, 1.0)]
    assert off[0] <= 0.12 * draws
    assert off[1] >= 0.8 * draws


def test_tied_scores_are_judged_in_whatever_order() -> None:
    rng = np.random.default_rng(0)
    logits, users = rng.integers(-2, 2, 400) / 2.0, np.arange(400) // 4
    clicks = (rng.random(400) < 0.4).astype(float)
    order = rng.permutation(400)
    first, again = (judged(logits[o], clicks[o], users[o]).whole for o in (np.arange(400), order))
    assert again.calibration_error == pytest.approx(first.calibration_error)
    assert again.calibration_p == pytest.approx(first.calibration_p)


def of_auc(low: float, high: float) -> TeacherQuality:
    return TeacherQuality(Segment("all rows", 120, 0.3, 0.3, (low + high) / 2, low, high, 1.0, 0.01, 0.5), ())


def test_a_teacher_is_called_useless_only_by_rows_enough_to_say_so() -> None:
    for low, high, told in ((0.48, 0.52, "useless"), (0.3, 0.45, "useless"), (0.45, 0.68, "untold"), (0.51, 0.54, "")):
        quality = of_auc(low, high)
        assert (is_useless(quality), is_untold(quality)) == (told == "useless", told == "untold")


def test_a_teacher_not_told_from_chance_calls_for_labels_and_not_for_labels_alone(found: rd.Diagnosis) -> None:
    told = verdict(found.domain, found.labels, found.concept, of_auc(0.45, 0.68))
    assert any("of use here cannot be told from 120 rows; its AUC" in line for line in told.words)
    assert told.advice[0].startswith("Label more target rows")
    assert not any("labels alone" in line or "Plain distillation" in line for line in told.advice)


def test_a_teacher_is_judged_on_the_whole_and_by_segments(pair: Pair) -> None:
    source, target = pair
    truth = target.numpy("true_probability")
    soft = rd.SoftLabels.from_column(target, truth)
    found = rd.diagnose(source, target, soft=soft).teacher
    whole = found.whole
    assert whole.auc == pytest.approx(auc(soft.logits, target.labels))
    rate = target.labels.mean()
    entropy = -(rate * math.log(rate) + (1 - rate) * math.log(1 - rate))
    assert whole.normalised_entropy == pytest.approx(logloss(soft.logits, target.labels) / entropy, rel=1e-5)
    assert whole.low < whole.auc < whole.high
    assert whole.calibration_error < 0.05
    assert whole.calibration_p > 0.05
    named = {one.name: one.rows for one in found.segments}
    assert named["users new to the source"] == len(target)
    assert "users that the source has" not in named
    of_items = [rows for name, rows in named.items() if name.startswith("items of")]
    assert len(of_items) == 3
    assert sum(of_items) <= named["items that the source has"]


def test_the_worst_segment_is_named() -> None:
    source, target = synthetic.load(seed=100, **SMALL)
    rare = np.isin(target.numpy("item_id"), np.arange(25))
    source = source.take(~np.isin(source.numpy("item_id"), np.arange(25)))
    truth = target.numpy("true_probability")
    logits = np.where(rare, np.random.default_rng(0).normal(size=len(target)), np.log(truth / (1 - truth)))
    found = teacher_quality(logits, target.labels.astype(float), target, source)
    assert found.worst[0].name == "items new to the source"


def test_a_teacher_of_no_use_is_told_so(pair: Pair) -> None:
    noise = np.random.default_rng(0).uniform(0.1, 0.9, len(pair[1]))
    verdict = rd.diagnose(*pair, soft=rd.SoftLabels.from_column(pair[1], noise)).verdict
    assert any("of no use" in line for line in verdict.words)
    assert verdict.advice == (verdict.advice[0],)
    assert "labels alone" in verdict.advice[0]


def test_a_rating_is_liked_from_the_grade_above_the_median_on() -> None:
    logits = np.log(np.array([[0.2, 0.3, 0.1, 0.4], [0.1, 0.1, 0.2, 0.6]]))
    p = np.array([0.5, 0.8])
    assert click_logits(logits, 2) == pytest.approx(np.log(p / (1 - p)))
    assert click_logits(p, 1) is not None

    def stars(values: list[float]) -> rd.Table:
        schema = rd.Schema(rating="stars", grades=(1, 2, 3, 4), categorical=("c",))
        return rd.Table(pa.table({"stars": values, "c": ["a"] * len(values)}), schema)

    assert first_liked(stars([1, 2, 2, 3]), stars([4])) == 2
    assert first_liked(stars([1, 4, 4, 4]), stars([4])) == 3
    clicks = rd.Table(pa.table({"y": [0, 1], "c": ["a", "b"]}), rd.Schema(label="y", categorical=("c",)))
    with pytest.raises(DataError, match=r"same answers, got grades \[1.0, 2.0, 3.0, 4.0\] and clicks"):
        first_liked(stars([1, 2]), clicks)


def test_ratings_are_diagnosed_as_clicks_are(pair: Pair, found: rd.Diagnosis) -> None:
    def rated(table: rd.Table) -> rd.Table:
        stars = pa.array(np.where(table.labels == 1, 5.0, 2.0))
        schema = replace(table.schema, label=None, rating="stars", grades=(1.0, 2.0, 5.0))
        return rd.Table(table.arrow.append_column("stars", stars), schema)

    again = rd.diagnose(*map(rated, pair))
    assert again.liked_from == 5
    assert replace(again, liked_from=None) == found


# ------------------------------------------------------------------------------------------------ the whole


def test_the_order_of_rows_does_not_matter(pair: Pair, found: rd.Diagnosis) -> None:
    assert rd.diagnose(*map(shuffled, pair)).to_dict() == found.to_dict()


def test_a_diagnosis_is_json_and_text(found: rd.Diagnosis) -> None:
    again = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert again["verdict"]["shifts"] == list(found.verdict.shifts)
    assert str(found).startswith("Shifts from source to target: population")
    assert "Left out of the comparison of rows: user_id" in str(found)


def test_users_share_a_fold_and_many_rows_are_drawn_by_their_ids() -> None:
    users = np.arange(MOST_ROWS * 2) // 7
    table = rd.Table(pa.table({"u": users, "c": users % 5}), rd.Schema(categorical=("c",), user="u"))
    fold = folds(table)
    assert len(np.unique(np.stack([users, fold]), axis=1).T) == len(np.unique(users))
    assert np.bincount(fold, minlength=3).min() > MOST_ROWS / 2
    chosen = drawn(table)
    assert len(chosen) == pytest.approx(MOST_ROWS, rel=0.02)
    np.testing.assert_array_equal(drawn(shuffled(table)).row_ids, chosen.row_ids)


def test_without_target_labels_only_the_population_is_told(pair: Pair, found: rd.Diagnosis) -> None:
    source, target = pair
    blind = rd.diagnose(source, target.with_labels_only(np.zeros(len(target), bool)))
    assert blind.verdict.unknown == ("base_rate", "concept")
    assert blind.verdict.shifts == ("population",)
    assert (blind.concept, blind.labels.target_rate) == (None, None)
    assert blind.domain == found.domain
    assert "cannot be told without labels" in str(blind)


def test_what_cannot_be_diagnosed_is_refused(pair: Pair) -> None:
    source, target = pair
    with pytest.raises(DataError, match="at least 200 rows of 20 users on each side, got 100 rows of"):
        rd.diagnose(source, target.take(np.arange(100)))
    with pytest.raises(
        DataError, match="a source needs 200 labelled rows, in any two thirds of its users 10 a class, got 0 cl"
    ):
        rd.diagnose(source.take(source.labels == 0), target)
    apart = [
        replace(table.schema, categorical=("user_id",), multi=(), number=(), vector=(), privileged=()) for table in pair
    ]
    with pytest.raises(DataError, match="must share a feature beside the user"):
        rd.diagnose(source.with_schema(apart[0]), target.with_schema(apart[1]))
    soft = rd.SoftLabels.from_column(target, target.numpy("true_probability"))
    rows = soft.rows_fingerprint
    learnt = rd.SoftLabels(soft.row_ids, soft.logits, teacher="t", rows_fingerprint=rows, sample="in_sample")
    with pytest.raises(DataError, match="labels that it did not learn"):
        rd.diagnose(source, target, soft=learnt)
    with pytest.raises(DataError, match="soft labels were made for rows"):
        rd.diagnose(source, target.take(np.arange(1000)), soft=soft)
    few = np.arange(len(target)) < 50
    labelled = target.with_labels_only(few)
    with pytest.raises(DataError, match="judged by at least 100 labelled target rows"):
        rd.diagnose(source, labelled, soft=rd.SoftLabels.from_column(labelled, target.numpy("true_probability")))


# ---------------------------------------------------------------------------------------------- the command


def test_the_command_says_the_verdict_first_and_writes_json(
    call: Call, pair: Pair, found: rd.Diagnosis, tmp_path: Path
) -> None:
    for name, table in zip(("source", "target"), pair, strict=True):
        table.write(tmp_path / name)
    code, output, errors = call("diagnose", "source", "target", "--out", "d.json")
    assert (code, errors) == (0, "")
    lines = output.splitlines()
    assert lines[0] == "comparing 3,000 source rows with 2,000 target rows"
    assert lines[1].startswith("Shifts from source to target: population")
    assert output.index("What to do:") < output.index("columns of both sides")
    assert json.loads((tmp_path / "d.json").read_text()) == json.loads(json.dumps(found.to_dict()))
    code, _, errors = call("diagnose", "source", "target", "--out", "d.json")
    assert code == 2
    assert "--out writes a new file" in errors


def test_no_shift_of_the_population_is_seen_apart_from_new_users() -> None:
    domain = DomainShift(auc=0.5, low=0.45, high=0.55, columns=("item_id",), left_out=("user_id",), rows=1000)
    said = verdict(domain, LabelShift(0.3, None, None, None), None, None, new_users="user_id").words[0]
    assert said.startswith("Population: no shift seen, apart from user_id: none of the target's is in the source; rows")


def test_the_command_reads_a_run_with_its_teacher_and_an_experiment(call: Call) -> None:
    assert call("prepare", "tiny.toml", "--out", "r")[0] == 0
    code, output, _ = call("diagnose", "r")
    assert code == 0
    assert "no teacher to judge yet; `recdistill teacher` on r first" in output
    assert "all labels of the run's training rows are read" in output
    assert call("teacher", "r")[0] == 0
    code, output, _ = call("diagnose", "r")
    assert code == 0
    assert "the teacher on labelled target rows" in output
    code, output, _ = call("diagnose", "tiny.toml", "--teacher", "r/teacher/source_teacher/seed-0")
    assert code == 0
    assert "comparing 3,000 source rows with 2,000 target rows" in output
    assert "Teacher: " in output


def test_the_command_reads_data_files_by_an_experiments_roles(call: Call, pair: Pair, tmp_path: Path) -> None:
    for name, table in zip(("source", "target"), pair, strict=True):
        kept = [c for c in table.arrow.column_names if c not in ("genres", "embedding", "dwell", "row_id")]
        table.arrow.select(kept).to_pandas().to_csv(tmp_path / f"{name}.csv", index=False)
    roles = (
        '[schema]\nlabel = "click"\ncategorical = ["user_id", "item_id", "age"]\nnumber = ["price"]\nuser = "user_id"\n'
    )
    (tmp_path / "roles.toml").write_text(roles)
    code, output, errors = call("diagnose", "source.csv", "target.csv", "--roles", "roles.toml")
    assert (code, errors) == (0, "")
    assert "Population: a" in output
    code, _, errors = call("diagnose", "source.csv", "target.csv")
    assert code == 2
    assert "recdistill init source.csv target.csv" in errors


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [
        (["nowhere"], "nowhere does not exist"),
        (["tiny.tml"], "did you mean 'tiny.toml'"),
        (["."], "holds no run"),
        (["tiny.toml", "tiny.toml", "tiny.toml"], "one source with one target, got 3 paths"),
        ([".", "--set", "data.root=a"], "--set changes a setting of an experiment's TOML, got ."),
        (["tiny.toml", "--roles", "tiny.toml"], "--roles says what the columns of two data files mean"),
    ],
)
def test_bad_usage_of_the_command_exits_with_2(call: Call, arguments: list[str], rule: str) -> None:
    code, _, errors = call("diagnose", *arguments)
    assert code == 2
    assert rule in errors
