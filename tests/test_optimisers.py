"""Optimisers of embedding tables: formulas written out, torch's own where it has them, and rows that are left alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from drawn import SPEC, drawn
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from recdistill.features import PAD
from recdistill.fit_settings import FitSettings
from recdistill.models import MODELS, build
from recdistill.models.embeddings import PlainTables, embeddings_of
from recdistill.models.embeddings.lookup import SparseLookup, summed_by_row
from recdistill.optimisers import BETAS, EPSILON, KINDS, Optimisers, RowOptimiser
from recdistill.steps import Steps, hard_labels
from recdistill.trainees import Alone, optimisers_of
from recdistill.training import fit

every_kind = pytest.mark.parametrize("kind", list(KINDS))
LR, DECAY, ROWS, DIM = 0.1, 0.01, 9, 4


def slow(kind: str, weight: Tensor, gradients: list[dict[int, Tensor]], decay: float) -> Tensor:
    """The module's formulas, one row and one step at a time."""
    weight, first, second = weight.double(), *BETAS
    sums: dict[int, Tensor] = {}
    moments: dict[int, tuple[Tensor, Tensor]] = {}
    last: dict[int, int] = {}
    for step, by_row in enumerate(gradients, start=1):
        for row, gradient in by_row.items():
            g = gradient.double()
            if kind == "sgd":
                update, divisor = g, torch.ones(DIM)
            elif kind in ("adagrad", "rowwise_adagrad"):
                squared = g**2 if kind == "adagrad" else (g**2).mean()
                sums[row] = sums.get(row, torch.zeros(())) + squared
                update, divisor = g, (sums[row].sqrt() + EPSILON).expand(DIM)
            else:
                m, v = moments.get(row, (torch.zeros(DIM), torch.zeros(DIM)))
                m, v = first * m + (1 - first) * g, second * v + (1 - second) * g**2
                moments[row] = m, v
                update, divisor = m / (1 - first**step), (v / (1 - second**step)).sqrt() + EPSILON
            since = step - last.get(row, 0)
            last[row] = step
            shrunk = [max(0.0, 1 - LR * decay * since / float(d)) for d in divisor]
            weight[row] = weight[row] * torch.tensor(shrunk, dtype=torch.float64) - LR * update / divisor
    return weight


def sparse(by_row: dict[int, Tensor]) -> Tensor:
    return torch.sparse_coo_tensor(
        torch.tensor([list(by_row)]), torch.stack(list(by_row.values())), (ROWS, DIM), check_invariants=True
    )


