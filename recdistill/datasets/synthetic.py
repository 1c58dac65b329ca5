"""A small world with a known answer: planted factors, shifted populations and base rates, true probabilities.

    p(click | user u, item i) = σ(b + β_u + β_i + s·⟨f_u, f_i⟩)

User factors are a mean of the user's attributes plus noise, item factors of the genre plus noise. The domains share
the items; the target always has users of its own, and by what is planted (`SHIFTS`) an attribute mix and an item
popularity, a base rate b, or effects of its own. After an impression comes `dwell`, max(0, the logit plus noise):
privileged, since it is not known when a ranker serves.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from recdistill.errors import UsageError, nearest
from recdistill.schema import Schema
from recdistill.streams import seed as seed_of
from recdistill.tables import Table

Array = np.ndarray[Any, Any]
BASE = {"source": -0.4, "target": -1.3}
EXTRAS = ("dwell", "system_score")
SHIFTS = ("population", "base_rate", "concept")
REDRAWN = 0.75  # of the variance of the effects of attributes and genres, where the concept shifts
FACTORS, AGES, REGIONS, GENRES = 4, 6, 5, 8
SCHEMA = Schema(
    label="click",
    categorical=("user_id", "item_id", "age", "region"),
    multi=("genres",),
    number=("price", "dwell"),
    vector=("embedding",),
    privileged=("dwell",),
    user="user_id",
    item="item_id",
    time="time",
    truth="true_probability",
)


def load(
    root: Path | str | None = None,
    *,
    seed: int = 0,
    source_rows: int = 60_000,
    target_rows: int = 25_000,
    source_users: int = 2_000,
    target_users: int = 800,
    items: int = 600,
    target_has: Sequence[str] = (),
    shifts: Sequence[str] = ("population", "base_rate"),
) -> tuple[Table, Table]:
    """Source and target of one world.

    Args:
        root: not used; the world is made, not read.
        seed: of everything.
        source_rows, target_rows: rows of each domain.
        source_users, target_users: users of each; none in both.
        items: shared by both.
        target_has: columns that the target has too: "dwell", and "system_score", what a large system at home in the
            source says of each row: the true logit plus noise of deviation 0.7, at the source's base rate and by the
            source's effects.
        shifts: what else the target has of its own: "population", the mix of ages and the popularity of items;
            "base_rate", b; "concept", how ages, regions and genres act on the click, at the mean probability that the
            source's effects would give its rows. Without any it is more of the source, by other users.

    Returns:
        (source, target); the source has the privileged column `dwell`, both have `true_probability`.

    Raises:
        UsageError: a size is below 10, the target cannot have a column, or a shift is not known.
    """
    sizes = (source_rows, target_rows, source_users, target_users, items)
    if min(sizes) < 10:
        raise UsageError(f"every size of the synthetic world must be at least 10, got {sizes}")
    for name in target_has:
        if name not in EXTRAS:
            raise UsageError(f"the target has no column {name!r}, {nearest(name, EXTRAS)}")
    for name in shifts:
        if name not in SHIFTS:
            raise UsageError(f"unknown shift {name!r}, {nearest(name, SHIFTS)}")
    rng = np.random.default_rng(seed_of(seed, "world"))
    world = _World(rng, items)
    source = _domain(world, rng, rows=source_rows, users=source_users, target=False)
    # From a stream of its own, so that the other shifts' worlds stay what they are.
    redrawn = world.redrawn(np.random.default_rng(seed_of(seed, "concept"))) if "concept" in shifts else None
    target = _domain(world, rng, rows=target_rows, users=target_users, target=True, shifts=shifts, redrawn=redrawn)
    schema = replace(SCHEMA, score="system_score") if "system_score" in target_has else SCHEMA
    target = target.drop_columns([name for name in EXTRAS if name not in target_has])
    return Table(source, SCHEMA), Table(target, schema)


@dataclass(frozen=True)
class _Effects:
    """How attributes and items act on the click: per age, region and item its factors."""

    age: Array
    region: Array
    item: Array


class _World:
    """What both domains share: attribute effects and the items."""

    def __init__(self, rng: np.random.Generator, items: int) -> None:
        age = rng.normal(0, 0.6, (AGES, FACTORS))
        region = rng.normal(0, 0.4, (REGIONS, FACTORS))
        self.genre = rng.normal(0, 0.8, (GENRES, FACTORS))
        self.genres = [np.sort(rng.choice(GENRES, size=rng.integers(1, 4), replace=False)) for _ in range(items)]
        factors = self.of_genres(self.genre) + rng.normal(0, 0.7, (items, FACTORS))
        self.effects = _Effects(age, region, factors)
        self.bias = rng.normal(0, 0.7, items)
        self.price = np.exp(rng.normal(2, 0.8, items))
        self.embedding = factors + rng.normal(0, 1.0, (items, FACTORS))
        self.popularity = rng.dirichlet(np.full(items, 0.6), 2)

    def of_genres(self, genre: Array) -> Array:
        """(items, FACTORS) the means over each item's genres."""
        return np.stack([genre[g].mean(0) for g in self.genres])

    def redrawn(self, rng: np.random.Generator) -> _Effects:
        """The effects partly drawn anew, as large as they were; what an item has beside its genres stays."""
        known = self.effects

        def anew(effect: Array, deviation: float) -> Array:
            return np.sqrt(1 - REDRAWN) * effect + np.sqrt(REDRAWN) * rng.normal(0, deviation, effect.shape)

        age, region, genre = anew(known.age, 0.6), anew(known.region, 0.4), anew(self.genre, 0.8)
        return _Effects(age, region, known.item + self.of_genres(genre - self.genre))


