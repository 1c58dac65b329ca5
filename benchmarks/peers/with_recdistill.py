"""Criteo rows prepared by this package, with all its checks.

    python benchmarks/peers/with_recdistill.py rows.tsv folder

The same ids, numbers and parts as `with_pandas.py`.
"""

from __future__ import annotations

import sys

import recdistill as rd
from recdistill.datasets import criteo


def main() -> None:
    """Prepare."""
    path, folder = sys.argv[1:]
    rd.prepare(
        path,
        folder,
        schema=criteo.SCHEMA,
        csv=criteo.LAYOUT,
        encoder=rd.EncoderSettings(min_count=10),
        split=rd.SplitBy(by="position", valid=0.1, test=0.1, seed=0),
    )


if __name__ == "__main__":
    main()
