"""Plans: bytes against what is really allocated and sent, sums, each table once, true remedies, clear words."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import prepared
import pytest
import torch
import traffic_of_ranks
from pages import blocks
from tiny import TINY, Call

from recdistill.errors import UsageError
from recdistill.fit_settings import FitSettings
from recdistill.models import MODELS, build
from recdistill.models.embeddings import embeddings_of
from recdistill.models.embeddings.fused import Fusing, fuse, fused_weights
from recdistill.models.embeddings.shards import Shard
from recdistill.plan import DeviceSettings, FeatureSizes, Plan, PlanSettings, devices_of, page, plan, told
from recdistill.plan.amounts import bytes_of, in_bytes
from recdistill.plan.network_size import DensePart, TableSize, built, dense_part, table_sizes
from recdistill.plan.planning import cautions
from recdistill.plan.refusal import does_not_fit
from recdistill.plan.traffic import Traffic, traffic_of
from recdistill.trainees import optimisers_of

ROOT = Path(__file__).resolve().parent.parent
SMALL = FeatureSizes(
    categorical={"user": 40, "item": 24}, multi={"tags": {"rows": 16, "length": 3}}, number=2, vector={"text": 5}
)  # type: ignore[arg-type]
LARGE = FeatureSizes(categorical={"user": 10**9, "item": 10**9, "country": 250})
ROWWISE = FitSettings(embedding_optimiser="rowwise_adagrad", batch_size=8192)
TOML = """
model = "deepfm"
arguments = { embedding_dim = 16, hidden = [32] }
[fit]
embedding_optimiser = "rowwise_adagrad"
batch_size = 1024
[features]
categorical = { user = 1_000_000 }
multi = { tags = 100, words = { rows = 1_000, length = 8.5 } }
number = ["price"]
vector = { text = 8 }
"""
BILLIONS = """
import json, resource, sys
import torchrec
from recdistill import cli
size = int(next(line for line in open("/proc/self/status") if line.startswith("VmSize")).split()[1]) * 1024
resource.setrlimit(resource.RLIMIT_AS, (size + 2**30, size + 2**30))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
sys.argv = ["recdistill", "plan", "large.toml", "--gpus", "32", "--gpu-memory", "141GB", "--json", "plan.json"]
try:
    cli.main()
except SystemExit as stop:
    assert not stop.code, stop.code
