"""The strategy's decision: what is chosen and when not, what it rests on, and which labels a candidate is shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.special import expit, logsumexp

import recdistill as rd
from recdistill.errors import DataError, UsageError
from recdistill.evaluation import compare
from recdistill.metrics import auc, expected_rating, logloss, rmse
from recdistill.schema import Schema
from recdistill.tables import Table
from recdistill.transfer import Decision, choose, decide

Array = np.ndarray[Any, Any]
CLICKS = Schema(label="click", number=("z",), user="user")
GRADES = (1.0, 2.0, 3.0)
RATINGS = Schema(rating="stars", grades=GRADES, number=("z",), user="user")


def clicks(rows: int = 4000, seed: int = 0, users: int = 200) -> tuple[Table, Array]:
    """Clicks of users, and the true logits."""
    rng = np.random.default_rng(seed)
    z = rng.normal(0, 1.5, rows)
    click = (rng.random(rows) < expit(z)).astype(int)
    return Table(pa.table({"z": z, "click": click, "user": rng.integers(0, users, rows)}), CLICKS), z


def ratings(rows: int = 4000, seed: int = 0) -> tuple[Table, Array]:
    """Ratings, and the true class logits."""
    rng = np.random.default_rng(seed)
    z = rng.normal(0, 1.5, rows)
    logits = z[:, None] * np.array([-1.0, 0.0, 1.0])
    stars = 1 + (logits + rng.gumbel(size=logits.shape)).argmax(1)  # draws from the softmax
    return Table(pa.table({"z": z, "stars": stars.astype(float), "user": rng.integers(0, 200, rows)}), RATINGS), logits


def noisy(logits: Array, deviation: float, seed: int = 1) -> Array:
    return logits + np.random.default_rng(seed).normal(0, deviation, logits.shape)


def test_the_best_of_the_sure_is_chosen() -> None:
    table, truth = clicks()
    said = {"hard_only": noisy(truth, 2), "good": noisy(truth, 1), "best": truth, "bad": -truth}
    decision = decide(said, table)
    assert (decision.chosen, decision.best, decision.control, decision.rows) == ("best", "best", "hard_only", 4000)
    assert list(decision.gains) == ["good", "best", "bad"]
    assert decision.harmful == ("bad",)
    assert decision.words.startswith("best gains logloss +0.")
    assert decision.words.endswith("over hard_only on 4,000 labelled rows out of fold")
    assert decide(said, table, control="best").chosen == "best"
    assert set(decide(said, table, control="best").harmful) == {"hard_only", "good", "bad"}


@pytest.mark.parametrize("world", [clicks, ratings])
def test_a_gain_is_positive_where_a_candidate_is_better_in_any_metric(world: Any) -> None:
    table, truth = world()
    worse = noisy(truth, 1.5)
    gains = decide({"hard_only": worse, "better": truth}, table).gains["better"]
    assert gains["logloss"].mean == pytest.approx(logloss(worse, table.labels) - logloss(truth, table.labels))
    if world is clicks:
        assert list(gains) == ["logloss", "auc"]
        assert gains["auc"].mean == pytest.approx(auc(truth, table.labels) - auc(worse, table.labels))
    else:
        stars, errors = table.numpy("stars"), [expected_rating(logits, GRADES) for logits in (worse, truth)]
        assert list(gains) == ["logloss", "rmse"]
        assert gains["rmse"].mean == pytest.approx(rmse(errors[0], stars) - rmse(errors[1], stars))
    assert all(gain.high > gain.mean > gain.low > 0 for gain in gains.values())
    back = decide({"hard_only": truth, "worse": worse}, table)
    assert back.gains["worse"]["logloss"].mean == pytest.approx(-gains["logloss"].mean)
    assert (back.chosen, back.harmful) == ("hard_only", ("worse",))


def test_labels_alone_are_kept_unless_both_bounds_say_otherwise() -> None:
    table, truth = clicks(rows=60, seed=4, users=20)
    little = decide({"hard_only": noisy(truth, 1), "better": noisy(truth, 0.9, seed=2)}, table)
    assert little.gains["better"]["logloss"].mean > 0 > little.gains["better"]["logloss"].low
    assert (little.chosen, little.best, little.harmful) == ("hard_only", "better", ())
    assert little.words.startswith("hard_only, though better gains")
    assert little.words.endswith("not sure enough")

    table, truth = clicks()
    # Overconfident, and in the right order; on the scale of the labels, and in a worse one.
    ordered = decide({"hard_only": 10 * truth, "calibrated": 0.5 * noisy(truth, 1)}, table)
    assert ordered.gains["calibrated"]["logloss"].low > 0 > ordered.gains["calibrated"]["auc"].high
    assert (ordered.chosen, ordered.best, ordered.harmful) == ("hard_only", "calibrated", ("calibrated",))


def test_the_control_wins_a_tie_wherever_it_stands() -> None:
    table, truth = clicks(rows=200)
    for order in (("hard_only", "same"), ("same", "hard_only")):
        decision = decide(dict.fromkeys(order, truth), table)
        assert (decision.chosen, decision.best, decision.harmful) == ("hard_only", "hard_only", ())
        assert {(gain.mean, gain.low, gain.high) for gain in decision.gains["same"].values()} == {(0, 0, 0)}
        assert "no candidate has a better logloss on 200 labelled rows" in decision.words
    better = {"hard_only": noisy(truth, 3), "first": truth, "second": truth}
    assert decide(better, table).best == "first"


@settings(max_examples=6)
@given(st.integers(0, 1000), st.sampled_from([-3.0, 0.5, 20.0]))
def test_neither_the_order_of_rows_nor_a_constant_matters(seed: int, constant: float) -> None:
    """A constant moves all but a click's logloss; of a rating's logits it may be another for each row."""
    for world in (clicks, ratings):
        table, truth = world(rows=300, seed=seed)
        said = {"hard_only": noisy(truth, 1), "other": noisy(truth, 0.5, seed=2)}
        order = np.random.default_rng(seed).permutation(len(table))
        mixed = decide({name: logits[order] for name, logits in said.items()}, table.take(order))
        rows = np.arange(len(table))[:, None] if world is ratings else 1
        moved = decide({name: logits + constant * rows for name, logits in said.items()}, table)
        decision = decide(said, table)
        assert (mixed.chosen, mixed.best) == (decision.chosen, decision.best)
        for metric, gain in decision.gains["other"].items():
            bounds = pytest.approx((gain.mean, gain.low, gain.high), abs=1e-9)
            assert (lambda g: (g.mean, g.low, g.high))(mixed.gains["other"][metric]) == bounds
            if world is ratings or metric == "auc":
                assert (lambda g: (g.mean, g.low, g.high))(moved.gains["other"][metric]) == bounds


def test_more_confidence_asks_for_more() -> None:
    table, truth = clicks(rows=400)
    said = {"hard_only": noisy(truth, 1), "other": truth}
    gains = [decide(said, table, confidence=c).gains["other"]["logloss"] for c in (0.5, 0.8, 0.9, 0.99)]
    assert len({gain.mean for gain in gains}) == 1
    assert gains[0].low == gains[0].mean == gains[0].high
    assert [gain.low for gain in gains] == sorted((gain.low for gain in gains), reverse=True)
    assert gains[2].mean - gains[2].low == pytest.approx(gains[2].high - gains[2].mean)


def test_a_surer_bound_is_right_as_often_as_it_says() -> None:
    """Two candidates of equal worth: one is chosen over the other in at most a tenth of the worlds."""
    chosen = 0
    for seed in range(100):
        table, truth = clicks(rows=300, seed=seed)
        said = {"hard_only": noisy(truth, 1, seed=1000 + seed), "other": noisy(truth, 1, seed=2000 + seed)}
        chosen += decide(said, table).chosen == "other"
    assert chosen / 100 < 0.1 + 2 * np.sqrt(0.1 * 0.9 / 100)


def lucky(truth: Array, fold: Array, seed: int) -> Array:
    """What rankers of three folds say that are all equally good, but for luck: each is more or less sure of itself."""
    return truth * np.exp(np.random.default_rng(seed).normal(0, 0.5, 3))[fold]


def test_a_fits_luck_is_no_gain() -> None:
    """Candidates that differ by luck alone: with folds one is sure in at most a tenth of worlds, without in more."""
    chosen = {"told": 0, "untold": 0}
    for seed in range(100):
        table, truth = clicks(rows=3000, seed=seed)
        fold = np.arange(len(table)) % 3
        said = {"hard_only": lucky(truth, fold, 1000 + seed), "other": lucky(truth, fold, 2000 + seed)}
        said["other"] = said["other"] + 1e-3 * truth  # so that the area is not the same to the last bit
        chosen["told"] += decide(said, table, fold=fold).gains["other"]["logloss"].low > 0
        chosen["untold"] += decide(said, table).gains["other"]["logloss"].low > 0
    assert chosen["told"] / 100 < 0.1 + 2 * np.sqrt(0.1 * 0.9 / 100)
    assert chosen["untold"] / 100 > 0.25


def test_the_gain_of_folds_is_their_mean_and_its_bounds_hold_their_spread() -> None:
    table, truth = clicks(rows=1500)
    fold = np.arange(len(table)) % 3
    said = {"hard_only": noisy(truth, 1), "other": lucky(truth, fold, 5)}
    found = decide(said, table, fold=fold).gains["other"]
    for metric, sign in (("logloss", -1), ("auc", 1)):
        each = [compare(said["other"][of], said["hard_only"][of], table.take(of), metric) for of in masks(fold)]
        whole = compare(said["other"], said["hard_only"], table, metric)
        deltas = sign * np.array([one["delta"] for one in each])
        rows, within = whole["rows_error"] ** 2, np.mean([one["rows_error"] ** 2 for one in each])
        luck = max(0.0, (deltas.var(ddof=1) - (within - rows) * 3 / 2) / 3)
        freedom = (rows + luck) ** 2 / (rows**2 / 199 + luck**2 / 2)
        half = stats.t.ppf(0.9, freedom) * np.sqrt(rows + luck)
        gain = found[metric]
        bounds = deltas.mean(), deltas.mean() - half, deltas.mean() + half
        assert (gain.mean, gain.low, gain.high) == pytest.approx(bounds)


def masks(fold: Array) -> list[Array]:
    return [fold == number for number in range(3)]


def test_folds_too_small_to_be_compared_alone_are_taken_together() -> None:
    table, truth = clicks(rows=60)
    fold = np.where(table.labels == 1, 0, 1)  # each of one class
    said = {"hard_only": noisy(truth, 1), "other": truth}
    alone, together = decide(said, table, fold=fold).gains["other"], decide(said, table).gains["other"]
    assert alone["auc"] == together["auc"]
    assert alone["logloss"] != together["logloss"]


@pytest.mark.parametrize(
    ("changes", "error", "rule"),
    [
        ({"control": "hard_onyl"}, UsageError, "no candidate 'hard_onyl' to beat, did you mean 'hard_only'"),
        ({"confidence": 0.4}, UsageError, r"must be in \[0.5, 1\), got confidence=0.4"),
        ({"confidence": 1.0}, UsageError, r"must be in \[0.5, 1\)"),
        ({"logits": {"other": np.zeros(3)}}, DataError, r"scores.shape=\(3,\)"),
        ({"logits": {"other": np.full(50, np.nan)}}, DataError, "must be finite, got 50"),
        ({"labelled": "none clicked"}, DataError, "both classes"),
        ({"labelled": "one user"}, DataError, "at least 2 clusters"),
    ],
)
def test_what_cannot_be_decided_is_refused(changes: dict[str, Any], error: type[Exception], rule: str) -> None:
    table, truth = clicks(rows=50)
    if changes.get("labelled") == "none clicked":
        table = table.take(table.labels == 0)
        truth = truth[: len(table)]
    if changes.get("labelled") == "one user":
        table = Table(table.arrow.drop_columns(["user"]).append_column("user", pa.array(np.zeros(50, int))), CLICKS)
    logits = {"hard_only": truth, "other": -truth, **changes.get("logits", {})}
    told = {name: value for name, value in changes.items() if name in ("control", "confidence")}
    with pytest.raises(error, match=rule):
        decide(logits, table, **told)


@dataclass
class Spy:
    """A candidate that writes down what it is shown."""

    noise: float
    seen: list[tuple[Table, Table | None]]

    def __call__(self, rows: Table) -> Any:
        self.seen.append((rows, None))
        return self

    def score(self, rows: Table) -> Array:
        self.seen[-1] = (self.seen[-1][0], rows)
        return noisy(rows.numpy("z"), self.noise)


def test_no_candidate_is_shown_the_labels_of_a_fold_and_the_chosen_one_gets_all() -> None:
    table, _ = clicks(rows=600)
    train = table.with_labels_only(np.arange(600) % 3 > 0)
    control, better = Spy(3.0, []), Spy(0.0, [])
    chosen, decision = choose({"hard_only": control, "better": better}, train, k=4, seed=1)  # type: ignore[dict-item]
    assert isinstance(decision, Decision)
    assert (chosen, decision.chosen, decision.rows) == (better, "better", 400)
    assert [len(control.seen), len(better.seen)] == [4, 5]
    held: list[int] = []
    for (rows, out), (again, same) in zip(control.seen, better.seen[:4], strict=True):
        assert out is not None
        assert same is not None
        assert rows.fingerprint == again.fingerprint, "every candidate learns from the same rows"
        assert rows.rows_fingerprint == train.rows_fingerprint, "rows whose labels are gone are there as unlabelled"
        assert not out.labelled.any()
        assert not rows.labelled[np.isin(rows.row_ids, out.row_ids)].any()
        kept = train.labelled & ~np.isin(train.row_ids, out.row_ids)
        assert (rows.labelled == kept).all()
        assert (rows.labels[kept] == train.labels[kept]).all()
        held += out.row_ids.tolist()
    assert sorted(held) == train.row_ids[train.labelled].tolist(), "each labelled row is out of fold once"
    assert better.seen[4][0].fingerprint == train.fingerprint


def test_the_chosen_ranker_is_the_candidates_own() -> None:
    _, target = rd.datasets.synthetic.load(seed=0, target_rows=600, target_users=40, items=30, source_rows=10)
    train, valid, _ = rd.split(target)

    def hard_only(rows: Table) -> rd.Ranker:
        encoder = rd.Encoder.fit(rows)
        student = rd.Ranker(encoder, rd.models.build("mlp", encoder.spec, seed=0, arguments={"embedding_dim": 4}))
        rd.fit(student, rows, valid=valid, settings=rd.FitSettings(epochs=1))
        return student

    chosen, decision = choose({"hard_only": hard_only, "again": hard_only}, train, k=2)
    assert decision.chosen == "hard_only"
    assert chosen.fingerprint == hard_only(train).fingerprint
    with pytest.raises(UsageError, match="k folds need 2"):
        choose({"hard_only": hard_only}, train, k=1)


def test_a_decision_is_written_in_full() -> None:
    table, truth = clicks(rows=300)
    decision = decide({"hard_only": noisy(truth, 2), "other": truth}, table)
    written = decision.to_dict()
    assert written["gains"]["other"]["auc"] == vars(decision.gains["other"]["auc"])
    assert {name: written[name] for name in ("chosen", "best", "control", "rows", "confidence")} == {
        "chosen": "other",
        "best": "other",
        "control": "hard_only",
        "rows": 300,
        "confidence": 0.9,
    }
    assert (written["harmful"], written["words"]) == ([], decision.words)


def test_the_worlds_of_these_tests_are_what_they_say() -> None:
    table, truth = ratings()
    probability = np.exp(truth - logsumexp(truth, axis=1, keepdims=True)).mean(0)
    shares = np.bincount(table.labels.astype(int)) / len(table)
    assert shares == pytest.approx(probability, abs=0.03)
