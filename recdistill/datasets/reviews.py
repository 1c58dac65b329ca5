"""Reviews of two kinds of products: bags of words and 1 to 5 stars, made, since no review may be bundled.

A stand-in for sentiment across domains, such as books and kitchenware. A review's stars are the grade of

    Σ sentiment of its words + taste of its user + quality of its product + domain's mood + noise

cut at fixed thresholds. Some words carry the same sentiment everywhere; each domain has words that carry some in it
alone, and are now and then used in the other without; most words carry none. There is no order of words, and so no
negation. Each product has an `image` embedding, in which its quality is a direction that both domains share.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from recdistill.errors import UsageError
from recdistill.schema import Schema
from recdistill.streams import seed as seed_of
from recdistill.tables import Table

Array = np.ndarray[Any, Any]
SHARED, OWN, NEUTRAL = 120, 60, 400  # words
SHORTEST, LONGEST = 4, 16  # words in a review
IMAGE = 8
THRESHOLDS = (-2.2, -1.0, 0.2, 1.6)
MOOD = {"source": 0.3, "target": -0.3}
SCHEMA = Schema(
    rating="stars",
    grades=(1, 2, 3, 4, 5),
    multi=("words",),
    vector=("image",),
    user="user_id",
    item="product_id",
)


def load(
    root: Path | str | None = None,
    *,
    seed: int = 0,
    source_rows: int = 20_000,
    target_rows: int = 8_000,
    source_users: int = 2_000,
    target_users: int = 800,
    products: int = 500,
) -> tuple[Table, Table]:
    """Source and target of one world.

    Args:
        root: not used; the reviews are made, not read.
        seed: of everything.
        source_rows, target_rows: reviews in each domain.
        source_users, target_users: users of each; none in both.
        products: of each domain; none in both.

    Returns:
        (source, target), all rated.

    Raises:
        UsageError: a size is below 10.
    """
    sizes = (source_rows, target_rows, source_users, target_users, products)
    if min(sizes) < 10:
        raise UsageError(f"every size of the world of reviews must be at least 10, got {sizes}")
    rng = np.random.default_rng(seed_of(seed, "reviews"))
    language = _Language(rng)
    source = _domain(language, rng, rows=source_rows, users=source_users, products=products, domain="source")
    target = _domain(language, rng, rows=target_rows, users=target_users, products=products, domain="target")
    return Table(source, SCHEMA), Table(target, SCHEMA)


class _Language:
    """The words, and per domain how often each is used and what it says there; and what quality looks like."""

    def __init__(self, rng: np.random.Generator) -> None:
        kinds = {"everywhere": SHARED, "source": OWN, "target": OWN, "neutral": NEUTRAL}
        self.words = np.array([f"{kind}-{number}" for kind, count in kinds.items() for number in range(count)])
        kind = np.repeat(list(kinds), list(kinds.values()))
        sentiment, frequency = rng.normal(0, 0.9, len(kind)), rng.lognormal(0, 1, len(kind))
        self.sentiment = {d: np.where(np.isin(kind, ["everywhere", d]), sentiment, 0) for d in MOOD}
        rare = {d: np.isin(kind, [other for other in MOOD if other != d]) for d in MOOD}
        often = {d: np.where(rare[d], frequency / 10, frequency) for d in MOOD}
        self.share = {d: found / found.sum() for d, found in often.items()}
        self.look = rng.normal(0, 1, IMAGE)


def _domain(
    language: _Language, rng: np.random.Generator, *, rows: int, users: int, products: int, domain: str
) -> pa.Table:
    quality, taste = rng.normal(0, 0.8, products), rng.normal(0, 0.4, users)
    image = np.outer(quality, language.look) + rng.normal(0, 1, (products, IMAGE))
    product, user = rng.integers(0, products, rows), rng.integers(0, users, rows)
    ends = np.cumsum(rng.integers(SHORTEST, LONGEST + 1, rows))
    word = rng.choice(len(language.words), ends[-1], p=language.share[domain])
    said = np.diff(np.cumsum(language.sentiment[domain][word])[ends - 1], prepend=0)
    score = said + taste[user] + quality[product] + MOOD[domain] + rng.normal(0, 0.5, rows)
    first = 1_000_000 if domain == "target" else 0
    return pa.table(
        {
            "row_id": first + np.arange(rows),
            "user_id": first + user,
            "product_id": first + product,
            "words": pa.ListArray.from_arrays(np.append(0, ends).astype(np.int32), pa.array(language.words[word])),
            "image": pa.array(list(image[product]), type=pa.list_(pa.float64())),
            "stars": 1 + np.searchsorted(THRESHOLDS, score),
        }
    )