print("GREW", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def planned(settings: PlanSettings, features: FeatureSizes, gpus: int, memory: str = "80GB", **device: Any) -> Plan:
    return plan(settings, features, devices_of(gpus, 0, DeviceSettings(memory=memory, **device), precision="float32"))  # type: ignore[arg-type]


def of_model(name: str, dim: int = 8) -> dict[str, Any]:
    return {} if name == "lr" else {"embedding_dim": dim}


# ------------------------------------------------------------------------------------------------ sizes


@pytest.mark.parametrize("optimiser", ["adam", "adamw", "adagrad", "sgd"])
@pytest.mark.parametrize("kind", ["dense", "sgd", "adagrad", "rowwise_adagrad", "lazy_adam"])
def test_bytes_are_those_that_torch_allocates(optimiser: Any, kind: Any) -> None:
    fit = FitSettings(optimiser=optimiser, embedding_optimiser=kind)
    network = build("deepfm", SMALL.spec)
    sizes = table_sizes(built("deepfm", SMALL.spec, {}), fit, lengths={}, kernels=False)
    dense = dense_part(built("deepfm", SMALL.spec, {}), SMALL.spec, fit, rows=4, lengths=SMALL.lengths)
    parts = optimisers_of(network, fit)
    tables = {id(module.table.weight) for _, module in embeddings_of(network)}
    for p in network.parameters():
        zeros = torch.zeros_like(p)
        p.grad = zeros.to_sparse(1) if id(p) in tables and kind != "dense" else zeros
    parts.step()
    kept: Counter[bool] = Counter()
    for part in parts.parts:
        for weight, state in part.state.items():
            own = [v for name, v in state.items() if name != "step"]
            kept[id(weight) in tables] += sum(v.nbytes for v in own if isinstance(v, torch.Tensor))
    weights = sum(module.table.weight.nbytes for _, module in embeddings_of(network))
    assert sum(size.weight_bytes for size in sizes) == weights
    assert sum(size.state_bytes for size in sizes) == kept[True]
    assert sum(size.rows * size.gradient for size in sizes) == (weights if kind == "dense" else 0)
    assert dense.state_bytes == kept[False]
    assert dense.parameters == sum(p.numel() for p in network.parameters() if id(p) not in tables)


@pytest.mark.parametrize("kind", ["sgd", "adagrad", "rowwise_adagrad"])
def test_bytes_are_those_of_the_kernels(kind: Any) -> None:
    pytest.importorskip("torchrec")
    fit = FitSettings(embedding_optimiser=kind)
    sizes = table_sizes(built("deepfm", SMALL.spec, {}), fit, lengths={}, kernels=True)
    network = build("deepfm", SMALL.spec)
    optimiser = fuse(network, Fusing(kind, lr=0.1, weight_decay=0, device="cpu"))
    weights = [w.nbytes for _, module in embeddings_of(network) for w in fused_weights(module.table)]  # type: ignore[arg-type]
    states = optimiser.state_dict()["state"]
    assert [size.weight_bytes for size in sizes] == weights
    kept = [sum(v.nbytes for v in states[k].values()) for k in sorted(states)]
    assert [size.state_bytes for size in sizes] == (kept or [0] * len(sizes))


@pytest.mark.parametrize("name", MODELS)
def test_parameters_are_those_of_the_network(name: str) -> None:
    found = planned(PlanSettings(model=name, arguments=of_model(name)), SMALL, 1)
    network = build(name, SMALL.spec, arguments=of_model(name))
    assert sum(t.parameters for t in found.tables) + found.dense.parameters == sum(
        p.numel() for p in network.parameters()
    )


def test_a_dense_part_by_hand() -> None:
    features = FeatureSizes(categorical={"a": 10, "b": 10})
    network = built("mlp", features.spec, {"embedding_dim": 8, "hidden": [32, 16]})
    found = dense_part(network, features.spec, FitSettings(), rows=64, lengths={})
    layers = [(16, 32), (32, 16), (16, 1)]
    assert found.parameters == sum((1 + ins) * outs for ins, outs in layers)
    # A product of (rows, in) and (in, out) is 2 · in · out operations a row; backward there are two of them.
    assert found.flops == sum(3 * 2 * ins * outs for ins, outs in layers)
    # Each layer keeps its input; what ReLU keeps is the next one's.
    assert found.activation_bytes == 64 * 4 * (16 + 32 + 16)


# ---------------------------------------------------------------------------------------------- sharding


@pytest.mark.parametrize("sharding", ["auto", "table_wise", "row_wise", "table_row_wise", "column_wise"])
@pytest.mark.parametrize("gpus", [2, 16])
def test_every_table_is_held_exactly_once(sharding: str, gpus: int) -> None:
    pytest.importorskip("torchrec")
    fit = FitSettings(embedding_optimiser="adagrad", batch_size=1024, sharding=sharding)
    found = planned(PlanSettings(model="deepfm", arguments={"embedding_dim": 64}, fit=fit), SMALL, gpus)
    assert found.refusal == ""
    for table in found.tables:
        held = np.zeros((table.rows, table.stored), int)
        for shard in found.shards:
            if (shard.owner, shard.feature) == (table.owner, table.feature):
                assert 0 <= shard.rank < gpus
                (row, column), (rows, columns) = shard.first, shard.shape
                held[row : row + rows, column : column + columns] += 1
        assert (held == 1).all(), table
    assert {shard.kind for shard in found.shards} == {sharding} or sharding == "auto"
    assert sum(use.tables for use in found.uses) == sum(table.bytes for table in found.tables)
    assert all(use.total == use.tables + use.exchange + use.dense for use in found.uses)


@pytest.mark.slow
def test_the_plan_is_the_same_in_every_process(tmp_path: Path) -> None:
    pytest.importorskip("torchrec")
    (tmp_path / "t.toml").write_text(TOML)
    options = ["plan", "t.toml", "--gpus", "8"]
    said = [
        subprocess.run(
            [sys.executable, "-W", "ignore", "-m", "recdistill", *options],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": str(seed)},
            timeout=120,
            check=True,
        ).stdout
        for seed in range(3)
    ]
    assert said[0] == said[1] == said[2]


def test_tables_stay_within_the_share_of_a_device_that_is_theirs() -> None:
    pytest.importorskip("torchrec")
    found = planned(PlanSettings(arguments={"embedding_dim": 32}, fit=ROWWISE), LARGE, 8)
    assert found.refusal == ""
    assert all(use.tables <= found.devices.for_tables < 0.8501 * 80e9 for use in found.uses)
    # Also of CPU ranks, of which torchrec itself reserves nothing.
    on_cpus = devices_of(0, 8, DeviceSettings(memory="45GB"), precision="float32")  # type: ignore[arg-type]
    total = sum(table.bytes for table in found.tables)
    assert 8 * on_cpus.for_tables < total < 8 * on_cpus.memory
    assert "8 CPU ranks of 45.0 GB can hold 306.0 GB of tables" in plan(found.settings, LARGE, on_cpus).refusal


@pytest.mark.slow
def test_billions_of_rows_take_no_memory_and_little_time(tmp_path: Path) -> None:
    pytest.importorskip("torchrec")
    (tmp_path / "large.toml").write_text(
        'model = "deepfm"\narguments = { embedding_dim = 128, hidden = [1024, 512] }\n'
        '[fit]\nembedding_optimiser = "rowwise_adagrad"\nbatch_size = 65_536\n'
        "[features]\ncategorical = { user = 1_000_000_000, item = 1_000_000_000, query = 1_000_000_000 }\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", BILLIONS],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    grew = int(done.stdout.rpartition("GREW")[2])  # KiB, of 1.6 TB of tables
    assert grew < 300_000
    found = json.loads((tmp_path / "plan.json").read_text())
    assert sum(table["bytes"] for table in found["tables"]) == 3 * 10**9 * (128 * 4 + 4 + 16 + 16)
    assert sum(rank["tables"] for rank in found["ranks"]) == 3 * 10**9 * (128 * 4 + 4 + 16 + 16)


# ----------------------------------------------------------------------------------------------- traffic


def table(feature: str, rows: int, dim: int, length: float = 1.0) -> TableSize:
    return TableSize("e", feature, rows, dim, dim, 4, 0, length)


def test_traffic_by_hand() -> None:
    """Two ranks of 10 rows; `a` whole on rank 1, of `b` a quarter of the rows on rank 0, the others on rank 1."""
    tables = [table("a", 100, 8), table("b", 40, 4, length=6)]
    shards = [
        Shard("e", "a", "table_wise", 1, (0, 0), (100, 8)),
        Shard("e", "b", "row_wise", 0, (0, 0), (10, 4)),
        Shard("e", "b", "row_wise", 1, (10, 0), (30, 4)),
    ]
    dense = DensePart(parameters=1000, state_bytes=0, flops=0, activation_bytes=0)
    found = traffic_of(tables, shards, dense, world=2, local=2, rows=10)
    # To rank 0 for b: 10 · (6 / 4 + 1) · 4 = 100.
    # To rank 1 for a: 10 · (1 + 1) · 4 = 80, for b: 10 · (6 · 3 / 4 + 1) · 4 = 220.
    assert found.ids.tolist() == [[100, 300], [100, 300]]
    # From rank 0, b's sums: 10 · 4 · 4 = 160. From rank 1, a's vectors and b's sums: 10 · 8 · 4 + 160 = 480.
    assert found.vectors.tolist() == [[160, 160], [480, 480]]
    # A ring of two: each sends half of the 4,000 bytes twice.
    assert found.sent() == {"ids": 400, "vectors": 640, "gradients": 640, "dense": 8000}
    assert found.busiest() == (300 + 480 + 480 + 4000, 0)
    assert found.buffers().tolist() == [200 + 320 + 640, 600 + 960 + 640]


def test_rows_split_within_a_machine_are_added_there_first() -> None:
    """Two machines of two ranks; a table on the second machine: each vector crosses to the first machine once."""
    shards = [Shard("e", "a", "table_row_wise", rank, (50 * (rank - 2), 0), (50, 8)) for rank in (2, 3)]
    dense = DensePart(parameters=0, state_bytes=0, flops=0, activation_bytes=0)
    found = traffic_of([table("a", 100, 8)], shards, dense, world=4, local=2, rows=10)
    one = 10 * 8 * 4  # vectors of a rank's rows
    expected = np.zeros((4, 4))
    expected[2:, 2:] = 2 * one  # sums for the ranks 2 and 0, and for 3 and 1
    expected[2, 0] = expected[3, 1] = one
    np.testing.assert_array_equal(found.vectors, expected)
    assert found.ids[0].tolist() == [0, 0, 10 * 1.5 * 4, 10 * 1.5 * 4]


@pytest.mark.slow
@pytest.mark.parametrize("sharding", ["table_wise", "row_wise"])
def test_traffic_is_what_ranks_really_send(sharding: str, tmp_path: Path) -> None:
    pytest.importorskip("torchrec")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    done = subprocess.run(
        [*torchrun, str(ROOT / "tests/traffic_of_ranks.py"), sharding, str(tmp_path / "sent.json")],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    sent = json.loads((tmp_path / "sent.json").read_text())
    spec, rows = traffic_of_ranks.SPEC, traffic_of_ranks.ROWS
    features = FeatureSizes(
        categorical=dict(spec.categorical),
        multi={name: {"rows": size, "length": traffic_of_ranks.LENGTH} for name, size in spec.multi},  # type: ignore[misc]
        number=spec.number,
    )
    fit = FitSettings(embedding_optimiser="rowwise_adagrad", batch_size=2 * rows, sharding=sharding)
    settings = PlanSettings(model=traffic_of_ranks.MODEL, arguments=traffic_of_ranks.ARGUMENTS, fit=fit)
    found = plan(settings, features, devices_of(0, 2, DeviceSettings(), precision="float32"))
    assert isinstance(found.traffic, Traffic)
    assert sent["ids"] == found.traffic.ids.sum()
    assert sent["vectors"] == sent["gradients"] == found.traffic.vectors.sum()
    # Each rank gives its gradients once to the all-reduce; a ring of W ranks sends 2 (W − 1) / W of that.
    assert sent["dense"] / 2 == found.dense.parameters * 4 == found.traffic.dense


# ---------------------------------------------------------------------------------------------- estimate


def test_the_estimate_is_work_divided_by_rates() -> None:
    pytest.importorskip("torchrec")
    settings = PlanSettings(arguments={"embedding_dim": 32}, fit=ROWWISE)
    features = SMALL.model_copy(update={"rows": 10 * 8192 + 1})
    one = planned(settings, features, 8, flops=1e12, flops_share=0.5, overhead=0.25)
    two = planned(settings, features, 8, flops=2e12, flops_share=0.5, overhead=0.25)
    first, second = ({cost.name: cost for cost in found.costs} for found in (one, two))
    assert first["products"].seconds == one.rows * one.dense.flops / 0.5e12 == 2 * second["products"].seconds
    assert first["memory"] == second["memory"]
    assert one.seconds == sum(cost.seconds for cost in one.costs) > 0.25
    assert one.epoch_seconds == 11 * one.seconds
    assert first["network"].seconds == 0  # one machine
    assert {c.name: c.seconds for c in planned(settings, SMALL, 8, per_machine=4).costs}["network"] > 0
    assert "flops" in planned(settings, SMALL, 8).devices.assumed
    assert "flops" not in one.devices.assumed


def test_bfloat16_has_a_peak_of_its_own() -> None:
    devices = [devices_of(1, 0, DeviceSettings(), precision=precision) for precision in ("float32", "bfloat16")]
    assert devices[1].flops > devices[0].flops


# --------------------------------------------------------------------------------------------- no plan


def test_remedies_are_true() -> None:
    pytest.importorskip("torchrec")
    settings = PlanSettings(arguments={"embedding_dim": 64}, fit=ROWWISE)
    features = FeatureSizes(categorical={"user": 10**9, "item": 5 * 10**6, "country": 250})
    said = planned(settings, features, 4, "70GB").refusal
    assert "second/user does not fit split over the ranks" in said
    ranks = int(said.split("has a plan for ")[1].split()[0])
    dim = int(said.split("embedding_dim=")[1].split()[0])
    rows = int(said.split("'user' fits with ")[1].split()[0].replace(",", ""))
    assert planned(settings, features, ranks, "70GB").refusal == ""
    shorter = settings.model_copy(update={"arguments": {"embedding_dim": dim}})
    assert planned(shorter, features, 4, "70GB").refusal == ""
    fewer = features.model_copy(update={"categorical": features.categorical | {"user": rows}})
    assert planned(settings, fewer, 4, "70GB").refusal == ""


def test_a_table_that_must_stay_whole_is_named() -> None:
    pytest.importorskip("torchrec")
    fit = ROWWISE.model_copy(update={"sharding_of": {"user": "table_wise"}})
    settings = PlanSettings(arguments={"embedding_dim": 32}, fit=fit)
    found = planned(settings, LARGE, 8)
    assert "second/user does not fit whole: 132.0 GB on a GPU that has room for 68.0 GB" in found.refusal
    assert "second/item" not in found.refusal
    assert "more GPUs alone do not help" in found.refusal
    assert "fit.sharding=row_wise" in found.refusal
    row_wise = settings.model_copy(update={"fit": ROWWISE.model_copy(update={"sharding": "row_wise"})})
    assert planned(row_wise, LARGE, 8).refusal == ""


def test_what_ranks_cannot_train_is_said_beside_the_sizes() -> None:
    for fit, words in (
        (FitSettings(batch_size=1024), "got 'dense'; ranks train with fit.embedding_optimiser=rowwise_adagrad"),
        (FitSettings(batch_size=1024, embedding_optimiser="lazy_adam"), "got 'lazy_adam'"),
        (ROWWISE.model_copy(update={"sharding": "column_wise"}), "rowwise_adagrad keeps one state"),
        (ROWWISE.model_copy(update={"sharding": "diagonal"}), "got 'diagonal'"),
    ):
        pytest.importorskip("torchrec")
        found = planned(PlanSettings(fit=fit), LARGE, 8)
        assert words in found.refusal
        assert len(found.tables) == 6
    with pytest.raises(UsageError, match="evenly, got 1000 rows for 16 ranks"):
        planned(PlanSettings(fit=FitSettings(batch_size=1000)), LARGE, 16)
    with pytest.raises(UsageError, match="multiple of 4 long, got 30"):
        planned(PlanSettings(arguments={"embedding_dim": 30}, fit=ROWWISE), LARGE, 8)
    with pytest.raises(UsageError, match=r"12 ranks and device\.per_machine=8"):
        planned(PlanSettings(fit=ROWWISE), LARGE, 12)


def test_one_process_needs_no_torchrec_and_keeps_the_best_weights_beside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchrec", None)
    found = planned(PlanSettings(fit=FitSettings(embedding_optimiser="rowwise_adagrad")), SMALL, 1)
    assert (found.refusal, found.unplanned, found.traffic.sent() if found.traffic else None) == (
        "",
        "",
        dict.fromkeys(("ids", "vectors", "gradients", "dense"), 0.0),
    )
    weights = sum(t.weight_bytes for t in found.tables)
    assert found.uses[0].tables == sum(t.bytes for t in found.tables)
    assert found.uses[0].best == weights + 4 * found.dense.parameters


def test_without_torchrec_the_sizes_are_there(monkeypatch: pytest.MonkeyPatch, call: Call, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "torchrec", None)
    (tmp_path / "t.toml").write_text(TOML)
    code, output, errors = call("plan", "t.toml", "--gpus", "8")
    assert (code, errors) == (0, "")
    assert "second/user" in output
    assert "64.0 MB" in output  # 1,000,000 rows of 16 float32
    assert "which rank holds what is for torchrec to say" in output
    assert "pip install 'recdistill[torchrec]'" in output


def test_what_could_end_a_training_that_fits_is_said() -> None:
    pytest.importorskip("torchrec")
    settings = PlanSettings(model="mlp", arguments={"embedding_dim": 8}, fit=ROWWISE)
    found = planned(settings, LARGE, 8)
    memory, decay = cautions(found)
    assert "fit.embedding_weight_decay=0" in decay
    assert in_bytes(4 * (8 * (2 * 10**9 + 250) + found.dense.parameters)) in memory
    assert cautions(planned(settings, SMALL, 1)) == []


def test_tables_in_the_hosts_memory() -> None:
    pytest.importorskip("torchrec")
    fit = FitSettings(
        embedding_optimiser="rowwise_adagrad", embedding_backend="torchrec", embedding_location="managed_caching"
    )
    found = planned(PlanSettings(arguments={"embedding_dim": 4}, fit=fit), LARGE, 1)
    assert found.refusal == ""
    assert found.in_host
    assert found.uses[0].total < found.devices.memory < sum(table.bytes for table in found.tables)
    whole = PlanSettings(fit=fit.model_copy(update={"embedding_location": "device"}))
    assert "embedding_location=managed_caching" in planned(whole, LARGE, 1).refusal


# ---------------------------------------------------------------------------------------- what it is told


def test_a_teachers_toml(tmp_path: Path) -> None:
    (tmp_path / "t.toml").write_text(TOML)
    settings, features = told(tmp_path / "t.toml", None, ["fit.batch_size=64", "features.rows=10"])
    assert (settings.model, settings.fit.batch_size, features.rows) == ("deepfm", 64, 10)
    assert features.spec.multi == (("tags", 100), ("words", 1000))
    assert features.lengths == {"tags": 1.0, "words": 8.5}
    assert features.spec.number == ("price",)
    assert FeatureSizes(number=3).spec.number == ("number 1", "number 2", "number 3")  # type: ignore[arg-type]
    (tmp_path / "sizes.toml").write_text("[features]\ncategorical = {a = 7}\n[device]\nmemory = '24GB'\nflops = 1e12\n")
    settings, features = told(tmp_path / "t.toml", tmp_path / "sizes.toml", ["device.flops=2e12"])
    assert features.spec.categorical == (("a", 7),)
    assert (settings.device.memory, settings.device.flops) == (24 * 10**9, 2e12)


def test_an_experiments_teacher_with_a_prepared_table(tmp_path: Path) -> None:
    (tmp_path / "experiment.toml").write_text(TINY)
    rows = prepared.made(50)
    encoder = prepared.fitted(rows)
    folder = prepared.write(tmp_path / "source", {"train": [rows]}, encoder)
    settings, features = told(
        tmp_path / "experiment.toml",
        folder,
        ["teacher.fit.epochs=3", "fit.batch_size=32", "features.multi.tags.length=4"],
    )
    assert (settings.fit.epochs, settings.fit.batch_size) == (3, 32)
    assert settings.arguments == {"embedding_dim": 8, "hidden": [16]}
    assert features.spec == encoder.spec
    assert (features.rows, features.lengths["tags"]) == (50, 4)
    found = planned(settings, features, 1)
    assert found.batch == 32
    assert found.epoch_seconds == math.ceil(50 / 32) * found.seconds
    with pytest.raises(UsageError, match=r"must say how large the features are.*--prepared"):
        told(tmp_path / "experiment.toml", None, [])
    (tmp_path / "scores.toml").write_text("[teacher]\nscores = 'probability'\n")
    with pytest.raises(UsageError, match="no teacher is trained where scores teach"):
        told(tmp_path / "scores.toml", folder, [])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("fit.batch_sise=3", "unknown setting 'fit.batch_sise', did you mean 'batch_size'"),
        ("features.multi.words.lenght=3", "unknown setting 'features.multi.words.lenght', did you mean 'length'"),
        ("features.categorical.user=3_000_000_000", "less than or equal to 2147483647"),
        ("device.memory=many", "must be an amount such as 141GB"),
        ("device.memory=0GB", "must be an amount such as 141GB"),
        ("model=depfm", "did you mean 'deepfm'"),
        ("arguments.embeding_dim=3", "did you mean 'embedding_dim'"),
    ],
)
def test_typos_name_the_nearest(change: str, words: str, call: Call, tmp_path: Path) -> None:
    (tmp_path / "t.toml").write_text(TOML)
    code, _, errors = call("plan", "t.toml", "--set", change)
    assert code == 2
    assert words in " ".join(errors.split())


