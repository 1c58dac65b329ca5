"""What a fit in one process writes down: network, optimiser and position, as safetensors and JSON."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from recdistill.artefacts import read_json, write_json
from recdistill.checkpoints.folder import ONE_PROCESS, State, Tensors
from recdistill.optimisers import Optimisers


@dataclass(frozen=True)
class WholeState:
    """A network and its optimiser, both held by this process.

    Args:
        network: whose weights are written and put back.
        optimiser: whose state is.
    """

    network: nn.Module
    optimiser: Optimisers
    format = ONE_PROCESS

    def write(self, folder: Path, state: State) -> None:
        """Write weights, the optimiser's state and where the fit stands into a folder."""
        tensors, numbers = _split(self.optimiser.state_dict()["state"])
        tensors |= {f"network.{k}": t for k, t in self.network.state_dict().items()}
        tensors |= {f"best.{k}": t for k, t in state.best.items()}
        stored = {k: t.detach().cpu().contiguous().clone() for k, t in tensors.items()}
        save_file(stored, folder / "state.safetensors")
        write_json(folder / "state.json", {"position": position(state), "optimiser": numbers})

    def read(self, folder: Path) -> State:
        """Put what was written back in place."""
        tensors = load_file(folder / "state.safetensors")
        stored = read_json(folder / "state.json")
        self.network.load_state_dict(_part(tensors, "network."))
        self.optimiser.load_state_dict({"state": _joined(_part(tensors, "optimiser."), stored["optimiser"])})
        return replace(standing(stored["position"]), best=_part(tensors, "best."))


def position(state: State) -> dict[str, Any]:
    """Where a fit stands, without weights, for JSON."""
    told = {k: v for k, v in state.__dict__.items() if k != "best"}
    return told | {"best_score": None if state.best_score != state.best_score else state.best_score}


def standing(told: dict[str, Any]) -> State:
    """The reverse of `position`."""
    return State(**told | {"best_score": float("nan") if told["best_score"] is None else told["best_score"]})


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
