"""One share of labels as a table that fits a terminal."""

from __future__ import annotations

from typing import Any

from recdistill.arms import ARMS, AUTO, CONTROLS
from recdistill.report.words import METRICS, NAMES, counted_names, deltas, percent, table


def summary(pooled: dict[str, Any]) -> list[list[str]]:
    """Header and a line for each teacher, control and choice: bytes, two metrics, and both gains with their intervals.

    The arms among which was chosen stand on the report's page.
    """
    lines = table(pooled, METRICS[pooled["headline"]][:2])
    header = [name.split(" (")[0] for name in lines[0]]
    kept = [i for i, name in enumerate(header) if name not in ("role", "alpha") and "below best possible" not in name]
    over = {word: f"{word}, over {control}" for control, word in deltas(pooled).items()}
    named = [over.get(header[i], NAMES.get(header[i], header[i])) for i in kept]
    shown = [line for line in lines[1:] if line[0] not in left_to_the_page(pooled)]
    return [named, *([_named(pooled, line[0]), *(line[i] for i in kept[1:])] for line in shown)]


def summary_title(pooled: dict[str, Any]) -> str:
    """Of which labels the summary is, and what its gains are."""
    return f"{share_title(pooled)}; gains in {NAMES[pooled['headline']]} with 95 % intervals"


def share_title(share: dict[str, Any]) -> str:
    """A share of labels and its seeds."""
    seeds = len(share["seeds"])
    return f"{percent(share['labels'])} of the labels, {seeds} seed{'s' if seeds > 1 else ''}"


def left_to_the_page(pooled: dict[str, Any]) -> list[str]:
    """The arms without a line in the summary: neither controls, nor what is shipped under its own name."""
    shown = {*CONTROLS, *(() if AUTO in pooled["rankers"] else pooled["shipped"])}
    return [name for name in pooled["rankers"] if name in ARMS and name not in shown]


def _named(pooled: dict[str, Any], name: str) -> str:
    """A ranker, and which arm it is where it was chosen."""
    arms = {"chosen": pooled["chosen"], AUTO: pooled["shipped"]}.get(name)
    return f"{name}: {counted_names(arms)}" if arms else name
