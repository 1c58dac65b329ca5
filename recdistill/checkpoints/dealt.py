"""What a fit over ranks writes down: each rank its part, by torch's distributed checkpoint (DCP).

Tables and what their optimiser keeps are written under the names of their features, so that another number of ranks, or
a plain network, can read them. DCP's own index is a pickle: such a state is a format of training, read only from the
folder that the fit itself wrote and hashed, never from a model's folder.
"""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from recdistill.artefacts import read_json, verify, write_json
from recdistill.checkpoints.contents import best_folder
from recdistill.checkpoints.folder import RANKS, State
from recdistill.checkpoints.held import by_first
from recdistill.checkpoints.whole import position, standing
from recdistill.errors import DataError, EnvironmentFault, UsageError
from recdistill.models.embeddings import PlainTables, embeddings_of, placed
from recdistill.models.embeddings.sharding import Dealt
from recdistill.optimisers import Optimisers
from recdistill.ranks import Ranks

POSITION = "position.json"


@dataclass(frozen=True)
class DealtState:
    """A network whose tables are dealt to ranks, and the optimiser of its dense part.

    Args:
        dealt: whose weights are written and put back.
        optimiser: of `dealt.dense`, in that order.
        ranks: all of them call each method.
    """

    dealt: Dealt
    optimiser: Optimisers
    ranks: Ranks
    format = RANKS

    def write(self, folder: Path, state: State) -> None:
        """Write weights, the optimisers' state and where the fit stands into a folder."""
        write_weights(self.dealt, folder, kept=self._kept())
        if self.ranks.first:
            write_json(folder / POSITION, position(state))

    def read(self, folder: Path) -> State:
        """Put what was written back in place."""
        there = _dcp().FileSystemReader(folder).read_metadata().state_dict_metadata
        kept = self._kept()
        for key, found in there.items():  # only what is asked for is read, and a fresh optimiser keeps nothing yet
            if key.startswith("optimiser/") and key not in kept:
                kept[key] = torch.empty(found.size, dtype=found.properties.dtype)
        wanted = {**_weights(self.dealt), **kept}
        if missing := sorted(wanted.keys() - there.keys()):
            raise DataError(f"{folder} holds no {missing[0]!r}: it was written with another optimiser or model")
        with quietly(), reasons(f"{folder} cannot be read", DataError):
            _dcp().load(wanted, checkpoint_id=folder)
        self._put_back({k: v for k, v in kept.items() if k.startswith("optimiser/")})
        state = standing(read_json(folder / POSITION))
        if not math.isnan(state.best_score):  # now, not when training is over
            by_first(self.ranks, lambda: verify(best_folder(folder.parent, state.best_epoch)))
        return state

    def _kept(self) -> dict[str, Any]:
        """What the optimisers keep, by name."""
        names = list(self.dealt.dense)
        dense = self.optimiser.state_dict()["state"]
        flat = {f"optimiser/{names[n]}/{key}": value for n, entries in dense.items() for key, value in entries.items()}
        return {f"kept/{key}": value for key, value in self.dealt.kept.items()} | flat

    def _put_back(self, flat: Mapping[str, Tensor]) -> None:
        places = {name: place for place, name in enumerate(self.dealt.dense)}
        state: dict[int, dict[str, Any]] = {}
        for key, value in flat.items():
            name, what = key.removeprefix("optimiser/").rsplit("/", 1)
            state.setdefault(places[name], {})[what] = value
        self.optimiser.load_state_dict({"state": state})


def write_weights(dealt: Dealt, folder: Path, *, kept: Mapping[str, Any] | None = None) -> None:
    """Write a network's weights, and what its optimisers keep, into a folder; all ranks do."""
    with quietly(), reasons(f"{folder} cannot be written", EnvironmentFault):
        _dcp().save({**_weights(dealt), **(kept or {})}, checkpoint_id=folder)


def load_weights(network: nn.Module, folder: Path) -> None:
    """Put weights that ranks wrote into a plain network, which this process holds alone.

    Args:
        network: of the same model and features; unplaced tables are placed, and filled in place.
        folder: a state that a fit over ranks wrote.

    Raises:
        DataError: the folder was changed, or is of another network.
    """
    verify(folder)
    placed(network, draw=False)
    there = _dcp().FileSystemReader(folder).read_metadata().state_dict_metadata
    stored = {key: tuple(getattr(found, "size", ())) for key, found in there.items()}
    parts = dict(_parts_of_tables(network))
    tables = {f"{name}.table.weight" for name, _ in embeddings_of(network)}
    dense = {f"dense/{name}": p.detach() for name, p in network.named_parameters() if name not in tables}
    for key, part in {**parts, **dense}.items():
        there_as, here_as = stored.get(key, ()), tuple(part.shape)
        narrower = key in parts and there_as[:1] == here_as[:1] and here_as[1:] == (1,)  # the kernels' rows are longer
        if key not in stored or not (there_as == here_as or narrower):
            raise DataError(
                f"{folder} must hold {here_as} as {key!r}, got {there_as or 'none'}: it is of another model"
            )
    wanted = {k: t if tuple(t.shape) == stored[k] else torch.empty(stored[k]) for k, t in {**parts, **dense}.items()}
    with quietly(), reasons(f"{folder} cannot be read", DataError):
        _dcp().load(wanted, checkpoint_id=folder, no_dist=True)
    for key, part in parts.items():
        if wanted[key] is not part:
            part.copy_(wanted[key][:, : part.shape[1]])


def _parts_of_tables(network: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Each feature's rows of a plain network, by the name under which ranks write them."""
    for name, module in embeddings_of(network):
        if not isinstance(table := module.table, PlainTables):
            raise UsageError(f"weights are put into plain tables, got {type(table).__name__} in {name!r}")
        for (feature, rows), start in zip(module.features, table.starts, strict=False):
            yield f"tables/{name}/{feature}", table.weight.detach()[start : start + rows]


def _dcp() -> Any:
    """The distributed checkpoint of torch; imported here, for most of the package does without."""
    import torch.distributed.checkpoint

    return torch.distributed.checkpoint


def _weights(dealt: Dealt) -> dict[str, Any]:
    tables = {f"tables/{key}": table for key, table in dealt.tables.items()}
    return tables | {f"dense/{name}": parameter.detach() for name, parameter in dealt.dense.items()}


@contextmanager
def reasons(what: str, kind: type[Exception]) -> Iterator[None]:
    """Within it what DCP gathers of all ranks' failures, which is no ordinary exception, is one.

    Raises:
        kind: what failed, and why on the first rank that failed.
    """
    failure: type[BaseException] = _dcp().CheckpointException
    try:
        yield
    except failure as error:
        rank, (cause, _) = min(error.failures.items())  # type: ignore[attr-defined]
        raise kind(f"{what}: {type(cause).__name__}: {cause} (on rank {rank})") from None


@contextmanager
def quietly() -> Iterator[None]:
    """Within it DCP does not tell of its own choices."""
    logger = logging.getLogger("torch.distributed.checkpoint")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=UserWarning, message="torch.distributed is disabled")
            yield
    finally:
        logger.setLevel(before)
