"""Tables of torchrec on a CUDA device, wherever they are held, compute what plain tables on the device do."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import prepared
import pytest
import torch
from drawn import drawn, go_on, trained
from torch import Tensor

from recdistill.checkpoints import State
from recdistill.errors import Interrupted
from recdistill.features import FeatureSpec
from recdistill.fit_settings import FitSettings
from recdistill.models import build
from recdistill.models.embeddings import PlainTables, embeddings_of
from recdistill.models.embeddings.fused import LOCATIONS, fused_weights, unfuse
from recdistill.models.embeddings.torchrec_tables import KEPT, TorchrecTables
from recdistill.prepared_table import PreparedTable
from recdistill.ranker import Ranker
from recdistill.trainees import Alone
from recdistill.training import fit

pytestmark = [pytest.mark.gpu, pytest.mark.torchrec]
every_kind = pytest.mark.parametrize("kind", list(KEPT))
every_location = pytest.mark.parametrize("location", LOCATIONS)

DEVICE, NEAR = "cuda", 1e-4
# More rows than a cache of a fifth of them holds, and than a batch looks up.
SPEC = FeatureSpec(categorical=(("user", 120), ("item", 3000)), multi=(("tags", 60),), number=("price",))
READ_BEYOND = """
import sys
import torch
from drawn import SPEC, drawn, trained
from recdistill.fit_settings import FitSettings

