"""What is measured on a GPU: which tables, of how many ids. Adding a subject is one line."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from feeding import NUMBERS
from throughput.rows import counts

from recdistill.features import FeatureSpec
from recdistill.models import build
from recdistill.models.embeddings import embeddings_of, placed, unplaced
from recdistill.models.embeddings.fused import Fusing, fuse
from recdistill.models.embeddings.plain import MOST_ROWS
from recdistill.models.embeddings.torchrec_tables import stored_dim

FLOOR = "dense network alone"
RATE = 0.01  # of learning; it changes no time


@dataclass(frozen=True)
class Subject:
    """A way to hold and update the tables.

    Args:
        optimiser: of the tables, a value of `FitSettings.embedding_optimiser`.
        location: of torchrec's tables, see `fused.Fusing`; none for plain tables.
        unseen_rate: of `FitSettings`.
    """

    optimiser: str
    location: str | None = None
    unseen_rate: float = 0.02

    def numbers(self, dim: int) -> int:
        """Numbers that an id takes: its rows in both of a DeepFM's tables."""
        return dim + 1 if self.location is None else stored_dim(dim) + stored_dim(1)

    def state(self, dim: int) -> int:
        """Numbers that the optimiser keeps of an id."""
        if self.optimiser == "lazy_adam":
            return 2 * self.numbers(dim)
        return 2 if self.location is None else 1 + stored_dim(1)  # rowwise Adagrad; see `kernel_optimiser`

    def bytes_of(self, ids: int, dim: int) -> int:
        """Tables and what their optimiser keeps."""
        return 4 * ids * (self.numbers(dim) + self.state(dim))

    def ids_in(self, memory: float, dim: int) -> int:
        """How many ids fit, in full millions where there are some."""
        most = min(int(memory / self.bytes_of(1, dim)), MOST_ROWS)
        return most // 1_000_000 * 1_000_000 or most

    @property
    def in_host_memory(self) -> bool:
        """Whether a GPU reads the rows over the bus, or caches them."""
        return self.location in ("managed", "managed_caching")


SUBJECTS = {
    "plain, rowwise Adagrad": Subject("rowwise_adagrad"),
    "plain, rowwise Adagrad, no id replaced": Subject("rowwise_adagrad", unseen_rate=0.0),
    "plain, lazy Adam": Subject("lazy_adam"),
    "torchrec, rowwise Adagrad": Subject("rowwise_adagrad", "device"),
    "torchrec, rowwise Adagrad, managed": Subject("rowwise_adagrad", "managed"),
    "torchrec, rowwise Adagrad, managed_caching": Subject("rowwise_adagrad", "managed_caching"),
}


@dataclass(frozen=True)
class Sizes:
    """How large.

    Args:
        ids: in all columns together; beside these, as many as take `share` of the device's memory.
        dims: lengths of the embeddings.
        batches: rows of a step.
        hidden: sizes of the dense network's hidden layers.
        precisions: values of `FitSettings.precision`.
        share: of the device's memory that the largest tables take, with what their optimiser keeps.
        beyond: the same, of tables in the host's memory; 0 for none that the device's memory could not hold.
    """

    ids: tuple[int, ...] = (1_000_000, 10_000_000, 100_000_000)
    dims: tuple[int, ...] = (16, 128)
    batches: tuple[int, ...] = (4096, 65_536)
    hidden: tuple[int, ...] = (400, 400, 400)
    precisions: tuple[str, ...] = ("float32", "bfloat16")
    share: float = 0.6
    beyond: float = 0.0

    def ids_of(self, subject: Subject, dim: int, memory: int) -> list[int]:
        """Rising, of a subject, on a device with so many bytes."""
        shares = [self.share, *([self.beyond] if subject.in_host_memory and self.beyond else [])]
        largest = [subject.ids_in(share * memory, dim) for share in shares]
        return sorted({*(ids for ids in self.ids if ids < largest[0]), *largest})


TINY = Sizes(ids=(200,), dims=(8,), batches=(16, 32), hidden=(8, 8))
TINY_MEMORY = 100_000  # bytes, of which the rehearsal's largest tables take their share


def spec_of(ids: int) -> FeatureSpec:
    """Columns with Criteo's shares of the ids, and its numbers."""
    columns = tuple((f"c{place}", count) for place, count in enumerate(counts(ids)))
    return FeatureSpec(categorical=columns, number=tuple(f"n{place}" for place in range(NUMBERS)))


def network_of(subject: Subject, spec: FeatureSpec, dim: int, hidden: tuple[int, ...], device: str) -> torch.nn.Module:
    """A DeepFM whose tables were never in another memory than they will be trained in; their rows are of no meaning."""
    with unplaced():
        network = build("deepfm", spec, arguments={"embedding_dim": dim, "hidden": list(hidden)})
    if subject.location is not None:
        fuse(network, Fusing(subject.optimiser, RATE, 0.0, device, subject.location), draw=False)
        return network.to(device)
    with torch.device(device):
        placed(network, draw=False)
    for _, module in embeddings_of(network):
        torch.nn.init.normal_(module.table.weight, std=module.deviation)
    return network.to(device)
