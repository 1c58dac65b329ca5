"""What every subject does alike, in whatever environment: read the rows, time the steps, say what they cost.

Knows numpy and torch alone. A subject is run as `python -m throughput.SUBJECT JSON` and prints JSON as its last line.
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

LEAST = 3  # steps, however long they take


@dataclass(frozen=True)
class Asked:
    """How to measure.

    Args:
        rows: file of the rows, see `throughput.rows`.
        way: "step" is the bare training step on tensors made before, "fit" the subject's own loop.
        batch, embedding_dim, hidden: of the model and its steps.
        warm_up: steps before those that are timed.
        steps: that are timed, at most.
        seconds: after which no further step is timed, once there are `LEAST`.
        threads: of torch.
        arguments: the subject's own.
    """

    rows: str
    way: str
    batch: int
    embedding_dim: int
    hidden: list[int]
    warm_up: int
    steps: int
    seconds: float
    threads: int
    arguments: dict[str, Any]


class Rows(NamedTuple):
    """counts: ids of each column; ids: (rows, columns) int32; numbers: (rows, numbers), labels: (rows,) float32."""

    counts: list[int]
    ids: np.ndarray
    numbers: np.ndarray
    labels: np.ndarray

    def slices(self, batch: int) -> list[slice]:
        """Where each batch lies."""
        return [slice(low, low + batch) for low in range(0, len(self.labels), batch)]


Found = dict[str, Any]
Way = Callable[[Asked, Rows], Found]


def serve(ways: dict[str, Way], package: str) -> None:
    """Measure as the command line asks, and print what was found."""
    asked = Asked(**json.loads(sys.argv[1]))
    torch.set_num_threads(asked.threads)
    found = ways[asked.way](asked, load(Path(asked.rows)))
    versions = {name: version(name) for name in ("torch", "numpy", package)}
    print(json.dumps({**found, "peak_bytes": peak_bytes(), "versions": versions}))


def load(path: Path) -> Rows:
    """The rows of a file."""
    with np.load(path, allow_pickle=False) as stored:
        return Rows(stored["counts"].tolist(), stored["ids"], stored["numbers"], stored["labels"])


def timed(step: Callable[[int], torch.Tensor | float], asked: Asked) -> list[float]:
    """Seconds of each timed step.

    Args:
        step: takes the number of a step and gives its loss.
        asked: how many.
    """
    seconds: list[float] = []
    for number in range(asked.warm_up):
        step(number)
    while more(seconds, asked):
        started = time.perf_counter()
        loss = step(asked.warm_up + len(seconds))
        seconds.append(time.perf_counter() - started)
        if not math.isfinite(float(loss)):
            raise SystemExit(f"the loss must be finite, got {float(loss)} at step {asked.warm_up + len(seconds)}")
    return seconds


def timed_fit(network: nn.Module, fit: Callable[[], Any], asked: Asked) -> list[float]:
    """Seconds of each timed step of a loop that is not ours to change: from one forward to the next, so with its share
    of feeding and keeping count. What such a loop does once, before its first step or after its last, is left out.
    """
    clock = Clock(asked)
    network.register_forward_pre_hook(clock)
    try:
        fit()
    except Enough:
        return clock.seconds
    raise SystemExit(f"the fit ended after {len(clock.starts)} steps, {asked.warm_up + asked.steps + 1} are needed")


class Enough(Exception):
    """All is timed; ends a fit from within."""


class Clock:
    """Notes when each training step's forward starts."""

    def __init__(self, asked: Asked) -> None:
        self.asked = asked
        self.starts: list[float] = []

    def __call__(self, module: nn.Module, _: Any) -> None:
        if module.training:
            self.starts.append(time.perf_counter())
            if not more(self.seconds, self.asked):
                raise Enough

    @property
    def seconds(self) -> list[float]:
        """Between the starts, without the warm-up."""
        return np.diff(self.starts)[self.asked.warm_up :].tolist()


def more(seconds: list[float], asked: Asked) -> bool:
    """Whether another step is to be timed."""
    return len(seconds) < asked.steps and (len(seconds) < LEAST or sum(seconds) < asked.seconds)


def weights(network: nn.Module) -> int:
    """How many a network has."""
    return sum(p.numel() for p in network.parameters())


def peak_bytes() -> int:
    """Most memory this process had at once: not what its parent had, as `getrusage` would say."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
