"""Fitted transforms as JSON with their values apart, and the fingerprint of several."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa

from recdistill.errors import DataError
from recdistill.transforms.ids import Hashing, Vocabulary
from recdistill.transforms.numbers import LogBuckets, Quantiles, Scaled

Transform = Vocabulary | Hashing | Quantiles | LogBuckets | Scaled
KINDS: dict[str, type[Transform]] = {
    "vocabulary": Vocabulary,
    "hashing": Hashing,
    "quantiles": Quantiles,
    "log_buckets": LogBuckets,
    "scaled": Scaled,
}
OF_VALUES = ("values", "vocabulary")
AT_A_TIME = 1 << 16


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


def fingerprint_of(columns: Iterable[tuple[str, str, Transform]]) -> str:
    """sha256 of columns as JSON without spaces: `[[name, kind, settings, vocabulary or null], …]`."""
    total, before = hashlib.sha256(b"["), b""
    for name, kind, transform in columns:
        settings, values = state(transform)
        total.update(before + _compact([name, kind, settings])[:-1] + b",")
        for piece in [b"null"] if values is None else _json_pieces(values):
            total.update(piece)
        total.update(b"]")
        before = b","
    total.update(b"]")
    return total.hexdigest()


def _compact(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _json_pieces(values: pa.Array) -> Iterator[bytes]:
    """A vocabulary as a JSON list, some values at a time: it may be too large to be Python's all at once."""
    yield b"["
    for start in range(0, len(values), AT_A_TIME):
        piece = _compact(values.slice(start, AT_A_TIME).to_pylist())[1:-1]
        yield (b"," if start else b"") + piece
    yield b"]"
