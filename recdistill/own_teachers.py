"""Scores of a user's own teacher: a column, a Python callable on record batches, or any torch module.

Nothing is trained here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import chain
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import torch
from torch import nn

from recdistill.artefacts import digest
from recdistill.errors import DataError, UsageError
from recdistill.ranker import tensor_hash
from recdistill.tables import Table

Scale = Literal["probability", "logit"]
Floats = np.ndarray[Any, np.dtype[np.float64]]
Inputs = Callable[[pa.RecordBatch], Any]
SUM_TOLERANCE = 1e-3  # of class probabilities: float32, or three decimals


def logits_of(
    scores: Any, rows: int, *, classes: int = 1, scale: Scale, clip: float = 0.0, of: str = "scores"
) -> Floats:
    """Scores as logits.

    Args:
        scores: Arrow, numpy, torch or a list: (rows,) or (rows, 1) for clicks, (rows, classes) for ratings.
        rows: how many there must be.
        classes: 1 for clicks.
        scale: what they are; class probabilities must sum to 1 within `SUM_TOLERANCE`.
        clip: probabilities are first moved into [clip, 1 - clip].
        of: whose they are, for the message.

    Returns:
        (rows,) or (rows, classes) finite logits.

    Raises:
        UsageError: the scale is not known, or clip is outside [0, 0.5) or not 0 with logits.
        DataError: not one number per row (and class), one that is NaN or infinite, a probability outside (0, 1), or
            class probabilities that do not sum to 1.
    """
    if scale not in ("probability", "logit"):
        raise UsageError(f"scale must be 'probability' or 'logit', got {scale!r}")
    if not 0 <= clip < 0.5 or (clip and scale == "logit"):
        raise UsageError(f"clip must be in [0, 0.5), and 0 for logits, got {clip=} with {scale=}")
    values = _numbers(scores, of)
    shape = (rows,) if classes == 1 else (rows, classes)
    if values.shape != shape and (classes > 1 or values.shape != (rows, 1)):
        expected = f"({rows},) or ({rows}, 1)" if classes == 1 else f"({rows}, {classes})"
        each = "one number per row" if classes == 1 else "one number per row and grade"
        raise DataError(f"{of} must be {each}, expected {expected}, got {values.shape}")
    values = values.reshape(shape).astype(np.float64)
    wrong = values[~np.isfinite(values)]
    if len(wrong):
        raise DataError(f"{of} must be finite, expected no NaN or infinity, got {len(wrong)} in {rows} rows")
    if scale == "logit":
        return values
    if classes > 1:
        sums = values.sum(1)
        wrong = sums[np.abs(sums - 1) > SUM_TOLERANCE]
        if len(wrong):
            raise DataError(f"{of} of a row's classes must sum to 1 within {SUM_TOLERANCE}, got {wrong[:3].tolist()}")
        return np.log(_inside(values, clip, of))  # their softmax is the probabilities
    values = _inside(values, clip, of)
    return np.log(values) - np.log1p(-values)


def _inside(values: Floats, clip: float, of: str) -> Floats:
    """Probabilities strictly between 0 and 1."""
    wrong = values[(values < 0) | (values > 1)]
    if len(wrong):
        raise DataError(f"{of} must be probabilities, expected 0 to 1, got {wrong[:3].tolist()}; logits? scale='logit'")
    values = np.clip(values, clip, 1 - clip)
    wrong = values[(values == 0) | (values == 1)]
    if len(wrong):
        raise DataError(
            f"{of} must lie strictly between 0 and 1, got {len(wrong)} that are 0 or 1, e.g. {wrong[0]:g}; "
            "clip=1e-6 moves them inside"
        )
    return values


def given(table: Table, scores: Any, *, scale: Scale, clip: float) -> Floats:
    """Logits of scores that stand beside rows.

    Args:
        table: the rows.
        scores: as in `logits_of`; None for the table's score column.
        scale, clip: as in `logits_of`.

    Raises:
        UsageError: as in `logits_of`.
        DataError: there are no scores, or as in `logits_of`.
    """
    of = "scores"
    if scores is None:
        if table.schema.score is None:
            raise DataError("soft labels need scores, or a table with a score column, got neither")
        of, scores = f"scores in column {table.schema.score!r}", table.column(table.schema.score)
    return logits_of(scores, rows=len(table), classes=table.schema.classes, scale=scale, clip=clip, of=of)


def called(
    score: Callable[[pa.RecordBatch], Any], table: Table, *, batch_rows: int, scale: Scale, clip: float, name: str
) -> Floats:
    """(rows,) or (rows, classes) logits of a callable, asked batch by batch with every column but the answers.

    Args:
        score: takes a record batch, returns one number per row, for ratings one per class.
        table: the rows.
        batch_rows: rows at a time.
        scale, clip: as in `logits_of`.
        name: of the teacher, for messages.

    Raises:
        UsageError: batch_rows is below 1, or as in `logits_of`.
        DataError: as in `logits_of`, with the batch.
    """
    if batch_rows < 1:
        raise UsageError(f"batch_rows must be at least 1, got {batch_rows=}")
    schema = table.schema
    answers = (schema.label, schema.rating, schema.truth, schema.score)
    shown = table.arrow.select([column for column in schema.columns if column not in answers])
    parts = [np.zeros((0, schema.classes) if schema.classes > 1 else 0)]
    first = 0
    for number, batch in enumerate(shown.combine_chunks().to_batches(max_chunksize=batch_rows)):
        rows = batch.num_rows
        place = f"scores of {name!r} for batch {number} (rows {first:,} to {first + rows - 1:,})"
        parts.append(logits_of(score(batch), rows, classes=schema.classes, scale=scale, clip=clip, of=place))
        first += rows
    return np.concatenate(parts)


def as_callable(module: nn.Module, inputs: Inputs) -> Callable[[pa.RecordBatch], torch.Tensor]:
    """A module as a callable on record batches, under inference mode on the module's own device.

    Args:
        module: in evaluation mode.
        inputs: makes its input of a record batch: a tensor, a tuple of arguments, or a dict of keyword arguments.

    Raises:
        UsageError: the module, or a part of it, is in training mode; when called, inputs are of another type.
    """
    training = [name or "the module itself" for name, part in module.named_modules() if part.training]
    if training:
        raise UsageError(f"a teacher must be in evaluation mode, got {training[:3]} in training mode: module.eval()")
    held = next(chain(module.parameters(), module.buffers()), None)
    device = torch.device("cpu") if held is None else held.device

    def score(batch: pa.RecordBatch) -> torch.Tensor:
        given = inputs(batch)
        with torch.inference_mode():
            if isinstance(given, Mapping):
                return module(**{name: _to(value, device) for name, value in given.items()})
            arguments = given if isinstance(given, tuple) else (given,)
            return module(*(_to(value, device) for value in arguments))

    return score


def module_fingerprint(module: nn.Module) -> str:
    """sha256 of a module's class and every weight and buffer."""
    weights = {k: tensor_hash(t) for k, t in module.state_dict().items() if isinstance(t, torch.Tensor)}
    return digest({"class": type(module).__qualname__, "weights": weights})


def _to(value: Any, device: torch.device) -> torch.Tensor:
    if not isinstance(value, torch.Tensor):
        raise UsageError(f"inputs must give a tensor, a tuple or a dict of tensors, got {type(value).__name__}")
    return value.to(device)


def _numbers(scores: Any, of: str) -> np.ndarray[Any, Any]:
    """Scores as a numpy array of integers or floats."""
    if isinstance(scores, torch.Tensor):
        scores = scores.detach().cpu()
        values = scores.double().numpy() if scores.is_floating_point() else scores.numpy()
    elif isinstance(scores, pa.Array | pa.ChunkedArray):
        values = np.asarray(scores.to_numpy(zero_copy_only=False))
    else:
        values = _array(scores)
    if values.dtype.kind not in "iuf":
        raise DataError(
            f"{of} must be numbers, expected integers or floats, got {type(scores).__name__} of {values.dtype}"
        )
    return values


def _array(scores: Any) -> np.ndarray[Any, Any]:
    try:
        return np.asarray(scores)
    except ValueError:  # a list of lists of several lengths
        return np.empty(0, dtype=object)
