"""64-bit fingerprints of values and rows, the same for ever: to find equal rows, and to draw rows without a count.

Two different rows share one with probability 2^-64, so among 45 million rows some pair does with probability 6e-5.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recdistill.columns import as_numpy, is_list, single

Words = np.ndarray[Any, np.dtype[np.uint64]]
MISSING = np.uint64(0x6D697373696E6721)
STEP = np.uint64(0x9E3779B97F4A7C15)


def splitmix64(words: Words) -> Words:
    """Each word scattered over all 64 bits (Steele, Lea and Flood 2014, "Fast splittable pseudorandom generators")."""
    mixed = words + STEP
    high = mixed >> np.uint64(30)
    mixed ^= high
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    mixed ^= np.right_shift(mixed, np.uint64(27), out=high)
    mixed *= np.uint64(0x94D049BB133111EB)
    mixed ^= np.right_shift(mixed, np.uint64(31), out=high)
    return mixed


# A word for each byte, so that every bit of a text's bytes moves every bit of its fingerprint.
BYTES = splitmix64(np.arange(256, dtype=np.uint64))


def places(words: Words, seed: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Each word's place in [0, 1), drawn by a seed; equal words have equal places, whatever stands beside them."""
    drawn = splitmix64(words ^ splitmix64(np.array([seed], np.uint64)))
    return (drawn >> np.uint64(11)).astype(np.float64) * 2.0**-53


def fingerprints(column: pa.Array) -> Words:
    """(rows,) a word for each value; all missing values have the same.

    Numbers are taken as float64, but whole numbers exactly; text by its UTF-8 bytes; lists by their items in order, a
    missing one as empty.
    """
    if pa.types.is_dictionary(column.type):
        words = np.append(fingerprints(column.dictionary), MISSING)
        return words[as_numpy(column.indices.cast(pa.int32()), missing=len(words) - 1)]
    words = _present(column)
    if column.null_count and not is_list(column.type):
        words[as_numpy(column.is_null())] = MISSING
    return words


def row_fingerprints(table: pa.Table, names: Iterable[str]) -> Words:
    """(rows,) a word for each row's values in some columns."""
    total = np.zeros(table.num_rows, np.uint64)
    for name in names:
        total *= STEP
        total += fingerprints(single(table, name))
    return splitmix64(total)


def among(words: Words, known: Words) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """(words,) whether each is among known ones, which are sorted."""
    if not len(known):
        return np.zeros(len(words), bool)
    place = np.minimum(np.searchsorted(known, words), len(known) - 1)
    return np.asarray(known[place] == words)


def _present(column: pa.Array) -> Words:
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return _of_text(column.cast(pa.large_string()))
    if is_list(kind):
        lengths = as_numpy(pc.list_value_length(column)).astype(np.int64)
        items = fingerprints(pc.list_flatten(column))
        ends = np.cumsum(lengths)
        place = (np.arange(len(items)) - np.repeat(ends - lengths, lengths)).astype(np.uint64)
        return splitmix64(_summed(splitmix64(items + place * STEP), lengths) + lengths.astype(np.uint64))
    if pa.types.is_floating(kind):
        values = as_numpy(column.cast(pa.float64())) + 0.0  # no -0.0
        return splitmix64(values.view(np.uint64))
    narrow = pa.int8() if pa.types.is_boolean(kind) else pa.int32() if pa.types.is_temporal(kind) else pa.int64()
    whole = column.cast(narrow if kind.bit_width <= 32 else pa.int64())
    return splitmix64(as_numpy(whole).astype(np.int64).view(np.uint64))


def _of_text(column: pa.Array) -> Words:
    """A sum over bytes of a word for each, times a power for its place: no loop over the values."""
    if not len(column):
        return np.zeros(0, np.uint64)
    offsets = np.frombuffer(column.buffers()[1], np.int64)[column.offset : column.offset + len(column) + 1]
    lengths = np.diff(offsets)
    flat = np.frombuffer(column.buffers()[2] or b"", np.uint8)[offsets[0] : offsets[-1]]
    longest = int(lengths.max())
    powers = np.multiply.accumulate(np.full(longest + 1, STEP))
    if longest and lengths.min() == longest:  # as ids often are; it saves looking for each byte's place
        table = flat.reshape(len(column), longest)
        total = np.zeros(len(column), np.uint64)
        for place in range(longest):
            total += BYTES[table[:, place]] * powers[place]
    else:
        place = np.arange(len(flat)) - np.repeat(offsets[:-1] - offsets[0], lengths)
        total = _summed(BYTES[flat] * powers[place], lengths)
    return splitmix64(total + lengths.astype(np.uint64))


def _summed(items: Words, lengths: np.ndarray[Any, np.dtype[np.int64]]) -> Words:
    """(rows,) the sums modulo 2^64 of runs of these lengths."""
    total = np.append(np.uint64(0), np.cumsum(items, dtype=np.uint64))
    ends = np.cumsum(lengths)
    return total[ends] - total[ends - lengths]
