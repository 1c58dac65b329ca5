"""The page of `prepare.py`, made from its figures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

SHAPE = json.loads((Path(__file__).parent / "criteo_like" / "shape.json").read_text())
WORDS = {
    "recdistill": "recdistill, with all its checks",
    "polars": "polars: scan, count, encode, write; no checks",
    "pandas": "pandas, all rows in memory",
}
# (what, of how many rows, against whom, at least)
SPEEDS = (("pandas", 1_000_000, 3.0), ("pandas", 10_000_000, 3.0), ("polars", 10_000_000, 0.65))
COSTS = {"work": "the work", "wall": "the whole process"}
MEMORY = 2e9
BOUNDS = (
    "In memory at once are the chunks of text being read (32 MiB each), values counted before they spill to disk (2",
    "million), the vocabularies being looked up, and a byte for each row that says its part. Time is that of reading",
    "each row once, and writing it twice: as it was read, and encoded.",
)


def page(result: dict[str, Any]) -> str:
    """The result as Markdown."""
    told = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    turns = len(next(iter(result["sizes"][0]["peers"].values()))["turns"])
    lines = ["# Preparing rows", "", f"Made by `{result['command']}` on {result['cores']} cores; {told}.", ""]
    lines += [
        "Criteo-like rows (a click, 13 numbers, 26 categories, as text) become ids and scaled numbers in Parquet, in",
        "three parts by position. Ids are for values of at least 10 training rows. The peers took turns, each in a",
        f"process of its own: the least time of {turns} turn(s), the most memory. Rows/s are of the work, without",
        "Python's start and the imports, which are shown too. Where several prepared a file, their rows were",
        "compared and agreed.",
        "",
    ]
    return "\n".join([*lines, *goals(result), *costs(result), *growth(result), *rows_made(result), ""])


def goals(result: dict[str, Any]) -> list[str]:
    """What was aimed at, and what came of it."""
    lines = ["## Goals", "", "| goal | aimed at | measured | met |", "|---|---|---|---|"]
    for peer, rows, least in SPEEDS:
        for cost, words in COSTS.items():
            found = speed_ratio(result, peer, rows, cost)
            if found is not None:
                goal = f"rows/s of {words} at {rows:,} rows, times those of {peer}"
                lines.append(f"| {goal} | at least {least:g} | {found:.2f} | {_met(found >= least)} |")
    peak, rows = max((entry["peers"]["recdistill"]["peak_bytes"], entry["rows"]) for entry in result["sizes"])
    within = f"below {MEMORY / 1e9:g} GB"
    return [*lines, f"| most memory, at {rows:,} rows | {within} | {peak / 1e9:.2f} GB | {_met(peak < MEMORY)} |", ""]


def speed_ratio(result: dict[str, Any], peer: str, rows: int, cost: str) -> float | None:
    """This package's rows per second over a peer's, by one of `COSTS`; None where they were not measured."""
    for entry in result["sizes"]:
        if entry["rows"] == rows and peer in entry["peers"]:
            return float(entry["peers"][peer][cost] / entry["peers"]["recdistill"][cost])
    return None


def costs(result: dict[str, Any]) -> list[str]:
    """Every peer at every size."""
    lines = ["## Time and memory", ""]
    lines += [
        "| rows | text | with | rows/s | seconds | with its start | of processor | most memory | written, per row |"
    ]
    lines += ["|---|---|---|---|---|---|---|---|---|"]
    for entry in result["sizes"]:
        for name, cost in entry["peers"].items():
            cells = [f"{entry['rows']:,}", _gigabytes(entry["bytes"]), WORDS[name]]
            cells += [f"{entry['rows'] / cost['work']:,.0f}", f"{cost['work']:.1f}", f"{cost['wall']:.1f}"]
            cells += [f"{cost['cpu']:.1f}"]
            cells += [_gigabytes(cost["peak_bytes"]), f"{cost['written_bytes'] / entry['rows']:.1f} B"]
            lines.append("| " + " | ".join(cells) + " |")
    return [*lines, ""]


def growth(result: dict[str, Any]) -> list[str]:
    """How this package's time and memory grow with the rows."""
    entries = result["sizes"]
    if len(entries) < 2:
        return []
    lines = ["## Growth", "", "recdistill, with ever more rows. Distinct values grow too: rare ones keep coming.", ""]
    lines += ["| rows | seconds per million rows | most memory |", "|---|---|---|"]
    for entry in entries:
        cost = entry["peers"]["recdistill"]
        per_million = cost["work"] / entry["rows"] * 1e6
        lines.append(f"| {entry['rows']:,} | {per_million:.2f} | {_gigabytes(cost['peak_bytes'])} |")
    few, many = entries[0], entries[-1]
    memory = many["peers"]["recdistill"]["peak_bytes"] / few["peers"]["recdistill"]["peak_bytes"]
    lines += ["", f"{many['rows'] / few['rows']:.0f} times the rows took {memory:.1f} times the memory."]
    lines += ["", *BOUNDS, ""]
    return lines


def rows_made(result: dict[str, Any]) -> list[str]:
    """How like Criteo's the rows are."""
    lines = ["## The rows", ""]
    lines += [
        "`benchmarks/criteo_like/generate.py` draws each column by the missing rate, the skew and the tail of the"
    ]
    lines += [
        f"real one: measured on {SHAPE['rows']:,} real rows, with a tail that gives the published number of distinct"
    ]
    lines += [
        "values in all 45,840,617. Columns are independent, unlike the real ones, so the rows compress less well."
    ]
    lines += [f"Distinct values among the first {SHAPE['rows']:,} rows:", ""]
    lines += ["| column | missing | real | made | difference |", "|---|---|---|---|---|"]
    for name, made in result["sizes"][0]["distinct"].items():
        real = SHAPE["categories"][name]["distinct"]
        missing = f"{SHAPE['categories'][name]['missing']:.1%}"
        lines.append(f"| {name} | {missing} | {real:,} | {made:,} | {made / real - 1:+.1%} |")
    return lines


def _met(yes: bool) -> str:
    return "yes" if yes else "no"


def _gigabytes(count: float) -> str:
    return f"{count / 1e9:.2f} GB"
