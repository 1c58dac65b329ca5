"""The model contract over every model in `MODELS`, each formula against slow loops, and what a Batch promises."""

from __future__ import annotations

import inspect
import itertools
import json
import re
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from recdistill.batch import Batch
from recdistill.errors import DataError, UsageError
from recdistill.features import PAD, UNSEEN, FeatureSpec
from recdistill.models import FM, MODELS, build
from recdistill.models.embeddings import Embeddings
from recdistill.models.fm import pairwise

FULL = FeatureSpec((("user", 7), ("item", 5)), (("genres", 6), ("tags", 4)), ("age", "price"), (("a", 3), ("b", 2)))
SOME = [kinds for count in (1, 2, 3, 4) for kinds in itertools.combinations(FULL.to_dict(), count)]
SPECS = {"+".join(kinds): FeatureSpec(**{kind: getattr(FULL, kind) for kind in kinds}) for kinds in SOME}
ROWS = 40

every_model = pytest.mark.parametrize("name", MODELS)
several = pytest.mark.parametrize("classes", [1, 5])
every_spec = pytest.mark.parametrize("spec", SPECS.values(), ids=list(SPECS))


def drawn(spec: FeatureSpec) -> Batch:
    """Rows in which every id occurs, with lists of one to four ids."""
    generator = torch.Generator().manual_seed(0)

    def ids(rows: int, width: int) -> Tensor:
        found = torch.randint(rows, (ROWS, width), generator=generator, dtype=torch.int32)
        found[:rows, 0] = torch.arange(rows)
        return found.masked_fill(torch.arange(width) > torch.randint(4, (ROWS, 1), generator=generator), PAD)

    single = [torch.zeros(ROWS, 0, dtype=torch.int32), *(ids(rows, 1) for _, rows in spec.categorical)]
    multi = tuple(ids(rows, 4) for _, rows in spec.multi)
    widths = (len(spec.number), *(dim for _, dim in spec.vector))
    number, *vector = (torch.randn(ROWS, width, generator=generator) for width in widths)
    return Batch(torch.cat(single, 1), multi, number, tuple(vector))


def strong(network: nn.Module, scale: float = 0.5) -> nn.Module:
    """The network with weights so large that every term of its formula counts, ready to score."""
    generator = torch.Generator().manual_seed(1)
    for parameter in network.parameters():
        parameter.data = scale * torch.randn(parameter.shape, generator=generator)
    return network.eval()


def made(name: str, spec: FeatureSpec, classes: int = 1) -> nn.Module:
    """A model of a spec, with dropout where it knows that; a refused spec must be a clear error."""
    dropout = {"dropout": 0.5} if "dropout" in inspect.signature(MODELS[name]).parameters else {}
    try:
        return strong(build(name, spec, arguments={**dropout, "classes": classes}))
    except ValueError as error:
        if not re.search("(must|needs).* got", str(error)):
            raise
        pytest.skip(f"{name} refuses this spec: {error}")


def gradients(network: nn.Module, logits: Tensor) -> dict[str, Tensor]:
    """Of the mean square logit, to every parameter."""
    named = dict(network.named_parameters())
    found = torch.autograd.grad(logits.square().mean(), named.values(), retain_graph=True, materialize_grads=True)
    return dict(zip(named, found, strict=True))


def close(found: Tensor, expected: Tensor) -> None:
    """Equal up to float32 sums in another order."""
    largest = max(expected.detach().abs().flatten().tolist(), default=0.0)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4 * (1 + largest))


@every_model
@every_spec
@several
def test_finite_logits_per_row_whatever_the_other_rows(name: str, spec: FeatureSpec, classes: int) -> None:
    network, batch = made(name, spec, classes), drawn(spec)
    logits, width = network(batch), () if classes == 1 else (classes,)
    assert (logits.shape, logits.dtype) == ((ROWS, *width), torch.float32)
    assert logits.isfinite().all()
    assert all(len(column.unique()) > 1 for column in logits.reshape(ROWS, classes).T)
    close(torch.cat([network(batch.rows(slice(i, i + 1))) for i in range(ROWS)]), logits)
    close(network(batch.rows(torch.arange(ROWS).flip(0))), logits.flip(0))
    assert network(batch.rows(slice(0, 0))).shape == (0, *width)
    assert strong(network, scale=3.0)(batch).abs().max() > 1, "a logit, not a probability"


@every_model
@every_spec
@several
def test_more_padding_and_another_order_of_a_list_change_nothing(name: str, spec: FeatureSpec, classes: int) -> None:
    network, batch = made(name, spec, classes), drawn(spec)
    expected = network(batch)
    after, around = ([nn.functional.pad(ids, pad, value=PAD) for ids in batch.multi] for pad in ((0, 3), (2, 1)))
    for changed in (after, around, [ids.flip(1) for ids in batch.multi]):
        found = network(replace(batch, multi=tuple(changed)))
        close(found, expected)
        for key, gradient in gradients(network, found).items():
            close(gradient, gradients(network, expected)[key])