def test_amounts() -> None:
    assert [bytes_of(text) for text in ("1GiB", "1 gb", "2.5MB", "7", "1_000B")] == [2**30, 10**9, 2_500_000, 7, 1000]
    for wrong in ("", "GB", "-1GB", "1XB", "1.2.3GB", True, None):
        with pytest.raises(ValueError, match="must be an amount"):
            bytes_of(wrong)


# -------------------------------------------------------------------------------------------- the command


def test_the_command_writes_what_it_says(call: Call, tmp_path: Path) -> None:
    pytest.importorskip("torchrec")
    (tmp_path / "t.toml").write_text(TOML)
    options = [
        "plan",
        "t.toml",
        "--gpus",
        "4",
        "--gpu-memory",
        "24GB",
        "--batch-size",
        "512",
        "--set",
        "features.rows=5120",
    ]
    code, output, errors = call(*options, "--json", "plan.json")
    assert (code, errors) == (0, "")
    found = json.loads((tmp_path / "plan.json").read_text())
    assert (found["batch"], found["devices"]["memory"], found["devices"]["world"]) == (512, 24 * 10**9, 4)
    settings, features = told(tmp_path / "t.toml", None, ["fit.batch_size=512", "features.rows=5120"])
    expected = page.to_dict(planned(settings, features, 4, "24GB"))
    assert found["tables"] == json.loads(json.dumps(expected["tables"]))
    assert found["sent_bytes"] == expected["sent_bytes"]
    assert found["estimate"]["measured"] is False
    assert found["estimate"]["epoch_seconds"] == pytest.approx(10 * found["estimate"]["step_seconds"])
    parameters = sum(t["parameters"] for t in found["tables"]) + found["dense"]["parameters"]
    for words in (f"{parameters:,} parameters", "512 rows a step, 128 on each rank", "nothing was measured", "24.0 GB"):
        assert words in output
    code, _, errors = call(*options, "--json", "plan.json")
    assert (code, "is there already" in errors) == (2, True)


