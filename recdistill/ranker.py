"""The Ranker: an encoder and a network, scored, saved and loaded together."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from recdistill.artefacts import digest, manifest, new_folder, read_json, verify, write_json
from recdistill.batch import Batch
from recdistill.encoder import Encoder
from recdistill.errors import DataError, UsageError
from recdistill.models import MODELS, build, model_name, with_hidden
from recdistill.models.embeddings import CompactTables, PlainTables, embeddings_of, require_one_meaning
from recdistill.notebook import shown
from recdistill.prepared_table import PreparedTable
from recdistill.tables import Table

Floats = np.ndarray[Any, np.dtype[np.float32]]
Found = Callable[[Batch], torch.Tensor]
WEIGHTS = "model.safetensors"
SCORED = 65_536  # rows at a time


class Ranker:
    """Scores rows of a Table: a logit each for clicks, one per class for ratings.

    Args:
        encoder: fitted; the teacher's knows the source's ids, the student's the target's.
        network: one of `recdistill.models`, or any torch module that maps a Batch to logits, (batch,) or
            (batch, classes).

    Raises:
        UsageError: features share a table, and the encoder gives their values other ids.
    """

    def __init__(self, encoder: Encoder, network: nn.Module) -> None:
        self.encoder = encoder
        self.network = network
        if isinstance(network, tuple(MODELS.values())):
            transforms = {name: transform for name, (_, transform) in encoder.columns.items()}
            require_one_meaning(self._arguments.get("tables"), transforms)

    def score(self, rows: Table | Batch | PreparedTable, *, split: str = "test", batch_size: int = SCORED) -> Floats:
        """Logits of rows.

        Args:
            rows: a Table, its rows already encoded by this ranker's encoder, or a table prepared by it: its row groups
                are read one at a time.
            split: which rows of a prepared table.
            batch_size: rows at a time.

        Returns:
            (rows,) float32 logits, or (rows, classes).

        Raises:
            DataError: a score is not finite, the table was prepared by another encoder, or the rows are none.
        """
        require_finite(scores := self._found(rows, split, self.network, batch_size))
        return scores

    def hidden(self, rows: Table | Batch | PreparedTable, *, split: str = "test", batch_size: int = SCORED) -> Floats:
        """The last hidden layer of rows, which the network's last linear layer reads.

        Args:
            rows, split, batch_size: as in `score`.

        Returns:
            (rows, width) float32.

        Raises:
            UsageError: the network has no hidden layer.
            DataError: the table was prepared by another encoder.
        """
        return self._found(rows, split, lambda batch: with_hidden(self.network, batch)[1], batch_size)

    def _found(self, rows: Table | Batch | PreparedTable, split: str, found: Found, size: int) -> Floats:
        """What is found of rows, so many at a time; of a prepared table also a row group at a time."""
        if not isinstance(rows, Table | Batch | PreparedTable):
            rule = "rows to score are an rd.Table, e.g. rd.Table.from_pandas(frame, schema)"
            raise DataError(f"{rule}, got {type(rows).__name__}")
        if not isinstance(rows, PreparedTable):
            batch = self.encoder.encode(rows) if isinstance(rows, Table) else rows
            return _in_parts(self.network, batch, found, size)
        rows.require_encoder(self.encoder)
        groups = [_in_parts(self.network, rows.read_group(g).batch(), found, size) for g in rows.groups(split)]
        return np.concatenate(groups) if groups else _in_parts(self.network, rows.examples(split).features, found, size)

    def _repr_html_(self) -> str:
        spec = self.encoder.spec
        ids = [[name, kind, f"{rows:,} ids"] for kind in ("categorical", "multi") for name, rows in getattr(spec, kind)]
        others = [[name, "number", ""] for name in spec.number] + [[n, "vector", f"{d} wide"] for n, d in spec.vector]
        facts = {"network": type(self.network).__name__, "parameters": f"{self.parameters:,}"}
        return shown("Ranker", facts=facts, table=[["feature", "kind", "size"], *ids, *others])

    @property
    def parameters(self) -> int:
        """How many weights the network has."""
        return sum(p.numel() for p in self.network.parameters())

    @property
    def bytes(self) -> int:
        """Size of the network's weights and buffers as they are stored."""
        return sum(t.numel() * t.element_size() for t in self.network.state_dict().values())

    @property
    def fingerprint(self) -> str:
        """sha256 of the encoder and every weight."""
        weights = {k: tensor_hash(t) for k, t in self.network.state_dict().items()}
        return digest({"encoder": self.encoder.fingerprint, "weights": weights})

    def copy(self) -> Ranker:
        """The same encoder with a network of its own, equal weights."""
        name, arguments = model_name(self.network), self._arguments
        network = build(name, self.encoder.spec, arguments=arguments)
        network.load_state_dict(self.network.state_dict())
        return Ranker(self.encoder, network)

    def extended(self, table: Table) -> Ranker:
        """A copy with embedding rows of their own for a table's new ids, each starting as the unseen id's row."""
        return self.under(self.encoder.extended(table))

    def refitted(self, table: Table) -> Ranker:
        """A copy that knows a table's ids alone: known ones keep their rows, new ones start as the unseen id's row."""
        return self.under(self.encoder.refitted(table))

    def under(self, encoder: Encoder) -> Ranker:
        """A copy under another encoder: embedding rows follow their values, new values start as the unseen id's row.

        In compact tables vectors follow as far as they can: see `take` of each.

        Args:
            encoder: of the same columns; it may differ in vocabularies.

        Raises:
            DataError: the encoders differ in more than their vocabularies.
        """
        network = build(model_name(self.network), encoder.spec, arguments=self._arguments)
        mine = self.network.state_dict()
        network.load_state_dict({k: v for k, v in mine.items() if ".table." not in f".{k}"}, strict=False)
        ids = [torch.from_numpy(found) for found in encoder.ids_in(self.encoder)]
        for (_, old), (_, new) in zip(embeddings_of(self.network), embeddings_of(network), strict=True):
            for place, taken in enumerate(ids):
                new.table.take(place, old.table, place, taken)  # type: ignore[operator]
        return Ranker(encoder, network)

    def save(self, folder: Path | str, **facts: Any) -> None:
        """Write a folder artefact: encoder, `model.json` and safetensors weights; no code, no pickle.

        Args:
            folder: the final name; an existing artefact there is replaced.
            facts: JSON-able facts kept in the manifest.

        Raises:
            UsageError: the network's tables are not in this process, or torchrec's.
        """
        for name, module in embeddings_of(self.network):
            if not isinstance(module.table, PlainTables | CompactTables):
                kind = type(module.table).__name__
                raise UsageError(f"a ranker is saved with plain tables, got {kind} in {name!r}: its fit was stopped")
        model = {"format": 1, "model": model_name(self.network), "arguments": self._arguments}
        spec = {"spec": self.encoder.spec.to_dict()}
        stored = {"kind": "ranker", "fingerprint": self.fingerprint, "bytes": self.bytes}
        with new_folder(Path(folder), **{**facts, **stored}) as temporary:
            write_json(temporary / "model.json", {**model, **spec})
            self.encoder.save(temporary)
            tensors = {k: t.detach().cpu().contiguous() for k, t in self.network.state_dict().items()}
            save_file(tensors, temporary / WEIGHTS)

    @staticmethod
    def load(folder: Path | str) -> Ranker:
        """The reverse of `save`; every byte is checked against the manifest, nothing is executed.

        Raises:
            DataError: the folder is not a whole, unchanged ranker.
        """
        folder = Path(folder)
        verify(folder)
        if manifest(folder)["facts"].get("kind") != "ranker":
            raise DataError(f"{folder} must hold a ranker, got {manifest(folder)['facts'].get('kind')!r}")
        stored = read_json(folder / "model.json")
        encoder = Encoder.load(folder)
        network = build(stored["model"], encoder.spec, arguments=stored["arguments"])
        try:
            network.load_state_dict(load_file(folder / WEIGHTS))
        except (RuntimeError, SafetensorError) as error:
            raise DataError(f"{folder / WEIGHTS} does not fit its model: {error}") from None
        return Ranker(encoder, network)

    @property
    def _arguments(self) -> dict[str, Any]:
        return dict(self.network.arguments)  # type: ignore[arg-type]


