"""Nominal 95 % intervals hold the truth in 93 to 97 % of worlds drawn with fixed seeds, with and without clusters.

Those of AUC over three seeds in 92 to 99 %.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import norm

from recdistill.metrics import Comparison, auc_difference, mean_difference

WORLDS, USERS, SEEDS = 2000, 250, 3
SIGNAL = (1.0, 0.6)


def coverage(compared: Callable[[np.random.Generator], tuple[Comparison, float]]) -> float:
    """The share of worlds whose interval holds the truth; every world is large enough not to be warned of."""
    inside = 0
    for world in range(WORLDS):
        found, truth = compared(np.random.default_rng(world))
        assert not found.small
        inside += found.low <= truth <= found.high
    return inside / WORLDS


def ranked(
    rng: np.random.Generator, *, taste: float, seeds: int = 1, drift: float = 0.0, own: float = 0.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, float]:
    """Scores of two rankers, (seeds, rows) each, labels, users, and the true difference of their AUCs.

    A score is normal around its ranker's signal for a click and around 0 otherwise: AUC is Φ(signal / √(2 · variance)).
    `taste` is how far both the scores and the share of clicks differ between users; the rankers share half of each
    variance. A seed's signal is off by `drift`, and the share `own` of its noise in each row is its own.
    """
    user = np.repeat(np.arange(USERS), 8)
    labels = (rng.random(len(user)) < norm.cdf(taste * rng.normal(size=USERS)[user] - 0.5)).astype(float)
    shared, liked = rng.normal(size=len(user)), rng.normal(size=USERS)
    scores = []
    for signal in SIGNAL:
        effect = taste * np.sqrt(0.5) * (liked + rng.normal(size=USERS))[user]
        noise = np.sqrt(1 - own) * rng.normal(size=len(user)) + np.sqrt(own) * rng.normal(size=(seeds, len(user)))
        level = signal + drift * rng.normal(size=(seeds, 1))
        scores.append(level * labels + effect + np.sqrt(0.5) * (shared + noise))
    first, second = norm.cdf(np.array(SIGNAL) / np.sqrt(2 * (1 + taste**2)))
    return scores[0], scores[1], labels, user, first - second


@pytest.mark.parametrize("taste", [0.0, 1.0], ids=["rows", "users"])
def test_delong_covers(taste: float) -> None:
    def compared(rng: np.random.Generator) -> tuple[Comparison, float]:
        a, b, labels, user, truth = ranked(rng, taste=taste)
        return auc_difference(a, b, labels, clusters=user if taste else None), truth

    assert 0.93 <= coverage(compared) <= 0.97


@pytest.mark.slow
@pytest.mark.parametrize(("drift", "own"), [(0.0, 0.0), (0.0, 1.0), (0.05, 0.5), (0.3, 0.5)])
@pytest.mark.parametrize("taste", [0.0, 1.0], ids=["rows", "users"])
def test_delong_over_seeds_covers(taste: float, drift: float, own: float) -> None:
    """Of their own variance three seeds tell little, so the band is wider: 92 to 99 %."""

    def compared(rng: np.random.Generator) -> tuple[Comparison, float]:
        a, b, labels, user, truth = ranked(rng, taste=taste, seeds=SEEDS, drift=drift, own=own)
        return auc_difference(a, b, labels, clusters=user if taste else None), truth

    assert 0.92 <= coverage(compared) <= 0.99


def differences(rng: np.random.Generator, *, taste: float, seeds: int, drift: float) -> tuple[np.ndarray, np.ndarray]:
    """(seeds, rows) paired differences of mean 0.1, and each row's user, of whom there are two rows on average."""
    user = rng.integers(0, USERS, 2 * USERS)
    user[:USERS] = np.arange(USERS)
    own = 0.5 * rng.normal(size=(seeds, len(user))) + drift * rng.normal(size=(seeds, 1))
    return 0.1 + taste * rng.normal(size=USERS)[user] + rng.normal(size=len(user)) + own, user


@pytest.mark.slow
@pytest.mark.parametrize(("seeds", "drift"), [(1, 0.0), (SEEDS, 0.0), (SEEDS, 0.05), (SEEDS, 0.5)])
@pytest.mark.parametrize("taste", [0.0, 1.0], ids=["rows", "users"])
def test_differences_of_means_cover(taste: float, seeds: int, drift: float) -> None:
    def compared(rng: np.random.Generator) -> tuple[Comparison, float]:
        values, user = differences(rng, taste=taste, seeds=seeds, drift=drift)
        clusters = user if taste else None
        return mean_difference(values, np.zeros_like(values), clusters=clusters), 0.1

    assert 0.93 <= coverage(compared) <= 0.97


def test_row_intervals_of_clustered_rows_are_too_narrow() -> None:
    """Which is why users are the default: the same worlds, the users not told."""

    def widths(rng: np.random.Generator) -> tuple[float, float]:
        a, b, labels, user, _ = ranked(rng, taste=1.0)
        told, untold = auc_difference(a, b, labels, clusters=user), auc_difference(a, b, labels)
        return told.high - told.low, untold.high - untold.low

    told, untold = np.mean([widths(np.random.default_rng(world)) for world in range(20)], axis=0)
    assert untold < 0.85 * told
