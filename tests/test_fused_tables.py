"""Tables of torchrec in one process are plain tables in all that they compute; what the kernels lack is refused."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import prepared
import pytest
import torch
from drawn import SPEC, drawn, go_on, trained
from stopping import StopAfter
from torch import Tensor, nn

from recdistill.batch import Batch
from recdistill.errors import DataError, EnvironmentFault, Interrupted, UsageError
from recdistill.features import PAD, FeatureSpec
from recdistill.fit_settings import FitSettings
from recdistill.models import MODELS, build
from recdistill.models.embeddings import PlainTables, embeddings_of, placed, unplaced
from recdistill.models.embeddings.fused import FusedOptimiser, Fusing, fuse, unfuse
from recdistill.models.embeddings.torchrec_tables import KEPT, TorchrecTables
from recdistill.optimisers import RowOptimiser
from recdistill.prepared_table import PreparedTable
from recdistill.ranker import Ranker
from recdistill.trainees import Alone
from recdistill.training import Fitted, fit

torchrec = pytest.mark.torchrec
every_kind = pytest.mark.parametrize("kind", list(KEPT))
NEAR = 1e-5
# Plain SGD for the dense part: Adam would make much of the smallest difference.
STEP = {"optimiser": "sgd", "learning_rate": 0.1, "weight_decay": 0.0, "embedding_learning_rate": 0.1, "device": "cpu"}
SPECS = {
    "ids, lists and numbers": SPEC,
    "lists alone": FeatureSpec(multi=(("tags", 5), ("genres", 3))),
    "ids alone": FeatureSpec(categorical=(("user", 5),)),
    "ids and vectors": FeatureSpec(categorical=(("a.b", 5), ("a b", 7)), vector=(("text", 3),)),
    "no ids": FeatureSpec(number=("price", "age")),
}
FUSING = Fusing("rowwise_adagrad", lr=0.1, weight_decay=0.0, device="cpu")


def settings(kind: str, backend: str, **changed: Any) -> FitSettings:
    return FitSettings(**{**STEP, "embedding_optimiser": kind, "embedding_backend": backend, **changed})


def plain_weights(trainee: Alone) -> dict[str, Tensor]:
    """Of the network, with plain tables from now on."""
    unfuse(trainee.network)
    return trainee.network.state_dict()


def require_near(mine: dict[str, Tensor], others: dict[str, Tensor]) -> None:
    assert mine.keys() == others.keys()
    for name in mine:
        torch.testing.assert_close(mine[name], others[name], rtol=0, atol=NEAR, msg=lambda m, n=name: f"{n}: {m}")


def tables_of(network: nn.Module) -> list[type]:
    return [type(module.table) for _, module in embeddings_of(network)]


# ----------------------------------------------------------------------------------------- the same steps


@torchrec
@every_kind
@pytest.mark.parametrize("dim", [4, 16])
@pytest.mark.parametrize("spec", SPECS.values(), ids=list(SPECS))
def test_steps_are_those_with_plain_tables(kind: str, dim: int, spec: FeatureSpec) -> None:
    """A DeepFM has first-order terms, rows of one number, beside its embeddings."""
    plain, fused = (trained(settings(kind, backend), spec=spec, dim=dim) for backend in ("torch", "torchrec"))
    assert isinstance(fused.optimiser.parts[-1], FusedOptimiser)
    ids = bool(spec.categorical or spec.multi)
    assert tables_of(fused.network) == [TorchrecTables if ids else PlainTables] * 2
    held_out = drawn(spec, seed=99).features
    assert fused.score(held_out) == pytest.approx(plain.score(held_out), abs=NEAR)
    require_near(plain_weights(fused), plain.network.state_dict())


@torchrec
@pytest.mark.parametrize("model", list(MODELS))
def test_every_model_trains_on_them(model: str) -> None:
    plain, fused = (trained(settings("rowwise_adagrad", backend), model=model) for backend in ("torch", "torchrec"))
    assert set(tables_of(fused.network)) == {TorchrecTables}
    untrained = build(model, SPEC, seed=3, arguments={} if model == "lr" else {"embedding_dim": 4}).state_dict()
    weights = plain_weights(fused)
    assert any(not torch.equal(weights[name], untrained[name]) for name in weights if name.endswith("table.weight"))
    require_near(weights, plain.network.state_dict())


@torchrec
@every_kind
def test_lists_count_as_the_mean_of_their_ids_and_empty_ones_as_nothing(kind: str) -> None:
    spec = FeatureSpec(categorical=(("user", 4),), multi=(("tags", 6),))
    tags = torch.tensor([[1, 1, 5], [2, PAD, PAD], [PAD, PAD, PAD], [0, 3, PAD]], dtype=torch.int32)
    batch = Batch(torch.tensor([[0], [1], [2], [3]], dtype=torch.int32), (tags,), torch.empty(4, 0), ())
    network = build("fm", spec, seed=0, arguments={"embedding_dim": 8})
    expected = {name: module(batch).detach() for name, module in embeddings_of(network)}
    fuse(network, replace(FUSING, kind=kind))
    for name, module in embeddings_of(network):
        torch.testing.assert_close(module(batch), expected[name], rtol=0, atol=1e-6)
        assert not module(batch)[2, 1].any()


@torchrec
def test_tables_have_a_learning_rate_of_their_own() -> None:
    still = trained(settings("sgd", "torchrec", embedding_learning_rate=1e-30))
    before = build("deepfm", SPEC, seed=3, arguments={"embedding_dim": 4}).state_dict()
    weights = plain_weights(still)
    assert all(torch.equal(weights[name], before[name]) for name in weights if name.endswith("table.weight"))
    assert not torch.equal(weights["deep.0.weight"], before["deep.0.weight"])


# ------------------------------------------------------------------------------------- to torchrec and back


@torchrec
@every_kind
@pytest.mark.parametrize("dim", [4, 12])
def test_fused_and_unfused_is_as_before(kind: str, dim: int) -> None:
    network = build("deepfm", SPEC, seed=1, arguments={"embedding_dim": dim})
    before = {name: t.clone() for name, t in network.state_dict().items()}
    state = torch.get_rng_state()
    fuse(network, replace(FUSING, kind=kind))
    assert torch.equal(torch.get_rng_state(), state), "torchrec draws rows of its own; the user's chance is left alone"
    assert tables_of(network) == [TorchrecTables] * 2
    unfuse(network)
    assert tables_of(network) == [PlainTables] * 2
    after = network.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], before[name]) for name in before)


@torchrec
def test_unplaced_tables_are_drawn_as_plain_ones_are() -> None:
    with unplaced():
        one, other = (build("deepfm", SPEC, seed=1) for _ in range(2))
    fuse(one, replace(FUSING, seed=5))
    unfuse(one)
    require_near(one.state_dict(), placed(other, seed=5).state_dict())
    assert one.state_dict()["second.table.weight"].std() > 0


@torchrec
def test_where_time_alone_is_measured_nothing_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    with unplaced():
        network = build("deepfm", SPEC, seed=1)
    monkeypatch.setattr("recdistill.models.embeddings.fused.fill", lambda *_: pytest.fail("rows were drawn"))
    fuse(network, FUSING, draw=False)
    assert torch.isfinite(network(drawn(SPEC).features)).all()


# ------------------------------------------------------------------------------------- the optimiser's state


@torchrec
@every_kind
def test_the_state_of_the_kernels_goes_out_and_back_in(kind: str) -> None:
    told = settings(kind, "torchrec")
    whole, half = trained(told, steps=6), trained(told, steps=3)
    stored = half.optimiser.state_dict()
    again = trained(told, steps=0)
    again.network.load_state_dict(half.network.state_dict())
    again.optimiser.load_state_dict(stored)
    found = again.optimiser.parts[-1].state_dict()["state"]
    kept = half.optimiser.parts[-1].state_dict()["state"]
    assert len(found) == len(kept) == (2 * 3 if KEPT[kind] else 0)  # of each Embeddings three features
    for number, entries in kept.items():
        assert tuple(entries) == KEPT[kind]
        assert all(torch.equal(found[number][name], entries[name]) for name in entries)
        assert all(bool((values > 0).any()) for values in entries.values())
    go_on(again, told, SPEC, range(3, 6))
    mine, others = plain_weights(again), plain_weights(whole)
    assert all(torch.equal(mine[name], others[name]) for name in others)


@torchrec
@pytest.mark.parametrize("kind", ["adagrad", "rowwise_adagrad"])
def test_the_state_of_the_kernels_is_that_of_plain_tables(kind: str) -> None:
    plain, fused = (trained(settings(kind, backend)) for backend in ("torch", "torchrec"))
    rows = plain.optimiser.parts[-1]
    assert isinstance(rows, RowOptimiser)
    kept = iter(fused.optimiser.parts[-1].state_dict()["state"].values())
    for _, module in embeddings_of(plain.network):
        whole = rows.state[module.table.weight]["sum"]  # type: ignore[index]
        for start, (_, count) in zip(module.table.starts, module.features, strict=False):  # type: ignore[arg-type]
            mine, its = whole[start : start + count], next(kept)["sum"]
            its = its[:, : module.dim] if its.ndim == 2 else its
            torch.testing.assert_close(its.flatten(), mine.flatten(), rtol=0, atol=NEAR)
    assert next(kept, None) is None


@torchrec
def test_rows_that_a_gpu_cached_are_written_back_before_weights_are_read_and_forgotten_before_they_are_loaded() -> None:
    """On the CPU there is no cache: that each is asked for, and when, is all that can be seen there."""
    network, asked = build("fm", SPEC, seed=0, arguments={"embedding_dim": 4}), []
    fuse(network, FUSING)
    for name, module in embeddings_of(network):
        for kernels in module.table.collection._emb_modules:  # type: ignore[union-attr]
            kernels.flush = lambda name=name: asked.append(f"{name} written back")
            kernels._emb_module.reset_cache_states = lambda name=name: asked.append(f"{name} forgotten")
    weights = network.state_dict()
    names = [name for name, _ in embeddings_of(network)]
    assert asked == [f"{name} written back" for name in names]
    asked.clear()
    network.load_state_dict(weights)
    assert asked == [f"{name} {what}" for name in names for what in ("written back", "forgotten")]


# -------------------------------------------------------------------------------------------- what is refused


@torchrec
@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"user": 12}, r"ids of 'user' must be in \[0, 12\), got \[0, 12\]"),
        ({"item": -1}, r"ids of 'item' must be in \[0, 30\), got \[-1, "),
        ({"tags": 6}, r"ids of 'tags' must be in \[-1, 6\), got \[.*, 6\]"),
        ({"tags": -2}, r"ids of 'tags' must be in \[-1, 6\), got \[-2, "),
    ],
)
def test_an_id_of_no_row_is_refused_with_its_feature(changed: dict[str, int], words: str) -> None:
    """FBGEMM would read row 0 in its place."""
    trainee, batch = trained(settings("sgd", "torchrec"), steps=0), drawn(SPEC).features
    batch.ids[0] = 0
    for name, value in changed.items():
        batch.multi[0][3, 0] = value if name == "tags" else 0
        batch.ids[3] = torch.tensor([value if name == feature else 0 for feature, _ in SPEC.categorical])
    with pytest.raises(DataError, match=words):
        trainee.network(batch)


@torchrec
@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"embedding_optimiser": "dense", "embedding_learning_rate": 0}, "optimiser of their own, got 'dense'"),
        (
            {"embedding_optimiser": "lazy_adam"},
            r"take sgd, adagrad, rowwise_adagrad .*no Adam on the CPU.* 'lazy_adam'",
        ),
        ({"embedding_weight_decay": 0.1}, r"no embedding_weight_decay .*, got 0\.1"),
        ({"dim": 6}, "multiple of 4.*6"),
    ],
)
def test_what_the_kernels_lack_is_refused_and_the_network_stays(changed: dict[str, Any], words: str) -> None:
    dim = changed.get("dim", 4)
    told = settings("sgd", "torchrec", **{name: value for name, value in changed.items() if name != "dim"})
    network = build("deepfm", SPEC, seed=3, arguments={"embedding_dim": dim})
    before = {name: t.clone() for name, t in network.state_dict().items()}
    with pytest.raises(UsageError, match=words):
        Alone(network, told)
    assert tables_of(network) == [PlainTables] * 2
    assert all(torch.equal(t, before[name]) for name, t in network.state_dict().items())


def test_without_torchrec_its_tables_are_a_fault_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("torchrec", "fbgemm_gpu"):
        monkeypatch.setitem(sys.modules, name, None)
    network = build("deepfm", SPEC, seed=3)
    with pytest.raises(EnvironmentFault, match=r"need torchrec and fbgemm-gpu \(pip install 'recdistill\[torchrec\]'"):
        Alone(network, settings("sgd", "torchrec"))
    assert tables_of(network) == [PlainTables] * 2


# --------------------------------------------------------------------------------------------------- a fit


FIT = {"epochs": 3, "batch_size": 64, "learning_rate": 2e-3, "patience": 3, "device": "cpu", "checkpoint_seconds": 0}
RATES = {"sgd": 0.2, "adagrad": 0.05, "rowwise_adagrad": 0.05}
EPOCH = 5  # steps


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> PreparedTable:
    return prepared.with_valid(tmp_path_factory.mktemp("made"), 300, 80)


def fitted(
    table: PreparedTable, kind: str, backend: str, *, state: Path | None = None, progress: StopAfter | None = None
) -> tuple[Ranker, Fitted]:
    arguments = {"embedding_dim": 4, "hidden": [8], "dropout": 0.2}
    made = Ranker(table.encoder, build("deepfm", table.encoder.spec, seed=0, arguments=arguments))
    own = {"embedding_optimiser": kind, "embedding_backend": backend, "embedding_learning_rate": RATES[kind]}
    told = FitSettings(**FIT, **own)
    judged = table.examples("train")  # of random rows no others can be learnt
    return made, fit(made, table, valid=judged, settings=told, checkpoint=state, progress=progress)


@torchrec
@every_kind
def test_a_fit_is_that_with_plain_tables_and_ends_with_plain_tables(
    kind: str, table: PreparedTable, tmp_path: Path
) -> None:
    (plain, as_plain), (fused, as_fused) = (fitted(table, kind, backend) for backend in ("torch", "torchrec"))
    require_near(fused.network.state_dict(), plain.network.state_dict())
    assert tables_of(fused.network) == [PlainTables] * 2
    assert not any(module.table.sparse for _, module in embeddings_of(fused.network))  # type: ignore[union-attr]
    assert as_fused.best_epoch == as_plain.best_epoch > 0
    assert as_fused.history[-1]["loss"] < as_fused.history[1]["loss"]
    for entry, its in zip(as_fused.history, as_plain.history, strict=True):
        assert entry == pytest.approx(its, abs=NEAR)
    scores = fused.score(table, split="valid")
    assert scores == pytest.approx(plain.score(table, split="valid"), abs=NEAR)
    fused.save(tmp_path / "ranker")
    assert (Ranker.load(tmp_path / "ranker").score(table, split="valid") == scores).all()


@torchrec
@every_kind
def test_a_fit_is_resumed_bit_for_bit(kind: str, table: PreparedTable, tmp_path: Path) -> None:
    whole, as_whole = fitted(table, kind, "torchrec")
    with pytest.raises(Interrupted, match="epoch 2, step 3"):
        fitted(table, kind, "torchrec", state=tmp_path / "state", progress=StopAfter(EPOCH + 3, of=EPOCH))
    rest = StopAfter(of=EPOCH)
    resumed, as_resumed = fitted(table, kind, "torchrec", state=tmp_path / "state", progress=rest)
    assert rest.seen == FIT["epochs"] * EPOCH - EPOCH - 3
    assert as_resumed == as_whole
    mine, others = resumed.network.state_dict(), whole.network.state_dict()
    assert mine.keys() == others.keys()
    assert all(torch.equal(mine[name], others[name]) for name in others)
    assert not (tmp_path / "state").exists()
