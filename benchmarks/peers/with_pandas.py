"""Criteo rows prepared as a data scientist writes it with pandas.

    python benchmarks/peers/with_pandas.py rows.tsv folder

Ids by falling count for values of at least 10 training rows, 0 for others; numbers standardised; the first 80 % of rows
train, the next 10 % validate, the rest test.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pandas as pd

NUMBERS, CATEGORIES = [f"I{n}" for n in range(1, 14)], [f"C{n}" for n in range(1, 27)]
MIN_COUNT = 10


def main() -> None:
    """Read, fit on the training rows, encode, write."""
    path, folder = sys.argv[1], Path(sys.argv[2])
    rows = pd.read_csv(path, sep="\t", header=None, names=["click", *NUMBERS, *CATEGORIES])
    first, second = round(0.8 * len(rows)), round(0.9 * len(rows))
    train = rows.iloc[:first]
    for name in NUMBERS:
        mean, deviation = train[name].mean(), train[name].std(ddof=0)
        rows[name] = ((rows[name] - mean) / deviation).fillna(0).astype("float32")
    for name in CATEGORIES:
        counts = train[name].value_counts()
        counts = counts[counts >= MIN_COUNT].sort_index().sort_values(ascending=False, kind="stable")
        ids = pd.Series(range(1, len(counts) + 1), index=counts.index)
        rows[name] = rows[name].map(ids).fillna(0).astype("int32")
    folder.mkdir()
    rows.iloc[:first].to_parquet(folder / "train.parquet", compression="zstd", index=False)
    rows.iloc[first:second].to_parquet(folder / "valid.parquet", compression="zstd", index=False)
    rows.iloc[second:].to_parquet(folder / "test.parquet", compression="zstd", index=False)


if __name__ == "__main__":
    started = time.perf_counter()
    main()
    print(time.perf_counter() - started)
