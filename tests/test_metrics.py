"""Metrics against slow, obvious references; intervals against formulas written out."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import average_precision_score, brier_score_loss, ndcg_score

from recdistill.errors import DataError
from recdistill.metrics import (
    METRICS,
    auc,
    auc_difference,
    average_precision,
    best_threshold,
    bootstrap_difference,
    brier,
    calibration_p,
    expected_calibration_error,
    f1,
    grouped_auc,
    hit_at_k,
    holm,
    logloss,
    mean_difference,
    mrr,
    ndcg_at_k,
    normalised_entropy,
    over_seeds,
    pr_auc,
    precision_at_k,
    ranking_metrics,
    recall_at_k,
    reliability,
    tied_pairs,
)

rows = st.lists(st.tuples(st.integers(-3, 3), st.integers(0, 1), st.integers(0, 2)), min_size=4, max_size=14)
both = rows.filter(lambda r: len({y for _, y, _ in r}) == 2)


def columns(data: list[tuple[int, int, int]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    array = np.array(data, dtype=float)
    return array[:, 0], array[:, 1], array[:, 2].astype(int)


@given(both)
def test_auc_is_the_share_of_pairs_in_order(data: list[tuple[int, int, int]]) -> None:
    scores, labels, _ = columns(data)
    pairs = [(p > n) + (p == n) / 2 for p in scores[labels == 1] for n in scores[labels == 0]]
    assert auc(scores, labels) == pytest.approx(np.mean(pairs), abs=1e-12)
    assert auc(np.zeros_like(scores), labels) == 0.5


@given(both)
def test_logloss_is_the_formula(data: list[tuple[int, int, int]]) -> None:
    scores, labels, _ = columns(data)
    p = [1 / (1 + math.exp(-z)) for z in scores]
    slow = -np.mean([math.log(q) if y else math.log(1 - q) for q, y in zip(p, labels, strict=True)])
    assert logloss(scores, labels) == pytest.approx(slow, abs=1e-12)


@given(both)
def test_best_threshold_beats_every_other(data: list[tuple[int, int, int]]) -> None:
    scores, labels, _ = columns(data)
    best = f1(scores, labels, threshold=best_threshold(scores, labels))
    assert best == max(f1(scores, labels, threshold=t) for t in scores)


@given(both, st.integers(1, 6))
def test_calibration_error_is_a_mean_over_bins_that_ties_do_not_leave(
    data: list[tuple[int, int, int]], bins: int
) -> None:
    scores, labels, _ = columns(data)
    found = reliability(scores, labels, bins=bins)
    p = 1 / (1 + np.exp(-scores))
    assert len(found.rows) <= min(bins, len(set(p)))
    assert found.rows.sum() == len(p)
    assert (np.diff(found.said) > 0).all()
    assert (found.rows * found.said).sum() == pytest.approx(p.sum())
    assert (found.rows * found.found).sum() == pytest.approx(labels.sum())
    slow = sum(n * abs(s - f) for n, s, f in zip(*found, strict=True)) / len(p)
    assert expected_calibration_error(scores, labels, bins=bins) == pytest.approx(slow)
    assert expected_calibration_error(scores, labels, bins=1) == pytest.approx(abs(p.mean() - labels.mean()))


def test_bins_have_equally_many_rows_and_ratings_are_judged_by_their_most_probable_class() -> None:
    rng = np.random.default_rng(0)
    z = rng.normal(-3, 1, 1000)
    labels = (rng.random(1000) < 1 / (1 + np.exp(-z))).astype(float)
    assert reliability(z, labels, bins=10).rows.tolist() == [100] * 10
    pair = np.stack([np.zeros(1000), z], axis=1)
    said = np.maximum(1 / (1 + np.exp(-z)), 1 / (1 + np.exp(z)))
    right = (labels == (z > 0)).astype(float)
    found = reliability(pair, labels, bins=10)
    same = reliability(np.log(said / (1 - said)), right, bins=10)
    assert found.said == pytest.approx(same.said)
    assert found.found == pytest.approx(same.found)
    with pytest.raises(ValueError, match="at least 1 bin"):
        reliability(z, labels, bins=0)


def test_the_calibration_test_is_that_of_scores_sums_and_knows_no_order() -> None:
    rng = np.random.default_rng(0)
    z, users = rng.normal(size=200), rng.integers(0, 40, 200)
    y = (rng.random(200) < 1 / (1 + np.exp(-z))).astype(float)
    sums = []
    for user in np.unique(users):
        mine = users == user
        residual = y[mine] - 1 / (1 + np.exp(-z[mine]))
        sums.append([residual.sum(), (residual * (z[mine] - z.mean())).sum()])
    total, variance = np.sum(sums, 0), np.array(sums).T @ np.array(sums)
    slow = math.exp(-(total @ np.linalg.solve(variance, total)) / 2)  # the tail of χ² with 2 degrees of freedom
    assert calibration_p(z, y, clusters=users) == pytest.approx(slow)
    order = rng.permutation(200)
    assert calibration_p(z[order], y[order], clusters=users[order]) == pytest.approx(slow)
    assert calibration_p(z, y) == pytest.approx(calibration_p(z, y, clusters=np.arange(200)))
    assert calibration_p(3 * z, y) < 1e-3, "too sure"
    assert calibration_p(z + 1, y) < 1e-3, "another base rate"
    even = np.array([0.0, 1.0] * 100)
    assert calibration_p(np.zeros(200), even) == pytest.approx(1), "a constant that is right"
    assert calibration_p(np.ones(200), even) < 1e-3
    assert calibration_p(1e3 * (2 * even - 1), even) == 1, "always sure and right"


@given(both)
def test_normalised_entropy_is_1_for_the_base_rate(data: list[tuple[int, int, int]]) -> None:
    scores, labels, _ = columns(data)
    rate = labels.mean()
    base = np.full(len(labels), np.log(rate / (1 - rate)))
    assert normalised_entropy(base, labels) == pytest.approx(1)
    assert normalised_entropy(scores, labels) == pytest.approx(logloss(scores, labels) / logloss(base, labels))
    pair = np.stack([np.zeros_like(scores), scores], axis=1)
    assert normalised_entropy(pair, labels) == pytest.approx(normalised_entropy(scores, labels))
    with pytest.raises(DataError, match="at least two classes"):
        normalised_entropy([0.0, 1.0], [1, 1])


def orders(scores: np.ndarray) -> list[tuple[int, ...]]:
    """Every order of the rows that falls in score."""
    return [o for o in itertools.permutations(range(len(scores))) if all(np.diff(scores[list(o)]) <= 0)]


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 1)), min_size=1, max_size=6), st.integers(1, 7))
def test_ranking_metrics_are_expectations_over_tied_orders(data: list[tuple[int, int]], k: int) -> None:
    scores, labels = np.array(data, dtype=float).T
    lists = np.zeros(len(scores))
    if labels.sum() == 0:
        for metric in (recall_at_k, ndcg_at_k, mrr):
            assert metric(scores, labels, lists).skipped == 1
        return
    sequences = [labels[list(o)] for o in orders(scores)]
    recalls = [s[:k].sum() / labels.sum() for s in sequences]
    firsts = [1 / (1 + int(np.argmax(s))) for s in sequences]
    assert recall_at_k(scores, labels, lists, k=k).mean == pytest.approx(np.mean(recalls))
    assert mrr(scores, labels, lists).mean == pytest.approx(np.mean(firsts))
    if len(scores) > 1:
        assert ndcg_at_k(scores, labels, lists, k=k).mean == pytest.approx(ndcg_score([labels], [scores], k=k))


@given(both)
def test_lists_are_independent(data: list[tuple[int, int, int]]) -> None:
    scores, labels, lists = columns(data)
    for metric in (recall_at_k, ndcg_at_k, mrr, grouped_auc):
        whole = metric(scores, labels, lists)
        for name, value in zip(whole.lists, whole.values, strict=True):
            own = lists == name
            assert metric(scores[own], labels[own], lists[own]).mean == pytest.approx(value)
            if metric is grouped_auc:
                assert value == pytest.approx(auc(scores[own], labels[own]))


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize(
    ("scores", "labels", "rule"),
    [([np.nan, 1.0], [0, 1], "finite"), ([0.0, 1.0], [0, 2], "0 or 1"), ([], [], "rows"), ([1.0], [0, 1], "rows")],
)
def test_bad_input_is_named(name: str, scores: list[float], labels: list[int], rule: str) -> None:
    with pytest.raises(DataError, match=rule):
        METRICS[name](scores, labels)


def test_auc_needs_two_classes() -> None:
    with pytest.raises(DataError, match="both classes"):
        auc([0.0, 1.0], [1, 1])


def world(seed: int, users: int = 60) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    user = rng.integers(0, users, 1500)
    taste = rng.normal(0, 1, users)[user]
    labels = (rng.random(1500) < 1 / (1 + np.exp(-taste))).astype(float)
    a = taste + rng.normal(0, 1, 1500)
    return a, a + rng.normal(0, 1, 1500) + rng.normal(0, 1, users)[user], labels, user


def slow_delong(a: np.ndarray, b: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """DeLong, DeLong & Clarke-Pearson 1988, equations 3 to 5, in O(mn)."""

    def placements(s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        win = (s[labels == 1][:, None] > s[labels == 0]) + (s[labels == 1][:, None] == s[labels == 0]) / 2
        return win.mean(1), win.mean(0)

    (xa, ya), (xb, yb) = placements(a), placements(b)
    x, y = xa - xb, ya - yb
    return float(x.mean()), float(x.var(ddof=1) / len(x) + y.var(ddof=1) / len(y))


def test_delong_equals_the_slow_reference() -> None:
    a, b, labels, _ = world(0)
    found = auc_difference(a.round(1), b.round(1), labels)
    delta, variance = slow_delong(a.round(1), b.round(1), labels)
    assert found.delta == pytest.approx(delta, abs=1e-12)
    assert (found.high - found.low) / 2 == pytest.approx(
        stats.t.ppf(0.975, len(labels) - 1) * math.sqrt(variance), rel=1e-6
    )
    assert found.method == "delong"


def test_clustered_interval_agrees_with_the_user_bootstrap() -> None:
    a, b, labels, user = world(1)
    found = auc_difference(a, b, labels, clusters=user)
    members = [np.flatnonzero(user == u) for u in np.unique(user)]
    rng = np.random.default_rng(0)
    drawn = []
    for _ in range(400):
        index = np.concatenate([members[i] for i in rng.integers(0, len(members), len(members))])
        drawn.append(auc(a[index], labels[index]) - auc(b[index], labels[index]))
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * np.std(drawn), rel=0.15)
    assert found.method == "delong_cluster"


def test_rows_as_clusters_give_plain_delong() -> None:
    a, b, labels, _ = world(2)
    rows_, plain = auc_difference(a, b, labels, clusters=np.arange(len(a))), auc_difference(a, b, labels)
    assert rows_.low == pytest.approx(plain.low, abs=1e-12)


def test_equal_rankers_differ_by_nothing() -> None:
    a, _, labels, user = world(3)
    found = auc_difference(a, a, labels, clusters=user)
    assert (found.delta, found.low, found.high, found.p) == (0, 0, 0, 1)
    assert mean_difference(a, a, clusters=user).p == 1


def test_more_spread_between_seeds_widens_the_interval() -> None:
    a, b, labels, user = world(4)
    same = auc_difference([a, a, a], [b, b, b], labels, clusters=user)
    spread = auc_difference([a, b, a], [b, b, b], labels, clusters=user)
    assert spread.high - spread.low > same.high - same.low


def test_clustered_intervals_cover() -> None:
    """200 worlds with clustered rows; the truth is 0 by symmetry."""
    inside = 0
    for seed in range(200):
        rng = np.random.default_rng(1000 + seed)
        user = rng.integers(0, 60, 600)
        taste = rng.normal(0, 1, 60)[user]
        labels = (rng.random(600) < 1 / (1 + np.exp(-taste))).astype(float)
        noise = [rng.normal(0, 1, 60)[user] + rng.normal(0, 1, 600) for _ in range(2)]
        found = auc_difference(taste + noise[0], taste + noise[1], labels, clusters=user)
        inside += found.low <= 0 <= found.high
    assert 0.90 <= inside / 200 <= 0.99


@pytest.mark.parametrize("spread", [0.0, 0.02, 0.1])
def test_intervals_of_means_over_seeds_cover(spread: float) -> None:
    """The true difference is 0; three seeds differ by `spread`, 200 units by 1."""
    rng = np.random.default_rng(5)
    covered = 0
    for _ in range(400):
        noise = rng.normal(size=200) + rng.normal(scale=spread, size=(3, 1))
        found = mean_difference(noise, np.zeros_like(noise))
        assert found.low <= found.delta <= found.high
        covered += found.low <= 0 <= found.high
    assert 0.92 <= covered / 400 <= 0.99


# --------------------------------------------------------------------------------------------- several tests


def slow_holm(p_values: list[float]) -> list[float]:
    """Step down: reject from the smallest as long as p ≤ level / (tests left); the least level that rejects each."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    levels, worst = [0.0] * len(p_values), 0.0
    for rank, i in enumerate(order):
        worst = max(worst, p_values[i] * (len(p_values) - rank))
        levels[i] = min(1.0, worst)
    return levels


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_is_the_step_down_procedure(p_values: list[float]) -> None:
    np.testing.assert_allclose(holm(p_values), slow_holm(p_values))


