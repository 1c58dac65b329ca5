"""Exports with layers in 8 bits: what the file holds, how small it is, and what is refused."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from recdistill.errors import DataError, UsageError
from recdistill.models import build
from recdistill.models.quantised_layers import QuantisedLinear, with_quantised_layers
from recdistill.ranker import Ranker

pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

import onnx
from test_serving import ENCODER, drawn, table

from recdistill.exporting import BOUNDS, export
from recdistill.serving import Scorer

ROWS = table(drawn(2_000, seed=5))


def student(model: str, arguments: dict[str, Any]) -> Ranker:
    """With weights of the size that trained ones have."""
    network = build(model, ENCODER.spec, arguments=arguments)
    generator = torch.Generator().manual_seed(3)
    for weights in network.parameters():
        weights.data.normal_(std=0.1, generator=generator)
    return Ranker(ENCODER, network)


@pytest.mark.parametrize(
    ("model", "arguments"), [("mlp", {"hidden": [[40, 12], 24]}), ("dcnv2", {}), ("finalmlp", {})], ids=str
)
def test_the_file_holds_int8_and_is_smaller_by_the_formula(
    model: str, arguments: dict[str, Any], tmp_path: Path
) -> None:
    made = student(model, arguments)
    whole = export(made, tmp_path / "whole", rows=ROWS)
    small = export(made, tmp_path / "small", rows=ROWS, dense="int8")
    expected = with_quantised_layers(made.network)
    layers = {f"network.{n}": m for n, m in expected.named_modules() if isinstance(m, QuantisedLinear)}
    stored = onnx.load(tmp_path / "small" / "model.onnx").graph.initializer
    codes = {one.name.removesuffix(".codes"): one for one in stored if one.data_type == onnx.TensorProto.INT8}
    assert codes.keys() == layers.keys()
    for name, layer in layers.items():
        assert np.array_equal(onnx.numpy_helper.to_array(codes[name]), layer.codes.numpy())
        floats = [one for one in stored if one.data_type == onnx.TensorProto.FLOAT and name in one.name]
        assert all(math.prod(one.dims) <= layer.out_features for one in floats)
    saved = sum(3 * layer.codes.numel() - 4 * layer.out_features for layer in layers.values())
    nodes = 600 * len(layers)  # bytes, of what multiplies each layer out
    assert saved - nodes <= whole.bytes - small.bytes <= saved
    assert small.bytes == (tmp_path / "small" / "model.onnx").stat().st_size
    assert small.parity.largest <= 1e-5
    assert small.compressed is not None
    assert 0 < small.compressed.largest <= BOUNDS["int8"][0]
    apart = np.abs(Scorer.load(tmp_path / "small").score(ROWS.arrow) - made.score(ROWS))
    assert apart.max() == pytest.approx(small.compressed.largest, rel=0.2, abs=1e-6)
    facts = json.loads((tmp_path / "small" / "serving.json").read_text())
    assert (facts["tables"], facts["dense"]) == ("float32", "int8")


def test_tables_and_layers_in_fewer_bits_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = student("deepfm", {"hidden": [64]})
    sizes = {}
    for tables, dense in (("int8", "float32"), ("float32", "int8"), ("int4", "int8")):
        done = export(made, tmp_path / f"{tables}-{dense}", rows=ROWS, tables=tables, dense=dense)  # type: ignore[arg-type]
        sizes[tables, dense] = done.bytes
    assert min(sizes, key=sizes.__getitem__) == ("int4", "int8")
    monkeypatch.setitem(BOUNDS, "int4", (1e-9, 0.01))
    monkeypatch.setitem(BOUNDS, "int8", (1e-8, 0.001))
    with pytest.raises(
        DataError, match=r"int4 tables and int8 layers may move a logit by 1e-08, .* and AUC by 0.01, got"
    ):
        export(made, tmp_path / "refused", rows=ROWS, tables="int4", dense="int8")
    with pytest.raises(DataError, match=r"int8 layers may move a logit by 1e-08, .* and AUC by 0.001, got"):
        export(made, tmp_path / "refused", rows=ROWS, dense="int8")
    assert not (tmp_path / "refused").exists()
    with pytest.raises(UsageError, match="linear layers are kept as float32 or int8, got 'int4'"):
        export(made, tmp_path / "refused", rows=ROWS, dense="int4")  # type: ignore[arg-type]
