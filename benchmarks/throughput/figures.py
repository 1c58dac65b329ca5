"""Arithmetic over what the subjects found: rates, and ratios turn by turn."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any

Result = dict[str, Any]
Turns = list[float]


def rates(result: Result, entry: Result, name: str, way: str) -> Turns:
    """Rows per second of a subject: per turn a batch over the median of its steps. None where it has no such way."""
    turns = entry["subjects"][name].get(way, [])
    return [result["model"]["batch"] / median(turn["seconds"]) for turn in turns]


def ratios(above: Turns, below: Turns) -> Turns:
    """Of one rate over another, each turn with the same turn, so that what slows the machine slows both."""
    return [one / two for one, two in zip(above, below, strict=True)]


def fastest(result: Result, entry: Result, names: Sequence[str], way: str) -> str | None:
    """Of some subjects the one with the highest median rate; none where there is none."""
    return max(names, key=lambda name: median(rates(result, entry, name, way)), default=None)


def operations(entry: Result, name: str) -> float:
    """Floating-point operations a second of a subject that counts them, in its fastest step."""
    turns = entry["subjects"][name]["step"]
    return max(turn["operations"] / min(turn["seconds"]) for turn in turns)


def peak_bytes(entry: Result, name: str, way: str) -> int | None:
    """Most memory of any turn."""
    return max((turn["peak_bytes"] for turn in entry["subjects"][name].get(way, [])), default=None)


def fewest_steps(result: Result) -> tuple[int, str]:
    """The least number of steps that a turn timed, and whose it was."""
    found = [
        (len(turn["seconds"]), f"{name}, {way}, {entry['ids']:,} ids")
        for entry in result["sizes"]
        for name, ways in entry["subjects"].items()
        for way, turns in ways.items()
        for turn in turns
    ]
    return min(found, key=lambda pair: pair[0])
