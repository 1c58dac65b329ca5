"""What does it cost to feed batches, beside the training step that they feed? On rows like Criteo's.

    OMP_NUM_THREADS=1 python benchmarks/feeding.py

Makes a prepared table in a temporary folder, then lets feeding from memory, feeding by windows and the training steps
of two DeepFMs take turns in one process. Writes `benchmarks/results/feeding/`.
"""

from __future__ import annotations

import argparse
import platform
import tempfile
import time
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from recdistill.artefacts import new_folder, write_json, write_text
from recdistill.batches import Batches
from recdistill.encoder import Encoder
from recdistill.examples import Examples
from recdistill.fit_settings import FitSettings
from recdistill.models import build
from recdistill.prepared_table import PreparedTable
from recdistill.schema import Schema
from recdistill.steps import Steps, hard_labels
from recdistill.trainees import Alone
from recdistill.transforms import Scaled, Vocabulary

FOLDER = Path(__file__).parent / "results" / "feeding"
# Ids of Criteo's 26 columns over its 45 million rows, for values seen ten times: 998,944 in all.
# fmt: off
COUNTS = (
    1443, 554, 175781, 128509, 305, 19, 11930, 629, 3, 41224, 5160, 174835, 3175, 27, 11254, 165206, 10, 4606, 2017, 4,
    172322, 18, 15, 56456, 86, 43356,
)
# fmt: on
NUMBERS, PART_ROWS, GROUP_ROWS, BATCH, WINDOW = 13, 250_000, 50_000, 4096, 1 << 18
MODELS: dict[str, dict[str, Any]] = {
    "large": {"embedding_dim": 16, "hidden": [400, 400, 400]},
    "small": {"embedding_dim": 4, "hidden": [64]},
}
WAYS = ("memory", "windowed")


def main() -> None:
    """Make the rows, take turns, write the page."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--rows", type=int, default=1_500_000, help="rows of the table (default 1,500,000)")
    arguments.add_argument("--turns", type=int, default=5, help="how often each is measured (default 5)")
    arguments.add_argument("--steps", type=int, default=12, help="training steps a turn (default 12)")
    asked = arguments.parse_args()
    torch.set_num_threads(1)
    pa.set_cpu_count(1)
    with tempfile.TemporaryDirectory() as folder:
        written = write_rows(Path(folder) / "prepared", asked.rows)
        result = measured(PreparedTable.read(written), asked.turns, asked.steps)
    facts = {"torch": torch.__version__, "pyarrow": pa.__version__, "python": platform.python_version()}
    result = {"rows": asked.rows, "ids": sum(COUNTS), "turns": asked.turns, "steps": asked.steps, **facts, **result}
    write_json(FOLDER / "results.json", result)
    write_text(FOLDER / "README.md", page(result))
    print(page(result))


def write_rows(folder: Path, rows: int) -> Path:
    """A prepared table of random rows, its ids as skewed as click logs are."""
    words = {f"c{k}": Vocabulary(values=pa.array(np.arange(count - 1))) for k, count in enumerate(COUNTS)}
    scaled = {f"n{k}": Scaled(mean=(0.0,), deviation=(1.0,)) for k in range(NUMBERS)}
    encoder = Encoder(
        {**{n: ("categorical", t) for n, t in words.items()}, **{n: ("number", t) for n, t in scaled.items()}}
    )
    schema = Schema(label="click", categorical=tuple(words), number=tuple(scaled))
    parts = [min(PART_ROWS, rows - start) for start in range(0, rows, PART_ROWS)]
    facts = {"schema": schema.to_dict(), "rows": {"train": rows}, "parts": {"train": parts}}
    told = {"kind": "prepared_table", "encoder": encoder.fingerprint, "rows_fingerprint": "drawn"}
    with new_folder(folder, **facts, **told) as temporary:
        (temporary / "encoder").mkdir()
        encoder.save(temporary / "encoder")
        (temporary / "train").mkdir()
        for k, count in enumerate(parts):
            path, table = temporary / "train" / f"part-{k:05d}.parquet", drawn(k, count)
            pq.write_table(table, path, compression="zstd", row_group_size=GROUP_ROWS, write_page_checksum=True)
    return folder


def drawn(part: int, rows: int) -> pa.Table:
    """The encoded rows of a part; id k of a column is about as frequent as 1 / k."""
    rng = np.random.default_rng(part)
    columns: dict[str, Any] = {"_row_id": part * PART_ROWS + np.arange(rows)}
    columns["_label"] = (rng.random(rows) < 0.25).astype(np.float32)
    for k, count in enumerate(COUNTS):
        columns[f"c{k}"] = (count ** rng.random(rows)).astype(np.int32) % count
    for k in range(NUMBERS):
        columns[f"n{k}"] = rng.normal(size=rows).astype(np.float32)
    return pa.table(columns)


def measured(prepared: PreparedTable, turns: int, steps: int) -> dict[str, Any]:
    """Seconds of processor time per mini-batch, per turn, of each way to feed and each model's step."""
    feeds = {"memory": Batches(prepared, memory=1 << 40), "windowed": Batches(prepared, window_rows=WINDOW)}
    loading = seconds(lambda: next(feeds["memory"].epoch(0)))
    held = list(islice(feeds["memory"].epoch(0), steps))
    trained = {name: loop(prepared, model) for name, model in MODELS.items()}
    found: dict[str, list[float]] = {name: [] for name in (*feeds, *trained)}
    for turn in range(turns):
        for name, batches in feeds.items():
            found[name].append(seconds(lambda b=batches, t=turn: exhaust(b.epoch(1 + t))) / batches.steps)
        for name, taught in trained.items():
            found[name].append(seconds(lambda t=taught: train(t, held)) / steps)
    return {"load_seconds": loading, "batches": feeds["memory"].steps, "seconds": found}