def test_holm_refuses_what_is_no_probability() -> None:
    with pytest.raises(DataError, match="p values must be in"):
        holm([0.5, 1.5])


def test_over_seeds_of_one_seed_is_its_own_interval() -> None:
    found = over_seeds([0.1], [0.02], units=500, method="delong")
    assert (found.delta, found.rows_error) == (0.1, 0.02)
    assert found.high - found.low == pytest.approx(2 * stats.t.ppf(0.975, 499) * 0.02, rel=1e-6)


def test_over_seeds_that_agree_exactly_is_exact() -> None:
    found = over_seeds([0.0, 0.0], [0.0, 0.0], units=500, method="delong")
    assert (found.low, found.high, found.p) == (0.0, 0.0, 1.0)
    with pytest.raises(DataError, match="each seed needs"):
        over_seeds([0.1, 0.2], [0.1], units=5, method="delong")


# ---------------------------------------------------------------------------------------- against other references


@given(both)
def test_pr_auc_and_brier_are_scikit_learns(data: list[tuple[int, int, int]]) -> None:
    scores, labels, _ = columns(data)
    assert pr_auc(scores, labels) == pytest.approx(average_precision_score(labels, scores), abs=1e-12)
    assert pr_auc(np.zeros_like(scores), labels) == pytest.approx(labels.mean())
    assert brier(scores, labels) == pytest.approx(brier_score_loss(labels, 1 / (1 + np.exp(-scores))), abs=1e-12)
    pairs = [p == n for p in scores[labels == 1] for n in scores[labels == 0]]
    assert tied_pairs(scores, labels) == pytest.approx(np.mean(pairs))


