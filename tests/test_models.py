"""The model contract over every model in `MODELS`, each formula against slow loops, and what a Batch promises."""

from __future__ import annotations

import inspect
import itertools
import json
import math
import re
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from recdistill.batch import Batch
from recdistill.configuration import Config
from recdistill.errors import DataError, UsageError
from recdistill.features import PAD, UNSEEN, FeatureSpec
from recdistill.models import FM, MODELS, build
from recdistill.models.embeddings import Embeddings
from recdistill.models.fm import pairwise
from recdistill.models.layers import dense
from recdistill.settings import fill

FULL = FeatureSpec((("user", 7), ("item", 5)), (("genres", 6), ("tags", 4)), ("age", "price"), (("a", 3), ("b", 2)))
SOME = [kinds for count in (1, 2, 3, 4) for kinds in itertools.combinations(FULL.to_dict(), count)]
VARIANTS = {
    "dcnv2, one rank": ("dcnv2", {"ranks": [2]}),
    "dcnv2, experts, stacked": ("dcnv2", {"ranks": [3, 2], "stacked": True}),
    "finalmlp, heads": ("finalmlp", {"streams": [[6], []], "heads": 2}),
}
SPECS = {"+".join(kinds): FeatureSpec(**{kind: getattr(FULL, kind) for kind in kinds}) for kinds in SOME}
ROWS = 40

every_model = pytest.mark.parametrize("name", MODELS)
every_case = pytest.mark.parametrize(
    ("name", "spec"),
    [
        *(pytest.param(name, spec, id=f"{name}-{kinds}") for name in MODELS for kinds, spec in SPECS.items()),
        *(pytest.param(name, FULL, id=name) for name in VARIANTS),
    ],
)
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
    """A model or variant of a spec, with dropout where it knows that; a refused spec must be a clear error."""
    model, arguments = VARIANTS.get(name, (name, {}))
    dropout = {"dropout": 0.5} if "dropout" in inspect.signature(MODELS[model]).parameters else {}
    try:
        return strong(build(model, spec, arguments={**dropout, **arguments, "classes": classes}))
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


@every_case
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


@every_case
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


@every_case
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
    by_type = {int: 3, tuple: [5, 4], float: 0.25, bool: True}
    by_name: dict[str, Any] = {"streams": [[5, 6], [3]], "contexts": [["user", "a"], ["genres", "age"]]}
    by_name["tables"] = {"kind": "hashing", "buckets": 2}
    for arguments in ({}, {p.name: by_name.get(p.name) or by_type[type(p.default)] for p in others}):
        network = build(name, FULL, arguments=arguments)
        stored = json.loads(json.dumps({"spec": FULL.to_dict(), "arguments": network.arguments}))
        assert stored["arguments"].keys() == {p.name for p in others if p.name != "tables" or arguments}
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
    with pytest.raises(UsageError, match=f"unknown argument 'clases' of model '{name}', did you mean 'classes'"):
        build(name, FULL, arguments={"clases": 4})
    for dim in (0, -1) if "embedding_dim" in inspect.signature(MODELS[name]).parameters else ():
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
    close(fm(batch) - fm.bias - fm.first(batch).sum(1), pairwise(fm.second.fields(batch), None)[:, None].expand(-1, 3))


@every_spec
def test_dlrm_sees_the_dot_product_of_each_pair(spec: FeatureSpec) -> None:
    network, batch = made("dlrm", spec), drawn(spec)
    for row, found in enumerate(network(batch)):
        vectors = slow_fields(network.sparse, spec, replace(batch, number=batch.number[:, :0]), row)
        if spec.number:
            vectors.insert(0, network.bottom(batch.number[row]))
        dense = vectors[0] if spec.number else torch.stack(vectors).mean(0)
        close(found, network.top(torch.cat([dense, *(dot[None] for dot in dots(vectors))]))[0])


@every_spec
@several
def test_lr_is_a_dot_product(spec: FeatureSpec, classes: int) -> None:
    """b + ⟨w, x⟩ with x written out: 1 for an id, its share of a list for each listed id, the numbers, the vectors."""
    network, batch = made("lr", spec, classes), drawn(spec)
    first = network.first
    w = torch.cat([*by_feature(first, spec), first.number, *(layer.weight.T for layer in first.vector)])
    b = network.bias + sum(layer.bias for layer in first.vector)
    rows = [n for _, n in (*spec.categorical, *spec.multi)]
    for row, found in enumerate(network(batch)):
        x = []
        for ids, n in zip([*batch.ids[row, :, None], *(ids[row] for ids in batch.multi)], rows, strict=True):
            kept = [int(i) for i in ids if i != PAD]
            x += [kept.count(i) / len(kept) for i in range(n)]
        x += [*batch.number[row], *(value for vector in batch.vector for value in vector[row])]
        close(found, (torch.tensor(x) @ w + b).squeeze(0) if classes == 1 else torch.tensor(x) @ w + b)


