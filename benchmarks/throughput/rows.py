"""The rows that every subject trains on: columns sized like Criteo's, ids about as frequent as 1 / rank."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from feeding import COUNTS, NUMBERS

CLICKS = 0.25
FEWEST = 2  # ids of a column: the unseen one and another


def counts(total: int) -> list[int]:
    """How many ids each column has: Criteo's shares of a total, which they sum to."""
    if total < FEWEST * len(COUNTS):
        raise SystemExit(f"{len(COUNTS)} columns need at least {FEWEST * len(COUNTS)} ids, got {total}")
    found = [max(FEWEST, count * total // sum(COUNTS)) for count in COUNTS]
    while (left := total - sum(found)) != 0:
        largest = int(np.argmax(found))
        found[largest] += max(left, FEWEST - found[largest])
    return found


def write(path: Path, total: int, rows: int, *, seed: int = 0) -> None:
    """A file of rows, a function of the seed."""
    rng, sizes = np.random.default_rng(seed), counts(total)
    ids = np.stack([(size ** rng.random(rows)).astype(np.int32) % size for size in sizes], 1)
    numbers = rng.normal(size=(rows, NUMBERS)).astype(np.float32)
    labels = (rng.random(rows) < CLICKS).astype(np.float32)
    np.savez(path, counts=np.array(sizes), ids=ids, numbers=numbers, labels=labels)