def test_pr_auc_needs_a_click_and_tied_pairs_need_none() -> None:
    with pytest.raises(DataError, match="PR-AUC needs a click"):
        pr_auc([0.0, 1.0], [0, 0])
    assert tied_pairs([1.0, 1.0], [1, 1]) == 0


@settings(max_examples=40)
@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 1)), min_size=1, max_size=6).filter(
        lambda r: any(y for _, y in r)
    ),
    st.integers(1, 7),
)
def test_precision_hit_and_map_are_expectations_over_tied_orders(data: list[tuple[int, int]], k: int) -> None:
    scores, labels = np.array(data, dtype=float).T
    lists = np.full(len(scores), 7)
    sequences = [labels[list(o)] for o in orders(scores)]
    at = np.arange(1, len(labels) + 1)
    slow = {
        f"precision@{k}": [s[:k].sum() / k for s in sequences],
        f"hit@{k}": [s[:k].any() for s in sequences],
        "map": [(np.cumsum(s) / at)[s == 1].mean() for s in sequences],
        "mrr": [1 / (1 + int(np.argmax(s))) for s in sequences],
    }
    found = ranking_metrics(scores, labels, lists, k=k)
    for name, values in slow.items():
        assert found[name].mean == pytest.approx(np.mean(values), abs=1e-12)
        assert found[name].lists.tolist() == [7]
    if len(set(scores)) == len(scores):
        assert found["map"].mean == pytest.approx(average_precision_score(labels, scores))


