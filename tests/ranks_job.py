"""What ranks do together, under torchrun: python -m torch.distributed.run ... ranks_job.py WORK FOLDER.

`FOLDER/table` is a prepared table. Each work leaves its results in the folder; rank 0 speaks for all.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import save_file

from recdistill.batches import Batches
from recdistill.checkpoints import State
from recdistill.dealt_trainee import Together
from recdistill.errors import EnvironmentFault, Interrupted, UsageError
from recdistill.fit_settings import FitSettings
from recdistill.labelling import label_prepared
from recdistill.models import build
from recdistill.models.embeddings import unplaced
from recdistill.prepared_table import PreparedTable
from recdistill.ranker import Ranker
from recdistill.ranks import Ranks, current, ended, joined, meet
from recdistill.training import Fitted, fit

ARGUMENTS = {"embedding_dim": 64, "hidden": [16]}
FIT = FitSettings(
    epochs=3,
    patience=3,
    batch_size=64,
    learning_rate=1e-3,
    embedding_optimiser="rowwise_adagrad",
    embedding_learning_rate=0.005,
    unseen_rate=0.0,  # lists of ids draw theirs on each rank
    checkpoint_seconds=1e9,
)
WAYS = {
    "table_wise": FIT.model_copy(update={"sharding": "table_wise"}),
    "row_wise": FIT.model_copy(update={"sharding": "row_wise"}),
    "column_wise": FIT.model_copy(update={"sharding": "column_wise", "embedding_optimiser": "adagrad"}),
    "table_row_wise": FIT.model_copy(
        update={"sharding": "table_row_wise", "embedding_optimiser": "sgd", "embedding_learning_rate": 0.5}
    ),
    "table_column_wise": FIT.model_copy(update={"sharding": "table_column_wise", "embedding_optimiser": "adagrad"}),
    "auto": FIT.model_copy(update={"sharding_of": {"item": "row_wise"}}),
}
JUDGED = "auto"  # its best weights are kept, the others' last
STOP = 7  # steps, after which rank 1 asks to stop


class StopAfter:
    """Stops a fit on one rank."""

    def __init__(self, rank: int, steps: int) -> None:
        self.mine, self.left = rank == int(os.environ["RANK"]), steps

    def step(self, epoch: int, step: int, steps: int, epochs: int, rows: int) -> None:
        self.left -= 1

    def stopped(self) -> bool:
        return self.mine and self.left == 0


class DieAfter:
    """Kills one rank, and notes when."""

    def __init__(self, rank: int, steps: int, note: Path) -> None:
        self.mine, self.left, self.note = rank == int(os.environ["RANK"]), steps, note

    def step(self, epoch: int, step: int, steps: int, epochs: int, rows: int) -> None:
        self.left -= 1

    def stopped(self) -> bool:
        if self.mine and self.left == 0:
            self.note.write_text(str(time.time()))
            os.kill(os.getpid(), signal.SIGKILL)
        return False


def teacher(table: PreparedTable) -> Ranker:
    with unplaced():
        return Ranker(table.encoder, build("deepfm", table.encoder.spec, seed=1, arguments=ARGUMENTS))


def keep(ranks: Ranks, made: Ranker, fitted: Fitted, out: Path) -> None:
    if ranks.first:
        made.save(out, fitted={"best_epoch": fitted.best_epoch, "history": list(fitted.history)})
    meet(ranks)


def parity(ranks: Ranks, table: PreparedTable, folder: Path) -> None:
    """A fit for each way to share the tables."""
    for way, settings in WAYS.items():
        made = teacher(table)
        found = fit(made, table, valid=table if way == JUDGED else None, settings=settings)
        keep(ranks, made, found, folder / f"{way}-{ranks.world}")


def other_features(ranks: Ranks, table: PreparedTable, folder: Path) -> None:
    """Tables without numbers, and without ids."""
    for name in OTHERS:
        other = PreparedTable.read(folder / name)
        made = teacher(other)
        keep(ranks, made, fit(made, other, settings=FIT), folder / f"{name}-2")


def resumed(ranks: Ranks, table: PreparedTable, folder: Path) -> None:
    """A fit that is not interrupted, and one that one rank's user stops and the same call continues."""
    settings = FIT.model_copy(update={"sharding": "row_wise", "unseen_rate": 0.1})
    for name, progress in (("straight", None), ("stopped", StopAfter(1, STOP)), ("stopped", None)):
        made, state = teacher(table), folder / f"state-of-{name}"
        try:
            found = fit(made, table, valid=table, settings=settings, checkpoint=state, progress=progress)
            keep(ranks, made, found, folder / name)
        except Interrupted:
            dump(ranks, table, settings, state, folder / f"dump-{ranks.rank}.safetensors")
    left_for_one(ranks, table, settings, folder)


