"""The report: transfer and distillation apart, the answer in words, and nothing credited to whom it does not belong."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import recdistill as rd
from recdistill import report
from recdistill.artefacts import is_whole
from recdistill.errors import UsageError
from recdistill.evaluation import compare, measure
from recdistill.metrics import auc, auc_difference, mean_difference, ndcg_at_k, pointwise_logloss, rows_needed

ENTRY = {"params": 10, "bytes": 100, "valid_logloss": 0.5, "users_skipped": {"ndcg@10": 3}, "choices": [{"alpha": 0.0}]}
ENTRY["metrics"] = {"auc": 0.7, "logloss": 0.6}
TAUGHT = {**ENTRY, "role": "student", "choices": [{"alpha": 0.7}]}


def compared(a: str, b: str, delta: float, half: float = 0.01) -> dict[str, Any]:
    ends = {"low": delta - half, "high": delta + half}
    error = half / 1.96
    return {
        "a": a,
        "b": b,
        "metric": "auc",
        "delta": delta,
        **ends,
        "p": 0.1,
        "method": "delong_cluster",
        "rows_error": error,
    }


POOLED: dict[str, Any] = {
    "labels": 0.02,
    "seeds": [0],
    "chosen": ["adapted_all"],
    "shipped": ["adapted_all"],
    "headline": "auc",
    "enough": {
        "test_rows": 1000,
        "smallest_effect": 0.005,
        "needed": {"hard_only": 8_000, "source_finetuned": 8_000},
    },
    "labelled": [{part: {"rows": 1000, "labelled": 20, "positives": 7} for part in ("train", "valid")}],
    "rankers": {
        "source_teacher": {"role": "teacher", **ENTRY, "bytes": 1000},
        "hard_only": {"role": "control", **ENTRY},
        "source_finetuned": {"role": "control", **ENTRY},
        "adapted_all": TAUGHT,
        "source_all": {**TAUGHT, "choices": [{"alpha": 0.0}]},
        "chosen": TAUGHT,
    },
    "comparisons": [
        compared("source_teacher", "hard_only", 0.5),
        compared("source_teacher", "source_finetuned", 0.4),
        compared("source_finetuned", "hard_only", 0.3),
        compared("hard_only", "source_finetuned", -0.3),
        compared("adapted_all", "hard_only", 0.31),
        compared("adapted_all", "source_finetuned", 0.005),
        compared("source_all", "hard_only", 0.1),
        compared("source_all", "source_finetuned", 0.1),
        compared("chosen", "adapted_teacher", -0.1),
        compared("chosen", "hard_only", 0.31),
        compared("chosen", "source_finetuned", 0.005),
    ],
}
RESULT = {
    "config": {
        "tune": {"controls": [{}]},
        "teacher": {"model": "dlrm", "scores": None, "hidden": 0.5, "encoder": {"drop": []}},
        "student": {"model": "mlp"},
        "data": {"name": "synthetic", "note": "Times are not known."},
    },
    "unseen": {"user": {"train": 0.25, "source": 1.0, "both": 0.25}, "item": {"train": 0.125}},
    "privileged": {"dwell": True, "margin": False},
    "command": "recdistill run",
    "data": {"source": {"rows": 5000, "labelled": 5000, "positives": 50}},
    "source": [{"seed": 0, "source_teacher": {"auc": 0.8}, "source_student": {"auc": 0.79}}],
    "pooled": [POOLED],
}


def test_the_answer_tells_transfer_and_distillation_apart() -> None:
    first, transfer, distillation, ship = report.answer(POOLED)
    assert first.startswith("2 % of the labels: adapted_all, chosen on validation rows: AUC 0.7000 in 1/10.0 of the")
    assert transfer == "Transfer: +0.3100 [+0.3000, +0.3200] over hard_only: it helps."
    few = "too few rows: about 7,000 more test rows like these would tell a difference of 0.005 from none"
    gain = "+0.0050 [-0.0050, +0.0150] over source_finetuned"
    assert distillation == f"Distillation: {gain}: not shown, {few}."
    assert ship == "Ship: adapted_all."


@pytest.mark.parametrize(
    ("delta", "half", "needed", "words"),
    [
        (0.2, 0.01, 8_000, "it helps."),
        (-0.2, 0.01, 8_000, "it harms."),
        (0.0, 0.01, 8_000, "not shown, too few rows"),
        (0.001, 0.003, 500, "no difference that matters (less than 0.005)."),
        (0.0027, 0.0012, 500, "it helps, by less than matters (0.005)."),
        (-0.0027, 0.0012, 500, "it harms, by less than matters (0.005)."),
        (0.003, 0.0031, 900, "not shown, though there are rows enough to tell a difference of 0.005 from none."),
    ],
)
def test_the_verdict_follows_the_interval(delta: float, half: float, needed: int, words: str) -> None:
    pooled = deepcopy(POOLED)
    pooled["comparisons"][-1] = compared("chosen", "source_finetuned", delta, half)
    pooled["enough"]["needed"]["source_finetuned"] = needed
    assert f"over source_finetuned: {words}" in report.answer(pooled)[2]


@pytest.mark.parametrize(
    ("needed", "rows"), [(8_000, "about 7,000 more test rows like these"), (900, "the test rows there are")]
)
def test_where_the_seeds_differ_more_than_the_rows_more_seeds_come_first(needed: int, rows: str) -> None:
    pooled = deepcopy(POOLED)
    pooled["comparisons"][-1] = compared("chosen", "source_finetuned", 0.0, 0.03) | {"rows_error": 0.002}
    pooled["enough"]["needed"]["source_finetuned"] = needed
    text = report.answer(pooled)[2]
    words = f"the seeds differ too much: with more of them {rows} would tell a difference of 0.005 from none."
    assert text.endswith(f"not shown, {words}")


def test_where_lower_is_better_a_fall_helps() -> None:
    pooled = deepcopy(POOLED)
    pooled["headline"] = "rmse"
    for entry in pooled["rankers"].values():
        entry["metrics"] = {"rmse": 0.9, "logloss": 1.3}
    for comparison in pooled["comparisons"]:
        comparison.update(metric="rmse")
    pooled["comparisons"][-2:] = [
        compared("chosen", control, delta) | {"metric": "rmse"}
        for control, delta in (("hard_only", -0.1), ("source_finetuned", 0.2))
    ]
    first, transfer, distillation, _ = report.answer(pooled)
    assert "RMSE 0.9000 (lower is better) in 1/10.0 of" in first
    assert transfer.endswith("over hard_only: it helps.")
    assert distillation.endswith("over source_finetuned: it harms.")


def test_a_gain_over_a_worse_control_is_not_oversold() -> None:
    pooled = deepcopy(POOLED)
    pooled["comparisons"][-2:] = [compared("chosen", "hard_only", -0.005), compared("chosen", "source_finetuned", 0.2)]
    text = report.answer(pooled)[2]
    assert text.endswith("it helps against source_finetuned, but the student is not shown to beat labels alone.")


def test_without_source_rows_the_gain_over_labels_alone_is_distillation() -> None:
    pooled = deepcopy(POOLED)
    for name in ("source_teacher", "source_finetuned"):
        del pooled["rankers"][name]
    first, distillation, _ = report.answer(pooled)
    assert first.endswith("chosen on validation rows: AUC 0.7000.")
    assert distillation == "Distillation: +0.3100 [+0.3000, +0.3200] over hard_only: it helps."
    assert not any("transfer" in name for name in report.table(pooled)[0])


def test_what_weakens_the_answer_is_said_beside_it() -> None:
    strong = {
        **deepcopy(POOLED),
        "seeds": [0, 1],
        "labelled": [{"valid": {"rows": 900, "labelled": 600, "positives": 300}}] * 2,
    }
    assert report.cautions({**RESULT, "pooled": [strong]}) == []
    weak = {**RESULT, "source": [{"seed": 0, "source_teacher": {"auc": 0.7}, "source_student": {"auc": 0.71}}]}
    teacher, choice, seeds = report.cautions(weak)
    assert "no better than the compact student (AUC 0.7000, the student's 0.7100)" in teacher
    assert "with 2 % of the labels 7 validation rows of the rarer class choose among the arms" in choice
    assert seeds.startswith("one seed")
    for caution in (teacher, choice, seeds):
        assert f"**Caution:** {caution}" in report.page(weak)
    ratings = {**strong, "labelled": [{"valid": {"rows": 90, "labelled": 40, "mean_rating": 3.2}}] * 2}
    assert report.cautions({**RESULT, "pooled": [ratings]}) == [
        "with 2 % of the labels 40 validation rows choose among the arms: another draw might choose another."
    ]


def test_rows_needed_are_those_at_which_the_interval_would_have_the_power() -> None:
    """At the number of rows it names, the effect is z(0.975) + z(0.8) standard errors: checked by simulation."""
    rng, rows, effect = np.random.default_rng(0), 400, 0.1
    values = rng.normal(0, 1, rows)
    error = values.std() / np.sqrt(rows)
    needed = rows_needed(error, rows, effect=effect)
    samples = rng.normal(effect, values.std(), (4000, needed))
    told = samples.mean(1) > 1.96 * samples.std(1) / np.sqrt(needed)
    assert told.mean() == pytest.approx(0.8, abs=0.03)
    assert rows_needed(error, 2 * rows, effect=effect) == pytest.approx(2 * needed, abs=1)
    assert rows_needed(error, rows, effect=effect / 2) == pytest.approx(4 * needed, abs=4)
    with pytest.raises(UsageError, match="an effect must be positive"):
        rows_needed(1.0, rows, effect=0)


def test_only_students_with_a_teacher_are_credited_with_distillation() -> None:
    header, *lines = report.table(POOLED)
    transfer = header.index("transfer (AUC over hard_only)")
    distillation = header.index("distillation (AUC over source_finetuned)")
    said = {line[0]: (bool(line[transfer]), bool(line[distillation])) for line in lines}
    neither, both = (False, False), (True, True)
    expected = {"source_teacher": neither, "hard_only": neither, "source_finetuned": (True, False)}
    assert said == {**expected, "adapted_all": both, "source_all": both, "chosen": both}
    by_name = {line[0]: line for line in lines}
    assert by_name["source_all"][distillation].endswith("(alpha 0: none)")
    assert by_name["adapted_all"][distillation].endswith("]")
    assert by_name["adapted_all"][header.index("alpha")] == "0.7"


def test_no_distillation_is_claimed_where_alpha_is_0() -> None:
    pooled = deepcopy(POOLED)
    pooled["rankers"]["chosen"]["choices"] = [{"alpha": 0.0}]
    pooled["comparisons"][-1] = compared("chosen", "source_finetuned", 0.2)
    pooled["comparisons"].append(compared("chosen", "placebo", 0.1))
    assert report.answer(pooled)[2:] == [
        "Distillation: none: alpha 0 was chosen.",
        "Ship: adapted_all (alpha 0: no teacher was heard).",
    ]


def test_the_answer_says_when_no_teacher_was_needed() -> None:
    pooled = {**POOLED, "seeds": [0, 1, 2], "chosen": ["adapted_all", "adapted_all", "source_all"]}
    pooled["shipped"] = ["source_finetuned", "adapted_all", "source_finetuned"]
    pooled["rankers"] = {name: of | {"choices": of["choices"] * 3} for name, of in pooled["rankers"].items()}
    first, *_, ship = report.answer(pooled)
    assert "adapted_all (2 of 3 seeds) or source_all (1), chosen on validation rows" in first
    assert ship == "Ship: source_finetuned (2 of 3 seeds) or adapted_all (1)."


GAIN = {"mean": 0.3, "low": 0.2}
DECISION: dict[str, Any] = {"control": "hard_only", "words": "the reason", "harmful": [], "confidence": 0.9}
DECISION["gains"] = {"adapted_all": {"auc": GAIN, "logloss": {"mean": 0.05, "low": 0.04}}}


def decided(shipped: list[str], harmful: list[list[str]]) -> dict[str, Any]:
    """A report whose strategy chose in each seed."""
    pooled = {**deepcopy(POOLED), "seeds": list(range(len(shipped))), "shipped": shipped}
    pooled["decisions"] = [DECISION | {"harmful": names} for names in harmful]
    pooled["labelled"] *= len(shipped)
    pooled["rankers"]["auto"] = TAUGHT
    pooled["rankers"]["placebo"] = pooled["rankers"]["base_rate_all"] = {**ENTRY, "role": "control"}
    pooled["comparisons"] += [compared("auto", "hard_only", 0.2), compared("chosen", "placebo", 0.1)]
    config = {**RESULT["config"], "confidence": 0.9, "folds": 3}
    for decision, name in zip(pooled["decisions"], shipped, strict=True):
        decision["chosen"] = name
    pooled["folders"] = [f"students/auto/labels-0.02-seed-{seed}" for seed in pooled["seeds"]]
    pooled["rankers"] = {
        name: entry | {"choices": entry["choices"] * len(shipped)} for name, entry in pooled["rankers"].items()
    }
    return {**RESULT, "config": config, "pooled": [pooled]}


def test_what_to_ship_and_why_and_what_harms() -> None:
    result = decided(["adapted_all", "hard_only"], [["source_finetuned"], ["source_finetuned", "adapted_all"]])
    *_, placebo, ship, _, harm = report.answer(result["pooled"][0])
    assert placebo.endswith(
        "hears a placebo instead of the teacher: AUC +0.1000 [+0.0900, +0.1100]: more than a placebo gains."
    )
    which = "adapted_all (1 of 2 seeds) or hard_only (1)"
    gain = "AUC +0.3000 (90 % lower bound +0.2000) and logloss +0.0500 (+0.0400)"
    test = "On test rows: AUC +0.2000 [+0.1900, +0.2100]."
    assert ship == f"Ship: {which}. Out of fold on the labelled rows it gains {gain} over hard_only. {test}"
    which = "source_finetuned (2 of 2 seeds), adapted_all (1 of 2 seeds)"
    bound = "at a one-sided 90 % bound in one of the metrics"
    assert harm == f"Signs of negative transfer: on the labelled rows worse than labels alone {bound}: {which}."
    caution = next(line for line in report.cautions(result) if line.startswith("signs of negative transfer"))
    assert "with 2 % of the labels, by source_finetuned, adapted_all: " in caution
    assert "chance alone gives such signs now and then" in caution
    page = report.page(result)
    assert f"**Caution:** {caution}" in page
    assert "auto, seed 0: the reason.\n\nauto, seed 1: the reason.\n" in page
    assert "- auto is shipped: in each seed adapted_all and hard_only were made anew without the labels" in page
    assert "one-sided 90 % lower bound" in page
    assert "Placebos have all that an arm has but the teacher's knowledge" in page


def test_the_gain_out_of_fold_is_the_mean_of_the_seeds_that_chose_it() -> None:
    pooled = decided(["adapted_all", "adapted_all"], [[], []])["pooled"][0]
    pooled["decisions"][1]["gains"] = {"adapted_all": {"auc": GAIN, "logloss": {"mean": 0.07, "low": -0.01}}}
    pooled["rankers"]["adapted_all"]["choices"] = [{"alpha": 0.0}, {"alpha": 0.7}]
    ship, folders = report.answer(pooled)[-2:]
    assert ship.startswith("Ship: adapted_all (alpha 0 in 1 of 2 seeds: no teacher was heard). Out of fold on")
    assert "logloss +0.0600 (-0.0100) over hard_only, in the mean of 2 seeds with the lowest of their bounds." in ship
    where = "students/auto/labels-0.02-seed-0, students/auto/labels-0.02-seed-1"
    assert folders == f"It is in {where} of the run's folder."


def test_a_named_strategy_was_not_tested() -> None:
    pooled = {**deepcopy(POOLED), "folders": ["students/adapted_all/labels-0.02-seed-0"]}
    assert report.answer(pooled)[-2] == "Ship: adapted_all, as strategy says; nothing was tested."


def test_an_arm_that_needs_unlabelled_rows_is_missed_aloud() -> None:
    result = {**RESULT, "pooled": [{**deepcopy(POOLED), "labels": 1.0, "left_out": ["adapted_all"]}]}
    line = "rm adapted_all needs unlabelled rows; there are none with 100 % of the labels"
    assert report.left_out(["adapted_all"], 1.0) == f"a{line}"
    assert f"\nA{line}.\n" in report.page(result)


def test_labels_alone_are_shipped_without_a_gain_over_themselves() -> None:
    result = decided(["hard_only"], [[]])
    assert report.answer(result["pooled"][0])[-2] == (
        "Ship: hard_only: cross-validation over the labelled rows is sure of no gain over it."
    )
    assert not any("negative transfer" in caution for caution in report.cautions(result))


@pytest.mark.parametrize(
    ("delta", "words"), [(0.1, "it helps."), (0.0, "not the teacher's: a placebo is not shown to")]
)
def test_distillation_is_what_a_placebo_does_not_gain(delta: float, words: str) -> None:
    pooled = deepcopy(POOLED)
    pooled["comparisons"][-1] = compared("chosen", "source_finetuned", 0.2)
    pooled["comparisons"].append(compared("chosen", "placebo", delta))
    assert f"over source_finetuned: {words}" in report.answer(pooled)[2]


def test_without_a_strategy_or_placebos_nothing_is_said_of_them() -> None:
    page = report.page(RESULT)
    assert "auto" not in page
    assert "lacebo" not in page


def test_the_page_prints_labels_and_positives_and_is_written_whole(tmp_path: Path) -> None:
    report.write(RESULT, tmp_path / "report")
    assert is_whole(tmp_path / "report")
    page = (tmp_path / "report" / "report.md").read_text()
    assert "| 0 | 20 | 7 | 20 | 7 |" in page
    assert "| source | 5,000 | 5,000 | 50 |" in page
    assert "    recdistill run" in page
    assert "\nTimes are not known.\n" in page
    assert (
        "Test rows whose user is new to the target's training rows 25.0 %, the source's rows 100.0 %, both 25.0 %."
        in page
    )
    assert "Test rows whose item is new to the target's training rows 12.5 %." in page
    assert "the teacher knows dwell on both domains, the student on neither." in page
    assert "margin is in the source alone. The teacher learnt with it hidden 50 % of the time" in page
    assert page == report.page(RESULT)


@pytest.fixture(scope="module")
def rows() -> rd.Table:
    sizes = {"source_rows": 2000, "target_rows": 600, "source_users": 80, "target_users": 40, "items": 30}
    return rd.datasets.synthetic.load(seed=0, **sizes)[1]


def test_a_ranking_metric_without_lists_is_left_out(rows: rd.Table) -> None:
    first = rows.take(np.unique(rows.numpy("user_id"), return_index=True)[1])
    found = measure(np.linspace(-1, 1, len(first)), first)
    assert "gauc_mean" not in found.metrics
    assert found.skipped["gauc_mean"] == len(first)
    assert all(np.isfinite(value) for value in found.metrics.values())


def test_measure_is_the_metrics_and_counts_skipped_users(rows: rd.Table) -> None:
    scores = np.random.default_rng(0).normal(size=len(rows))
    found = measure(scores, rows, threshold=0.3)
    users = rows.numpy("user_id")
    assert found.metrics["auc"] == auc(scores, rows.labels)
    assert found.metrics["accuracy"] == pytest.approx(((scores >= 0.3) == rows.labels).mean())
    assert found.metrics["ndcg@10"] == ndcg_at_k(scores, rows.labels, users).mean
    without = [user for user in np.unique(users) if not rows.labels[users == user].any()]
    assert found.skipped["ndcg@10"] == len(without)


def test_compare_clusters_by_user_where_there_is_one(rows: rd.Table) -> None:
    first, second = np.random.default_rng(0).normal(size=(2, len(rows)))
    users = rows.numpy("user_id")
    assert compare(first, second, rows, "auc") == {
        "metric": "auc",
        "cluster": "user_id",
        **auc_difference(first, second, rows.labels, clusters=users).__dict__,
    }
    losses = [pointwise_logloss(s, rows.labels) for s in (first, second)]
    expected = mean_difference(*losses, clusters=users).__dict__
    assert compare(first, second, rows, "logloss") == {"metric": "logloss", "cluster": "user_id", **expected}
    plain = rd.Table(rows.arrow, rd.Schema(label="click", categorical=("item_id",)))
    assert compare(first, second, plain, "auc")["method"] == "delong"
    assert compare(first, second, plain, "logloss")["method"] == "t"
    with pytest.raises(ValueError, match="needs a user column"):
        compare(first, second, plain, "ndcg@10")


def test_evaluate_compares_every_ranker_with_one(rows: rd.Table) -> None:
    encoder = rd.Encoder.fit(rows)
    rankers = {name: rd.Ranker(encoder, rd.models.build("fm", encoder.spec, seed=k)) for k, name in enumerate("abc")}
    found = rd.evaluate(rankers, rows, against="b", metrics=["auc", "ndcg@10"])
    assert {(c["a"], c["b"], c["metric"]) for c in found["comparisons"]} == {
        (name, "b", metric) for name in "ac" for metric in ("auc", "ndcg@10")
    }
    for comparison in found["comparisons"]:
        a, b = (found["rankers"][comparison[side]]["metrics"][comparison["metric"]] for side in "ab")
        assert comparison["delta"] == pytest.approx(a - b)
    with pytest.raises(UsageError, match="did you mean 'logloss'"):
        rd.evaluate(rankers, rows, metrics=["log_loss"])
    with pytest.raises(UsageError, match="no ranker 'd'"):
        rd.evaluate(rankers, rows, against="d")