@every_spec
@several
def test_wide_deep_adds_a_linear_model_and_a_network(spec: FeatureSpec, classes: int) -> None:
    """Equation 3: ⟨w_wide, x⟩ + ⟨w_deep, a⟩ + b, where the network's last layer holds w_deep and b."""
    network, batch = made("wide_deep", spec, classes), drawn(spec)
    *layers, last = network.deep
    for row, found in enumerate(network(batch).reshape(ROWS, classes)):
        a = torch.cat(slow_fields(network.embeddings, spec, batch, row))
        for layer in layers:
            a = layer.weight @ a + layer.bias if isinstance(layer, nn.Linear) else a.clamp(min=0)
        close(found, sum(slow_fields(network.wide, spec, batch, row)) + last.weight @ a + last.bias)


def product(matrix: Tensor, x: list[float]) -> list[float]:
    """M x, one number at a time."""
    return [sum(m * value for m, value in zip(line, x, strict=True)) for line in matrix.tolist()]


def slow_mapped(layer: nn.Module, gate: nn.Module | None, x: list[float]) -> list[float]:
    """W x + b of a cross layer: a matrix (equation 1), U Vᵀ x (2), or Σ_i G_i U_i tanh(C_i tanh(V_iᵀ x)) (3, 4)."""
    if isinstance(layer, nn.Linear):
        return [wx + b for wx, b in zip(product(layer.weight, x), layer.bias.tolist(), strict=True)]
    found, start, gates = layer.up.bias.tolist(), 0, [1.0]
    if gate is not None:
        exps = [math.exp(wx + b) for wx, b in zip(product(gate.weight, x), gate.bias.tolist(), strict=True)]
        gates = [e / sum(exps) for e in exps]
    for i, rank in enumerate(layer.ranks):
        low = product(layer.down.weight[start : start + rank], x)
        if gate is not None:
            low = [math.tanh(c) for c in product(layer.inner[i].weight, [math.tanh(v) for v in low])]
        high = product(layer.up.weight[:, start : start + rank], low)
        found = [f + gates[i] * h for f, h in zip(found, high, strict=True)]
        start += rank
    return found


@pytest.mark.parametrize("stacked", [False, True])
@pytest.mark.parametrize("ranks", [[], [2], [3, 1, 2]], ids=str)
def test_dcnv2_is_its_cross_layers_written_out(ranks: list[int], stacked: bool) -> None:
    """x_{l+1,i} = x_{0,i} · (Σ_j W_ij x_{l,j} + b_i) + x_{l,i}; the dense network beside it or on top of it."""
    arguments = {"embedding_dim": 2, "crosses": 2, "ranks": ranks, "hidden": [4], "stacked": stacked, "classes": 3}
    network, batch = strong(build("dcnv2", FULL, arguments=arguments)), drawn(FULL).rows(slice(0, 5))
    for row, found in enumerate(network(batch)):
        start = torch.cat(slow_fields(network.embeddings, FULL, batch, row))
        x = start.tolist()
        for layer in network.cross.layers:
            mapped = slow_mapped(layer, network.cross.gate, x)
            x = [x0 * m + xl for x0, m, xl in zip(start.tolist(), mapped, x, strict=True)]
        crossed = torch.tensor(x)
        close(found, network.out(network.deep(crossed) if stacked else torch.cat([crossed, network.deep(start)])))


def test_a_cross_network_of_n_layers_is_a_polynomial_of_degree_n_plus_1() -> None:
    """Theorem 4.1: along a line through 0 the differences of order n + 2 vanish, and those of order n + 1 do not."""
    cross = strong(build("dcnv2", FULL, arguments={"embedding_dim": 1, "crosses": 2})).cross.double()
    line = torch.arange(8.0, dtype=torch.double)[:, None] * torch.linspace(-1, 1, FULL.fields, dtype=torch.double)
    assert cross(line).diff(n=4, dim=0).abs().max() < 1e-9
    assert cross(line).diff(n=3, dim=0).abs().min() > 1e-9


