"""A user's own teacher: a column of scores, a callable on record batches, any torch module."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from recdistill.errors import DataError, UsageError
from recdistill.own_teachers import logits_of
from recdistill.schema import Schema
from recdistill.soft_labels import SoftLabels
from recdistill.tables import Table

ROWS = 10
SCHEMA = Schema(
    label="click",
    rating="stars",
    categorical=("user", "item"),
    number=("price", "dwell"),
    user="user",
    time="time",
    truth="true_probability",
    score="big",
    privileged=("dwell",),
)


@pytest.fixture
def table() -> Table:
    rng = np.random.default_rng(0)
    columns = {
        "row_id": rng.permutation(ROWS),
        "user": rng.integers(0, 3, ROWS),
        "item": list("abcdefghij"),
        "price": rng.random(ROWS),
        "dwell": rng.random(ROWS),
        "time": np.arange(ROWS),
        "click": rng.integers(0, 2, ROWS),
        "stars": rng.integers(1, 6, ROWS),
        "true_probability": rng.random(ROWS),
        "big": rng.uniform(0.1, 0.9, ROWS),
    }
    return Table(pa.table(columns), SCHEMA)


def price(batch: pa.RecordBatch) -> Any:
    return batch["price"]


class Line(nn.Module):
    """z = 3·price − 1, with a part of its own that training mode would change."""

    def __init__(self, *, column: bool = False) -> None:
        super().__init__()
        self.weight, self.column = nn.Parameter(torch.tensor([3.0, -1.0])), column
        self.dropout = nn.Dropout(0.5)

    def forward(self, price: torch.Tensor, scale: torch.Tensor | None = None) -> torch.Tensor:
        z = self.dropout(self.weight[0] * price + self.weight[1]) * (1.0 if scale is None else scale)
        return z[:, None] if self.column else z


def prices(batch: pa.RecordBatch) -> torch.Tensor:
    return torch.from_numpy(batch["price"].to_numpy().copy()).float()


# ------------------------------------------------------------------------------------------- scores


@given(st.lists(st.floats(1e-6, 1 - 1e-6), min_size=1, max_size=8))
def test_the_logit_of_a_probability_is_the_formula(p: list[float]) -> None:
    expected = [np.log(q / (1 - q)) for q in p]
    assert logits_of(p, len(p), scale="probability") == pytest.approx(expected, abs=1e-9)
    assert logits_of(expected, len(p), scale="logit").tolist() == expected


def test_clip_bounds_the_logits_and_leaves_the_others() -> None:
    found = logits_of([0.0, 0.3, 1.0], 3, scale="probability", clip=1e-6)
    assert found == pytest.approx([-np.log(1e6 - 1), np.log(3 / 7), np.log(1e6 - 1)])


def test_the_score_column_is_a_teacher(table: Table) -> None:
    named = SoftLabels.from_column(table)
    given_ = SoftLabels.from_column(table, table.column("big"))
    assert (named.logits == given_.logits).all()
    assert named.teacher == given_.teacher
    assert named.rows_fingerprint == table.rows_fingerprint


def test_bad_scores_are_named(table: Table) -> None:
    good = np.full(ROWS, 0.5)
    for scores, rule in (
        (good[1:], r"one number per row, expected \(10,\) or \(10, 1\), got \(9,\)"),
        (np.stack([good, good], 1), r"got \(10, 2\)"),
        (["high"] * ROWS, "scores must be numbers, expected integers or floats, got list of"),
        ([[0.5], [0.5, 0.5]], "scores must be numbers"),
        (good > 0, "must be numbers, expected integers or floats, got ndarray of bool"),
        (np.append(good[1:], np.nan), "scores must be finite, expected no NaN or infinity, got 1 in 10 rows"),
        (good + 2, r"must be probabilities, expected 0 to 1, got \[2.5, 2.5, 2.5\]; logits\? scale='logit'"),
        (np.append(good[1:], 1.0), "strictly between 0 and 1, got 1 that are 0 or 1, e.g. 1; clip=1e-6 moves them"),
    ):
        with pytest.raises(DataError, match=rule):
            SoftLabels.from_column(table, scores)
    with pytest.raises(DataError, match="probabilities"):
        SoftLabels.from_column(table, good + 2, clip=1e-6)
    with pytest.raises(DataError, match="a table with a score column, got neither"):
        SoftLabels.from_column(table.with_schema(replace(SCHEMA, score=None)))
    arrow = table.arrow.set_column(table.arrow.column_names.index("big"), "big", [[None, *good[1:]]])
    with pytest.raises(
        DataError, match="scores in column 'big' must be finite, expected no NaN or infinity, got 1 in 10 rows"
    ):
        SoftLabels.from_column(Table(arrow, SCHEMA))
    with pytest.raises(UsageError, match="scale must be 'probability' or 'logit', got 'odds'"):
        SoftLabels.from_column(table, good, scale="odds")  # type: ignore[arg-type]
    for clip, scale in ((-0.1, "probability"), (0.5, "probability"), (0.1, "logit")):
        with pytest.raises(UsageError, match=r"clip must be in \[0, 0.5\), and 0 for logits"):
            SoftLabels.from_column(table, good, scale=scale, clip=clip)  # type: ignore[arg-type]


# ---------------------------------------------------------------------------------------- a callable


@pytest.mark.parametrize(
    "kind",
    [
        lambda scores: scores,
        lambda scores: pa.chunked_array([scores]),
        lambda scores: scores.to_numpy(),
        lambda scores: scores.to_numpy()[:, None],
        lambda scores: torch.from_numpy(scores.to_numpy().copy()).requires_grad_(),
        lambda scores: scores.to_pylist(),
        lambda scores: pd.Series(scores.to_numpy()),
    ],
    ids=["arrow", "chunked", "numpy", "column", "torch", "list", "pandas"],
)
def test_a_callable_may_return_any_array(table: Table, kind: Callable[[pa.Array], Any]) -> None:
    expected = SoftLabels.from_column(table, table.column("price"))
    for batch_rows in (1, 3, 65_536):
        found = SoftLabels.from_callable(lambda batch: kind(price(batch)), table, batch_rows=batch_rows)
        assert (found.logits == expected.logits).all()
        assert (found.teacher, found.rows_fingerprint) == (expected.teacher, expected.rows_fingerprint)


def test_a_callable_sees_every_row_in_order_and_no_answer(table: Table) -> None:
    seen: list[pa.RecordBatch] = []
    SoftLabels.from_callable(lambda batch: seen.append(batch) or price(batch), table, batch_rows=4)
    assert [batch.num_rows for batch in seen] == [4, 4, 2]
    assert [i for batch in seen for i in batch["row_id"].to_pylist()] == table.row_ids.tolist()
    assert set(seen[0].schema.names) == {"row_id", "user", "item", "price", "dwell", "time"}


def test_labels_play_no_part(table: Table) -> None:
    hidden = table.with_labels_only(np.zeros(ROWS, dtype=bool))
    found, other = (SoftLabels.from_callable(price, rows) for rows in (table, hidden))
    assert found.teacher == other.teacher
    assert (found.for_table(hidden) == other.for_table(table)).all()


def test_half_precision_is_read(table: Table) -> None:
    found = SoftLabels.from_callable(lambda batch: prices(batch).bfloat16(), table, scale="logit")
    assert found.logits == pytest.approx(table.numpy("price"), rel=1e-2)


def test_a_bad_callable_is_named_with_its_batch(table: Table) -> None:
    place = r"scores of 'big' for batch 1 \(rows 4 to 7\) must be "

    def second(values: Any) -> Callable[[pa.RecordBatch], Any]:
        return lambda batch: values if batch["item"][0].as_py() == "e" else [0.5] * batch.num_rows

    for values, rule in (
        ([0.5] * 3, r"one number per row, expected \(4,\) or \(4, 1\), got \(3,\)"),
        (0.5, r"one number per row, expected \(4,\) or \(4, 1\), got \(\)"),
        (np.full((4, 2), 0.5), r"one number per row, expected \(4,\) or \(4, 1\), got \(4, 2\)"),
        ([0.5, np.nan, 0.5, 0.5], "finite, expected no NaN or infinity, got 1 in 4 rows"),
        (pa.array([0.5, None, 0.5, 0.5]), "finite, expected no NaN or infinity, got 1 in 4 rows"),
        ([0.5, 1.5, 0.5, -3], r"probabilities, expected 0 to 1, got \[1.5, -3.0\]"),
        (None, "numbers, expected integers or floats, got NoneType of object"),
        (["a"] * 4, "numbers, expected integers or floats, got list of"),
    ):
        with pytest.raises(DataError, match=place + rule):
            SoftLabels.from_callable(second(values), table, batch_rows=4, name="big")
    with pytest.raises(UsageError, match="batch_rows must be at least 1, got batch_rows=0"):
        SoftLabels.from_callable(price, table, batch_rows=0)


# ------------------------------------------------------------------------------------------ a module


def test_a_module_takes_a_tensor_a_tuple_or_a_dict(table: Table) -> None:
    expected = 3 * table.numpy("price") - 1
    for inputs, column in (
        (prices, False),
        (prices, True),
        (lambda batch: (prices(batch), torch.ones(batch.num_rows)), False),
        (lambda batch: {"price": prices(batch)}, False),
    ):
        module = Line(column=column).eval()
        found = SoftLabels.from_module(module, table, inputs, scale="logit", batch_rows=3)  # type: ignore[arg-type]
        assert found.logits == pytest.approx(expected, abs=1e-6)


def test_labels_of_a_module_bind_to_its_weights_its_scores_and_the_rows(table: Table) -> None:
    module = Line().eval()
    module.register_buffer("unused", torch.zeros(2, dtype=torch.bfloat16))
    first = SoftLabels.from_module(module, table, prices, scale="logit")
    assert SoftLabels.from_module(module, table, prices, scale="logit").teacher == first.teacher
    doubled = SoftLabels.from_module(module, table, lambda batch: 2 * prices(batch), scale="logit")
    module.unused += 1  # type: ignore[operator]
    other = SoftLabels.from_module(module, table, prices, scale="logit")
    assert (other.logits == first.logits).all()
    assert len({first.teacher, doubled.teacher, other.teacher}) == 3
    with pytest.raises(DataError, match="made for rows"):
        first.for_table(table.take(np.arange(5)))


def test_a_module_without_weights_is_a_teacher_too(table: Table) -> None:
    found = SoftLabels.from_module(nn.Identity().eval(), table, prices)
    assert found.logits == pytest.approx(SoftLabels.from_callable(price, table).logits, abs=1e-5)


def test_a_bad_module_is_named(table: Table) -> None:
    with pytest.raises(UsageError, match=r"got \['the module itself', 'dropout'\] in training mode: module.eval\(\)"):
        SoftLabels.from_module(Line(), table, prices)
    module = Line().eval()
    module.dropout.train()
    with pytest.raises(UsageError, match=r"got \['dropout'\] in training mode"):
        SoftLabels.from_module(module, table, prices)
    with pytest.raises(
        DataError, match=r"scores of 'Linear' for batch 0 .*expected \(10,\) or \(10, 1\), got \(10, 2\)"
    ):
        SoftLabels.from_module(nn.Linear(1, 2).eval(), table, lambda batch: prices(batch)[:, None])
    with pytest.raises(UsageError, match="a tensor, a tuple or a dict of tensors, got list"):
        SoftLabels.from_module(Line().eval(), table, lambda batch: batch["price"].to_pylist())
    with pytest.raises(DataError, match="must be probabilities"):
        SoftLabels.from_module(Line().eval(), table, prices)
