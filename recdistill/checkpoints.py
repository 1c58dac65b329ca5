"""Training state on disk: network, optimiser and position, as safetensors and JSON, written atomically."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from recdistill.artefacts import is_whole, manifest, new_folder, read_json, verify, write_json
from recdistill.errors import DataError
from recdistill.optimisers import Optimisers

Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class State:
    """Where a fit stands.

    Args:
        epoch, step: the next epoch, and the next step in it.
        loss: sum of this epoch's step losses; `last_loss` is the last whole epoch's mean.
        best: the best weights so far, with their score and epoch.
        epochs_since_best: epochs without a better score.
        history: one entry per finished epoch.
    """

    epoch: int = 0
    step: int = 0
    loss: float = 0.0
    last_loss: float = 0.0
    best: Tensors = field(default_factory=dict)
    best_score: float = float("nan")
    best_epoch: int = 0
    epochs_since_best: int = 0
    history: list[dict[str, float]] = field(default_factory=list)


class Checkpoints:
    """A folder that holds the latest state of one fit; without a folder every call does nothing.

    Args:
        folder: where, or None.
        seconds: between two writes.
        identity: of the fit; a state of another fit is refused.
        clock: seconds, for tests.
    """

    def __init__(
        self, folder: Path | None, seconds: float, identity: str, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.folder, self.seconds, self.identity, self.clock = folder, seconds, identity, clock
        self.written = clock()

    def save_if_due(self, network: nn.Module, optimiser: Optimisers, state: State) -> None:
        """Write the state when the last write is long enough ago."""
        if self.folder is not None and self.clock() - self.written >= self.seconds:
            self.save(network, optimiser, state)

    def save(self, network: nn.Module, optimiser: Optimisers, state: State) -> str:
        """Write the state now.

        Returns:
            A sentence for the user, empty without a folder.
        """
        if self.folder is None:
            return ""
        tensors, numbers = _split(optimiser.state_dict()["state"])
        tensors |= {f"network.{k}": t for k, t in network.state_dict().items()}
        tensors |= {f"best.{k}": t for k, t in state.best.items()}
        position = {k: v for k, v in state.__dict__.items() if k != "best"}
        if not state.best:
            position["best_score"] = None
        with new_folder(self.folder, kind="checkpoint", identity=self.identity) as temporary:
            stored = {k: t.detach().cpu().contiguous().clone() for k, t in tensors.items()}
            save_file(stored, temporary / "state.safetensors")
            write_json(temporary / "state.json", {"position": position, "optimiser": numbers})
        self.written = self.clock()
        return f"stopped at epoch {state.epoch + 1}, step {state.step}; the same command continues there"

    def load(self, network: nn.Module, optimiser: Optimisers) -> State | None:
        """Put a stored state back into network and optimiser; None when there is none.

        Raises:
            DataError: the state belongs to another fit, or was changed.
        """
        if self.folder is None or not is_whole(self.folder):
            return None
        verify(self.folder)
        if manifest(self.folder)["facts"].get("identity") != self.identity:
            raise DataError(f"{self.folder} holds the state of another fit (other rows, settings or model); remove it")
        tensors = load_file(self.folder / "state.safetensors")
        stored = read_json(self.folder / "state.json")
        network.load_state_dict(_part(tensors, "network."))
        optimiser.load_state_dict({"state": _joined(_part(tensors, "optimiser."), stored["optimiser"])})
        state = State(**stored["position"], best=_part(tensors, "best."))
        return replace(state, best_score=float("nan")) if state.best_score is None else state

    def clear(self) -> None:
        """Remove the folder: the fit is done."""
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)


def _part(tensors: Tensors, prefix: str) -> Tensors:
    return {k.removeprefix(prefix): t for k, t in tensors.items() if k.startswith(prefix)}


def _split(state: dict[int, dict[str, Any]]) -> tuple[Tensors, dict[str, float]]:
    """An optimiser's per-parameter state as named tensors and named numbers."""
    flat = {f"{index}.{key}": value for index, entries in state.items() for key, value in entries.items()}
    tensors = {f"optimiser.{k}": v for k, v in flat.items() if isinstance(v, Tensor)}
    return tensors, {k: v for k, v in flat.items() if not isinstance(v, Tensor)}


def _joined(tensors: Tensors, numbers: dict[str, float]) -> dict[int, dict[str, Any]]:
    """The reverse of `_split`."""
    state: dict[int, dict[str, Any]] = {}
    for name, value in {**tensors, **numbers}.items():
        index, key = name.split(".", 1)
        state.setdefault(int(index), {})[key] = value
    return state
