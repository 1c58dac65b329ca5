"""The Scorer: an exported student, raw rows in and scores out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from recdistill.artefacts import MANIFEST, manifest, read_json, verify
from recdistill.encoder import Encoder
from recdistill.errors import DataError, EnvironmentFault, UsageError
from recdistill.features import inputs
from recdistill.serving.rows import Rows, is_frame

if TYPE_CHECKING:
    import onnxruntime

Array = np.ndarray[Any, Any]
Floats = np.ndarray[Any, np.dtype[np.float32]]
FORMAT, KIND = 1, "served_student"
MODEL, FACTS = "model.onnx", "serving.json"
SCORED = 65_536  # rows at a time


@dataclass(frozen=True)
class Candidates:
    """Some columns of several items, encoded once for many users.

    Args:
        coded: per column what it was encoded to.
        count: how many items.
    """

    coded: Mapping[str, Array]
    count: int

    def __len__(self) -> int:
        return self.count


class Scorer:
    """Scores raw rows as the student did in training, without torch.

    Args:
        encoder: of the rows.
        session: of ONNX Runtime.
        grades: of a rating, rising; none for clicks.
    """

    def __init__(self, encoder: Encoder, session: onnxruntime.InferenceSession, grades: Sequence[float] = ()) -> None:
        self.encoder, self.grades = encoder, tuple(grades)
        self._rows, self._session = Rows(encoder), session
        self._read = {one.name for one in session.get_inputs()}

    @staticmethod
    def load(folder: Path | str, *, threads: int = 1) -> Scorer:
        """What `recdistill export` wrote; every byte is checked against the manifest, nothing is executed.

        Args:
            folder: of the student.
            threads: of ONNX Runtime; 0 takes a thread for each core.

        Raises:
            DataError: the folder is not whole, was changed, or holds something else.
            EnvironmentFault: onnxruntime is not installed.
        """
        folder = Path(folder)
        if not (folder / MANIFEST).is_file():
            there = f"no {MANIFEST} in it" if folder.is_dir() else "a file" if folder.exists() else "no such folder"
            raise DataError(f"{folder} must hold an exported student, got {there}: `recdistill export` makes one")
        verify(folder)
        if (kind := manifest(folder)["facts"].get("kind")) != KIND:
            raise DataError(f"{folder} must hold an exported student, got {kind!r}: `recdistill export` makes one")
        return Scorer.opened(folder, threads=threads)

    @staticmethod
    def opened(folder: Path, *, threads: int = 1) -> Scorer:
        """As `load`, of a folder that is not finished and has no manifest yet."""
        facts = read_json(folder / FACTS)
        if facts.get("format") != FORMAT:
            raise DataError(f"{folder / FACTS} must be of format {FORMAT}, got {facts.get('format')!r}")
        return Scorer(Encoder.load(folder), _session(folder / MODEL, threads), facts["grades"])

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that a row must have; a value may be None."""
        return self._rows.names

    def score(self, rows: Any, *, batch_size: int = SCORED) -> Floats:
        """Logits of raw rows.

        Args:
            rows: a list of dicts, a pyarrow Table or RecordBatch, or a pandas DataFrame, with all `columns`; others are
                not looked at.
            batch_size: rows at a time.

        Returns:
            (rows,) float32, or (rows, classes) of a rating.

        Raises:
            DataError: a column is missing or of another type, a number or a score is not finite.
        """
        return self.score_encoded(self.encoded(rows), batch_size=batch_size)

    def predict(self, rows: Any, *, batch_size: int = SCORED) -> Floats:
        """(rows,) float32: probabilities of a click, or expected ratings. Arguments and errors are those of `score`."""
        return self.predicted(self.score(rows, batch_size=batch_size))

    def candidates(self, items: Any) -> Candidates:
        """Encode those columns that some items have, e.g. of a catalogue, once for many users.

        Args:
            items: rows as in `score`, with some of the columns.

        Raises:
            DataError: the items have none of the columns, or as in `score`.
        """
        there = _names(items)
        names = [name for name in self.columns if name in there]
        if not names and not (isinstance(items, Sequence) and not len(items)):  # no candidates have no columns
            raise DataError(f"candidates need at least one of the columns {', '.join(self.columns)}, got none")
        return Candidates(*self._rows.coded(items, names))

    def score_candidates(self, context: Mapping[str, Any], candidates: Candidates) -> Floats:
        """Logits of one user with many candidates.

        Args:
            context: the columns that the candidates do not have, of the user and the moment.
            candidates: what `candidates` made.

        Raises:
            DataError: a column is missing, or both have it.
        """
        if both := sorted(candidates.coded.keys() & context.keys()):
            raise DataError(f"a column is the context's or the candidates', got {', '.join(both)} in both")
        if not len(candidates):
            return self.score([])
        names = [name for name in self.columns if name not in candidates.coded]
        one, _ = self._rows.coded([context], names)
        alike = {name: np.repeat(values, len(candidates), axis=0) for name, values in one.items()}
        return self.score_encoded(inputs(self.encoder.spec, {**candidates.coded, **alike}, len(candidates)))

    def predicted(self, logits: Floats) -> Floats:
        """(rows,) float32: what logits mean, the probability of a click or the expected rating."""
        wide = logits.astype(np.float64)
        if not self.grades:
            return (0.5 * (1 + np.tanh(wide / 2))).astype(np.float32)
        chances = np.exp(wide - wide.max(axis=1, keepdims=True))
        return (chances @ np.asarray(self.grades) / chances.sum(axis=1)).astype(np.float32)

    def encoded(self, rows: Any) -> dict[str, Array]:
        """What the network reads of raw rows, by input, see `features.inputs`."""
        return inputs(self.encoder.spec, *self._rows.coded(rows, self.columns))

    def run(self, fed: Mapping[str, Array]) -> Floats:
        """Logits of what `encoded` gives, unchecked: the network alone."""
        return np.asarray(self._session.run(["logits"], {n: v for n, v in fed.items() if n in self._read})[0])

    def score_encoded(self, fed: Mapping[str, Array], *, batch_size: int = SCORED) -> Floats:
        """As `score`, of what `encoded` gives."""
        if batch_size < 1:
            raise UsageError(f"rows are scored at least one at a time, got {batch_size=}")
        if (count := len(fed["ids"])) <= batch_size:
            logits = self.run(fed)
        else:
            starts = range(0, count, batch_size)
            parts = [self.run({n: v[start : start + batch_size] for n, v in fed.items()}) for start in starts]
            logits = np.concatenate(parts)
        if not np.isfinite(logits).all():
            rule = "scores must be finite, got NaN or infinity"
            raise DataError(f"{rule}: a number is far from all that training had, or the network's weights are broken")
        return logits


def _names(items: Any) -> set[str]:
    if isinstance(items, pa.Table | pa.RecordBatch):
        return set(items.schema.names)
    if is_frame(items):
        return set(map(str, items.columns))
    return set(items[0]) if isinstance(items, Sequence) and len(items) and isinstance(items[0], Mapping) else set()


def _session(path: Path, threads: int) -> onnxruntime.InferenceSession:
    try:
        import onnxruntime
    except ImportError:
        raise EnvironmentFault("scoring needs onnxruntime: pip install onnxruntime") from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads, options.log_severity_level = threads, 1, 3
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its own kinds have no common base
        raise DataError(f"{path} is no network that ONNX Runtime can load: {error}") from None