def _domain(
    world: _World,
    rng: np.random.Generator,
    *,
    rows: int,
    users: int,
    target: bool,
    shifts: Collection[str] = (),
    redrawn: _Effects | None = None,
) -> pa.Table:
    moved = "population" in shifts
    mix = np.linspace(3, 1, AGES)[:: -1 if moved else 1]
    age = rng.choice(AGES, users, p=mix / mix.sum())
    region = rng.integers(0, REGIONS, users)
    noise = rng.normal(0, 0.6, (users, FACTORS))
    bias = rng.normal(0, 0.6, users)
    user = rng.integers(0, users, rows)
    item = rng.choice(len(world.bias), rows, p=world.popularity[int(moved)])
    base = BASE["target" if "base_rate" in shifts else "source"]

    def by(effects: _Effects) -> Array:
        factors = effects.age[age] + effects.region[region] + noise
        return base + bias[user] + world.bias[item] + 0.6 * (factors[user] * effects.item[item]).sum(1)

    at_home = by(world.effects)
    logit = at_home if redrawn is None else _as_likely(by(redrawn), at_home)
    truth = 1 / (1 + np.exp(-logit))
    click = (rng.random(rows) < truth).astype(np.int8)
    first = 1_000_000 if target else 0
    columns: dict[str, Any] = {
        "row_id": first + np.arange(rows),
        "user_id": first + user,
        "item_id": item,
        "age": age[user],
        "region": region[user],
        "genres": pa.array([world.genres[i] for i in item], type=pa.list_(pa.int64())),
        "price": world.price[item],
        "embedding": pa.array(list(world.embedding[item]), type=pa.list_(pa.float64())),
        "time": np.sort(rng.integers(0, 10_000_000, rows)),
        "click": click,
        "true_probability": truth,
        "dwell": np.maximum(0, logit + rng.normal(0, 0.5, rows)),
    }
    if target:
        elsewhere = at_home - base + BASE["source"] + rng.normal(0, 0.7, rows)
        columns["system_score"] = 1 / (1 + np.exp(-elsewhere))
    return pa.table(columns)


def _as_likely(logit: Array, like: Array) -> Array:
    """Logits moved by one constant, so that their mean probability is that of others."""
    from scipy.optimize import brentq  # takes long to import, and most worlds need none of it
    from scipy.special import expit

    mean = expit(like).mean()
    return logit + brentq(lambda move: expit(logit + move).mean() - mean, -30, 30)
