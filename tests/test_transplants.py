"""What a student takes over of a teacher's embeddings keeps its inner products, under its own ids."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from recdistill.encoder import Encoder
from recdistill.errors import DataError, UsageError
from recdistill.fit_settings import FitSettings
from recdistill.models import MODELS, build
from recdistill.models.embeddings import embeddings_of
from recdistill.ranker import Ranker
from recdistill.schema import Schema
from recdistill.tables import Table
from recdistill.training import fit
from recdistill.transforms import Hashing
from recdistill.transplants import transplant, with_teacher_vectors

SCHEMA = Schema(label="click", categorical=("user", "item"), multi=("tags",), number=("price",))
VECTORS = {"deepfm": "second", "fm": "second", "dlrm": "sparse"}


def rows(items: list[int], count: int = 300, seed: int = 0, users: str = "u") -> Table:
    rng = np.random.default_rng(seed)
    columns = {
        "click": pa.array(rng.integers(0, 2, count)),
        "user": pa.array([f"{users}{rng.integers(9)}" for _ in range(count)]),
        "item": pa.array(rng.choice(items, count)),
        "tags": pa.array([[f"t{rng.integers(4)}"] for _ in range(count)]),
        "price": pa.array(rng.normal(size=count)),
    }
    return Table(pa.table(columns), SCHEMA)


def ranker(table: Table, model: str, *, seed: int = 0, **arguments: Any) -> Ranker:
    encoder = Encoder.fit(table)
    return Ranker(encoder, build(model, encoder.spec, seed=seed, arguments=arguments))


def shaped(ranker: Ranker) -> Ranker:
    """With vectors as uneven as those of a trained one."""
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for _, embeddings in embeddings_of(ranker.network):
            weight: Any = embeddings.table.weight
            weight.copy_(torch.randn(weight.shape, generator=generator) * torch.arange(1, weight.shape[1] + 1))
    return ranker


def teacher_of() -> Ranker:
    return shaped(ranker(rows(list(range(20))), "deepfm", seed=1, embedding_dim=6))


def vectors(ranker: Ranker, feature: str, values: list[Any]) -> torch.Tensor:
    """(values, dim) by the slow way: through the encoder, then the table."""
    name = VECTORS.get(type(ranker.network).__name__.lower(), "embeddings")
    embeddings: Any = dict(embeddings_of(ranker.network))[name]
    place = [column for column, _ in embeddings.features].index(feature)
    ids = ranker.encoder.columns[feature][1].encode(pa.array(values))
    found: torch.Tensor = embeddings.table.weight[embeddings.table.starts[place] + torch.as_tensor(ids).long()]
    return found.detach()


TARGET = rows(list(range(12, 32)), seed=3)  # shares users and tags, and items 12 to 19
SHARED = list(range(12, 20))


def shared(ranker: Ranker) -> torch.Tensor:
    """(values, dim) of some values that both know, of all id features."""
    values: dict[str, list[Any]] = {"item": SHARED, "tags": ["t0", "t3"], "user": ["u5"]}
    return torch.cat([vectors(ranker, name, some) for name, some in values.items()])


@pytest.mark.parametrize("model", [name for name in MODELS if name != "lr"])
@pytest.mark.parametrize("dim", [6, 9])
def test_as_wide_as_the_teacher_all_inner_products_are_its_own(model: str, dim: int) -> None:
    teacher, student = teacher_of(), ranker(TARGET, model, embedding_dim=dim)
    grown = transplant(student, teacher)
    start, mine, theirs = (shared(one) for one in (student, grown, teacher))
    assert torch.allclose(mine[:, :6] @ mine[:, :6].T, theirs @ theirs.T, rtol=1e-4, atol=1e-3)
    assert torch.equal(mine[:, 6:], start[:, 6:])


def test_of_one_feature_the_rows_are_those_of_its_truncated_svd() -> None:
    """Up to rotation: the best that so many dimensions can do (Eckart & Young 1936)."""
    items = Schema(label="click", categorical=("item",))
    teacher = shaped(ranker(rows(list(range(20))).with_schema(items), "mlp", seed=1, embedding_dim=6))
    grown = transplant(ranker(TARGET.with_schema(items), "mlp", embedding_dim=2), teacher)
    u, s, _ = torch.linalg.svd(vectors(teacher, "item", SHARED), full_matrices=False)
    best = (u[:, :2] * s[:2].square()) @ u[:, :2].T
    mine = vectors(grown, "item", SHARED)
    assert torch.allclose(mine @ mine.T, best, rtol=1e-3, atol=1e-2)


def test_strangers_start_as_the_teachers_unseen_id_and_the_rest_as_drawn() -> None:
    teacher, student = teacher_of(), ranker(TARGET, "deepfm", embedding_dim=3)
    before = student.fingerprint
    grown = transplant(student, teacher)
    assert student.fingerprint == before
    unseen = vectors(grown, "item", [99_999])
    assert torch.equal(vectors(grown, "item", [25, 31]), unseen.expand(2, 3))
    assert float(vectors(teacher, "item", [99_999]).norm()) >= float(unseen.norm()) > 0
    mine, theirs = grown.network.state_dict(), student.network.state_dict()
    assert {name for name in mine if not torch.equal(mine[name], theirs[name])} == {"second.table.weight"}


def test_features_that_are_encoded_otherwise_stay_as_drawn() -> None:
    teacher = teacher_of()
    encoder = Encoder.fit(TARGET, {"user": Hashing(8)})
    student = Ranker(encoder, build("mlp", encoder.spec, arguments={"embedding_dim": 3}))
    grown = transplant(student, teacher)
    assert torch.equal(vectors(grown, "user", ["u1", "u2"]), vectors(student, "user", ["u1", "u2"]))
    assert not torch.equal(vectors(grown, "item", SHARED), vectors(student, "item", SHARED))


def test_a_transplanted_student_is_trained_and_saved_as_any(tmp_path: Any) -> None:
    grown = transplant(ranker(TARGET, "mlp", embedding_dim=3), teacher_of())
    fit(grown, TARGET, settings=FitSettings(epochs=1))
    grown.save(tmp_path / "student")
    assert (Ranker.load(tmp_path / "student").score(TARGET) == grown.score(TARGET)).all()


def test_what_cannot_be_transplanted_is_named() -> None:
    teacher, student = teacher_of(), ranker(TARGET, "mlp", embedding_dim=3)
    linear = ranker(TARGET, "lr")
    for pair in ((linear, teacher), (student, linear)):
        with pytest.raises(UsageError, match="embedding vectors in plain tables"):
            transplant(*pair)
    strange = TARGET.with_schema(Schema(label="click", categorical=("item",)))
    encoder = Encoder.fit(strange, {"item": Hashing(8)})
    hashed = Ranker(encoder, build("mlp", encoder.spec))
    with pytest.raises(DataError, match="no id feature"):
        transplant(hashed, teacher)
    foreign = rows([100, 101]).with_schema(Schema(label="click", categorical=("item",)))
    with pytest.raises(DataError, match="must know values"):
        transplant(ranker(foreign, "mlp"), teacher)


def test_teacher_vectors_are_features_of_the_rows() -> None:
    teacher = teacher_of()
    wide = with_teacher_vectors(TARGET, teacher, ("item", "user"))
    assert wide.schema.vector == ("item_vector", "user_vector")
    assert (wide.row_ids == TARGET.row_ids).all()
    found = torch.tensor(wide.column("item_vector").to_pylist())
    items = TARGET.numpy("item").tolist()
    assert torch.equal(found, vectors(teacher, "item", items))
    assert torch.equal(found[items.index(25)], vectors(teacher, "item", [99_999])[0])
    student = ranker(wide, "mlp", embedding_dim=2)
    assert dict(student.encoder.spec.vector) == {"item_vector": 6, "user_vector": 6}
    fit(student, wide, settings=FitSettings(epochs=1))
    with pytest.raises(DataError, match="is missing"):
        student.score(TARGET)
    for columns, rule in ((("tags",), "no one-id feature"), (("itm",), "item")):
        with pytest.raises(UsageError, match=rule):
            with_teacher_vectors(TARGET, teacher, columns)
    with pytest.raises(UsageError, match="under several"):
        with_teacher_vectors(wide, teacher, ("item",))