def windowed(ranks: Ranks, table: PreparedTable, folder: Path) -> None:
    """A fit on windows of rows, stopped and continued: each rank reads a share of its own."""
    settings = FIT.model_copy(update={"epochs": 2, "unseen_rate": 0.1})
    batches = Batches(table, batch_size=20, rank=ranks.rank, world=ranks.world, window_rows=40)
    plain = settings.model_copy(update={"batch_size": 0})
    for name, progress in (("straight", None), ("stopped", StopAfter(1, 4)), ("stopped", None)):
        made = teacher(table)
        with contextlib.suppress(Interrupted):
            found = fit(made, batches, settings=plain, checkpoint=folder / f"windows-of-{name}", progress=progress)
            keep(ranks, made, found, folder / f"windows-{name}")


def left_for_one(ranks: Ranks, table: PreparedTable, settings: FitSettings, folder: Path) -> None:
    """A state that another number of ranks will continue."""
    try:
        fit(
            teacher(table),
            table,
            valid=table,
            settings=settings,
            checkpoint=folder / "left",
            progress=StopAfter(0, STOP),
        )
    except Interrupted:
        if ranks.first:
            shutil.copytree(folder / "left", folder / "left-for-plain")
        return
    raise AssertionError("the fit was to be stopped")


def dump(ranks: Ranks, table: PreparedTable, settings: FitSettings, state: Path, out: Path) -> None:
    """What the newest state holds, as this rank has it in memory after reading it: each piece with its place."""
    made = teacher(table)
    together = Together(made.network, table.encoder.spec, settings, ranks, state)
    read: State = together.stored.read(max(p for p in state.iterdir() if p.name.startswith("state-")))
    pieces = {f"dense/{name}": p.detach().clone() for name, p in together.dealt.dense.items()}
    for kind, tensors in (("tables", together.dealt.tables), ("kept", together.dealt.kept)):
        for key, sharded in tensors.items():
            for shard in sharded.local_shards():
                place = ",".join(map(str, shard.metadata.shard_offsets))
                pieces[f"{kind}/{key}@{place}"] = shard.tensor.clone()
    save_file(pieces, out)
    assert read.step or read.epoch


def continued(ranks: Ranks, table: PreparedTable, folder: Path) -> None:
    """What two ranks left, read and continued by one."""
    settings = FIT.model_copy(update={"sharding": "row_wise", "unseen_rate": 0.1})
    dump(ranks, table, settings, folder / "left", folder / "dump-of-one.safetensors")
    made = teacher(table)
    found = fit(made, table, valid=table, settings=settings, checkpoint=folder / "left")
    keep(ranks, made, found, folder / "continued")


def labelled(ranks: Ranks, table: PreparedTable, folder: Path) -> None:
    label_prepared(folder / "teacher", table, folder / "soft-of-ranks")


def refused(ranks: Ranks, table: PreparedTable, folder: Path) -> None:
    """What ranks cannot do together, each with its reason."""
    words = {}
    changes = {
        "dense": {"embedding_optimiser": "dense", "embedding_learning_rate": 0.0},
        "lazy_adam": {"embedding_optimiser": "lazy_adam"},
        "decay": {"embedding_weight_decay": 0.1},
        "columns": {"sharding": "column_wise"},
        "unknown": {"sharding_of": {"item": "by_hand"}},
        "uneven": {"batch_size": 63},
    }
    for name, change in changes.items():
        try:
            fit(teacher(table), table, settings=FIT.model_copy(update=change))
        except UsageError as error:
            words[name] = str(error)
    with unplaced():
        narrow = build("deepfm", table.encoder.spec, arguments={"embedding_dim": 6})
    try:
        fit(Ranker(table.encoder, narrow), table, settings=FIT)
    except UsageError as error:
        words["six"] = str(error)
    try:
        fit(teacher(table), table.examples("train"), settings=FIT)
    except UsageError as error:
        words["rows"] = str(error)
    if ranks.first:
        (folder / "refused.json").write_text(json.dumps(words))


def killed(ranks: Ranks, table: PreparedTable, folder: Path) -> None:
    """Rank 1 is killed in the middle; the others end by themselves."""
    fit(
        teacher(table),
        table,
        valid=table,
        settings=FIT,
        checkpoint=folder / "killed",
        progress=DieAfter(1, STOP, folder / "killed-at"),
    )
    raise AssertionError("a rank was to be killed")


OTHERS = ("only_ids", "only_numbers")
WORKS: dict[str, Callable[[Ranks, PreparedTable, Path], None]] = {
    "parity": parity,
    "other_features": other_features,
    "resumed": resumed,
    "windowed": windowed,
    "continued": continued,
    "labelled": labelled,
    "refused": refused,
    "killed": killed,
}


def main(works: str, folder: Path) -> None:
    torch.set_num_threads(1)
    table = PreparedTable.read(folder / "table")
    try:
        with joined() as ranks:
            assert ranks is not None
            assert ranks == current()
            for work in works.split(","):
                WORKS[work](ranks, table, folder)
    except EnvironmentFault as fault:
        print(f"rank {os.environ['RANK']}: {fault}", file=sys.stderr, flush=True)
        ended(fault.exit_code)
    ended(0)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