def test_the_command_refuses_what_does_not_fit(call: Call, tmp_path: Path) -> None:
    pytest.importorskip("torchrec")
    (tmp_path / "t.toml").write_text(TOML)
    code, output, errors = call("plan", "t.toml", "--gpus", "2", "--gpu-memory", "10MB")
    assert code == 2
    assert "second/user" in output
    assert "what would help" in errors
    for wrong in (["--gpus", "0"], ["--ranks", "2"], ["--gpus", "0", "--ranks", "2", "--gpu-memory", "1GB"]):
        assert call("plan", "t.toml", *wrong)[0] == 2
    assert call("plan")[0] == 2
    assert "does not exist" in call("plan", "u.toml")[2]


def test_a_refusal_for_want_of_room_for_all_else() -> None:
    fit = FitSettings(embedding_optimiser="sgd", batch_size=4_000_000)
    found = planned(
        PlanSettings(model="mlp", arguments={"embedding_dim": 8, "hidden": [4096]}, fit=fit), SMALL, 1, "8GB"
    )
    assert "take fewer rows a step" in found.refusal
    assert does_not_fit(replace(found, uses=())).startswith("3 tables take")


@pytest.mark.slow
def test_the_page_of_the_documentation_is_what_the_command_says(call: Call, tmp_path: Path) -> None:
    pytest.importorskip("torchrec")
    page = blocks(ROOT / "docs/planning.md")
    (toml,) = [block.code for block in page if block.language == "toml"]
    (tmp_path / "teacher.toml").write_text(toml)
    shown = [block.code.partition("\n") for block in page if block.language == "text"]
    assert [command for command, _, _ in shown] == [
        "$ recdistill plan teacher.toml --gpus 8 --gpu-memory 141GB",
        "$ recdistill plan teacher.toml --gpus 4 --gpu-memory 80GB",
    ]
    for command, _, expected in shown:
        code, output, errors = call(*command.split()[2:])
        assert (errors if code else output) == expected