@given(both, st.integers(1, 5))
def test_one_sort_gives_what_each_metric_gives(data: list[tuple[int, int, int]], k: int) -> None:
    scores, labels, lists = columns(data)
    alone = {
        f"ndcg@{k}": ndcg_at_k(scores, labels, lists, k=k),
        f"recall@{k}": recall_at_k(scores, labels, lists, k=k),
        f"precision@{k}": precision_at_k(scores, labels, lists, k=k),
        f"hit@{k}": hit_at_k(scores, labels, lists, k=k),
        "mrr": mrr(scores, labels, lists),
        "map": average_precision(scores, labels, lists),
        "gauc": grouped_auc(scores, labels, lists),
    }
    together = ranking_metrics(scores, labels, lists, k=k)
    assert list(together) == list(alone)
    for name, found in alone.items():
        assert together[name].values.tolist() == found.values.tolist()
        assert found.skipped + len(found.lists) == len(set(lists))


@given(both)
def test_grouped_auc_is_weighted_as_its_names_say(data: list[tuple[int, int, int]]) -> None:
    scores, labels, lists = columns(data)
    owned = [lists == name for name in np.unique(lists)]
    mixed = [own for own in owned if 0 < labels[own].mean() < 1]
    found = grouped_auc(scores, labels, lists)
    assert found.skipped == len(owned) - len(mixed)
    if not mixed:
        assert math.isnan(found.mean)
        assert math.isnan(found.mean_by("positives"))
        return
    values = [auc(scores[own], labels[own]) for own in mixed]
    assert found.mean == pytest.approx(np.mean(values))
    rows_, clicks = [own.sum() for own in mixed], [labels[own].sum() for own in mixed]
    assert found.mean_by("impressions") == pytest.approx(np.average(values, weights=rows_))
    assert found.mean_by("positives") == pytest.approx(np.average(values, weights=clicks))


