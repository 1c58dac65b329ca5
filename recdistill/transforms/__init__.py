"""One column in, one array out: vocabularies, hashing and scaling, fitted once and applied everywhere.

Each is a small frozen value. `fit(column)` returns a fitted copy, `encode(column)` applies it. Fitting is in two steps,
so that a column need never be in memory at once: `measure(piece)` gives statistics that can be merged, and
`fitted(statistics)` a fitted copy.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from recdistill.errors import DataError
from recdistill.transforms.ids import Hashing, Vocabulary, gathered, text_hashes
from recdistill.transforms.numbers import LogBuckets, Quantiles, Scaled
from recdistill.transforms.partials import Counts, Moments, Partial, merged

Transform = Vocabulary | Hashing | Quantiles | LogBuckets | Scaled
KINDS: dict[str, type[Transform]] = {
    "vocabulary": Vocabulary,
    "hashing": Hashing,
    "quantiles": Quantiles,
    "log_buckets": LogBuckets,
    "scaled": Scaled,
}
OF_VALUES = ("values", "vocabulary")


def state(transform: Transform) -> tuple[dict[str, Any], pa.Array | None]:
    """A fitted transform as plain JSON values, and its vocabulary's values apart."""
    kind = next(name for name, cls in KINDS.items() if type(transform) is cls)
    settings = {k: v for k, v in transform.__dict__.items() if k not in OF_VALUES and (k, v) != ("max_size", None)}
    if isinstance(transform, LogBuckets):
        return {"kind": kind, **settings}, transform.vocabulary and transform.vocabulary.values
    return {"kind": kind, **settings}, transform.values if isinstance(transform, Vocabulary) else None


def restore(values: dict[str, Any], vocabulary: pa.Array | None) -> Transform:
    """The reverse of `state`."""
    if values.get("kind") not in KINDS:
        raise DataError(f"a transform must be one of {', '.join(KINDS)}, got {values.get('kind')!r}")
    settings: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items() if k != "kind"}
    if values["kind"] == "vocabulary":
        return Vocabulary(**settings, values=vocabulary)
    if values["kind"] == "log_buckets":
        return LogBuckets(**settings, vocabulary=Vocabulary(settings["min_count"], values=vocabulary))
    return KINDS[values["kind"]](**settings)


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
    "gathered",
    "merged",
    "restore",
    "state",
    "text_hashes",
]
