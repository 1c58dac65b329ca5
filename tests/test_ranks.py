"""Two ranks on Gloo train, stop, continue, label and fail as one process does."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import prepared
import pytest
import torch
from labels import saved, teacher_of
from ranks_job import ARGUMENTS, FIT, JUDGED, OTHERS, WAYS, teacher
from safetensors.torch import load_file
from torch import Tensor

from recdistill.artefacts import manifest
from recdistill.batches import Batches
from recdistill.checkpoints.dealt import load_weights
from recdistill.encoder import Encoder
from recdistill.errors import DataError, EnvironmentFault
from recdistill.labelling import label_prepared
from recdistill.models import build
from recdistill.models.embeddings import embeddings_of, placed, unplaced
from recdistill.prepared_table import PreparedTable
from recdistill.ranker import Ranker
from recdistill.schema import Schema
from recdistill.training import fit

pytestmark = [pytest.mark.torchrec, pytest.mark.timeout(300), pytest.mark.xdist_group("ranks")]

JOB = Path(__file__).with_name("ranks_job.py")
ROWS, SECONDS = (70, 50, 80), 30
NEAR = 1e-5  # a sum over two ranks is added in another order
every_way = pytest.mark.parametrize("way", list(WAYS))


def torchrun(world: int, works: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={world}"]
    told = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [*command, str(JOB), works, str(folder)], capture_output=True, text=True, timeout=280, env=told
    )


@dataclass(frozen=True)
class Job:
    """What two ranks, and then one, left in a folder."""

    folder: Path
    table: PreparedTable

    def ranker(self, name: str) -> Ranker:
        return Ranker.load(self.folder / name)


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Job:
    folder = tmp_path_factory.mktemp("ranks")
    rows = [prepared.made(n, seed=n, first=1000 * n) for n in (*ROWS, 60)]
    splits = {"train": rows[:3], "valid": [None, rows[3]]}
    table = PreparedTable.read(prepared.write(folder / "table", splits, prepared.fitted(rows[0]), group_rows=32))
    teacher_of(table).save(folder / "teacher")
    for name, columns in zip(OTHERS, ({"categorical": ("user", "item")}, {"number": ("age",)}), strict=True):
        some = prepared.made(120, seed=9, schema=Schema(label="click", **columns))  # type: ignore[arg-type]
        prepared.write(folder / name, {"train": [some]}, Encoder.fit(some))
    for world, works in ((2, "parity,other_features,resumed,windowed,labelled,refused"), (1, "continued")):
        done = torchrun(world, works, folder)
        assert done.returncode == 0, done.stderr
        assert "Warning" not in done.stderr
    return Job(folder, table)


def difference(one: Ranker, other: Ranker) -> float:
    mine, others = one.network.state_dict(), other.network.state_dict()
    assert mine.keys() == others.keys()
    return max(float((mine[name] - others[name]).abs().max()) for name in mine if mine[name].numel())


# ------------------------------------------------------------------------------------------- training


@every_way
def test_two_ranks_train_what_one_process_trains(job: Job, way: str) -> None:
    """The process has plain tables and torch's own kernels, and no torchrec."""
    alone = teacher(job.table)
    found = fit(alone, job.table, valid=job.table if way == JUDGED else None, settings=WAYS[way])
    together = job.ranker(f"{way}-2")
    assert difference(alone, together) < NEAR
    told = manifest(job.folder / f"{way}-2")["facts"]["fitted"]
    assert told["best_epoch"] == found.best_epoch
    for mine, theirs in zip(found.history, told["history"], strict=True):
        assert mine == pytest.approx(theirs, abs=NEAR)


@pytest.mark.parametrize("name", OTHERS)
def test_rows_of_ids_alone_and_of_numbers_alone_are_trained_on_too(job: Job, name: str) -> None:
    table = PreparedTable.read(job.folder / name)
    alone = teacher(table)
    fit(alone, table, settings=FIT)
    assert difference(alone, job.ranker(f"{name}-2")) < NEAR


@every_way
def test_training_moves_the_weights(job: Job, way: str) -> None:
    start = Ranker(job.table.encoder, placed(teacher(job.table).network, seed=FIT.seed))
    assert difference(start, job.ranker(f"{way}-2")) > 100 * NEAR
    assert manifest(job.folder / f"{way}-2")["facts"]["fitted"]["best_epoch"] > 0


def test_a_step_of_ranks_sees_the_rows_of_a_step_of_one(job: Job) -> None:
    whole = Batches(job.table, batch_size=30, seed=3)
    parts = [Batches(job.table, batch_size=15, seed=3, rank=rank, world=2) for rank in range(2)]
    assert {part.fingerprint for part in parts} == {whole.fingerprint}
    for epoch in range(2):
        for all_rows, *dealt in zip(whole.epoch(epoch), *(part.epoch(epoch) for part in parts), strict=True):
            assert torch.equal(all_rows.features.ids, torch.cat([one.features.ids for one in dealt]))
            assert torch.equal(all_rows.features.number, torch.cat([one.features.number for one in dealt]))


