"""Reviews: what words mean where, and a student of another domain's teacher that reads words and images."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow.compute as pc
import pytest

import recdistill as rd
from recdistill.datasets import reviews
from recdistill.errors import UsageError
from recdistill.models import build
from recdistill.tables import Table

Array = np.ndarray[Any, Any]
SEEDS = range(3)
FIT = rd.FitSettings(epochs=30, learning_rate=5e-3, patience=5)


def ranker(train: Table, dim: int, seed: int) -> rd.Ranker:
    encoder = rd.Encoder.fit(train)
    arguments = {"embedding_dim": dim, "hidden": [16], "classes": train.schema.classes}
    return rd.Ranker(encoder, build("mlp", encoder.spec, seed=seed, arguments=arguments))


@pytest.fixture(scope="module")
def errors() -> dict[str, dict[str, float]]:
    """Per student its metrics, each a mean over seeds; a tenth of the target's ratings is known."""
    found: dict[str, list[dict[str, float]]] = {}
    for seed in SEEDS:
        source, target = reviews.load(seed=seed, source_rows=12_000, target_rows=6_000)
        train, valid, test = rd.split(target, test=0.3)
        train, valid = rd.keep_labels(train, valid, share=0.1, seed=seed)
        teacher = ranker(source, 8, seed)
        rd.fit(teacher, source, settings=rd.FitSettings(epochs=6, learning_rate=1e-2, seed=seed))
        words_only = train.schema.without("image")
        rows = {"hard_only": train, "taught": train, "taught by words": train.with_schema(words_only)}
        for name, table in rows.items():
            student = ranker(table, 4, seed)
            soft = rd.SoftLabels.from_column(table, teacher.score(train), scale="logit")
            told = rd.DistillSettings(alpha=0.0 if name == "hard_only" else 0.7)
            fitting = FIT.model_copy(update={"seed": seed})
            rd.distill(student, table, soft, valid=valid, settings=told, fitting=fitting)
            measured = rd.evaluate({name: student}, test)["rankers"][name]["metrics"]
            found.setdefault(name, []).append(measured)
    return {name: {m: float(np.mean([each[m] for each in of])) for m in of[0]} for name, of in found.items()}


def test_a_student_of_another_domain_beats_few_ratings_alone(errors: dict[str, dict[str, float]]) -> None:
    for metric in ("rmse", "mae", "logloss"):
        assert errors["taught"][metric] < errors["hard_only"][metric] - 0.1


def test_an_image_tells_a_student_what_words_do_not(errors: dict[str, dict[str, float]]) -> None:
    for metric in ("rmse", "mae", "logloss"):
        assert errors["taught"][metric] < errors["taught by words"][metric] - 0.05


def test_reviews_are_what_they_say() -> None:
    sides = reviews.load(seed=1)
    assert [t.fingerprint for t in sides] == [t.fingerprint for t in reviews.load(seed=1)]
    assert sides[0].fingerprint != reviews.load(seed=2)[0].fingerprint
    for table in sides:
        assert set(np.bincount(table.labels.astype(int)) > 0.03 * len(table)) == {True}
        lengths = pc.list_value_length(table.column("words")).to_numpy()
        assert (lengths.min(), lengths.max()) == (reviews.SHORTEST, reviews.LONGEST)
    for name in ("user_id", "product_id"):
        assert not set(sides[0].numpy(name)) & set(sides[1].numpy(name))
    with pytest.raises(UsageError, match="at least 10"):
        reviews.load(products=3)


def test_words_mean_the_same_everywhere_or_something_in_their_domain_alone() -> None:
    sides = reviews.load(seed=0, target_rows=20_000)
    words = np.unique(
        np.concatenate([pc.list_flatten(t.column("words")).to_numpy(zero_copy_only=False) for t in sides])
    )
    source, target = (sentiment(table, words) for table in sides)
    kind = np.array([word.rpartition("-")[0] for word in words])
    agree = {name: float(np.corrcoef(source[kind == name], target[kind == name])[0, 1]) for name in np.unique(kind)}
    assert agree["everywhere"] > 0.7
    assert max(abs(agree[name]) for name in ("source", "target", "neutral")) < 0.4
    strength = {name: (source[kind == name].std(), target[kind == name].std()) for name in ("source", "target")}
    assert strength["source"][0] > 1.5 * strength["source"][1]
    assert strength["target"][1] > 1.5 * strength["target"][0]


def sentiment(table: Table, words: Array) -> Array:
    """(words,) how many stars each word adds, by least squares with a little shrinkage."""
    lists = table.column("words")
    counts = np.zeros((len(table), len(words)))
    place = np.searchsorted(words, pc.list_flatten(lists).to_numpy(zero_copy_only=False))
    np.add.at(counts, (pc.list_parent_indices(lists).to_numpy(), place), 1)
    counts -= counts.mean(0)
    stars = table.numpy("stars") - table.numpy("stars").mean()
    found = np.linalg.solve(counts.T @ counts + 20 * np.eye(len(words)), counts.T @ stars)
    return np.asarray(found)