@given(both, st.sampled_from([lambda u: u * 10**12 - 5, lambda u: u.astype(np.int8) - 1, lambda u: u.astype(str)]))
def test_lists_may_have_any_names_and_scores_any_spacing(data: list[tuple[int, int, int]], named: object) -> None:
    scores, labels, lists = columns(data)
    names = named(lists)  # type: ignore[operator]
    expected = ranking_metrics(scores, labels, lists, k=2)
    # None is a float32 number: 0.1 apart, less apart than float32 can tell, beyond its largest and below its smallest.
    for other in (scores * 0.1, 1 + scores * 1e-12, -scores * -1e30, scores * 1e300, scores * 1e-300):
        for name, found in ranking_metrics(other, labels, names, k=2).items():
            assert found.values == pytest.approx(expected[name].values)
            assert found.lists.tolist() == [names[lists == u][0] for u in expected[name].lists]
            assert found.lists.dtype == names.dtype


def test_zeros_of_either_sign_tie() -> None:
    assert grouped_auc([0.0, -0.0], [0, 1], [3, 3]).mean == 0.5
    with pytest.raises(DataError, match="each row needs a list"):
        grouped_auc([0.0, 1.0], [0, 1], [3])


@given(both)
def test_delong_is_the_same_whatever_its_scores_scale_and_its_clusters_names(data: list[tuple[int, int, int]]) -> None:
    scores, labels, lists = columns(data)
    if len(set(lists)) < 2:
        return
    other = np.roll(scores, 1)
    found = auc_difference(scores, other, labels, clusters=lists)
    assert found.delta == pytest.approx(auc(scores, labels) - auc(other, labels), abs=1e-12)
    for names in (lists * 10**12, lists.astype(str), lists - 100):
        again = auc_difference(scores * 0.1, other * 0.1, labels, clusters=names)
        assert (again.low, again.high) == pytest.approx((found.low, found.high), abs=1e-12)


def mean_score(scores: np.ndarray, labels: np.ndarray) -> float:
    return float(scores.mean())


def test_the_bootstrap_agrees_with_scipys() -> None:
    values = np.random.default_rng(0).normal(0.2, 1, 60) ** 3
    found = bootstrap_difference(mean_score, values, np.zeros(60), np.zeros(60), resamples=20_000)
    theirs = stats.bootstrap(
        (values,), np.mean, method="percentile", n_resamples=20_000, random_state=np.random.default_rng(1)
    )
    width = theirs.confidence_interval.high - theirs.confidence_interval.low
    assert found.low == pytest.approx(theirs.confidence_interval.low, abs=0.03 * width)
    assert found.high == pytest.approx(theirs.confidence_interval.high, abs=0.03 * width)
    assert found.rows_error == pytest.approx(theirs.standard_error, rel=0.03)


def test_few_clusters_or_few_positives_are_told() -> None:
    rng = np.random.default_rng(0)
    scores, labels = rng.normal(size=(2, 2000)), np.arange(2000) % 4 == 0
    few, many = np.arange(2000) % 199, np.arange(2000) % 200
    assert auc_difference(*scores, labels, clusters=few).small
    assert not auc_difference(*scores, labels, clusters=many).small
    assert not auc_difference(*scores, labels).small
    assert auc_difference(*scores, np.arange(2000) < 199).small
    assert auc_difference(*scores, np.arange(2000) >= 199).small
    assert mean_difference(*scores, clusters=few).small
    assert not mean_difference(*scores, clusters=many).small
    assert over_seeds([0.1], [0.02], units=199, method="delong").small