told = {"embedding_optimiser": "sgd", "embedding_backend": "torchrec", "device": "cuda"}
trainee = trained(FitSettings(**told, embedding_location=sys.argv[1]), steps=1)
rows = drawn(SPEC).features
rows.ids[3, 1] = 30  # of an item beyond its table
print("read", trainee.network.eval()(rows.to("cuda")).sum().item())
"""


def settings(kind: str, location: str | None, **changed: Any) -> FitSettings:
    """Of plain tables where no location is given."""
    told = {"optimiser": "sgd", "learning_rate": 0.1, "weight_decay": 0.0, "device": DEVICE}
    own = {"embedding_optimiser": kind, "embedding_learning_rate": 0.05}
    held = {} if location is None else {"embedding_backend": "torchrec", "embedding_location": location}
    return FitSettings(**{**told, **own, **held, **changed})


def require_near(mine: dict[str, Tensor], others: dict[str, Tensor]) -> None:
    assert mine.keys() == others.keys()
    for name in mine:
        torch.testing.assert_close(mine[name].cpu(), others[name].cpu(), rtol=0, atol=NEAR)


def unfused(trainee: Alone) -> dict[str, Tensor]:
    """Its weights; the network has plain tables from now on."""
    assert {type(module.table) for _, module in embeddings_of(trainee.network)} == {TorchrecTables}
    unfuse(trainee.network)
    return trainee.network.state_dict()


@every_location
@every_kind
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_steps_are_those_with_plain_tables(kind: str, location: str, precision: str) -> None:
    plain = trained(settings(kind, None, precision=precision), spec=SPEC, dim=16)
    fused = trained(settings(kind, location, precision=precision), spec=SPEC, dim=16)
    rows = drawn(SPEC, rows=500, seed=99).features
    near = NEAR if precision == "float32" else 1e-2  # products are rounded to 8 bits
    assert fused.score(rows) == pytest.approx(plain.score(rows), abs=near)
    if precision == "float32":
        require_near(unfused(fused), plain.network.state_dict())


@every_location
@every_kind
def test_a_checkpoint_has_the_rows_in_the_cache_and_is_gone_on_from(kind: str, location: str, tmp_path: Path) -> None:
    told = settings(kind, location)
    whole, half = (trained(told, spec=SPEC, steps=steps) for steps in (6, 3))
    half.stored.write(tmp_path, State(step=3))
    other = trained(told, spec=SPEC, steps=5)  # its cache holds rows that the checkpoint's must not hide behind
    assert other.stored.read(tmp_path).step == 3
    rows = drawn(SPEC, rows=500, seed=99).features
    assert other.score(rows) == pytest.approx(half.score(rows), abs=NEAR)
    go_on(other, told, SPEC, range(3, 6))
    require_near(unfused(other), unfused(whole))


@every_location
def test_the_weights_that_are_kept_are_those_in_use(location: str) -> None:
    told = settings("adagrad", location)
    trainee, plain = trained(told, spec=SPEC, steps=3), trained(settings("adagrad", None), spec=SPEC, steps=3)
    best = trainee.keep(1)
    assert {weights.device.type for weights in best.values()} == {DEVICE if location == "device" else "cpu"}
    go_on(trainee, told, SPEC, range(3, 6))
    ended = trainee.end(State(epoch=2, best=best, best_score=0.5, best_epoch=1))
    assert {type(module.table) for _, module in embeddings_of(ended)} == {PlainTables}
    assert {weights.device.type for weights in ended.state_dict().values()} == {"cpu"}
    require_near(ended.state_dict(), plain.network.state_dict())


@pytest.mark.parametrize(("location", "on_device"), [("device", True), ("managed", False), ("managed_caching", False)])
def test_tables_are_where_they_were_asked_for(location: str, on_device: bool) -> None:
    """A table in the host's memory does not count to what torch has taken of the device's."""
    spec = FeatureSpec(categorical=(("item", 200_000),))
    gc.collect()  # of networks of earlier tests
    before = torch.cuda.memory_allocated()
    trainee = trained(settings("sgd", location), spec=spec, dim=64, steps=1)
    taken, table = torch.cuda.memory_allocated() - before, 200_000 * 64 * 4
    assert (taken > table) == on_device
    (_, (weights,)) = (fused_weights(module.table) for _, module in embeddings_of(trainee.network))  # type: ignore[arg-type]
    assert weights.shape == (200_000, 64)


@every_location
def test_an_id_of_no_row_ends_the_process(location: str) -> None:
    """Row 0 is not read in its place."""
    told = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    done = subprocess.run(
        [sys.executable, "-c", READ_BEYOND, location],
        capture_output=True,
        text=True,
        timeout=280,
        env=told,
        check=False,
    )
    assert done.returncode != 0
    assert "read" not in done.stdout
    assert "device-side assert" in done.stderr


# ----------------------------------------------------------------------------------------------- a fit


class StopAfter:
    """Stops a fit after so many steps."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def step(self, epoch: int, step: int, steps: int, epochs: int, rows: int) -> None:
        self.left -= 1

    def stopped(self) -> bool:
        return self.left == 0


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> PreparedTable:
    rows = prepared.made(300, seed=300)
    folder = tmp_path_factory.mktemp("made") / "table"
    return PreparedTable.read(prepared.write(folder, {"train": [rows]}, prepared.fitted(rows)))


def fitted(
    table: PreparedTable, location: str | None, state: Path | None = None, progress: StopAfter | None = None
) -> Ranker:
    made = Ranker(table.encoder, build("deepfm", table.encoder.spec, seed=0, arguments={"embedding_dim": 4}))
    told = settings("rowwise_adagrad", location, epochs=3, batch_size=64, checkpoint_seconds=0)
    fit(made, table, valid=table.examples("train"), settings=told, checkpoint=state, progress=progress)
    return made


@every_location
def test_a_fit_is_that_with_plain_tables_also_when_it_is_resumed(
    location: str, table: PreparedTable, tmp_path: Path
) -> None:
    plain, whole = fitted(table, None).network.state_dict(), fitted(table, location)
    with pytest.raises(Interrupted, match="epoch 2, step 3"):
        fitted(table, location, tmp_path / "state", StopAfter(8))
    resumed = fitted(table, location, tmp_path / "state")
    for ranker in (whole, resumed):
        assert {type(module.table) for _, module in embeddings_of(ranker.network)} == {PlainTables}
        require_near(ranker.network.state_dict(), plain)
    whole.save(tmp_path / "ranker")
    scores = Ranker.load(tmp_path / "ranker").score(table, split="train")
    assert scores == pytest.approx(whole.score(table, split="train"), abs=NEAR)
