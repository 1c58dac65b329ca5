"""Data sets: `load(root, …) -> (source, target)`."""

from __future__ import annotations

from collections.abc import Callable

from recdistill.datasets import movielens, synthetic
from recdistill.tables import Table

DATASETS: dict[str, Callable[..., tuple[Table, Table]]] = {"movielens": movielens.load, "synthetic": synthetic.load}

__all__ = ["DATASETS", "movielens", "synthetic"]
