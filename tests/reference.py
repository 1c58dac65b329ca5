"""Criteo's rows prepared slowly and obviously, in plain Python and pandas: what the fast path must equal."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xxhash

NUMBERS, CATEGORIES = [f"I{n}" for n in range(1, 14)], [f"C{n}" for n in range(1, 27)]
PARTS = ("train", "valid", "test")
WORD = 2**64


def rows_of(path: Path) -> pd.DataFrame:
    """All rows of a Criteo file in its order: click, numbers with NaN and texts with None where missing."""
    types: dict[str, type] = {**dict.fromkeys(NUMBERS, float), **dict.fromkeys(CATEGORIES, str)}
    names = ["click", *NUMBERS, *CATEGORIES]
    frame = pd.read_csv(path, sep="\t", header=None, names=names, dtype=types, keep_default_na=False, na_values=[""])
    texts = {name: frame[name].astype(object).where(frame[name].notna(), None) for name in CATEGORIES}
    return frame.assign(**texts)


# ---------------------------------------------------------------------------------------------- splits


def splitmix64(x: int) -> int:
    """Of SplitMix64 (Steele, Lea and Flood 2014): the first number of the generator with state x."""
    x = (x + 0x9E3779B97F4A7C15) % WORD
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 % WORD
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB % WORD
    return x ^ (x >> 31)


def parts_by_position(rows: int, *, valid: float, test: float) -> list[str]:
    """The part of each row by its place in the file."""
    return [_part((row + 0.5) / rows, valid, test) for row in range(rows)]


def parts_at_random(row_ids: Iterable[int], *, valid: float, test: float, seed: int) -> list[str]:
    """The part of each row by its id alone, in whatever order and company it comes."""
    return [_part(splitmix64(row ^ splitmix64(seed)) / WORD, valid, test) for row in row_ids]


def parts_by_user(users: Iterable[str], *, valid: float, test: float, seed: int) -> list[str]:
    """The part of each row by its user's text."""
    return parts_at_random((xxhash.xxh3_64_intdigest(u.encode()) for u in users), valid=valid, test=test, seed=seed)


def _part(place: float, valid: float, test: float) -> str:
    if place < 1 - test - valid:
        return "train"
    return "valid" if place < 1 - test else "test"


# -------------------------------------------------------------------------------------------- encoding


def encoded(
    frame: pd.DataFrame,
    parts: Sequence[str],
    *,
    min_count: int = 1,
    max_vocabulary: int | None = None,
    hashing: Mapping[str, int] | None = None,
    numbers: str = "standardise",
) -> dict[str, pd.DataFrame]:
    """Every part's rows, encoded by what the training rows say: the keywords are those of `EncoderSettings`."""
    trains = np.array([part == "train" for part in parts])
    columns: dict[str, Any] = {"row": range(len(frame)), "click": frame["click"]}
    for name in CATEGORIES:
        values, buckets = frame[name].tolist(), (hashing or {}).get(name)
        seen = frame[name][trains].tolist()
        columns[name] = hashed(values, buckets) if buckets else ids(values, seen, min_count, max_vocabulary)
    for name in NUMBERS:
        columns[name] = WAYS[numbers](frame[name], frame[name][trains])
    made = pd.DataFrame(columns)
    return {part: made[[other == part for other in parts]] for part in PARTS}


def ids(values: Sequence[Any], seen: Sequence[Any], min_count: int = 1, largest: int | None = None) -> list[int]:
    """Ids 1, 2, … by falling count, then value, or hashed where they are too many; 0 where missing, rare or unseen."""
    counts = Counter(value for value in seen if value is not None)
    known = sorted((v for v in counts if counts[v] >= min_count), key=lambda v: (-counts[v], v))
    if largest is not None and len(known) > largest:
        return hashed(values, largest)
    number = {value: place for place, value in enumerate(known, 1)}
    return [number.get(value, 0) for value in values]


def hashed(values: Sequence[Any], buckets: int) -> list[int]:
    """Ids 1 … buckets by the hash of the text; 0 where missing."""
    return [0 if v is None else 1 + xxhash.xxh3_64_intdigest(v.encode()) % buckets for v in values]


def standardised(column: pd.Series, seen: pd.Series) -> pd.Series:
    """Mean 0 and deviation 1 over the training rows; 0 where missing."""
    return ((column - seen.mean()) / seen.std(ddof=0)).fillna(0.0)


def log_standardised(column: pd.Series, seen: pd.Series) -> pd.Series:
    """The same of sign(x)·ln(1 + |x|)."""
    return standardised(*(np.sign(x) * np.log1p(x.abs()) for x in (column, seen)))


def quantile_ids(column: pd.Series, seen: pd.Series) -> list[int]:
    """Which sixteenth of the training rows' distribution; equal edges count once; 0 where missing."""
    edges = sorted({float(np.quantile(seen.dropna(), step / 16)) for step in range(1, 16)})
    return [0 if math.isnan(x) else 1 + bisect_right(edges, x) for x in column]


def log_bucket_ids(column: pd.Series, seen: pd.Series) -> list[int]:
    """Ids of floor(ln(x)²) above 2 and floor(x) up to it, by their counts in the training rows; 0 where missing."""

    def bucket(x: float) -> int | None:
        if math.isnan(x):
            return None
        return math.floor(math.log(x) ** 2) if x > 2 else math.floor(x)

    return ids([bucket(x) for x in column], [bucket(x) for x in seen])


WAYS = {
    "standardise": standardised,
    "log": log_standardised,
    "quantiles": quantile_ids,
    "log_buckets": log_bucket_ids,
}