@pytest.mark.parametrize("seeds", [2, 3])
def test_a_few_seeds_give_no_absurd_interval(seeds: int) -> None:
    """Noise of each seed's own in every row, no drift: differences of areas stay within -1 and 1, and mostly near 0."""
    widths = []
    for world in range(50):
        rng = np.random.default_rng(world)
        labels = np.arange(400) % 2
        a, b = rng.normal(size=(2, seeds, 400)) + labels
        found = auc_difference(a, b, labels)
        assert -1 <= found.low <= found.delta <= found.high <= 1
        widths.append(found.high - found.low)
    assert np.median(widths) < 0.3


def test_the_bootstraps_p_knows_no_floor_and_no_difference_is_certain() -> None:
    rng = np.random.default_rng(0)
    scores, labels = rng.normal(size=(2, 400)), np.zeros(400)
    better = bootstrap_difference(mean_score, scores[0] + 3, scores[1], labels, resamples=50)
    assert holm([better.p] * 1000).max() < 1e-6
    assert bootstrap_difference(mean_score, scores[0], scores[0], labels, resamples=20).p == 1


@pytest.mark.parametrize("seeds", [1, 3])
@pytest.mark.parametrize("clustered", [False, True])
def test_means_are_compared_as_the_bootstrap_compares_them(clustered: bool, seeds: int) -> None:
    rng = np.random.default_rng(seeds)
    user = rng.integers(0, 300, 1_000)
    a, b = rng.normal(size=(2, seeds, 1_000)) + rng.normal(size=(2, 1, 300))[:, :, user]
    clusters = user if clustered else None
    closed = mean_difference(a, b, clusters=clusters)
    drawn = bootstrap_difference(mean_score, a, b, np.zeros(1_000), clusters=clusters)
    assert closed.method == ("t_cluster" if clustered else "t")
    assert drawn.method == ("bootstrap_cluster" if clustered else "bootstrap")
    assert drawn.delta == pytest.approx(closed.delta, abs=1e-12)
    assert drawn.rows_error == pytest.approx(closed.rows_error, rel=0.1)
    assert drawn.high - drawn.low == pytest.approx(closed.high - closed.low, rel=0.12)


def test_a_clusters_mean_has_the_error_of_its_clusters() -> None:
    """With clusters of one size it is the plain t of the clusters' means, whatever the rows."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(50, 4)) + 2 * rng.normal(size=(50, 1))
    found = mean_difference(values.ravel(), np.zeros(200), clusters=np.repeat(np.arange(50), 4))
    theirs = stats.ttest_1samp(values.mean(1), 0)
    assert (found.low, found.high) == pytest.approx(tuple(theirs.confidence_interval(0.95)))
    assert found.p == pytest.approx(theirs.pvalue)
    rows = stats.ttest_1samp(values.ravel(), 0)
    assert mean_difference(values.ravel(), np.zeros(200)).p == pytest.approx(rows.pvalue)


def test_the_bootstrap_draws_clusters_as_wholes() -> None:
    rows = np.array([5, 7, 5, 9, 7, 5])
    seen: list[np.ndarray] = []

    def kept(scores: np.ndarray, labels: np.ndarray) -> float:
        seen.append(np.sort(scores))
        return float(scores.sum())

    bootstrap_difference(kept, np.arange(6.0), np.arange(6.0), np.zeros(6), clusters=rows, resamples=30)
    wholes = [np.flatnonzero(rows == unit).tolist() for unit in (5, 7, 9)]
    for drawn in seen:
        counts = np.bincount(drawn.astype(int), minlength=6)
        assert sum(counts[whole[0]] for whole in wholes) == 3
        assert all(len(set(counts[whole])) == 1 for whole in wholes)


def test_what_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(DataError, match=r"a label for each row, got \(1, 3\), \(1, 3\) and labels \(2,\)"):
        bootstrap_difference(mean_score, np.zeros(3), np.zeros(3), np.zeros(2))
    with pytest.raises(DataError, match="at least 2 clusters, got 1"):
        bootstrap_difference(mean_score, np.zeros(3), np.zeros(3), np.zeros(3), clusters=np.zeros(3))
