"""Networks, optimisers, labels and a process group on a CUDA device compute what they do on the CPU."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import compact
import numpy as np
import prepared
import pytest
import torch
from drawn import drawn, trained
from labels import teacher_of
from torch import Tensor, nn

from recdistill.encoder import Encoder
from recdistill.features import FeatureSpec
from recdistill.fit_settings import FitSettings
from recdistill.models import MODELS, build
from recdistill.models.embeddings.lookup import SparseLookup
from recdistill.optimisers import KINDS
from recdistill.prepared_table import PreparedTable
from recdistill.ranker import Ranker, scores_of
from recdistill.soft_labels import SoftLabels
from recdistill.training import fit

pytestmark = pytest.mark.gpu

DEVICE, NEAR = "cuda", 1e-4
SPEC = FeatureSpec(
    categorical=(("user", 12), ("item", 300)), multi=(("tags", 6),), number=("price", "age"), vector=(("text", 3),)
)
MEET = """
import json, sys
import numpy as np
import torch.distributed as dist
from recdistill.ranks import joined, meet

with joined() as ranks:
    meet(ranks)
    found = {
        "backend": dist.get_backend(),
        "device": ranks.device,
        "summed": ranks.summed([1.5, -2.0]),
        "gathered": [one.tolist() for one in ranks.gathered(np.array([[1, 2], [3, 4]]))],
        "told": ranks.told("größer"),
    }