@pytest.mark.parametrize("heads", [1, 2, 3])
@several
def test_finalmlp_is_its_gates_and_its_fusion_written_out(heads: int, classes: int) -> None:
    """h = 2σ(g) ⊙ e for each stream, then b + Σ_a w_1a o_1a + Σ_b w_2b o_2b + Σ_j Σ_a Σ_b W_jab o_1ja o_2jb."""
    arguments = {"embedding_dim": 2, "streams": [[6], [4, 12]], "contexts": [["item", "tags", "b"], []], "gate": [3]}
    network = strong(build("finalmlp", FULL, arguments={**arguments, "heads": heads, "classes": classes}))
    batch, (w, b) = drawn(FULL).rows(slice(0, 5)), network.fusion.linear.parameters()
    for row, found in enumerate(network(batch).reshape(5, classes)):
        e = slow_fields(network.embeddings, FULL, batch, row)
        seen = torch.cat([e[1], e[3], e[7]])  # item, tags and b
        gates = network.gates[0].network(seen), network.gates[1].constant
        h = [2 / (1 + (-g).exp()) * torch.cat(e) for g in gates]
        one, two = (stream(part) for stream, part in zip(network.streams, h, strict=True))
        for k in range(classes):
            expected = b[k] + w[k] @ torch.cat([one, two])
            for j, i, m in itertools.product(range(heads), range(6 // heads), range(12 // heads)):
                left, right = one[j * 6 // heads + i], two[j * 12 // heads + m]
                expected = expected + network.fusion.product[k, j, i, m] * left * right
            close(found[k], expected)


def test_a_gate_without_context_starts_open() -> None:
    gates, vectors = build("finalmlp", FULL).gates, torch.randn(5, FULL.fields, 16)
    assert all(torch.equal(gate(vectors), vectors.flatten(1)) for gate in gates)


@pytest.mark.parametrize(
    ("name", "arguments", "rule"),
    [
        ("dcnv2", {"crosses": 0}, "at least 1 layer, got crosses=0"),
        ("dcnv2", {"ranks": [4, 0]}, r"ranks must be at least 1, got ranks=\[4, 0\]"),
        ("finalmlp", {"streams": [[4]]}, r"must be two streams and two contexts, got streams=\[\[4\]\]"),
        ("finalmlp", {"contexts": [[], [], []]}, "must be two streams and two contexts"),
        ("finalmlp", {"contexts": [["usr"], []]}, r"must name features \(user, item, .*, b\), got 'usr'"),
        ("finalmlp", {"heads": 3}, "must divide the streams' outputs of 128 and 128, got heads=3"),
        ("finalmlp", {"streams": [[4], [6]], "heads": 4}, "outputs of 4 and 6, got heads=4"),
        ("finalmlp", {"heads": 0}, "got heads=0"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(name: str, arguments: dict[str, object], rule: str) -> None:
    with pytest.raises(UsageError, match=f"model '{name}' cannot take .*{rule}"):
        build(name, FULL, arguments=arguments)


def test_an_experiment_takes_a_context_before_it_knows_the_features() -> None:
    for contexts in ([["user_id"], ["genres", "user_id"]], [[], []]):
        teacher = {"model": "finalmlp", "arguments": {"contexts": contexts}}
        assert fill(Config, {"teacher": teacher}).teacher.arguments["contexts"] == contexts
    for contexts in (3, [["user_id"]], [[3], []]):
        with pytest.raises(UsageError, match="model 'finalmlp' cannot take"):
            fill(Config, {"teacher": {"model": "finalmlp", "arguments": {"contexts": contexts}}})


@pytest.mark.parametrize(
    "spec", [FULL, replace(FULL, number=()), replace(FULL, vector=()), replace(FULL, number=(), vector=())]
)
@pytest.mark.parametrize("hidden", [(), (5, 3)])
def test_what_is_linear_in_numbers_need_not_see_their_vectors(spec: FeatureSpec, hidden: tuple[int, ...]) -> None:
    """Dense layers, sums and sums of squares of fields are those of their vectors, and so are the gradients."""
    embeddings, batch = strong(Embeddings(spec, 4)).double(), drawn(spec)
    batch = replace(batch, number=batch.number.double(), vector=tuple(v.double() for v in batch.vector))
    layers = dense(spec.fields * 4, hidden, out=2).double()
    vectors, fields = embeddings(batch), embeddings.fields(batch)
    total, squares = fields.others()
    pairs = {
        "dense": (fields.dense(layers), layers(vectors.flatten(1))),
        "total": (fields.total, vectors.sum(1)),
        "others": (fields.looked.sum(1) + total, vectors.sum(1)),
        "squares": (fields.looked.square().sum(1) + squares, vectors.square().sum(1)),
    }
    weights = [p for p in (*embeddings.parameters(), *layers.parameters()) if p.numel()]
    for found, expected in pairs.values():
        assert torch.allclose(found, expected)
        mine, theirs = (
            torch.autograd.grad(one.square().sum(), weights, retain_graph=True, allow_unused=True)
            for one in (found, expected)
        )
        assert [g is None for g in mine] == [g is None for g in theirs]
        assert all(torch.allclose(a, b) for a, b in zip(mine, theirs, strict=True) if a is not None)


def test_rows_are_taken_and_new_ids_start_as_the_unseen_one() -> None:
    larger = replace(FULL, categorical=(("user", 9), ("item", 5)), multi=(("genres", 8), ("tags", 7)))
    old, new = strong(Embeddings(FULL, 3)), strong(Embeddings(larger, 3), scale=2.0)
    sizes = [rows for _, rows in (*larger.categorical, *larger.multi)]
    known = [rows for _, rows in (*FULL.categorical, *FULL.multi)]
    ids = [
        torch.cat([torch.arange(k), torch.zeros(n - k, dtype=torch.long)]) for n, k in zip(sizes, known, strict=True)
    ]
    for place, taken in enumerate(ids):
        new.table.take(place, old.table, place, taken)
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
