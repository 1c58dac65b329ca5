"""The step of each case, timed: the one that `fit` makes, and that of the dense network alone."""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from on_gpu.cases import FLOOR, SUBJECTS, Sizes, network_of, spec_of
from on_gpu.cost import Step
from on_gpu.timing import turns
from throughput.floor import trainer
from throughput.rows import draw

from recdistill.batch import Batch
from recdistill.errors import EnvironmentFault
from recdistill.examples import Examples
from recdistill.fit_settings import FitSettings
from recdistill.models.embeddings.torchrec_tables import torchrec
from recdistill.models.layers import dense
from recdistill.steps import Steps, hard_labels
from recdistill.trainees import Alone

BATCHES = 4  # that steps go through in turn
MOST = 0.9  # of a memory, for tables and what their optimiser keeps
Found = dict[str, Any]


@dataclass(frozen=True)
class Measuring:
    """How.

    Args:
        sizes: of the cases.
        device: that they run on.
        memory, host_memory: bytes that it has, and the host.
        count: of turns.
        seconds: of a turn.
        over: whether the time for all cases is over.
    """

    sizes: Sizes
    device: str
    memory: int
    host_memory: int
    count: int
    seconds: float
    over: Callable[[], bool]

    def floors(self) -> Iterator[Found]:
        """The dense network alone."""
        for dim in self.sizes.dims:
            for step in self.steps(dim):
                network = dense(step.width, step.hidden).to(self.device)
                inputs = torch.randn(step.batch, step.width, device=self.device, requires_grad=True)
                labels = torch.randint(0, 2, (step.batch,), device=self.device).float()
                found = self.timed(trainer(network, inputs, labels, precision=step.precision))
                yield {**self.told(FLOOR, 0, step), **found, "bytes": step.bytes_moved(None, 0.0)}

    def of(self, name: str) -> Iterator[Found]:
        """All cases of a subject; one that was not measured has a reason instead."""
        subject = SUBJECTS[name]
        for dim in self.sizes.dims:
            for ids in self.sizes.ids_of(subject, dim, self.memory):
                cases = [self.told(name, ids, step) for step in self.steps(dim)]
                reason = self.lacking(name, ids, dim)
                if reason is not None:
                    yield from ({**case, "not_run": reason} for case in cases)
                    continue
                yield from self.measured(name, ids, dim)
                self.free()

    def measured(self, name: str, ids: int, dim: int) -> Iterator[Found]:
        """The cases of one network."""
        subject, spec, left = SUBJECTS[name], spec_of(ids), list(self.steps(dim))
        try:
            network = network_of(subject, spec, dim, self.sizes.hidden, self.device)
            settings = FitSettings(
                device=self.device,
                embedding_optimiser=subject.optimiser,
                weight_decay=0.0,
                unseen_rate=subject.unseen_rate,
            )
            trainee = Alone(network.train(), settings)  # torchrec's tables are there already
            rows = self.drawn(ids)
            while left:
                step = left[0]
                told = settings.model_copy(update={"precision": step.precision})
                making, batches = Steps(trainee, hard_labels, told, spec), cut(rows, step.batch)
                found = self.timed(lambda n, m=making, b=batches: m.step(b[n % len(b)], 0, n))
                distinct = sum(map(distinct_ids, batches)) / len(batches)
                moved = step.bytes_moved(subject, distinct)
                case = {**self.told(name, ids, step), **found, "distinct": distinct, "bytes": moved}
                left.pop(0)
                yield case
        except (
            RuntimeError,
            AssertionError,
        ) as error:  # of memory or of kernels; other cases are measured all the same
            words = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
            yield from ({**self.told(name, ids, step), "not_run": words} for step in left)

    def timed(self, step: Callable[[int], object]) -> Found:
        """Seconds of each turn, and most memory of the device that was allocated."""
        if self.device != "cpu":
            torch.cuda.reset_peak_memory_stats()
        seconds = turns(step, self.device, count=self.count, seconds=self.seconds)
        peak = 0 if self.device == "cpu" else torch.cuda.max_memory_allocated()
        return {"seconds": seconds, "peak_bytes": peak}

    def lacking(self, name: str, ids: int, dim: int) -> str | None:
        """Why cases cannot be measured."""
        subject = SUBJECTS[name]
        if subject.location is not None:
            try:
                torchrec()
            except EnvironmentFault as fault:
                return str(fault).splitlines()[0]
        needed, there = subject.bytes_of(ids, dim), self.host_memory if subject.in_host_memory else self.memory
        if needed > MOST * there:
            where = "host" if subject.in_host_memory else "device"
            return f"tables and state take {needed / 1e9:.0f} GB, the {where} has {there / 1e9:.0f}"
        return "the time for all cases was over" if self.over() else None

    def told(self, name: str, ids: int, step: Step) -> Found:
        """Which case it is."""
        tables = SUBJECTS[name].bytes_of(ids, step.dim) if name in SUBJECTS else 0
        case = {"subject": name, "ids": ids, "dim": step.dim, "batch": step.batch, "precision": step.precision}
        return {**case, "table_bytes": tables, "operations": step.operations}

    def steps(self, dim: int) -> Iterator[Step]:
        """Of a network with such embeddings."""
        for batch in self.sizes.batches:
            for precision in self.sizes.precisions:
                yield Step(batch, dim, self.sizes.hidden, precision)

    def drawn(self, ids: int) -> Examples:
        """Rows for all cases of a network, on the device."""
        rows = draw(ids, BATCHES * max(self.sizes.batches))
        found = {name: torch.from_numpy(values) for name, values in rows.items()}
        label = found["labels"]
        features = Batch(found["ids"], (), found["numbers"], ())
        nothing = torch.full_like(label, math.nan)
        return Examples(features, label, nothing, torch.ones_like(label)).to(self.device)

    def free(self) -> None:
        """What the last network took."""
        gc.collect()
        if self.device != "cpu":
            torch.cuda.empty_cache()


def cut(rows: Examples, batch: int) -> list[Examples]:
    """Batches of rows."""
    return [rows.rows(slice(first, first + batch)) for first in range(0, BATCHES * batch, batch)]


def distinct_ids(batch: Examples) -> int:
    """Of all columns."""
    return sum(len(column.unique()) for column in batch.features.ids.unbind(1))
