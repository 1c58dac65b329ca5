"""Criteo rows prepared by this package, with all its checks.

    python benchmarks/peers/with_recdistill.py rows.tsv folder

The same ids, numbers and parts as `with_pandas.py`.
"""

from __future__ import annotations

import sys
import time

from recdistill.datasets import criteo
from recdistill.encoder_settings import EncoderSettings
from recdistill.preparation import PrepareSettings, SplitBy, prepare


def main() -> None:
    """Prepare."""
    path, folder = sys.argv[1:]
    split = SplitBy(by="position", valid=0.1, test=0.1)
    settings = PrepareSettings(csv=criteo.LAYOUT, encoder=EncoderSettings(min_count=10), split=split)
    prepare(path, folder, schema=criteo.SCHEMA, settings=settings)


if __name__ == "__main__":
    started = time.perf_counter()
    main()
    print(time.perf_counter() - started)
