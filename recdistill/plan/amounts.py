"""Amounts of memory and time, as people write and read them."""

from __future__ import annotations

import re
from typing import Any

DECIMAL = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
BINARY = {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
UNITS = {name.lower(): size for name, size in (DECIMAL | BINARY).items()}


def bytes_of(amount: Any) -> int:
    """How many bytes an amount of memory is; a bandwidth is one per second.

    >>> bytes_of("141GB"), bytes_of("80 GiB"), bytes_of("1.5tb"), bytes_of(1024)
    (141000000000, 85899345920, 1500000000000, 1024)

    Raises:
        ValueError: it is no amount, or not above 0.
    """
    found = re.fullmatch(r"\s*([\d_.]+(?:e\+?\d+)?)\s*([a-z]*)\s*", str(amount).lower())
    unit = UNITS.get(found[2] or "b") if found else None
    try:
        size = int(float(found[1]) * unit) if found and unit else 0
    except ValueError:
        size = 0
    if size < 1 or isinstance(amount, bool):
        raise ValueError(f"must be an amount such as 141GB, 80GiB or 500MB ({', '.join(DECIMAL | BINARY)})")
    return size


def in_bytes(size: float) -> str:
    """An amount of memory in the largest unit that leaves a digit before the point.

    >>> in_bytes(0), in_bytes(999), in_bytes(4_096), in_bytes(-516_000_000_000)
    ('0', '999 B', '4.1 kB', '-516.0 GB')
    """
    if round(size) == 0:
        return "0"
    if size < 0:
        return f"-{in_bytes(-size)}"
    for unit, scale in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= scale:
            return f"{size / scale:,.1f} {unit}"
    return f"{size:.0f} B"


def in_units(value: float, unit: str) -> str:
    """A number with three digits.

    >>> in_units(67e12, "FLOP"), in_units(3.35e12, "B"), in_units(12.34e6, "B")
    ('67 TFLOP', '3.35 TB', '12.3 MB')
    """
    for prefix, scale in (("P", 1e15), ("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= scale:
            return f"{value / scale:.3g} {prefix}{unit}"
    return f"{value:.3g} {unit}"


def in_time(seconds: float) -> str:
    """A time in words.

    >>> in_time(4e-6), in_time(0.00123), in_time(75), in_time(7_200), in_time(1e6)
    ('4 µs', '1.23 ms', '75 s', '2.0 hours', '11.6 days')
    """
    if seconds < 5e-5:
        return f"{1e6 * seconds:.0f} µs"
    if seconds < 1:
        return f"{1000 * seconds:.2f} ms"
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} minutes"
    return f"{seconds / 3600:.1f} hours" if seconds < 172_800 else f"{seconds / 86_400:.1f} days"


def in_ranks(ranks: list[int]) -> str:
    """Ranks, runs of them short.

    >>> in_ranks([0]), in_ranks([5, 0, 1, 2, 3])
    ('0', '0-3, 5')
    """
    runs: list[list[int]] = []
    for rank in sorted(set(ranks)):
        if runs and runs[-1][1] == rank - 1:
            runs[-1][1] = rank
        else:
            runs.append([rank, rank])
    return ", ".join(str(low) if low == high else f"{low}-{high}" for low, high in runs)
