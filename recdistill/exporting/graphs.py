"""A ranker's network as a graph, of torch or of ONNX."""

from __future__ import annotations

import contextlib
import copy
import logging
import warnings
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from recdistill.batch import Batch
from recdistill.errors import EnvironmentFault
from recdistill.features import PAD, UNSEEN, FeatureSpec, input_names
from recdistill.models.embeddings import read_at_once
from recdistill.ranker import Ranker

A_FEW = 16  # numbers that are no weights worth keeping in few bits: torch makes unit matrices of bytes, too


def exported_program(ranker: Ranker) -> torch.export.ExportedProgram:
    """The network as a graph of torch: `(ids, number, [list feature, …], [vector feature, …]) -> logits`.

    Rows and the length of lists are free; shapes are those of `features.inputs`.
    """
    return _program(copy.deepcopy(ranker.network), ranker.encoder.spec)


def _program(network: nn.Module, spec: FeatureSpec) -> torch.export.ExportedProgram:
    rows = torch.export.Dim("rows")
    lists = [{0: rows, 1: torch.export.Dim(f"longest_{place}")} for place, _ in enumerate(spec.multi)]
    dynamic = ({0: rows}, {0: rows}, lists, [{0: rows} for _ in spec.vector])
    with torch.no_grad(), _quietly():
        return torch.export.export(_Flat(network.cpu().train(False), spec), _example(spec), dynamic_shapes=dynamic)


def onnx_program(ranker: Ranker) -> torch.onnx.ONNXProgram:
    """The same as a graph of ONNX, with inputs named as by `features.inputs` and the output "logits".

    Raises:
        EnvironmentFault: onnx or onnxscript is not installed.
    """
    require_packages()
    names = input_names(ranker.encoder.spec)
    read_at_once(network := copy.deepcopy(ranker.network))
    program = _program(network, ranker.encoder.spec)
    with _quietly():
        found = torch.onnx.export(
            program, dynamo=True, input_names=names, output_names=["logits"], optimize=False, verbose=False
        )
    if found is None:  # which it is only where it writes a file itself
        raise EnvironmentFault("torch.onnx.export gave no program")
    with _quietly():
        _optimise(found)
    _forget_where_it_came_from(found)
    return found


class _Flat(nn.Module):
    """A network that takes plain tensors, and reads the unseen id's row for an id that a table does not have."""

    def __init__(self, network: nn.Module, spec: FeatureSpec) -> None:
        super().__init__()
        self.network, self.multi = network, [rows for _, rows in spec.multi]
        self.register_buffer("rows", torch.tensor([rows for _, rows in spec.categorical], dtype=torch.int32))

    rows: Tensor

    def forward(self, ids: Tensor, number: Tensor, multi: list[Tensor], vector: list[Tensor]) -> Tensor:
        lists = [_within(values, PAD, rows) for values, rows in zip(multi, self.multi, strict=True)]
        found: Tensor = self.network(Batch(_within(ids, 0, self.rows), tuple(lists), number, tuple(vector)))
        return found


def _within(ids: Tensor, low: int, rows: Tensor | int) -> Tensor:
    return torch.where((ids >= low) & (ids < rows), ids, UNSEEN)


def _example(spec: FeatureSpec) -> tuple[Any, ...]:
    """Three rows, for whose shapes alone the graph is traced."""
    return (
        torch.zeros(3, len(spec.categorical), dtype=torch.int32),
        torch.zeros(3, len(spec.number)),
        [torch.zeros(3, 4, dtype=torch.int32) for _ in spec.multi],
        [torch.zeros(3, dim) for _, dim in spec.vector],
    )


def _forget_where_it_came_from(program: torch.onnx.ONNXProgram) -> None:
    """Take away what torch notes of each node: its traces name this machine's folders, and outweigh a small student."""
    graphs: list[Any] = [program.model.graph, *program.model.functions.values()]
    for graph in graphs:
        values = [*graph.inputs, *(value for node in graph for value in node.outputs)]
        for noted in (graph, *graph, *values):
            noted.metadata_props.clear()
        for node in graph:
            node.doc_string = None
    for value in program.model.graph.initializers.values():
        value.metadata_props.clear()


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Without what torch and onnxscript say about themselves."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings(), contextlib.ExitStack() as after:
        warnings.simplefilter("ignore")
        for logger, level in zip(loggers, levels, strict=True):
            after.callback(logger.setLevel, level)
            logger.setLevel(logging.ERROR)
        yield


def _optimise(program: torch.onnx.ONNXProgram) -> None:
    """As torch does, but weights in fewer bits stay so; ONNX Runtime multiplies them out when it reads the file."""
    from onnxscript import ir, optimizer

    few_bits = {ir.DataType.INT8, ir.DataType.UINT8, ir.DataType.FLOAT16}

    def folded(node: ir.Node) -> bool | None:
        kept = (value for value in node.inputs if value is not None and value.dtype in few_bits)
        weights = any(value.const_value is not None and value.const_value.size > A_FEW for value in kept)
        return False if weights else None  # the optimiser's own rule

    optimizer.optimize_ir(program.model, should_fold=folded)


def require_packages() -> None:
    """Refuse an export before anything is made for it.

    Raises:
        EnvironmentFault: onnx or onnxscript is not installed, or onnxruntime, by which it is proved.
    """
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        rule = "export needs onnx, onnxscript and onnxruntime: pip install 'recdistill[onnx]'"
        raise EnvironmentFault(f"{rule}, got no {error.name}") from None