@every_model
@every_spec
@several
def test_gradients_reach_what_a_batch_touches_and_no_other_row(name: str, spec: FeatureSpec, classes: int) -> None:
    network, batch = made(name, spec, classes), drawn(spec)
    batch = batch.rows(batch.ids[:, 0] != 3) if spec.categorical else batch
    found = gradients(network, network(batch))
    tables = {f"{key}.table.weight" for key, module in network.named_modules() if isinstance(module, Embeddings)}
    assert all(found[key].any() for key in found.keys() - tables if found[key].numel())
    for key in tables if spec.categorical or spec.multi else ():
        touched = found[key].any(1).tolist()
        assert touched == [not (spec.categorical and row == 3) for row in range(len(touched))]


@every_model
def test_plain_keyword_arguments_rebuild_the_same_architecture(name: str) -> None:
    spec, *others = inspect.signature(MODELS[name]).parameters.values()
    assert spec.name == "spec"
    assert all(p.kind is p.KEYWORD_ONLY and p.default is not p.empty for p in others)
    other = {int: 3, tuple: [5, 4], float: 0.25}
    for arguments in ({}, {p.name: other[type(p.default)] for p in others}):
        network = build(name, FULL, arguments=arguments)
        stored = json.loads(json.dumps({"spec": FULL.to_dict(), "arguments": network.arguments}))
        assert stored["arguments"].keys() == {p.name for p in others}
        assert arguments.items() <= stored["arguments"].items()
        again = build(name, FeatureSpec.from_dict(stored["spec"]), seed=1, arguments=stored["arguments"])
        assert (str(again), again.arguments) == (str(network), network.arguments)
        again.load_state_dict(network.state_dict())
        assert torch.equal(again.eval()(drawn(FULL)), network.eval()(drawn(FULL)))


@every_model
def test_the_seed_decides_the_weights_and_nothing_else_is_drawn(name: str) -> None:
    before = torch.get_rng_state()
    first = build(name, FULL, seed=3).state_dict()
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(1)
    same, other = (build(name, FULL, seed=seed).state_dict() for seed in (3, 4))
    assert all(torch.equal(first[k], same[k]) for k in first)
    assert not all(torch.equal(first[k], other[k]) for k in first)


@every_model
def test_unknown_names_and_sizes_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match=f"unknown model '{name}x', did you mean '{name}'"):
        build(f"{name}x", FULL)
    with pytest.raises(UsageError, match=f"unknown argument 'embeding_dim' of model '{name}', did you mean 'embedding"):
        build(name, FULL, arguments={"embeding_dim": 4})
    for dim in (0, -1):
        with pytest.raises(ValueError, match=f"embedding.dim must be at least 1, got .*{dim}"):
            build(name, FULL, arguments={"embedding_dim": dim})
    with pytest.raises(ValueError, match=r"cannot take {'classes': 0}: .* at least 1"):
        build(name, FULL, arguments={"classes": 0})


def by_feature(embeddings: nn.Module, spec: FeatureSpec) -> list[Tensor]:
    """Each feature's own rows of the table."""
    rows = [n for _, n in (*spec.categorical, *spec.multi)]
    return list(embeddings.table.weight[: sum(rows)].split(rows))


def slow_fields(embeddings: nn.Module, spec: FeatureSpec, batch: Batch, row: int) -> list[Tensor]:
    """The vector of each feature of one row, one id at a time."""
    tables = iter(by_feature(embeddings, spec))
    found = [next(tables)[int(i)] for i in batch.ids[row]]
    for table, ids in zip(tables, batch.multi, strict=True):
        found.append(torch.stack([table[int(i)] for i in ids[row] if i != PAD]).mean(0))
    found += [x * v for x, v in zip(batch.number[row], embeddings.number, strict=True)]
    return found + [f.weight @ x[row] + f.bias for f, x in zip(embeddings.vector, batch.vector, strict=True)]


def dots(vectors: list[Tensor]) -> list[Tensor]:
    """⟨v_i, v_j⟩ for each i < j."""
    return [vectors[i] @ vectors[j] for i in range(len(vectors)) for j in range(i + 1, len(vectors))]


@every_spec
def test_embeddings_are_looked_up_averaged_scaled_and_projected(spec: FeatureSpec) -> None:
    embeddings, batch = strong(Embeddings(spec, 3)), drawn(spec)
    for row, found in enumerate(embeddings(batch)):
        close(found, torch.stack(slow_fields(embeddings, spec, batch, row)))


@every_spec
def test_fm_is_equation_1_and_deepfm_adds_its_network(spec: FeatureSpec) -> None:
    """w0 + Σ_i w_i + Σ_i Σ_{j>i} ⟨v_i, v_j⟩, where a feature's w and v are already times its x."""
    both, batch = made("deepfm", spec), drawn(spec)
    fm = FM(spec, embedding_dim=both.arguments["embedding_dim"])
    fm.load_state_dict({k: v for k, v in both.state_dict().items() if not k.startswith("deep.")})
    for row, found in enumerate(fm(batch)):
        w, v = slow_fields(fm.first, spec, batch, row), slow_fields(fm.second, spec, batch, row)
        close(found, fm.bias + sum(w)[0] + sum(dots(v)))
    close(both(batch), fm(batch) + both.deep(both.second(batch).flatten(1))[:, 0])


