"""The page of `diagnosis.py`: how often the planted shift is named, and how far the measures are from their limits."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any

from recdistill.shift.verdict import BASE_RATE, CONCEPT, POPULATION

FIRST_TUNING = 100
WORDS = {"none": "none", "population": "population", "base_rate": "base rate", "concept": "concept"}
World = dict[str, Any]


def page(result: dict[str, Any]) -> str:
    """The README of the results."""
    reported, tuning = ([w for w in result["worlds"] if (w["seed"] >= FIRST_TUNING) is late] for late in (False, True))
    sizes = result["sizes"]
    lines = [
        "# Diagnosis of planted shifts",
        "",
        "Made by `OMP_NUM_THREADS=1 python benchmarks/diagnosis.py --tuning` and then the same without `--tuning`.",
        "",
        f"Synthetic worlds of {sizes['source_rows']:,} source and {sizes['target_rows']:,} target rows, all labelled,",
        "with other users on each side and one planted shift, or none. A world is diagnosed right if exactly what was",
        "planted is named. The limits were chosen on other seeds, which are shown apart.",
        "",
    ]
    for title, worlds in (("Worlds that are reported", reported), ("Worlds that the limits were chosen on", tuning)):
        if worlds:
            seeds = sorted({world["seed"] for world in worlds})
            lines += [f"## {title}: seeds {seeds[0]} to {seeds[-1]}", "", *counts(worlds), "", *measures(worlds), ""]
    seconds = [world["seconds"] for world in reported or tuning]
    lines += [
        "Of each measure the least, the median and the greatest over the worlds of a kind. A population is named from",
        f"an AUC of {POPULATION:g} of the domain classifier on, the base rate from {BASE_RATE:g} in log odds between",
        f"rows that are alike, the concept from {100 * CONCEPT:g} % of the entropy that effects of the target's own",
        "explain, and none of them while its 95 % interval holds no shift.",
        "",
        f"A diagnosis takes {median(seconds):.1f} s of one core (median; {max(seconds):.1f} s at most).",
        "",
    ]
    return "\n".join(lines)


def counts(worlds: Sequence[World]) -> list[str]:
    """How often what was planted, and what else, is named."""
    lines = ["| planted | worlds | named exactly | population named | base rate named | concept named |"]
    lines.append("|---|---|---|---|---|---|")
    for kind, word in WORDS.items():
        own = of(worlds, kind)
        each = [sum(name in world["named"] for world in own) for name in WORDS if name != "none"]
        lines.append(f"| {word} | {len(own)} | **{right(worlds, kind)}** | {' | '.join(map(str, each))} |")
    return lines


def measures(worlds: Sequence[World]) -> list[str]:
    """The spread of what was measured."""
    lines = ["| planted | domain AUC | base rate, log odds | concept, % of entropy | clicks in the target, % |"]
    lines.append("|---|---|---|---|---|")
    for kind, word in WORDS.items():
        own = of(worlds, kind)
        cells = [
            spread([world["auc"][0] for world in own], "{:.3f}"),
            spread([world["base_rate"][0] for world in own], "{:+.2f}"),
            spread([100 * world["gain"][0] for world in own], "{:+.2f}"),
            spread([100 * world["rates"][1] for world in own], "{:.0f}"),
        ]
        lines.append(f"| {word} | {' | '.join(cells)} |")
    return lines


def right(worlds: Sequence[World], kind: str) -> int:
    """How many worlds of a kind are named for what they are."""
    return sum(world["named"] == ([] if kind == "none" else [kind]) for world in of(worlds, kind))


def of(worlds: Sequence[World], kind: str) -> list[World]:
    """The worlds of a kind."""
    return [world for world in worlds if world["kind"] == kind]


def spread(values: Sequence[float], how: str) -> str:
    """The least, the median and the greatest."""
    return ", ".join(how.format(value) for value in (min(values), median(values), max(values)))