def test_ids_are_forgotten_alike_by_ranks_and_one(job: Job) -> None:
    rows = job.table.examples("train").features
    half = len(rows) // 2

    def generator() -> torch.Generator:
        return torch.Generator().manual_seed(5)

    whole = rows.with_unseen(0.3, generator())
    parts = [rows.rows(slice(r * half, (r + 1) * half)).with_unseen(0.3, generator(), rank=r, world=2) for r in (0, 1)]
    assert torch.equal(whole.ids, torch.cat([part.ids for part in parts]))
    assert not torch.equal(whole.ids, rows.ids)


# -------------------------------------------------------------------------------------------- resuming


def test_a_stopped_fit_is_continued_bit_for_bit(job: Job) -> None:
    """One rank's user asked to stop, and both stopped after the same step."""
    assert difference(job.ranker("straight"), job.ranker("stopped")) == 0
    facts = [manifest(job.folder / name)["facts"]["fitted"] for name in ("straight", "stopped")]
    assert facts[0] == facts[1]
    assert not (job.folder / "state-of-stopped").exists()


def test_a_stopped_fit_on_windows_is_continued_bit_for_bit(job: Job) -> None:
    assert difference(job.ranker("windows-straight"), job.ranker("windows-stopped")) == 0
    start = Ranker(job.table.encoder, placed(teacher(job.table).network, seed=FIT.seed))
    assert difference(start, job.ranker("windows-straight")) > 100 * NEAR


