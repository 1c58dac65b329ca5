"""A network as it is trained: by this process alone, or by ranks together.

Where its tables are, who updates them, what a step's loss is over all rows, how held-out rows are scored: a fit asks a
trainee, and does not know.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from recdistill.batch import Batch
from recdistill.checkpoints import State, Stored, Tensors, WholeState
from recdistill.devices import device_of
from recdistill.errors import UsageError
from recdistill.examples import Examples
from recdistill.fit_settings import FitSettings
from recdistill.models.embeddings import PlainTables, embeddings_of, placed
from recdistill.models.embeddings.fused import FusedOptimiser, Fusing, fuse, unfuse
from recdistill.models.embeddings.torchrec_tables import TorchrecTables
from recdistill.optimisers import HeldRows, Optimisers, RowOptimiser
from recdistill.ranker import scores_of
from recdistill.ranks import Ranks

Scores = np.ndarray[Any, np.dtype[np.float32]]


class Trainee(Protocol):
    """A network as it is trained."""

    @property
    def device(self) -> str:
        """Where it computes."""

    @property
    def ranks(self) -> Ranks | None:
        """The processes that train it together."""

    @property
    def network(self) -> nn.Module:
        """Called with rows for their logits."""

    @property
    def optimiser(self) -> Optimisers:
        """Of what is not updated in the backward pass."""

    @property
    def stored(self) -> Stored:
        """What of it a checkpoint holds."""

    def shared(self, loss: Tensor, examples: Examples) -> tuple[Tensor, float]:
        """The loss to differentiate, and its value over the step's rows of all ranks.

        Args:
            loss: () of this rank's rows; over ranks the weighted mean of those with a label.
            examples: the rows.
        """

    def agreed(self, *asked: bool) -> tuple[bool, ...]:
        """Whether any rank asks for it, of each."""

    def score(self, features: Batch) -> Scores:
        """(rows,) or (rows, classes) logits of held-out rows, which every rank has."""

    def keep(self, epoch: int) -> Tensors:
        """Keep the weights as the best so far; what is returned is kept in the state."""

    def must_save(self, state: State) -> bool:
        """Whether the state has to be on disk before training goes on."""

    def saved(self, state: State) -> None:
        """The state is on disk, if it had to be."""

    def end(self, state: State) -> nn.Module:
        """The fit is over: the network with its best weights, where any were judged, on the CPU."""

    def abandoned(self) -> nn.Module:
        """The fit was stopped: the network as it stands, in plain tables, or in tables that are not placed."""


class Alone:
    """A network that this process trains.

    Args:
        network: its tables are placed, if they are not.
        settings: of the fit.

    Raises:
        EnvironmentFault: the device is not there.
    """

    ranks = None

    def __init__(self, network: nn.Module, settings: FitSettings) -> None:
        self.device = device_of(settings.device)
        _require_sense(settings, self.device)
        fused = [] if settings.embedding_backend == "torch" else [_fuse(network, settings, self.device)]
        self.network = placed(network, seed=settings.seed).to(self.device)
        self.optimiser = optimisers_of(self.network, settings)
        self.optimiser.parts += fused
        self.stored = WholeState(self.network, self.optimiser)
        managed = bool(fused) and settings.embedding_location != "device"
        self._kept_on = "cpu" if managed else self.device  # tables in the host's memory may not fit in the GPU's

    def shared(self, loss: Tensor, examples: Examples) -> tuple[Tensor, float]:
        """The loss, and its value."""
        return loss, float(loss.detach())

    def agreed(self, *asked: bool) -> tuple[bool, ...]:
        """As it was asked."""
        return asked

    def score(self, features: Batch) -> Scores:
        """(rows,) or (rows, classes) logits."""
        return scores_of(self.network, features)

    def keep(self, epoch: int) -> Tensors:
        """A copy of the weights."""
        return {k: t.detach().to(self._kept_on, copy=True) for k, t in self.network.state_dict().items()}

    def must_save(self, state: State) -> bool:
        """No: the best weights are in the state."""
        return False

    def saved(self, state: State) -> None:
        """Nothing is to be done."""

    def end(self, state: State) -> nn.Module:
        """The network with its best weights."""
        if state.best:
            self.network.load_state_dict(state.best)
        return self.abandoned()

    def abandoned(self) -> nn.Module:
        """The network as it stands, as it was before: plain tables, on the CPU."""
        sparse_gradients(self.network, False)
        if isinstance(self.optimiser.parts[-1], FusedOptimiser):
            unfuse(self.network)
        return self.network.cpu()


def _require_sense(settings: FitSettings, device: str) -> None:
    """Refuse a place for tables where there is none."""
    if settings.embedding_location != "device" and not (settings.embedding_backend == "torchrec" and "cuda" in device):
        got = f"{settings.embedding_location!r} with embedding_backend={settings.embedding_backend!r} on {device}"
        raise UsageError(f"embedding_location is of torchrec's tables on a GPU, got {got}")


def _fuse(network: nn.Module, settings: FitSettings, device: str) -> FusedOptimiser:
    """Tables of torchrec in place of a network's own."""
    fusing = Fusing(
        settings.embedding_optimiser,
        lr=settings.table_rate,
        weight_decay=settings.embedding_weight_decay,
        device=device,
        location=settings.embedding_location,
        seed=settings.seed,
    )
    return fuse(network, fusing)


def optimisers_of(network: nn.Module, settings: FitSettings) -> Optimisers:
    """The optimisers of a network's tables, where they have their own, and of all the rest.

    What needs no gradient, and the rows that a table holds, stay as they are.
    """
    apart = settings.embedding_optimiser != "dense"
    tables = sparse_gradients(network, apart)
    weights = [table.weight for table in tables if table.weight.requires_grad] if apart else []
    known = {id(weight) for weight in (*weights, *_in_kernels(network))}
    rest = [p for p in network.parameters() if id(p) not in known and p.requires_grad]
    parts: list[Any] = [dense_optimiser(rest, settings)] if rest else []
    if weights:
        lr, decay = settings.table_rate, settings.embedding_weight_decay
        parts.append(RowOptimiser(weights, kind=settings.embedding_optimiser, lr=lr, weight_decay=decay))
    parts += [HeldRows(table.weight, table.held.to(table.weight.device)) for table in tables if table.held is not None]
    return Optimisers(parts)


def _in_kernels(network: nn.Module) -> Iterator[nn.Parameter]:
    """Weights that kernels update themselves."""
    tables = (module.table for _, module in embeddings_of(network))
    return itertools.chain.from_iterable(t.parameters() for t in tables if isinstance(t, TorchrecTables))


def sparse_gradients(network: nn.Module, sparse: bool) -> list[PlainTables]:
    """A network's plain tables, whose gradients from now on hold the looked-up rows alone, or all rows."""
    tables = [module for module in network.modules() if isinstance(module, PlainTables)]
    for table in tables:
        table.sparse = sparse
    return tables


def dense_optimiser(parameters: list[nn.Parameter], settings: FitSettings) -> torch.optim.Optimizer:
    """The optimiser of parameters that every step changes."""
    kinds = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "adagrad": torch.optim.Adagrad}
    kind, fused = kinds.get(settings.optimiser, torch.optim.SGD), settings.optimiser in ("adam", "adamw")
    arguments: dict[str, Any] = {"lr": settings.learning_rate, "weight_decay": settings.weight_decay}
    return kind(parameters, **arguments, **({"fused": True} if fused else {}))