print(json.dumps(found))
"""


def near(mine: Tensor, other: Tensor) -> None:
    torch.testing.assert_close(mine.cpu(), other.cpu(), rtol=0, atol=NEAR)


# ------------------------------------------------------------------------------------------- networks


@pytest.mark.parametrize("kind", list(compact.KINDS))
def test_compact_tables_look_up_and_learn_as_on_the_cpu(kind: str) -> None:
    arguments = {"embedding_dim": 8, "hidden": [16], "tables": compact.KINDS[kind]}
    rows, found = compact.drawn(rows=300), {}
    for device in ("cpu", DEVICE):
        network = build("mlp", compact.SPEC, seed=0, arguments=arguments).to(device)
        logits = network(rows.to(device))
        logits.square().mean().backward()
        found[device] = [
            logits.detach(),
            *(weights.grad for weights in network.parameters() if weights.grad is not None),
        ]
    for mine, other in zip(found[DEVICE], found["cpu"], strict=True):
        near(mine, other)


@pytest.mark.parametrize("classes", [1, 3])
@pytest.mark.parametrize("model", list(MODELS))
def test_logits_are_those_of_the_cpu(model: str, classes: int) -> None:
    network, rows = build(model, SPEC, seed=0, arguments={"classes": classes}), drawn(SPEC, rows=1000).features
    for weights in network.parameters():
        nn.init.normal_(weights, std=0.1, generator=torch.Generator().manual_seed(weights.numel()))
    here = scores_of(network, rows)
    there = scores_of(network.to(DEVICE), rows, batch_size=300)
    assert next(network.parameters()).device.type == DEVICE
    assert np.abs(here).max() > 0.1
    np.testing.assert_allclose(there, here, rtol=0, atol=NEAR)


@pytest.mark.parametrize("decay", [0.0, 0.01])
@pytest.mark.parametrize("kind", list(KINDS))
def test_optimisers_of_tables_are_those_of_the_cpu(kind: str, decay: float) -> None:
    states = {}
    for device in ("cpu", DEVICE):
        told = {"optimiser": "sgd", "learning_rate": 0.1, "weight_decay": 0.0, "device": device}
        own = {"embedding_optimiser": kind, "embedding_learning_rate": 0.05, "embedding_weight_decay": decay}
        trainee = trained(FitSettings(**told, **own), spec=SPEC)
        assert next(trainee.network.parameters()).device.type == device
        kept = trainee.optimiser.parts[-1].state_dict()["state"]
        states[device] = (trainee.network.state_dict(), kept)
    for name, weights in states["cpu"][0].items():
        near(states[DEVICE][0][name], weights)
    for number, entries in states["cpu"][1].items():
        for name, values in entries.items():
            near(torch.as_tensor(states[DEVICE][1][number][name]), torch.as_tensor(values))


@pytest.mark.parametrize("lookups", [1, 7, 100_000])
def test_the_sparse_gradient_is_the_dense_one(lookups: int) -> None:
    generator = torch.Generator().manual_seed(lookups)
    ids = torch.randint(0, 900, (lookups,), generator=generator, dtype=torch.int32).to(DEVICE)
    weight = torch.randn(1000, 16, generator=generator, dtype=torch.float64).to(DEVICE).requires_grad_()
    factor = torch.randn(lookups, 16, generator=generator, dtype=torch.float64).to(DEVICE)
    (dense,) = torch.autograd.grad((nn.functional.embedding(ids, weight) * factor).sum(), weight)
    (found,) = torch.autograd.grad((SparseLookup.apply(ids, weight) * factor).sum(), weight)
    rows = found._indices()[0]
    assert bool((rows[1:] > rows[:-1]).all()), "each row once, rising"
    assert torch.equal(rows, ids.unique().long())
    torch.testing.assert_close(found.to_dense(), dense)


@pytest.mark.parametrize("kind", ["dense", *KINDS])
def test_a_fit_in_bfloat16_learns(kind: str) -> None:
    from recdistill.datasets import synthetic

    source, _ = synthetic.load(seed=0, source_rows=3_000, target_rows=100)
    encoder = Encoder.fit(source)
    ranker = Ranker(encoder, build("deepfm", encoder.spec, seed=0))
    rate = {"dense": 0.0, "sgd": 0.5, "lazy_adam": 0.01}.get(kind, 0.1)
    settings = FitSettings(
        epochs=3, embedding_optimiser=kind, embedding_learning_rate=rate, precision="bfloat16", device=DEVICE
    )
    losses = [entry["loss"] for entry in fit(ranker, source, settings=settings).history]
    assert losses[-1] < 0.98 * losses[0]
    assert {weights.dtype for weights in ranker.network.parameters()} == {torch.float32}


# ----------------------------------------------------------------------------------------- soft labels


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> PreparedTable:
    rows = [prepared.made(n, seed=n, first=1000 * n) for n in (70, 50, 80, 60)]
    splits = {"train": rows[:3], "valid": [None, rows[3]]}
    folder = tmp_path_factory.mktemp("made") / "table"
    return PreparedTable.read(prepared.write(folder, splits, prepared.fitted(rows[0]), group_rows=32))


def test_soft_labels_are_those_of_the_cpu(table: PreparedTable) -> None:
    teacher = teacher_of(table)
    for weights in teacher.network.parameters():
        nn.init.normal_(weights, std=0.3, generator=torch.Generator().manual_seed(weights.numel()))
    here = SoftLabels.from_teacher(teacher, table)
    teacher.network.to(DEVICE)
    there = SoftLabels.from_teacher(teacher, table)
    assert there.teacher == here.teacher, "a fingerprint is of the weights, wherever they are"
    assert (there.row_ids == here.row_ids).all()
    assert np.abs(here.logits).max() > 0.1
    np.testing.assert_allclose(there.logits, here.logits, rtol=0, atol=NEAR)


# ------------------------------------------------------------------------------------------ one rank


def torchrun(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=1", *arguments]
    told = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(command, capture_output=True, text=True, timeout=280, env=told, check=False)


def test_one_rank_speaks_by_nccl() -> None:
    done = torchrun("--no-python", sys.executable, "-c", MEET)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {
        "backend": "nccl",
        "device": "cuda:0",
        "summed": [1.5, -2.0],
        "gathered": [[[1, 2], [3, 4]]],
        "told": "größer",
    }


@pytest.mark.torchrec
def test_one_rank_on_nccl_trains_what_one_process_trains(table: PreparedTable, tmp_path: Path) -> None:
    """With every way to share tables; the process has plain tables on the device."""
    from ranks_job import JUDGED, WAYS, teacher

    (tmp_path / "table").symlink_to(table.path)
    done = torchrun(str(Path(__file__).with_name("ranks_job.py")), "parity", str(tmp_path))
    assert done.returncode == 0, done.stderr
    for way, settings in WAYS.items():
        alone, together = teacher(table), Ranker.load(tmp_path / f"{way}-1")
        told = settings.model_copy(update={"device": DEVICE})
        fit(alone, table, valid=table if way == JUDGED else None, settings=told)
        mine, its = alone.network.state_dict(), together.network.state_dict()
        assert mine.keys() == its.keys()
        for name in mine:
            near(mine[name], its[name])
