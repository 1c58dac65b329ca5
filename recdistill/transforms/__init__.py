"""One column in, one array out: vocabularies, hashing and scaling, fitted once and applied everywhere.

Each is a small frozen value. `fit(column)` returns a fitted copy, `encode(column)` applies it. Fitting is in two steps,
so that a column need never be in memory at once: `measure(piece)` gives statistics that can be merged, and
`fitted(statistics)` a fitted copy.
"""

from __future__ import annotations

from recdistill.transforms.ids import Hashing, Vocabulary, gathered, text_hashes
from recdistill.transforms.numbers import LogBuckets, Quantiles, Scaled
from recdistill.transforms.partials import Counts, Moments, Partial, merged
from recdistill.transforms.stored import KINDS, Transform, fingerprint_of, restore, state

__all__ = [
    "KINDS",
    "Counts",
    "Hashing",
    "LogBuckets",
    "Moments",
    "Partial",
    "Quantiles",
    "Scaled",
    "Transform",
    "Vocabulary",
    "fingerprint_of",
    "gathered",
    "merged",
    "restore",
    "state",
    "text_hashes",
]
