"""Curriculum: a student hears its teacher alone at first, and the labels more with each epoch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from recdistill.steps import Objective


class Blended(Protocol):
    """An objective of labels and soft labels."""

    @property
    def alpha(self) -> float:
        """Weight of the soft labels."""

    def with_alpha(self, alpha: float) -> Objective:
        """The same with another weight."""


@dataclass(frozen=True)
class Curriculum:
    """α falls linearly from 1 in the first epoch to the blend's own after `epochs`, and stays there.

    Teacher annealing (Clark et al. 2019, arXiv:1907.04829). DIFF: there the labels' share rises with each
    step, from 0 to 1; here with each epoch, and the teacher keeps its share.

    A `Schedule` for `fit`; early stopping may end it before α is reached.

    Args:
        blend: of labels and soft labels.
        epochs: at least 1.

    Raises:
        ValueError: there are no epochs.
    """

    blend: Blended
    epochs: int

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise ValueError(f"a curriculum has at least 1 epoch, got epochs={self.epochs}")

    def at(self, epoch: int) -> Objective:
        """The blend of an epoch, from 0."""
        done = min(1.0, epoch / self.epochs)
        return self.blend.with_alpha((1 - done) + done * self.blend.alpha)
