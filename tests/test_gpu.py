"""What a CUDA device computes is what the CPU does, up to the order of sums, and a fit there can be resumed there."""

from __future__ import annotations

from pathlib import Path

import prepared
import pytest
import torch
from stopping import StopAfter

from recdistill.artefacts import manifest
from recdistill.errors import Interrupted
from recdistill.fit_settings import FitSettings
from recdistill.models import build
from recdistill.prepared_table import PreparedTable
from recdistill.ranker import Ranker
from recdistill.training import Fitted, fit

pytestmark = pytest.mark.gpu

NEAR = 1e-4
FIT = FitSettings(epochs=3, batch_size=64, learning_rate=1e-3, patience=3, hidden={"age": 0.2}, checkpoint_seconds=0)
EPOCH = 5  # steps


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> PreparedTable:
    return prepared.with_valid(tmp_path_factory.mktemp("made"), 300, 80)


def fitted(
    table: PreparedTable,
    device: str,
    *,
    dropout: float = 0.0,
    state: Path | None = None,
    steps: StopAfter | None = None,
) -> tuple[Ranker, Fitted]:
    arguments = {"embedding_dim": 4, "hidden": [8], "dropout": dropout}
    made = Ranker(table.encoder, build("deepfm", table.encoder.spec, seed=0, arguments=arguments))
    settings = FIT.model_copy(update={"device": device})
    return made, fit(made, table, valid=table, settings=settings, checkpoint=state, progress=steps)


def require_near(one: tuple[Ranker, Fitted], other: tuple[Ranker, Fitted], table: PreparedTable) -> None:
    """Weights, logits and history; the epoch whose weights were kept is the same."""
    mine, others = one[0].network.state_dict(), other[0].network.state_dict()
    assert mine.keys() == others.keys()
    for name in mine:
        torch.testing.assert_close(mine[name], others[name], rtol=0, atol=NEAR)
    assert one[0].score(table, split="train") == pytest.approx(other[0].score(table, split="train"), abs=NEAR)
    assert one[1].best_epoch == other[1].best_epoch
    assert one[1].score == pytest.approx(other[1].score, abs=NEAR)
    for entry, its in zip(one[1].history, other[1].history, strict=True):
        assert entry == pytest.approx(its, abs=NEAR)


def test_a_fit_on_cuda_is_that_on_the_cpu(table: PreparedTable) -> None:
    torch.cuda.reset_peak_memory_stats()
    on_cuda = fitted(table, "cuda")
    assert torch.cuda.max_memory_allocated() > 0
    require_near(on_cuda, fitted(table, "cpu"), table)


def test_a_checkpoint_made_on_cuda_resumes_on_cuda(table: PreparedTable, tmp_path: Path) -> None:
    whole, rest = fitted(table, "cuda", dropout=0.2), StopAfter(of=EPOCH)
    with pytest.raises(Interrupted, match="epoch 2, step 3"):
        fitted(table, "cuda", dropout=0.2, state=tmp_path / "state", steps=StopAfter(EPOCH + 3, of=EPOCH))
    assert {manifest(path)["facts"]["kind"] for path in (tmp_path / "state").iterdir()} == {"checkpoint"}
    torch.cuda.reset_peak_memory_stats()
    resumed = fitted(table, "cuda", dropout=0.2, state=tmp_path / "state", steps=rest)
    assert torch.cuda.max_memory_allocated() > 0
    assert rest.seen == FIT.epochs * EPOCH - EPOCH - 3
    require_near(whole, resumed, table)