def scores_of(network: nn.Module, rows: Batch, batch_size: int = SCORED) -> Floats:
    """(rows,) or (rows, classes) float32 logits of encoded rows, computed where the network is.

    Raises:
        DataError: a score is not finite.
    """
    require_finite(scores := _in_parts(network, rows, network, batch_size))
    return scores


def _in_parts(network: nn.Module, rows: Batch, found: Found, batch_size: int) -> Floats:
    """What is found of rows, so many at a time, in evaluation mode and where the network is."""
    device = next(network.parameters()).device
    network.eval()
    with torch.no_grad():  # not inference mode, in which FBGEMM's CPU kernels cannot be called
        parts = [
            found(rows.rows(slice(start, start + batch_size)).to(device)).cpu()
            for start in range(0, max(1, len(rows)), batch_size)
        ]
    return torch.cat(parts).numpy()


def require_finite(scores: np.ndarray[Any, Any]) -> None:
    """Refuse scores that are not numbers.

    Raises:
        DataError: one is NaN or infinite.
    """
    if not np.isfinite(scores).all():
        raise DataError("scores must be finite, got NaN or infinity: the network's weights are broken")


def file_bytes(folder: Path) -> int:
    """Size of a saved ranker's weights file."""
    return (folder / WEIGHTS).stat().st_size


def tensor_hash(tensor: torch.Tensor) -> str:
    """sha256 of a tensor's bytes, of any type."""
    flat = tensor.detach().cpu().contiguous().flatten()
    return hashlib.sha256(flat.view(torch.uint8).numpy().tobytes()).hexdigest()
