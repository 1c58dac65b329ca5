"""Export: a student as an ONNX network and its encoder, proved on real rows to score as it did in torch."""

from __future__ import annotations

import contextlib
import copy
import logging
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from recdistill.artefacts import new_folder, write_json
from recdistill.batch import Batch
from recdistill.errors import DataError, EnvironmentFault, UsageError
from recdistill.features import PAD, UNSEEN, FeatureSpec
from recdistill.metrics import auc
from recdistill.models import model_name
from recdistill.ranker import Ranker
from recdistill.serving import Scorer
from recdistill.serving.scorer import FACTS, FORMAT, KIND, MODEL
from recdistill.tables import Table

CLOSE = 1e-5  # logits of float32, in another order of sums
IN_ONE_FILE = 1 << 30  # bytes of weights; ONNX cannot hold 2 GiB in one


@dataclass(frozen=True)
class Parity:
    """How an exported student's logits compare with torch's.

    Args:
        rows: how many were scored by both.
        largest: the largest difference of two logits, of those above 1 as a share of theirs.
        auc_difference: of the labelled rows, the export's less torch's; None for ratings, or labels of one class.
    """

    rows: int
    largest: float
    auc_difference: float | None


def export(ranker: Ranker, folder: Path | str, *, rows: Table, close: float = CLOSE, overwrite: bool = False) -> Parity:
    """Write a student for serving, see `recdistill.serving.Scorer`: `model.onnx`, the encoder, `serving.json`.

    All of the rows are scored by both; a student whose logits differ is not written. Ids that no table has, which the
    encoder never gives, count as unseen in the network, for ONNX Runtime would read another row.

    Args:
        ranker: one of the package's models.
        folder: the final name; the folder appears when it is whole.
        rows: raw rows with the student's columns, e.g. the test rows. Their labels, if any, give the difference in AUC.
        close: the largest difference of two logits that is let pass, see `Parity`.
        overwrite: replace what has that name.

    Raises:
        UsageError: there is such a folder already, or the model is not one of the package's.
        EnvironmentFault: onnx, onnxscript or onnxruntime is not installed.
        DataError: there is no row, a logit differs by more than `close`, or the rows are not what the encoder reads.
    """
    folder = Path(folder)
    if folder.exists() and not overwrite:
        raise UsageError(f"{folder} is there already; choose another name or pass --overwrite")
    if not len(rows):
        raise DataError("an export is proved on real rows, got none")
    name, program = model_name(ranker.network), onnx_program(ranker)
    with new_folder(folder, kind=KIND, model=name, fingerprint=ranker.fingerprint) as temporary:
        program.save(temporary / MODEL, external_data=ranker.bytes > IN_ONE_FILE)
        ranker.encoder.save(temporary)
        facts = {"format": FORMAT, "model": name, "grades": list(rows.schema.class_grades)}
        write_json(temporary / FACTS, facts)
        found = parity(ranker, Scorer.opened(temporary), rows)
        if found.largest > close:
            rule = f"an export's logits must be within {close:g} of torch's"
            raise DataError(f"{rule}, got {found.largest:.3g} apart in {found.rows:,} rows; nothing was written")
        write_json(temporary / FACTS, {**facts, "parity": asdict(found)})
    return found


def parity(ranker: Ranker, scorer: Scorer, rows: Table) -> Parity:
    """Score rows by both.

    Args:
        ranker: in torch.
        scorer: what was exported of it.
        rows: raw rows.
    """
    ours, theirs = ranker.score(rows), scorer.score(rows.arrow)
    if ours.shape != theirs.shape:
        raise DataError(f"an export must give logits of shape {ours.shape}, got {theirs.shape}")
    known, difference = rows.labelled, None
    if rows.schema.classes == 1 and len(np.unique(rows.labels[known])) == 2:
        labels = rows.labels[known]
        difference = auc(theirs[known], labels) - auc(ours[known], labels)
    apart = np.abs(ours.astype(np.float64) - theirs) / np.maximum(1.0, np.abs(ours))
    return Parity(len(rows), float(apart.max()), difference)


def exported_program(ranker: Ranker) -> torch.export.ExportedProgram:
    """The network as a graph of torch: `(ids, number, [list feature, …], [vector feature, …]) -> logits`.

    Rows and the length of lists are free; shapes are those of `features.inputs`.
    """
    network, spec = copy.deepcopy(ranker.network).cpu().train(False), ranker.encoder.spec
    rows = torch.export.Dim("rows")
    lists = [{0: rows, 1: torch.export.Dim(f"longest_{place}")} for place, _ in enumerate(spec.multi)]
    dynamic = ({0: rows}, {0: rows}, lists, [{0: rows} for _ in spec.vector])
    with torch.no_grad(), _quietly():
        return torch.export.export(_Flat(network, spec), _example(spec), dynamic_shapes=dynamic)


def onnx_program(ranker: Ranker) -> torch.onnx.ONNXProgram:
    """The same as a graph of ONNX, with inputs named as by `features.inputs` and the output "logits".

    Raises:
        EnvironmentFault: onnx or onnxscript is not installed.
    """
    _require_packages()
    spec = ranker.encoder.spec
    lists = [f"multi_{place}" for place, _ in enumerate(spec.multi)]
    names = ["ids", "number", *lists, *(f"vector_{place}" for place, _ in enumerate(spec.vector))]
    program = exported_program(ranker)
    with _quietly():
        found = torch.onnx.export(program, dynamo=True, input_names=names, output_names=["logits"], verbose=False)
    if found is None:  # which it is only where it writes a file itself
        raise EnvironmentFault("torch.onnx.export gave no program")
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


def _require_packages() -> None:
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        rule = "export needs onnx, onnxscript and onnxruntime: pip install 'recdistill[onnx]'"
        raise EnvironmentFault(f"{rule}, got no {error.name}") from None
