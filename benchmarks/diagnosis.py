"""Does the diagnosis name the shift that was planted, and none where there is none?

    OMP_NUM_THREADS=1 python benchmarks/diagnosis.py --tuning
    OMP_NUM_THREADS=1 python benchmarks/diagnosis.py

Synthetic worlds with one planted shift each, or none. The first command makes worlds of seeds from 100 on, on which the
limits in `recdistill/shift/verdict.py` were chosen; the second those of seeds 0 to 19, which are reported. A world that
is already in the result file is not diagnosed again. Writes `benchmarks/results/diagnosis/results.json` and
`README.md`.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from diagnosis_page import page

from recdistill.artefacts import read_json, write_text
from recdistill.datasets import synthetic
from recdistill.shift import diagnose

FOLDER = Path(__file__).parent / "results" / "diagnosis"
SIZES = {"source_rows": 24_000, "target_rows": 12_000}
KINDS: dict[str, tuple[str, ...]] = {"none": (), **{name: (name,) for name in synthetic.SHIFTS}}
REPORTED, TUNING = range(20), range(100, 120)
World = dict[str, Any]
Map = Callable[[Callable[[tuple[str, int]], World], list[tuple[str, int]]], Iterable[World]]


def main() -> None:
    """Diagnose the worlds that are missing, keep each, write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tuning", action="store_true", help="the worlds that the limits are chosen on")
    parser.add_argument("--processes", type=int, default=2, help="worlds at a time, one thread each (default 2)")
    asked = parser.parse_args()
    with multiprocessing.get_context("spawn").Pool(asked.processes) as pool:
        result = all_worlds(TUNING if asked.tuning else REPORTED, FOLDER / "results.json", pool.imap_unordered)
    write_text(FOLDER / "README.md", page(result))
    print(page(result))


def all_worlds(seeds: Iterable[int], file: Path, over: Map) -> dict[str, Any]:
    """The result file's content with the worlds of these seeds.

    Args:
        seeds: of the worlds, each of every kind.
        file: the results, kept after each world.
        over: what diagnoses them, `map` or one of several processes.
    """
    result = read_json(file) if file.is_file() else {"sizes": SIZES, "worlds": []}
    known = {(world["kind"], world["seed"]) for world in result["worlds"]}
    wanted = [(kind, seed) for seed in seeds for kind in KINDS if (kind, seed) not in known]
    for world in over(diagnosed, wanted):
        result["worlds"].append(world)
        result["worlds"].sort(key=lambda one: (one["seed"], list(KINDS).index(one["kind"])))
        lines = ",\n".join(json.dumps(one, allow_nan=False) for one in result["worlds"])
        write_text(file, f'{{"sizes": {json.dumps(SIZES)},\n"worlds": [\n{lines}\n]}}\n')
        print(world["kind"], world["seed"], world["named"], flush=True)
    return result


def diagnosed(told: tuple[str, int]) -> World:
    """What the diagnosis of one world says, and what it measured."""
    kind, seed = told
    source, target = synthetic.load(seed=seed, shifts=KINDS[kind], **SIZES)
    started = time.process_time()
    found = diagnose(source, target)
    concept = found.concept
    assert concept is not None
    return {
        "kind": kind,
        "seed": seed,
        "named": list(found.verdict.shifts),
        "auc": [found.domain.auc, found.domain.low, found.domain.high],
        "base_rate": [concept.base_rate, concept.base_rate_low, concept.base_rate_high],
        "gain": [concept.gain, concept.gain_low, concept.gain_high],
        "rates": [found.labels.source_rate, found.labels.target_rate],
        "implied_rate": found.labels.implied_rate,
        "seconds": time.process_time() - started,
    }


if __name__ == "__main__":
    main()
