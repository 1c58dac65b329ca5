"""Rows like Criteo's, as many as wanted: its missing rates, skew and tails, none of its rows.

    python benchmarks/criteo_like/generate.py 1_000_000 rows.tsv

Tab-separated without a header: click, I1-I13, C1-C26; missing is empty. Columns are drawn one by one from
`shape.json`, so they are as skewed as the real ones but independent of each other. Clicks depend weakly on some.
The first n rows are the same however many follow.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

SHAPE = json.loads((Path(__file__).parent / "shape.json").read_text())
CHUNK = 250_000
WEIGHTS = {"C2": 0.5, "C9": 0.7, "C14": 0.5, "C17": 0.4, "C23": 0.3, "I6": -0.1, "I11": 0.15}
BASE = -1.1  # gives about the real share of clicks
HEX = np.frombuffer(b"0123456789abcdef", np.uint8)

Array = np.ndarray[Any, Any]


def main() -> None:
    """Write the file, saying how far it is."""
    rows, path = int(sys.argv[1]), Path(sys.argv[2])
    write(path, rows, seed=0)


def write(path: Path, rows: int, *, seed: int) -> None:
    """A file of so many rows, made chunk by chunk."""
    options = pa_csv.WriteOptions(include_header=False, delimiter="\t", quoting_style="none")
    with path.open("wb") as stream:
        for start in range(0, rows, CHUNK):
            made = chunk(start // CHUNK, seed=seed)
            pa_csv.write_csv(made.slice(0, rows - start), stream, options)
            done = min(rows, start + CHUNK)
            if start // (4 * CHUNK) != done // (4 * CHUNK) or done == rows:
                print(f"  {done:,} of {rows:,} rows made", flush=True)


def chunk(number: int, *, seed: int) -> pa.Table:
    """Chunk `number` of the endless table: `CHUNK` rows."""
    rng = np.random.default_rng([seed, number])
    columns, logit = {}, np.full(CHUNK, BASE)
    for name, shape in SHAPE["numbers"].items():
        values, missing = numbers(shape, rng)
        columns[name] = pa.array(values, mask=missing)
        if name in WEIGHTS:
            logit += WEIGHTS[name] * np.where(missing, 0, np.log1p(np.maximum(values, 0)))
    for position, (name, shape) in enumerate(SHAPE["categories"].items()):
        ids, missing = values_of(shape, position, rng)
        columns[name] = hexadecimal(ids, missing)
        if name in WEIGHTS:
            logit += WEIGHTS[name] * (ids / 2**31 - 1)
    click = rng.random(CHUNK) < 1 / (1 + np.exp(-logit))
    return pa.table({"click": pa.array(click.astype(np.int8)), **columns})


def numbers(shape: dict[str, Any], rng: np.random.Generator) -> tuple[Array, Array]:
    """(rows,) counts by the measured quantiles, and which are missing."""
    values = np.floor(np.interp(rng.random(CHUNK), SHAPE["quantiles_at"], shape["quantiles"])).astype(np.int64)
    return values, rng.random(CHUNK) < shape["missing"]


def values_of(shape: dict[str, Any], position: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """(rows,) 32-bit values of a category by the measured ranks, one value for each rank, and which are missing."""
    shares, ranks = cumulative(shape)
    rank = np.interp(rng.random(CHUNK), shares, ranks).astype(np.uint32)
    return scrambled(rank, np.uint32((position + 1) * 0x9E3779B9 % 2**32)), rng.random(CHUNK) < shape["missing"]


def cumulative(shape: dict[str, Any]) -> tuple[Array, Array]:
    """Knots of the share of rows whose value has a rank below: the measured head, then the tail by its power law."""
    ranks, shares = (np.array(side, dtype=float) for side in zip([0, 0.0], *shape["head"], strict=True))
    first, last = ranks[-1], shape["last"]
    if last <= first:
        return shares / shares[-1], ranks
    tail = np.geomspace(first, last, 200)[1:]
    power = 1 - shape["exponent"]
    grown = (tail**power - first**power) / (last**power - first**power) if power else np.log(tail / first)
    return np.append(shares, shares[-1] + (1 - shares[-1]) * grown), np.append(ranks, tail)


def scrambled(values: Array, salt: np.uint32) -> Array:
    """A bijection of 32-bit numbers: the finaliser of MurmurHash3."""
    mixed = values ^ salt
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        mixed = (mixed ^ (mixed >> np.uint32(shift))) * np.uint32(factor)
    return mixed ^ (mixed >> np.uint32(16))


def hexadecimal(values: Array, missing: Array) -> pa.Array:
    """Eight hexadecimal digits each."""
    digits = HEX[(values[:, None] >> np.arange(28, -1, -4, dtype=np.uint32)) & np.uint32(15)]
    offsets = np.arange(len(values) + 1, dtype=np.int32) * 8
    text = pa.Array.from_buffers(
        pa.string(), len(values), [None, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(digits))]
    )
    return pc.if_else(pa.array(missing), pa.scalar(None, pa.string()), text)


if __name__ == "__main__":
    main()