def loop(prepared: PreparedTable, model: dict[str, Any]) -> Steps:
    """The steps of `fit`, warmed up by those that make the optimiser's state."""
    spec = prepared.encoder.spec
    network = build("deepfm", spec, arguments=model).train()
    settings = FitSettings(batch_size=BATCH, device="cpu")
    made = Steps(Alone(network, settings), hard_labels, settings, spec)
    train(made, islice(Batches(prepared, memory=1 << 40).epoch(0), 2))
    return made


def train(taught: Steps, batches: Iterable[Examples]) -> None:
    """A step on each of the batches."""
    for step, examples in enumerate(batches):
        taught.step(examples, 0, step)


def exhaust(batches: Iterable[Examples]) -> None:
    """Ask for all batches and use none."""
    for _ in batches:
        pass


def seconds(work: Callable[[], Any]) -> float:
    """Of the processor, the reading thread's too, which other work on the machine does not lengthen as the clock's."""
    started = time.process_time()
    work()
    return time.process_time() - started


def shares(result: dict[str, Any], way: str, model: str) -> list[float]:
    """Per turn, the time of feeding a batch over that of the step it feeds, rising."""
    found = result["seconds"]
    return sorted(fed / stepped for fed, stepped in zip(found[way], found[model], strict=True))


def page(result: dict[str, Any]) -> str:
    """The result as Markdown."""
    found, rows = result["seconds"], result["rows"]
    lines = ["# Feeding batches", "", "Made by `OMP_NUM_THREADS=1 python benchmarks/feeding.py`.", ""]
    lines += [
        f"{rows:,} rows of 26 id columns ({result['ids']:,} ids, about as frequent as 1 / rank) and 13 numbers, in"
    ]
    lines += [
        f"batches of {BATCH:,}. Seconds are of the processor, one thread for torch and for Arrow; those of the thread"
    ]
    lines += ["that reads ahead are counted in full, though it works while the step does."]
    lines += [f"Median of {result['turns']} turns, with the least and the most."]
    lines += ["", "| batches | rows per second | milliseconds a batch |", "|---|---|---|"]
    for way in WAYS:
        lines += [f"| {words(way)} | {BATCH / median(found[way]):,.0f} | {spread(found[way], 1e3, '.2f')} |"]
    lines += ["", f"Into memory they are read once, at {rows / result['load_seconds']:,.0f} rows per second.", ""]
    lines += ["| DeepFM's step | milliseconds | " + " | ".join(words(way) for way in WAYS) + " |", "|---|---|---|---|"]
    for name, model in MODELS.items():
        cells = [f"{100 * median(shares(result, way, name)):.1f} %" for way in WAYS]
        told = f"embeddings of {model['embedding_dim']}, hidden {'-'.join(map(str, model['hidden']))}"
        lines += ["| " + " | ".join([told, spread(found[name], 1e3, ".0f"), *cells]) + " |"]
    lines += [
        "",
        "The last columns are the time of feeding over that of the step; each turn's feeding is set beside the",
    ]
    lines += [
        "same turn's step. The step is that of `fit`: unseen ids drawn, forward, backward, Adam over all weights."
    ]
    return "\n".join([*lines, ""])


def words(way: str) -> str:
    """A way to feed, in words."""
    return "shuffled in memory" if way == "memory" else f"windows of {WINDOW:,} rows from disk"


def spread(values: list[float], scale: float, digits: str) -> str:
    """The median of some values, with the least and the most."""
    low, middle, high = (format(scale * value, digits) for value in (min(values), median(values), max(values)))
    return f"{middle} ({low} to {high})"


if __name__ == "__main__":
    main()
