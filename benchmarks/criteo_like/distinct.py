"""How many distinct values has each category of a made file among as many first rows as were measured?

    python benchmarks/criteo_like/distinct.py rows.tsv

Prints them as JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pandas as pd

SHAPE = json.loads((Path(__file__).parent / "shape.json").read_text())


def main() -> None:
    """Read the first rows, count."""
    names = ["click", *SHAPE["numbers"], *SHAPE["categories"]]
    rows = pd.read_csv(sys.argv[1], sep="\t", header=None, names=names, nrows=SHAPE["rows"])
    print(json.dumps({name: int(rows[name].nunique()) for name in SHAPE["categories"]}))


if __name__ == "__main__":
    main()
