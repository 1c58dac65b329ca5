"""Do the peers' prepared rows agree, row by row? A few columns are compared, in the input's order.

    python benchmarks/peers/agree.py folder another …

Prints how many values were compared, as JSON, or fails with the first difference.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

# Numbers with many and with few missing, categories of three to millions of values.
COLUMNS = ("I2", "I5", "I12", "C3", "C6", "C9", "C10", "C20", "C26")


def main() -> None:
    """Compare every folder with the first."""
    first, *others = map(Path, sys.argv[1:])
    compared = sum(differences(first, other, part) for other in others for part in ("train", "valid", "test"))
    print(json.dumps({"columns": list(COLUMNS), "values": compared}))


def differences(first: Path, other: Path, part: str) -> int:
    """How many values were compared; ends the program where some differ."""
    compared = 0
    for name in COLUMNS:
        one, two = column(first, part, name), column(other, part, name)
        same = one.shape == two.shape and (
            np.allclose(one, two, rtol=1e-4, atol=1e-6) if one.dtype.kind == "f" else np.array_equal(one, two)
        )
        if not same:
            raise SystemExit(f"{name} of the {part} part differs between {first} and {other}")
        compared += len(one)
    return compared


def column(folder: Path, part: str, name: str) -> np.ndarray:
    """One column of a part: of one file, or of a folder of files in their order."""
    files = sorted((folder / part).glob("part-*.parquet")) or [folder / f"{part}.parquet"]
    found = pa.concat_tables([pq.read_table(file, columns=[name]) for file in files])[name]
    return found.to_numpy()


if __name__ == "__main__":
    main()
