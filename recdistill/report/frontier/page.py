"""The page of a grid: `pareto.json` in HTML and in Markdown."""

from __future__ import annotations

from pathlib import Path

from recdistill.artefacts import new_folder, write_json, write_text
from recdistill.metrics.comparison import ENOUGH
from recdistill.report.comparisons import comparison_grid, direction
from recdistill.report.figures.size import in_bytes
from recdistill.report.frontier.pictures import costs, quality_and_cost
from recdistill.report.frontier.words import (
    COUNT,
    Entry,
    frontier_lines,
    frontier_reading,
    frontier_table,
    in_time,
    latency_table,
    recommended,
    refused_lines,
)
from recdistill.report.html import data_name, document
from recdistill.report.markdown_table import escaped, markdown_table
from recdistill.report.opening import TONES, Card, Tile
from recdistill.report.parts import Grid, Group, Section
from recdistill.report.words import NAMES, counted_seeds, percent, signed

TITLE = "What does a smaller student cost?"


def write_frontier(result: Entry, folder: Path, *, prepared: str = "") -> None:
    """Write `pareto.json`, `pareto.md` and `index.html` as one folder artefact; over the last one.

    Args:
        result: as in `pareto.json`.
        folder: of the page.
        prepared: the identity of the rows that it is of.
    """
    with new_folder(folder, kind="pareto", prepared=prepared) as temporary:
        write_json(temporary / "pareto.json", result)
        write_text(temporary / "pareto.md", frontier_page(result))
        write_text(temporary / "index.html", frontier_html(result))


def frontier_page(result: Entry) -> str:
    """`pareto.md`."""
    lines = [f"# {TITLE}", "", *(f"- {escaped(line)}" for line in frontier_lines(result)), ""]
    lines += [part for line in frontier_cautions(result) for part in (f"**Caution:** {escaped(line)}", "")]
    lines += [f"{_about(result)}.", "", *markdown_table(frontier_table(result)), ""]
    lines += [part for line in refused_lines(result) for part in (escaped(line), "")]
    tests = comparison_grid("", result["test"]["comparisons"]).rows
    lines += ["## Confirmed on test rows", "", *markdown_table([list(row) for row in tests]), ""]
    lines += ["## How long it takes", "", *markdown_table(latency_table(result)), ""]
    lines += ["## How to read this", "", *(f"- {escaped(line)}" for line in frontier_reading(result)), ""]
    if result["command"]:
        lines += ["## Made by", "", f"    {' '.join(result['command'].split())}", ""]
    return "\n".join(lines)


def frontier_html(result: Entry) -> str:
    """`index.html`."""
    versions = [["package", "version"], *([name, str(of)] for name, of in result["versions"].items())]
    lines = [Group(lines=frontier_reading(result))]
    return document(
        TITLE,
        source="pareto.json",
        name=data_name(result["data"]),
        about=_about(result),
        cards=[Card(percent(result["labels"]), _tiles(result), result["recommended"], frontier_lines(result))],
        cautions=frontier_cautions(result),
        chapters=[
            *frontier_sections(result),
            Section("reading", "How to read this", "What was compared, and what the words mean.", lines),
            Section(
                "making",
                "How it was made",
                "The command and the versions it ran with.",
                [Group(grids=[Grid("Versions", versions)])],
            ),
        ],
        command=result["command"],
    )


def frontier_sections(result: Entry) -> list[Section]:
    """The chapters of a grid."""
    metric, share = NAMES[result["metric"]], f"{percent(result['labels'])} of the labels"
    points = Grid(
        f"Students of {share}, by {result['arm']}; bytes are those of the shipped file", frontier_table(result)
    )
    cost = costs(result)
    tests = comparison_grid(f"What is shipped against others on test rows, {share}", result["test"]["comparisons"])
    times = Grid("Candidates as dicts; encoding makes arrays of them, the network scores these", latency_table(result))
    sections = [
        Section(
            "front",
            "Quality against bytes and time",
            f"Every student in every compression: {metric} on validation rows, bytes of the file, time of one thread.",
            [Group(lines=refused_lines(result), figures=quality_and_cost(result), grids=[points])],
        ),
        Section(
            "compressions",
            "What each compression costs",
            "The same student before and after, on the same validation rows.",
            [Group(figures=[cost])] if cost else [],
        ),
        Section("confirmed", "Confirmed on test rows", "Read once, after the choice.", [Group(grids=[tests])]),
        Section("latency", "How long it takes", "Calls in turns on one thread.", [Group(grids=[times])]),
    ]
    return [section for section in sections if section.groups]


def frontier_cautions(result: Entry) -> list[str]:
    """What makes the answer weaker than it looks."""
    others = (recommended(result)["size"], result["best"])
    found = [
        f"on test rows it loses {signed(one)} against {one['b']}: more than the margin of {result['margin']:g}, "
        "though validation rows said otherwise."
        for one in result["test"]["comparisons"]
        if one["metric"] == result["metric"] and one["b"] in others
        if direction(one) < 0 and abs(one["delta"]) > result["margin"]
    ]
    found += [
        f"what the run ships ({one['b']}) is better on test rows, by {signed(one)}: this is the smallest good one of "
        f"the students that learn by {result['arm']}, not of all."
        for one in result["test"]["comparisons"]
        if (one["metric"], one["b"]) == (result["metric"], result["test"].get("ships"))
        if direction(one) < 0 < one["low"] * one["high"]
    ]
    best = next(point for point in result["points"] if point["name"] == result["best"])
    if result["metric"] == "auc" and best["valid"] <= 0.5:
        found.append(f"the best student ranks validation rows no better than chance (AUC {best['valid']:.4f}).")
    if recommended(result)["against_plain"]["small"]:
        found.append(few(result["valid_rows"]))
    if result["seeds"] == 1:
        found.append("one seed: how much another draw of labels and weights would change is not known.")
    return found


def few(rows: list[int]) -> str:
    """What to say of few validation rows."""
    counts = " and ".join(f"{count:,}" for count in dict.fromkeys(rows))
    return (
        f"the labelled validation rows ({counts}) are of fewer than {ENOUGH} users, or have fewer than {ENOUGH} "
        "positives: intervals may be too narrow."
    )


def _about(result: Entry) -> str:
    rows = f"{result['test']['rows']:,} test rows"
    return f"{percent(result['labels'])} of the labels, {counted_seeds(result['seeds'])}, {rows}"


def _tiles(result: Entry) -> list[Tile]:
    point, teacher, metric = recommended(result), result["teacher"], result["metric"]
    tiles = []
    for one in result["test"]["comparisons"]:
        if one["metric"] == metric and one["b"] == point["size"]:
            delta, _, interval = signed(one).partition(" ")
            words = f"{NAMES[metric]} on test rows against itself uncompressed {interval}"
            tiles.append(Tile("Cost of compression", delta, words, TONES[direction(one)]))
    if teacher:
        size = f"of the teacher's bytes: {in_bytes(point['bytes'])} instead of {in_bytes(teacher['bytes'])}"
        times = f"{in_time(point['network'])} instead of {in_time(teacher['network'])}"
        time = f"of its network's time for {COUNT} candidates: {times}"
        tiles.append(Tile("Size", f"1/{teacher['bytes'] / point['bytes']:.1f}", size))
        tiles.append(Tile("Time", f"1/{teacher['network'] / point['network']:.1f}", time))
    return tiles