def whole(pieces: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Tensors put together from the pieces that ranks held."""
    found: dict[str, dict[tuple[int, ...], Tensor]] = {}
    for held in pieces:
        for name, piece in held.items():
            key, _, place = name.partition("@")
            found.setdefault(key, {})[tuple(map(int, place.split(","))) if place else ()] = piece
    return {
        key: torch.cat([at[place] for place in sorted(at)]) if () not in at else at[()] for key, at in found.items()
    }


@pytest.fixture(scope="module")
def held(job: Job) -> dict[str, Tensor]:
    """What two ranks held when they were stopped; tables were dealt by rows."""
    return whole([load_file(job.folder / f"dump-{rank}.safetensors") for rank in range(2)])


def test_what_two_ranks_wrote_one_rank_reads_exactly(job: Job, held: dict[str, Tensor]) -> None:
    one = whole([load_file(job.folder / "dump-of-one.safetensors")])
    assert one.keys() == held.keys()
    assert all(torch.equal(one[key], held[key]) for key in held)
    assert {key.split("/")[0] for key in held} == {"dense", "tables", "kept"}
    assert any(values.any() for key, values in held.items() if key.startswith("kept"))


def test_one_rank_continues_what_two_left(job: Job) -> None:
    assert difference(job.ranker("straight"), job.ranker("continued")) < 10 * NEAR


def test_what_two_ranks_wrote_a_plain_network_reads_exactly(job: Job, held: dict[str, Tensor]) -> None:
    with unplaced():
        network = build("deepfm", job.table.encoder.spec, arguments=ARGUMENTS)
    load_weights(network, newest(job.folder / "left-for-plain"))
    for name, module in embeddings_of(network):
        expected = torch.cat([held[f"tables/{name}/{feature}"][:, : module.dim] for feature, _ in module.features])
        assert torch.equal(module.table.weight, expected)  # type: ignore[arg-type]
    dense = dict(network.named_parameters())
    assert all(torch.equal(dense[key.removeprefix("dense/")], held[key]) for key in held if key.startswith("dense/"))
    scores = Ranker(job.table.encoder, network).score(job.table, split="valid")
    assert np.isfinite(scores).all()


def test_what_two_ranks_left_one_process_is_told_how_to_continue(job: Job, tmp_path: Path) -> None:
    """The fit is the same, and what it wrote is not."""
    shutil.copytree(job.folder / "left-for-plain", tmp_path / "state")
    settings = FIT.model_copy(update={"sharding": "row_wise", "unseen_rate": 0.1})
    with pytest.raises(DataError, match=r"written by ranks, here is one process: .*`torchrun --nproc_per_node=1"):
        fit(teacher(job.table), job.table, valid=job.table, settings=settings, checkpoint=tmp_path / "state")


def test_a_state_that_was_changed_or_is_of_another_model_is_refused(job: Job, tmp_path: Path) -> None:
    state = tmp_path / "state"
    shutil.copytree(newest(job.folder / "left-for-plain"), state)
    spec = job.table.encoder.spec
    for other, arguments in (
        (spec, {**ARGUMENTS, "embedding_dim": 128}),
        (spec, {**ARGUMENTS, "hidden": [8]}),
        (replace(spec, number=()), ARGUMENTS),
        (replace(spec, categorical=(("user", 10), ("shop", 21))), ARGUMENTS),
    ):
        with pytest.raises(DataError, match=r"must hold \(.*\) as '(tables|dense)/.*: it is of another model"):
            load_weights(build("deepfm", other, arguments=arguments), state)
    spoiled = next(path for path in state.iterdir() if path.suffix == ".distcp")
    data = bytearray(spoiled.read_bytes())
    data[len(data) // 2] ^= 1
    spoiled.write_bytes(data)
    with pytest.raises(DataError, match="was changed after it was written"):
        load_weights(teacher(job.table).network, state)


def newest(folder: Path) -> Path:
    return max(path for path in folder.iterdir() if path.name.startswith("state-"))


def test_every_row_of_a_table_is_somewhere(job: Job, held: dict[str, Tensor]) -> None:
    for name, module in embeddings_of(teacher(job.table).network):
        for feature, rows in module.features:
            assert len(held[f"tables/{name}/{feature}"]) == rows


# -------------------------------------------------------------------------------------------- labelling


def test_ranks_label_each_row_once_as_one_process_does(job: Job, tmp_path: Path) -> None:
    label_prepared(job.folder / "teacher", job.table, tmp_path / "soft")
    assert saved(tmp_path / "soft") == saved(job.folder / "soft-of-ranks")
    names = {path.name for path in (tmp_path / "soft").iterdir()}
    assert names == {path.name for path in (job.folder / "soft-of-ranks").iterdir()}
    for name in names:
        assert (tmp_path / "soft" / name).read_bytes() == (job.folder / "soft-of-ranks" / name).read_bytes()
    row_ids = saved(job.folder / "soft-of-ranks")["row_ids"]
    assert row_ids == job.table.row_ids("train").tolist()
    assert len(set(row_ids)) == sum(ROWS)


# --------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("dense", "torchrec's tables need an embedding_optimiser of their own, got 'dense'"),
        ("lazy_adam", "(FBGEMM has no Adam on the CPU), got 'lazy_adam'"),
        (
            "decay",
            "(FBGEMM decays weights with some optimisers only; set it to 0), got 0.1",
        ),
        ("columns", "splits rows, of which rowwise_adagrad keeps one state each; use adagrad or sgd"),
        ("unknown", "table_wise, row_wise, table_row_wise, column_wise, table_column_wise or auto, got 'by_hand'"),
        ("uneven", "ranks share the rows of a step evenly, got batches.batch_size=63 for 2 ranks"),
        ("six", "rows of torchrec's tables must be 1 or a multiple of 4 long, got 6"),
        ("rows", "ranks share the rows of a prepared table, got Examples"),
    ],
)
def test_what_ranks_cannot_do_is_refused_with_the_reason(job: Job, what: str, words: str) -> None:
    assert words in json.loads((job.folder / "refused.json").read_text())[what]


@pytest.fixture
def doomed(job: Job, tmp_path: Path) -> Path:
    (tmp_path / "table").symlink_to(job.folder / "table")
    return tmp_path


def test_a_rank_that_is_killed_ends_the_job_in_seconds(doomed: Path) -> None:
    done = torchrun(2, "killed", doomed)
    assert time.time() - float((doomed / "killed-at").read_text()) < SECONDS
    assert done.returncode != 0
    assert "rank      : 1 (local_rank: 1)" in done.stderr
    assert "Signal 9 (SIGKILL)" in done.stderr


def test_the_ranks_that_are_left_name_the_one_that_has_gone(doomed: Path) -> None:
    """Without torchrun to end them, as on another machine."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    common = os.environ | {
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "localhost",
        "MASTER_PORT": str(port),
        "OMP_NUM_THREADS": "1",
    }
    told = [common | {"RANK": str(rank), "LOCAL_RANK": str(rank), "LOCAL_WORLD_SIZE": "2"} for rank in range(2)]
    command = [sys.executable, str(JOB), "killed", str(doomed)]
    ranks = [subprocess.Popen(command, env=one, stderr=subprocess.PIPE, text=True) for one in told]
    said = [process.communicate(timeout=120)[1] for process in ranks]
    assert time.time() - float((doomed / "killed-at").read_text()) < SECONDS
    assert [process.returncode for process in ranks] == [EnvironmentFault.exit_code, -9]
    assert f"rank 0: rank 1 (process {ranks[1].pid}) of 2 has gone" in said[0]