@every_spec
def test_several_classes_mix_the_vector_of_pairs(spec: FeatureSpec) -> None:
    """w0_k + Σ_i w_ik + ⟨h_k, Σ_i Σ_{j>i} v_i ⊙ v_j⟩; with h_k = 1 each class is the paper's machine."""
    both, batch = made("deepfm", spec, classes=3), drawn(spec)
    fm = FM(spec, embedding_dim=both.arguments["embedding_dim"], classes=3)
    fm.load_state_dict({k: v for k, v in both.state_dict().items() if not k.startswith("deep.")})
    for row, found in enumerate(fm(batch)):
        w, v = slow_fields(fm.first, spec, batch, row), slow_fields(fm.second, spec, batch, row)
        pairs = sum((v[i] * v[j] for j in range(len(v)) for i in range(j)), torch.zeros(len(v[0])))
        close(found, fm.bias + sum(w) + torch.stack([h @ pairs for h in fm.mix.weight]))
    close(both(batch), fm(batch) + both.deep(both.second(batch).flatten(1)))
    nn.init.ones_(fm.mix.weight)
    close(fm(batch) - fm.bias - fm.first(batch).sum(1), pairwise(fm.second(batch), None)[:, None].expand(-1, 3))


@every_spec
def test_dlrm_sees_the_dot_product_of_each_pair(spec: FeatureSpec) -> None:
    network, batch = made("dlrm", spec), drawn(spec)
    for row, found in enumerate(network(batch)):
        vectors = slow_fields(network.sparse, spec, replace(batch, number=batch.number[:, :0]), row)
        if spec.number:
            vectors.insert(0, network.bottom(batch.number[row]))
        dense = vectors[0] if spec.number else torch.stack(vectors).mean(0)
        close(found, network.top(torch.cat([dense, *(dot[None] for dot in dots(vectors))]))[0])


def test_rows_are_taken_and_new_ids_start_as_the_unseen_one() -> None:
    larger = replace(FULL, categorical=(("user", 9), ("item", 5)), multi=(("genres", 8), ("tags", 7)))
    old, new = strong(Embeddings(FULL, 3)), strong(Embeddings(larger, 3), scale=2.0)
    sizes = [rows for _, rows in (*larger.categorical, *larger.multi)]
    known = [rows for _, rows in (*FULL.categorical, *FULL.multi)]
    ids = [
        torch.cat([torch.arange(k), torch.zeros(n - k, dtype=torch.long)]) for n, k in zip(sizes, known, strict=True)
    ]
    new.take_rows(old, ids)
    for taken, known in zip(by_feature(new, larger), by_feature(old, FULL), strict=True):
        assert torch.equal(taken[: len(known)], known)
        assert torch.equal(taken[len(known) :], known[:1].expand(len(taken) - len(known), -1))


def spoiled(values: Tensor, column: int, value: float) -> Tensor:
    """The tensor with one value replaced."""
    return values.index_put((torch.tensor(5), torch.tensor(column)), torch.tensor(value, dtype=values.dtype))


def test_a_batch_that_no_model_may_see_is_refused_by_name() -> None:
    batch = drawn(FULL)
    batch.check(FULL)
    (genres, tags), (a, b) = batch.multi, batch.vector
    wrong = [
        *(("'item' must be in", replace(batch, ids=spoiled(batch.ids, 1, v))) for v in (5, -1)),
        *(("'tags' must be in", replace(batch, multi=(genres, spoiled(tags, 3, v)))) for v in (4, -2)),
        *(("finite.*'price'", replace(batch, number=spoiled(batch.number, 1, v))) for v in (torch.nan, torch.inf)),
        *(("finite.*'b'", replace(batch, vector=(a, spoiled(b, 0, v)))) for v in (torch.nan, -torch.inf)),
    ]
    for part in ({"ids": batch.ids[:, :1]}, {"multi": (tags,)}, {"number": batch.number[:, :1]}, {"vector": (b, a)}):
        wrong.append(("the spec's features", replace(batch, **part)))
    for rule, other in wrong:
        with pytest.raises(DataError, match=rule):
            other.check(FULL)


@pytest.mark.parametrize("rate", [0.0, 0.02, 0.3, 0.9])
def test_with_unseen_replaces_its_share_of_ids_and_never_padding(rate: float) -> None:
    batch = drawn(FULL).rows(torch.arange(ROWS).repeat(500))
    first, again, other = (batch.with_unseen(rate, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1))
    assert all(a is b for a, b in ((first.number, batch.number), (first.vector, batch.vector)))
    columns = ((b.ids, *b.multi) for b in (batch, first, again, other))
    for before, after, repeated, differently in zip(*columns, strict=True):
        assert torch.equal(after, repeated)
        assert torch.equal(after, differently) == (rate == 0)
        assert torch.equal(after == PAD, before == PAD)
        assert (after[after != before] == UNSEEN).all()
        assert float((after == UNSEEN)[before > UNSEEN].double().mean()) == pytest.approx(rate, abs=0.015)
