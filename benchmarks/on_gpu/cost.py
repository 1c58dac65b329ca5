"""What a training step must do at least: bytes that it moves, floating-point operations of its products.

Of a batch of B rows with C columns of ids and N numbers, embeddings of d numbers, first-order terms of one, U distinct
ids in the batch, s numbers of state per id (`Subject.state`), a dense network of P weights in products and H hidden
units in all, in numbers of 4 bytes, each pass over memory counted once:

    ids             B C                  read
    rows            3 U (d + 1)          read by the lookup; read and written by the update
    state           2 U s                read and written by the update
    embeddings      4 B (C + N) (d + 1)  written, read by the network, their gradient written, read by the update
    hidden units    5 B H                written, read by the next layer and the backward pass; gradient written, read
    dense weights   10 P                 read forward and backward, gradient written and read; Adam reads, writes three

Hidden units are of 2 bytes with bfloat16. Rows and state of managed tables come over the bus. Of those that are cached
on the device, what the bus moves depends on the rows, and is counted as nothing.

A product forward, one for the gradient of the weights and one for that of the inputs make 6 B P operations.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from feeding import COUNTS, NUMBERS
from on_gpu.cases import Subject

FOUR = 4  # bytes of a number


@dataclass(frozen=True)
class Step:
    """A training step.

    Args:
        batch: rows.
        dim: of the embeddings.
        hidden: sizes of the hidden layers.
        precision: a value of `FitSettings.precision`.
    """

    batch: int
    dim: int
    hidden: tuple[int, ...]
    precision: str

    @property
    def width(self) -> int:
        """Of the dense network's input."""
        return (len(COUNTS) + NUMBERS) * self.dim

    @property
    def products(self) -> int:
        """Weights of the dense network that are multiplied."""
        sizes = (self.width, *self.hidden, 1)
        return sum(rows * columns for rows, columns in itertools.pairwise(sizes))

    @property
    def operations(self) -> int:
        """6 B P."""
        return 6 * self.batch * self.products

    def bytes_moved(self, subject: Subject | None, distinct: float) -> dict[str, float]:
        """At least, in the device's memory and over the bus.

        Args:
            subject: how tables are held; none for the dense network alone, whose inputs are read and get a gradient.
            distinct: ids of a batch.
        """
        unit = 2 if self.precision == "bfloat16" else FOUR
        dense = 5 * self.batch * sum(self.hidden) * unit + 10 * FOUR * self.products
        if subject is None:
            return {"device": dense + 2 * FOUR * self.batch * self.width, "bus": 0.0}
        numbers = self.dim + 1
        rows = FOUR * distinct * (3 * numbers + 2 * subject.state(self.dim))
        embeddings = FOUR * self.batch * (len(COUNTS) + 4 * (len(COUNTS) + NUMBERS) * numbers)
        bus = subject.location == "managed"
        cached = subject.location == "managed_caching"
        return {"device": dense + embeddings + (0 if bus or cached else rows), "bus": rows if bus else 0.0}
