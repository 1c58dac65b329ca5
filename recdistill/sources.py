"""Where a fit reads its mini-batches from: rows in memory, or batches of a prepared table."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch

from recdistill.batches import Batches
from recdistill.errors import DataError, UsageError
from recdistill.examples import Examples
from recdistill.prepared_table import PreparedTable
from recdistill.ranker import Ranker
from recdistill.ranks import Ranks
from recdistill.streams import stream
from recdistill.tables import Table

Rows = Table | Examples | PreparedTable | Batches


class Source(Protocol):
    """Mini-batches, a function of the epoch and the step alone."""

    @property
    def batch_size(self) -> int:
        """Rows of a step on this rank; the last of an epoch may have fewer."""

    @property
    def steps(self) -> int:
        """Mini-batches of an epoch."""

    @property
    def classes(self) -> int:
        """How many logits a row gets."""

    @property
    def first(self) -> Examples:
        """One row, to see what a ranker makes of it."""

    @property
    def fingerprint(self) -> str:
        """sha256 of all that decides what the mini-batches are."""

    def epoch(self, number: int, *, start: int = 0) -> Generator[Examples, None, None]:
        """The mini-batches of an epoch from a step on."""


@dataclass(frozen=True, eq=False)
class InMemory:
    """Mini-batches of rows in memory, each epoch in another order.

    Where rows belong to lists, the lists come in random order and the rows of each together, in random order too: a
    batch then holds whole lists, but for the two at its ends, which may go on in the batches beside it.

    Args:
        examples: the rows.
        batch_size: rows a step; the last step of an epoch may have fewer.
        seed: of the order.
    """

    examples: Examples
    batch_size: int
    seed: int

    @property
    def steps(self) -> int:
        """Mini-batches of an epoch."""
        return math.ceil(len(self.examples) / self.batch_size)

    @property
    def classes(self) -> int:
        """How many logits a row gets."""
        return self.examples.classes

    @property
    def first(self) -> Examples:
        """The first row."""
        return self.examples.rows(torch.arange(1))

    @property
    def fingerprint(self) -> str:
        """sha256 of every tensor."""
        total = hashlib.sha256()
        for tensor in self.examples.tensors():
            total.update(repr(tuple(tensor.shape)).encode() + tensor.cpu().contiguous().numpy().tobytes())
        return total.hexdigest()

    def epoch(self, number: int, *, start: int = 0) -> Generator[Examples, None, None]:
        """The mini-batches of an epoch from a step on."""
        order = torch.randperm(len(self.examples), generator=stream(self.seed, number))
        if self.examples.lists is not None:
            lists = self.examples.lists.cpu().unique(return_inverse=True)[1]
            places = torch.randperm(int(lists.max()) + 1, generator=stream(self.seed, number, "lists"))
            order = order[places[lists[order]].argsort(stable=True)]
        for low in range(start * self.batch_size, len(order), self.batch_size):
            yield self.examples.rows(order[low : low + self.batch_size].to(self.examples.label.device))


def source_of(
    ranker: Ranker, train: Rows, *, batch_size: int, seed: int, device: str, ranks: Ranks | None = None
) -> Source:
    """The mini-batches of training rows, whatever they are.

    Args:
        ranker: to be trained.
        train: its rows. Batches keep their own size and seed.
        batch_size: rows a step, of all ranks together; 0 chooses by the number of rows.
        seed: of the order of rows.
        device: where rows in memory are put.
        ranks: that share each step's rows, which must be those of a prepared table, or its batches of this rank.

    Raises:
        UsageError: the batches have another size than is asked for, or ranks cannot share them.
        DataError: rows were prepared by an encoder that is not the ranker's, or are too few for a step.
    """
    if ranks is not None:
        _require_shared(train, ranks)
    if isinstance(train, PreparedTable):
        chosen = Batches(train, seed=seed)
        if ranks is not None and not batch_size:
            batch_size = ranks.world * math.ceil(step_rows(chosen.rows) / ranks.world)
        train = sized(chosen, batch_size)
        train = train if ranks is None else dealt(train, ranks)
        batch_size = 0
    if isinstance(train, Batches):
        train.prepared.require_encoder(ranker.encoder)
        if batch_size not in (0, train.batch_size):
            raise UsageError(f"batches keep their own size, got batch_size={batch_size} for {train.batch_size=}")
        _require_step(train)
        return train
    examples = Examples.of(ranker.encoder, train) if isinstance(train, Table) else train
    return InMemory(examples.to(device), batch_size or step_rows(len(examples)), seed)


def _require_step(batches: Batches) -> None:
    total = batches.prepared.rows[batches.split]
    if total and not batches.steps:
        least, step = (batches.batch_size, "whole batch") if batches.drop_last else (1, "step")
        how = f"world={batches.world}, labelled={batches.labelled}, drop_last={batches.drop_last}"
        got = f"{batches.rows:,} of the {total:,} rows in {batches.split}"
        raise DataError(f"for a {step} a rank's rows must be at least {least:,}, got {got} ({how})")


def held_out(ranker: Ranker, valid: Table | Examples | PreparedTable) -> Examples:
    """The labelled rows to judge a ranker by, in memory; those of a prepared table are its valid split.

    Raises:
        DataError: their labels are of fewer than two classes, or they were prepared by another encoder.
    """
    if isinstance(valid, PreparedTable):
        valid.require_encoder(ranker.encoder)
        valid = valid.examples("valid")
    return (Examples.of(ranker.encoder, valid) if isinstance(valid, Table) else valid).held_out()


def sized(batches: Batches, batch_size: int) -> Batches:
    """The same batches with so many rows a step; 0 chooses by the number of rows."""
    return replace(batches, batch_size=batch_size or step_rows(batches.rows))


def _require_shared(train: Rows, ranks: Ranks) -> None:
    """Refuse rows that ranks would not share."""
    if isinstance(train, Batches) and (train.rank, train.world) != (ranks.rank, ranks.world):
        got = f"rank={train.rank}, world={train.world} on rank {ranks.rank} of {ranks.world}"
        raise UsageError(f"each rank needs its own part of the batches, got {got}")
    if not isinstance(train, PreparedTable | Batches):
        raise UsageError(f"ranks share the rows of a prepared table, got {type(train).__name__}")


def dealt(batches: Batches, ranks: Ranks) -> Batches:
    """The part of a rank, of batches whose size is that of all ranks together.

    Raises:
        UsageError: a step's rows cannot be dealt evenly.
    """
    if batches.batch_size % ranks.world:
        raise UsageError(f"ranks share the rows of a step evenly, got {batches.batch_size=} for {ranks.world} ranks")
    each = batches.batch_size // ranks.world
    return replace(batches, batch_size=each, rank=ranks.rank, world=ranks.world)


def step_rows(rows: int) -> int:
    """How many rows a step has by default: about 50 steps an epoch, 64 to 4,096 rows."""
    return int(2 ** np.clip(round(math.log2(max(1, rows) / 50)), 6, 12))
