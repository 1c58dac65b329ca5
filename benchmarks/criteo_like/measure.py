"""Measure the shape of Criteo's columns: how often missing, how skewed, how long the tail. Aggregates only, no rows.

    python benchmarks/criteo_like/measure.py $RECDISTILL_DATA/criteo-kaggle-137k/train.txt.gz

Writes `benchmarks/criteo_like/shape.json`, from which `generate.py` makes rows.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import brentq

SHAPE = Path(__file__).parent / "shape.json"
# Distinct values in all 45,840,617 rows of the Kaggle challenge, as its users publish them.
FULL_ROWS = 45_840_617
DISTINCT = {
    **{"C1": 1460, "C2": 583, "C3": 10131227, "C4": 2202608, "C5": 305, "C6": 24, "C7": 12517, "C8": 633, "C9": 3},
    **{"C10": 93145, "C11": 5683, "C12": 8351593, "C13": 3194, "C14": 27, "C15": 14992, "C16": 5461306, "C17": 10},
    **{"C18": 5652, "C19": 2173, "C20": 4, "C21": 7046547, "C22": 18, "C23": 15, "C24": 286181, "C25": 105},
    "C26": 142572,
}
FREQUENT = 10  # the share of a value with this many rows is taken as measured; what is rarer is the tail
QUANTILES = [*np.linspace(0, 0.98, 50).round(2).tolist(), 0.99, 0.995, 0.999, 0.9995, 0.9999, 1.0]


def main() -> None:
    """Measure, write the JSON."""
    numbers, categories = [f"I{n}" for n in range(1, 14)], list(DISTINCT)
    rows = pd.read_csv(sys.argv[1], sep="\t", header=None, names=["click", *numbers, *categories])
    shape = {
        "rows": len(rows),
        "clicks": round(float(rows["click"].mean()), 4),
        "quantiles_at": QUANTILES,
        "numbers": {name: number(rows[name]) for name in numbers},
        "categories": {name: category(rows[name], DISTINCT[name]) for name in categories},
    }
    lines = [f"{json.dumps(name)}: {json.dumps(value)}" for name, value in shape.items() if not isinstance(value, dict)]
    for group in ("numbers", "categories"):
        columns = ",\n".join(f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in shape[group].items())
        lines.append(f"{json.dumps(group)}: {{\n{columns}}}")
    SHAPE.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def number(column: pd.Series) -> dict[str, Any]:
    """Share missing and quantiles."""
    found = column.quantile(QUANTILES, interpolation="lower").astype(int)
    return {"missing": round(float(column.isna().mean()), 4), "quantiles": found.tolist()}


def category(column: pd.Series, distinct: int) -> dict[str, Any]:
    """Share missing, shares of the frequent values, and a tail that gives the distinct values of both sizes.

    The frequent values' shares are kept at some ranks, cumulative. The rest of the rows fall on ranks up to `last` with
    probability falling as rank^-exponent; exponent and last are such that as many rows as here have as many distinct
    values as here, and all 45.8 million rows `distinct`.
    """
    counts = column.value_counts().to_numpy()
    rows, shares = int(counts.sum()), np.cumsum(counts) / counts.sum()
    frequent = int((counts >= FREQUENT).sum())
    ranks = sorted({*np.geomspace(1, frequent, 24).astype(int).tolist(), frequent})
    head = [[rank, round(float(shares[rank - 1]), 6)] for rank in ranks]
    values = {"missing": round(float(column.isna().mean()), 4), "distinct": len(counts), "head": head}
    rest = 1 - float(shares[frequent - 1])
    if distinct == frequent or rest == 0:
        return {**values, "exponent": 0.0, "last": frequent}
    here, all_rows = len(counts) - frequent, int(FULL_ROWS * column.notna().mean())
    last = distinct
    exponent = tail_exponent(frequent, last, rest, rows, here)
    while expected(frequent, last, rest, exponent, all_rows) < 0.98 * (distinct - frequent) and last < 64 * distinct:
        last = int(last * 1.1)
        exponent = tail_exponent(frequent, last, rest, rows, here)
    return {**values, "exponent": round(exponent, 4), "last": last}


def tail_exponent(first: int, last: int, rest: float, rows: int, distinct: int) -> float:
    """With which a tail has so many distinct values in so many rows; the nearest where none has."""
    low, high = 0.0, 4.0

    def excess(exponent: float) -> float:
        return expected(first, last, rest, exponent, rows) - distinct

    if excess(low) < 0:
        return low
    return high if excess(high) > 0 else float(brentq(excess, low, high, xtol=1e-4))


def expected(first: int, last: int, rest: float, exponent: float, rows: int) -> float:
    """How many values of the tail so many rows are expected to have."""
    ends = np.unique(np.geomspace(first + 1, last + 1, 2000).astype(np.int64))
    width = np.diff(ends)
    weight = ((ends[:-1] + ends[1:] - 1) / 2) ** -exponent
    chance = rest * weight / (weight * width).sum()
    return float((width * -np.expm1(-rows * chance)).sum())


if __name__ == "__main__":
    main()
