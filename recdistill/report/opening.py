"""The top of the page: per share of labels the answer at a glance, then in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from recdistill.report.comparisons import direction
from recdistill.report.figures.size import in_bytes
from recdistill.report.words import NAMES, alphas, answer, deltas, found, percent, signed, verdict

TONES = {1: "gain", -1: "loss", 0: "open"}
PLAINLY = {"it helps": "gain", "it harms": "loss"}  # what a verdict says; of all others the figure decides nothing


@dataclass(frozen=True)
class Tile:
    """One figure of the answer.

    Args:
        name: what it is of.
        figure: the figure itself.
        words: what it says.
        tone: "gain", "loss", "open" where its interval holds 0, or "plain".
    """

    name: str
    figure: str
    words: str
    tone: str = "plain"


@dataclass(frozen=True)
class Card:
    """The answer for one share of labels.

    Args:
        share: of the labels, in words.
        tiles: at a glance.
        ship: what to ship.
        lines: the answer in words.
    """

    share: str
    tiles: Sequence[Tile]
    ship: str
    lines: Sequence[str]


def cards(result: dict[str, Any]) -> list[Card]:
    """One per share of labels."""
    return [
        Card(percent(p["labels"]), [*_shipped(p), *_gains(p), *_size(p)], _ship(p), answer(p)) for p in result["pooled"]
    ]


def _shipped(pooled: dict[str, Any]) -> list[Tile]:
    """What the strategy's student gains over labels alone, where a strategy chose it."""
    comparison = found(pooled, "auto", "hard_only")
    if comparison is None:
        return []
    if not (comparison["delta"] or comparison["high"] - comparison["low"]):
        return [Tile("Shipped", "labels alone", f"auto keeps {_ship(pooled)}", "open")]
    delta, _, interval = signed(comparison).partition(" ")
    words = f"auto's student: {NAMES[pooled['headline']]} over hard_only {interval}"
    return [Tile("Shipped", delta, words, TONES[direction(comparison)])]


def _gains(pooled: dict[str, Any]) -> list[Tile]:
    """Transfer and distillation, each over its own control."""
    tiles = []
    for control, word in deltas(pooled).items():
        comparison = found(pooled, "chosen", control)
        if word == "distillation" and not any(alphas(pooled["rankers"]["chosen"])):
            tiles.append(Tile("Distillation", "none", "alpha 0 was chosen: no teacher was heard", "open"))
        elif comparison is not None:
            delta, _, interval = signed(comparison).partition(" ")
            said = verdict(pooled, control)
            short = "not shown" if said.startswith("not shown") else said
            words = f"chosen student: {NAMES[pooled['headline']]} over {control} {interval}: {short}"
            tiles.append(Tile(word.capitalize(), delta, words, PLAINLY.get(said, "open")))
    return tiles


def _size(pooled: dict[str, Any]) -> list[Tile]:
    """The chosen student's bytes against the teacher's, where the teacher has a known size."""
    teacher, student = (pooled["rankers"].get(name) for name in ("source_teacher", "chosen"))
    if not teacher or not teacher["bytes"] or not student or not student["bytes"]:
        return []
    words = f"of the teacher's bytes: {in_bytes(student['bytes'])} instead of {in_bytes(teacher['bytes'])}"
    return [Tile("Size", f"1/{teacher['bytes'] / student['bytes']:.1f}", words)]


def _ship(pooled: dict[str, Any]) -> str:
    """What to ship; several where the seeds do not agree."""
    return " or ".join(dict.fromkeys(pooled["shipped"]))
