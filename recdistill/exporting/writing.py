"""A student written for serving, if it scores real rows as torch does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from recdistill.artefacts import new_folder, write_json
from recdistill.errors import DataError, UsageError
from recdistill.exporting.graphs import onnx_program
from recdistill.metrics import auc
from recdistill.models import model_name
from recdistill.models.embeddings import quantised
from recdistill.models.quantised_layers import with_quantised_layers
from recdistill.preparation.workspace import is_there
from recdistill.ranker import Ranker
from recdistill.serving import Scorer
from recdistill.serving.scorer import FACTS, FORMAT, KIND, MODEL
from recdistill.tables import Table

Tables = Literal["float32", "int8", "int4"]
Dense = Literal["float32", "int8"]
CLOSE = 1e-5  # logits of float32, in another order of sums
OVERWRITE = " or pass --overwrite"
BITS = {"int8": 8, "int4": 4}
# What tables or layers in fewer bits may cost: a logit, and of the rows' AUC.
BOUNDS = {"int8": (0.05, 0.001), "int4": (0.5, 0.01)}
NAMES = {"tables": "tables", "dense": "layers"}
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


@dataclass(frozen=True)
class Exported:
    """What was written.

    Args:
        parity: with torch, of the network that was exported.
        compressed: with the student as it was trained, where its tables or layers were put in fewer bits.
        bytes: of the network's file, or files.
    """

    parity: Parity
    compressed: Parity | None
    bytes: int


def export(
    ranker: Ranker,
    folder: Path | str,
    *,
    rows: Table,
    tables: Tables = "float32",
    dense: Dense = "float32",
    close: float = CLOSE,
    overwrite: bool = False,
    facts: Mapping[str, Any] | None = None,
) -> Exported:
    """Write a student for serving, see `recdistill.serving.Scorer`: `model.onnx`, the encoder, `serving.json`.

    All of the rows are scored by both; a student whose logits differ is not written. Ids that no table has, which the
    encoder never gives, count as unseen in the network, for ONNX Runtime would read another row.

    With int8 or int4 tables (`models.embeddings.QuantisedTables`) the same holds for the network with these tables, and
    it is compared with the student as it was trained too: int8 may move a logit by .05 (one above 1 by that share of
    it) and AUC by .001, int4 by .5 and .01. For int8 layers (`models.quantised_layers`) it is the same, with the bounds
    of int8; with both, the larger bounds are those of both together.

    Args:
        ranker: one of the package's models.
        folder: the final name; the folder appears when it is whole.
        rows: raw rows with the student's columns, e.g. the test rows. Their labels, if any, give the difference in AUC.
        tables: what the embedding tables are kept as.
        dense: what the weights of linear layers are kept as.
        close: the largest difference of two logits that is let pass, see `Parity`.
        overwrite: replace a student that has that name; anything else is never replaced.
        facts: JSON-able facts kept in the manifest.

    Raises:
        UsageError: there is such a folder or file already, there are no such tables or layers, or the model is not one
            of the package's.
        EnvironmentFault: onnx, onnxscript or onnxruntime is not installed.
        DataError: there is no row, a difference is beyond its bound, or the rows are not what the encoder reads.
    """
    folder = Path(folder)
    if folder.is_file() or (is_there(folder, KIND, overwrite=overwrite) and not overwrite):
        raise UsageError(f"{folder} is there already; choose another name{'' if folder.is_file() else OVERWRITE}")
    if not len(rows):
        raise DataError("an export is proved on real rows, got none")
    shipped, name = _in_fewer_bits(ranker, tables, dense), model_name(ranker.network)
    program = onnx_program(shipped)
    kept = {**(facts or {}), "kind": KIND, "model": name, "fingerprint": ranker.fingerprint}
    with new_folder(folder, **kept) as temporary:
        program.save(temporary / MODEL, external_data=shipped.bytes > IN_ONE_FILE)
        size = sum(file.stat().st_size for file in temporary.iterdir())
        ranker.encoder.save(temporary)
        bits = {"tables": tables, "dense": dense}
        told = {"format": FORMAT, "model": name, "grades": list(rows.schema.class_grades), **bits}
        write_json(temporary / FACTS, told)
        exact, cost = _proved(ranker, shipped, Scorer.opened(temporary), rows, bits, close)
        proofs = {"parity": asdict(exact), "compressed": cost and asdict(cost)}
        write_json(temporary / FACTS, {**told, **proofs})
    return Exported(exact, cost, size)


def _in_fewer_bits(ranker: Ranker, tables: Tables, dense: Dense) -> Ranker:
    """The ranker itself, where nothing is in fewer bits."""
    if tables not in ("float32", *BITS):
        raise UsageError(f"tables are kept as float32, int8 or int4, got {tables!r}")
    if dense not in ("float32", "int8"):
        raise UsageError(f"linear layers are kept as float32 or int8, got {dense!r}")
    network = quantised(ranker.network, BITS[tables]) if tables in BITS else ranker.network
    network = with_quantised_layers(network) if dense == "int8" else network
    return ranker if network is ranker.network else Ranker(ranker.encoder, network)


def _proved(
    ranker: Ranker, shipped: Ranker, scorer: Scorer, rows: Table, bits: Mapping[str, str], close: float
) -> tuple[Parity, Parity | None]:
    """How what was exported compares, with what torch says of it and with the student as it was trained."""
    exact = parity(shipped, scorer, rows)
    if exact.largest > close:
        rule = f"an export's logits must be within {close:g} of torch's"
        raise DataError(f"{rule}, got {exact.largest:.3g} apart in {exact.rows:,} rows; nothing was written")
    if shipped is ranker:
        return exact, None
    cost = parity(ranker, scorer, rows)
    kept = [kind for kind in bits.values() if kind in BOUNDS]
    logit, area = (max(bounds) for bounds in zip(*(BOUNDS[kind] for kind in kept), strict=True))
    if cost.largest > logit or abs(cost.auc_difference or 0) > area:
        what = " and ".join(f"{kind} {NAMES[part]}" for part, kind in bits.items() if kind in BOUNDS)
        rule = f"{what} may move a logit by {logit:g}, one above 1 by that share of it, and AUC by {area:g}"
        got = f"{cost.largest:.3g} and {cost.auc_difference or 0:+.2g} in {cost.rows:,} rows"
        raise DataError(f"{rule}, got {got}; nothing was written")
    return exact, cost


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
