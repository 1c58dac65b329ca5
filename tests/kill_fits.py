"""Train a teacher, or label with one, in processes that kill themselves at a step or a write boundary.

This process imports everything once. Each line it is told is a JSON list, [work, table, out, at]; a fork of it does the
work and is killed at boundary `at`, from 1. The answer is a line, the names of all boundaries when the work was done,
else the fork's exit code.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import traceback
from dataclasses import asdict
from pathlib import Path

import torch
from kill import Boundaries
from labels import teacher_of

from recdistill import soft_label_files
from recdistill.artefacts import write_json
from recdistill.checkpoints import whole
from recdistill.fit_settings import FitSettings
from recdistill.labelling import Labelling, label_prepared
from recdistill.models import build
from recdistill.prepared_table import PreparedTable
from recdistill.ranker import Ranker
from recdistill.training import fit

STEP = "step"
FIT = FitSettings(epochs=8, batch_size=64, learning_rate=2e-2, hidden={"age": 0.2}, checkpoint_seconds=0)


class Steps:
    """Each training step is a boundary."""

    def __init__(self, boundaries: Boundaries) -> None:
        self.boundaries = boundaries

    def step(self, epoch: int, step: int, steps: int, epochs: int, rows: int) -> None:
        self.boundaries.reach(STEP)

    def stopped(self) -> bool:
        return False


def train(table: PreparedTable, out: Path, boundaries: Boundaries) -> None:
    """A teacher, saved in `out`, and what came of its fit."""
    arguments = {"embedding_dim": 4, "hidden": [8], "dropout": 0.1}
    made = Ranker(table.encoder, build("deepfm", table.encoder.spec, seed=0, arguments=arguments))
    boundaries.watch(whole, "save_file")
    fitted = fit(made, table, valid=table, settings=FIT, checkpoint=out / "state", progress=Steps(boundaries))
    made.save(out / "teacher")
    write_json(out / "fitted.json", asdict(fitted))


def label(table: PreparedTable, out: Path, boundaries: Boundaries) -> None:
    """Soft labels of the rows that train, in `out`; a step is a row group."""
    boundaries.watch(Labelling, "_scored", called=STEP)
    boundaries.watch(soft_label_files, "write_rows")
    label_prepared(teacher_of(table), table, out / "soft")


def work(name: str, table: str, out: str, at: int) -> None:
    """In a fork: ends the process."""
    boundaries = Boundaries(at)
    boundaries.watch_writes()
    boundaries.watch(shutil, "rmtree")
    try:
        {"train": train, "label": label}[name](PreparedTable.read(table), Path(out), boundaries)
        print(json.dumps(boundaries.passed), flush=True)
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def main() -> None:
    torch.set_num_threads(1)
    torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))])  # the first optimiser of a process imports for a second
    for line in sys.stdin:
        if (child := os.fork()) == 0:
            work(*json.loads(line))
        if status := os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
            print(json.dumps(status), flush=True)


if __name__ == "__main__":
    main()
