"""Placebos: stand-ins for soft labels, to tell the teacher's knowledge from what any soft term gives.

A soft term also smooths labels and adds steps. A student that hears a placebo gets both, and nothing of the teacher.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from recdistill.streams import seed as seed_of
from recdistill.tables import Table

Logits = np.ndarray[Any, np.dtype[np.float32]]


def permuted(logits: Logits, train: Table, *, seed: int) -> Logits:
    """Each labelled row gets the soft label of another: their distribution without what they say.

    Args:
        logits: (rows,) or (rows, classes) of a teacher for the training rows.
        train: the rows; which of them have a label is read.
        seed: of the permutation.

    Returns:
        Logits of the same shape, NaN for rows without a label.
    """
    labelled = np.flatnonzero(train.labelled)
    drawn = np.random.default_rng(seed_of(seed, "permuted")).permutation(labelled)
    found = np.full_like(logits, np.nan)
    found[labelled] = logits[drawn]
    return found


def base_rate(train: Table) -> Logits:
    """Every row gets the logit of the labels' mean; for ratings the log of each grade's share.

    One label more of each class is counted (Laplace), so that the logits are finite.

    Args:
        train: the rows; the labels that it has are read.

    Returns:
        (rows,) or (rows, classes) logits.
    """
    counts = np.bincount(train.labels[train.labelled].astype(int), minlength=max(2, train.schema.classes)) + 1
    shares = np.log(counts / counts.sum())
    if train.schema.classes == 1:
        return np.full(len(train), shares[1] - shares[0], dtype=np.float32)
    return np.tile(shares.astype(np.float32), (len(train), 1))
