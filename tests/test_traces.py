"""Numbers too small to matter, which processors are slow with, do not stay in what a fit changes at every step."""

from __future__ import annotations

import pytest
import torch
from drawn import SPEC, drawn
from torch import nn

from recdistill import optimisers
from recdistill.fit_settings import FitSettings
from recdistill.models import build
from recdistill.optimisers import TRACE, Optimisers, RowOptimiser
from recdistill.steps import Steps, hard_labels
from recdistill.trainees import Alone

LR, ROWS, DIM = 0.1, 9, 4


def test_traces_are_dropped_from_what_every_step_changes() -> None:
    dense, table = nn.Parameter(torch.ones(3)), nn.Parameter(torch.full((ROWS, DIM), TRACE / 2))
    adam = torch.optim.Adam([dense], lr=LR)
    parts = Optimisers([adam, RowOptimiser([table], kind="adagrad", lr=LR)])
    dense.grad = torch.tensor([1.0, 1e-20, -1.0])
    adam.step()
    with torch.no_grad():
        dense.copy_(torch.tensor([TRACE / 2, 2 * TRACE, -TRACE / 2]))
    parts.drop_traces()
    assert dense.tolist() == [0.0, pytest.approx(2 * TRACE), 0.0]
    kept = adam.state[dense]
    assert kept["exp_avg"].tolist() == pytest.approx([0.1, 1e-21, -0.1])
    assert kept["exp_avg_sq"].tolist() == [pytest.approx(1e-3), 0.0, pytest.approx(1e-3)]
    assert torch.equal(table, torch.full((ROWS, DIM), TRACE / 2))


@pytest.mark.parametrize("dropped", [True, False])
def test_long_decay_leaves_no_number_that_processors_are_slow_with(
    dropped: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not dropped:
        monkeypatch.setattr(optimisers, "TRACE", 0.0)
    network = build("mlp", SPEC, seed=1, arguments={"hidden": [8]}).train()
    settings = FitSettings(weight_decay=2e-6, learning_rate=1e-3, embedding_optimiser="dense")
    loop = Steps(Alone(network, settings), hard_labels, settings, SPEC)
    examples, smallest = drawn(SPEC, seed=0), torch.finfo(torch.float32).tiny
    for step in range(1501):
        loop.step(examples, 0, step)
    kept = [t for state in loop.trainee.optimiser.state_dict()["state"].values() for t in state.values()]
    slow = [((t != 0) & (t.abs() < smallest)).any() for t in [*network.parameters(), *kept]]
    assert bool(torch.stack(slow).any()) is not dropped
