"""The progress of a fit that counts its steps, and stops it after so many."""

from __future__ import annotations


class StopAfter:
    """Stops a fit after so many steps; never without a number.

    Args:
        last: the step after which it stops.
        of: how many steps an epoch must have.
    """

    def __init__(self, last: int = -1, *, of: int) -> None:
        self.last, self.of, self.seen = last, of, 0

    def step(self, epoch: int, step: int, steps: int, epochs: int, rows: int) -> None:
        assert steps == self.of
        self.seen += 1

    def stopped(self) -> bool:
        return self.seen == self.last