def drawn_gradients(seed: int, steps: int = 6) -> list[dict[int, Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    chosen = [torch.randperm(ROWS, generator=generator)[:4].tolist() for _ in range(steps)]
    return [{row: torch.randn(DIM, generator=generator) for row in rows} for rows in chosen]


@every_kind
@pytest.mark.parametrize("decay", [0.0, DECAY, 2.0])
def test_each_optimiser_is_its_formula(kind: str, decay: float) -> None:
    table = nn.Parameter(torch.randn(ROWS, DIM, generator=torch.Generator().manual_seed(1)))
    gradients, before = drawn_gradients(2), table.detach().clone()
    optimiser = RowOptimiser([table], kind=kind, lr=LR, weight_decay=decay)
    for by_row in gradients:
        table.grad = sparse(by_row)
        optimiser.step()
    assert torch.allclose(table.detach().double(), slow(kind, before, gradients, decay), atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "peer"),
    [
        ("sgd", lambda p: torch.optim.SGD(p, lr=LR)),
        ("adagrad", lambda p: torch.optim.Adagrad(p, lr=LR, eps=EPSILON)),
        ("lazy_adam", lambda p: torch.optim.SparseAdam(p, lr=LR, eps=EPSILON)),
    ],
)
def test_where_torch_has_the_optimiser_it_is_the_same(kind: str, peer: object) -> None:
    ours = nn.Parameter(torch.randn(ROWS, DIM, generator=torch.Generator().manual_seed(1)))
    theirs = nn.Parameter(ours.detach().clone())
    for optimiser, table in ((RowOptimiser([ours], kind=kind, lr=LR), ours), (peer([theirs]), theirs)):  # type: ignore[operator]
        for by_row in drawn_gradients(3):
            table.grad = sparse(by_row)
            with torch.sparse.check_sparse_tensor_invariants():
                optimiser.step()
    assert torch.allclose(ours, theirs, atol=1e-5)


def test_rowwise_and_elementwise_adagrad_are_one_for_rows_of_one_number() -> None:
    tables = {kind: nn.Parameter(torch.ones(5, 1)) for kind in ("adagrad", "rowwise_adagrad")}
    for kind, table in tables.items():
        optimiser = RowOptimiser([table], kind=kind, lr=LR)
        for step in range(3):
            table.grad = torch.sparse_coo_tensor(
                torch.tensor([[1, 3]]), torch.tensor([[0.5], [step - 1.0]]), (5, 1), check_invariants=True
            )
            optimiser.step()
    assert torch.equal(*tables.values())


def test_an_optimiser_that_there_is_not_is_refused() -> None:
    with pytest.raises(ValueError, match="one of sgd, adagrad, rowwise_adagrad, lazy_adam, got 'adam'"):
        RowOptimiser([nn.Parameter(torch.ones(2, 2))], kind="adam", lr=LR)


@given(ids=st.lists(st.integers(0, 7), min_size=1, max_size=40))
def test_the_sparse_gradient_is_the_dense_one(ids: list[int]) -> None:
    looked = torch.tensor(ids, dtype=torch.int32)
    weight = torch.randn(8, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64, requires_grad=True)
    factor = torch.randn(len(ids), 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    (dense,) = torch.autograd.grad((nn.functional.embedding(looked, weight) * factor).sum(), weight)
    (found,) = torch.autograd.grad((SparseLookup.apply(looked, weight) * factor).sum(), weight)
    assert torch.allclose(found.to_dense(), dense)
    rows, values = summed_by_row(looked, factor)
    assert rows.tolist() == sorted(set(ids))
    assert all(torch.allclose(v, factor[looked == r].sum(0)) for r, v in zip(rows, values, strict=True))


@pytest.mark.parametrize("name", list(MODELS))
def test_sgd_on_the_rows_of_a_batch_is_sgd_on_whole_tables(name: str) -> None:
    """Rows that were not looked up have no gradient, so that the two are the same algorithm."""
    networks = []
    for kind in ("dense", "sgd"):
        settings = FitSettings(optimiser="sgd", embedding_optimiser=kind, learning_rate=0.5, weight_decay=0.0)
        network = build(name, SPEC, seed=3).train()
        loop = Steps(Alone(network, settings), hard_labels, settings, SPEC)
        for step in range(5):
            loop.step(drawn(SPEC, seed=step), 0, step)
        networks.append(network.state_dict())
    for key, weights in networks[0].items():
        assert torch.allclose(weights, networks[1][key], atol=1e-6), key


@every_kind
def test_rows_of_no_batch_stay_as_they_were(kind: str) -> None:
    examples = drawn(SPEC)
    examples = replace(examples, features=replace(examples.features, ids=examples.features.ids.clamp(max=7)))
    network = build("deepfm", SPEC, seed=1).train()
    before = {key: t.clone() for key, t in network.state_dict().items()}
    settings = FitSettings(embedding_optimiser=kind, embedding_weight_decay=0.1, unseen_rate=0.0)
    loop = Steps(Alone(network, settings), hard_labels, settings, SPEC)
    loop.step(examples, 0, 0)
    for name, module in embeddings_of(network):
        moved = (module.table.weight != before[f"{name}.table.weight"]).any(1)  # type: ignore[attr-defined]
        looked = set(examples.features.ids[:, 0].tolist()) | {12 + i for i in examples.features.ids[:, 1].tolist()}
        looked |= {42 + i for i in examples.features.multi[0].flatten().tolist() if i != PAD}
        # The padding of lists looks row 0 up with a gradient of 0.
        assert set(moved.nonzero()[:, 0].tolist()) <= looked | {42}


@pytest.mark.parametrize("decay", [0.0, DECAY])
def test_several_optimisers_are_stored_as_one(decay: float) -> None:
    network = build("deepfm", SPEC, seed=1).train()
    settings = FitSettings(embedding_optimiser="lazy_adam", embedding_weight_decay=decay)
    loop = Steps(Alone(network, settings), hard_labels, settings, SPEC)
    for step in range(2):
        loop.step(drawn(SPEC, seed=step), 0, step)
    stored = loop.trainee.optimiser.state_dict()
    again = optimisers_of(network, settings)
    assert isinstance(again, Optimisers)
    again.load_state_dict(stored)
    found = again.state_dict()["state"]
    assert found.keys() == stored["state"].keys() == set(range(len(list(network.parameters()))))
    for number, kept in stored["state"].items():
        assert all(torch.equal(torch.as_tensor(kept[k]), torch.as_tensor(found[number][k])) for k in kept)


def test_tables_of_more_rows_than_int32_counts_have_longer_places() -> None:
    with torch.device("meta"):
        small, large = PlainTables([9, 4], 1, deviation=None), PlainTables([2**31 - 1, 4], 1, deviation=None)
        with pytest.raises(ValueError, match=r"a table has at most 2,147,483,647 rows, got 2,147,483,648"):
            PlainTables([2**31], 1, deviation=None)
    assert (small.offsets.dtype, large.offsets.dtype) == (torch.int32, torch.int64)


def test_settings_of_tables_without_an_optimiser_of_their_own_are_refused() -> None:
    with pytest.raises(
        ValueError, match=r"'dense' tables have no settings of their own, got embedding_learning_rate=0.1"
    ):
        FitSettings(embedding_learning_rate=0.1)


def test_pairs_have_the_gradient_of_their_formula() -> None:
    from recdistill.models.fm import Pairs

    generator = torch.Generator().manual_seed(0)
    shapes = ((3, 5, 2), (3, 2), (3,))
    given = [torch.randn(*s, dtype=torch.float64, generator=generator, requires_grad=True) for s in shapes]
    assert torch.autograd.gradcheck(Pairs.apply, given)


@every_kind
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_fit_learns_with_each(kind: str, precision: str) -> None:
    from recdistill.datasets import synthetic
    from recdistill.encoder import Encoder
    from recdistill.ranker import Ranker

    source, _ = synthetic.load(seed=0, source_rows=3_000, target_rows=100)
    encoder = Encoder.fit(source)
    ranker = Ranker(encoder, build("deepfm", encoder.spec, seed=0))
    rate = {"sgd": 0.5, "lazy_adam": 0.01}.get(kind, 0.1)
    settings = FitSettings(epochs=3, embedding_optimiser=kind, embedding_learning_rate=rate, precision=precision)
    found = fit(ranker, source, settings=settings)
    losses = [entry["loss"] for entry in found.history]
    assert losses[-1] < 0.98 * losses[0]
    assert not any(module.table.sparse for _, module in embeddings_of(ranker.network))  # type: ignore[union-attr]


def test_the_decay_of_steps_without_a_lookup_is_made_up_for() -> None:
    """By SGD without a gradient, k steps of decay at once are to first order k steps of torch's SGD on the whole."""
    ours, theirs = (nn.Parameter(torch.ones(ROWS, DIM)) for _ in range(2))
    sparse_sgd = RowOptimiser([ours], kind="sgd", lr=LR, weight_decay=1e-3)
    dense_sgd = torch.optim.SGD([theirs], lr=LR, weight_decay=1e-3)
    nothing = torch.zeros(DIM)
    for step in range(1, 21):
        ours.grad = sparse({0: nothing, **({1: nothing} if step == 20 else {})})
        theirs.grad = torch.zeros(ROWS, DIM)
        sparse_sgd.step()
        dense_sgd.step()
    assert torch.allclose(ours[0], theirs[0], atol=1e-6)
    assert torch.allclose(ours[1], theirs[1], atol=1e-5)
    assert torch.equal(ours[2:], torch.ones(ROWS - 2, DIM))
