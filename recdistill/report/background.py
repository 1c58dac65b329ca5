"""The chapters about the run itself: its rows, how source and target differ, its settings and how it was made."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from recdistill.report.figures.shift import distances
from recdistill.report.inspected import finding_lines, more_columns, overlap_table
from recdistill.report.parts import Grid, Group, Section
from recdistill.report.reading import reading
from recdistill.report.run_words import counts_table, data_lines
from recdistill.shift import page
from recdistill.shift.columns import ColumnShift
from recdistill.shift.teacher import Segment, TeacherQuality
from recdistill.shift.verdict import Verdict

NUMBERED = re.compile(r"^\d+\. ")


def background(result: dict[str, Any]) -> list[Section]:
    """What the evidence comes from."""
    note = result["config"]["data"]["note"]
    data = Group(lines=[*([note] if note else []), *data_lines(result)], grids=[_data(result)])
    sections = [
        Section("shift", "How source and target differ", "Which shifts there are, and what follows.", _shift(result)),
        Section("data", "The data", "Rows, labels and positives of each part.", [data]),
        Section("quality", "Leakage and data quality", "What was found in the rows.", _quality(result)),
        Section("reading", "How to read this", "What was compared, and what the words mean.", _reading(result)),
        Section("making", "How it was made", "The command, its settings, and the versions it ran with.", _made(result)),
    ]
    return [section for section in sections if section.groups]


def _data(result: dict[str, Any]) -> Grid:
    return Grid("Rows of each part", counts_table(result))


def _shift(result: dict[str, Any]) -> list[Group]:
    """The verdict, how far apart the columns are, and how good the teacher is on the target."""
    found = result.get("shift")
    if not found:
        return []
    verdict, columns = found["verdict"], found.get("columns") or []
    head, *lines = page.opening(Verdict(*(tuple(verdict[name]) for name in ("shifts", "unknown", "words", "advice"))))
    if rows := found.get("labelled_rows"):
        lines.append(
            f"Where labels are asked, this reads those of all {rows:,} training rows, whatever share students had."
        )
    grids = []
    if columns:
        grids.append(
            Grid(
                "Columns of both sides, the furthest apart first",
                page.column_lines([ColumnShift(**c) for c in columns]),
            )
        )
    if teacher := found.get("teacher"):
        whole, *parts = (Segment(**of) for of in (teacher["whole"], *teacher["segments"]))
        grids.append(
            Grid("The teacher on labelled target rows", page.segment_lines(TeacherQuality(whole, tuple(parts))))
        )
    said = [NUMBERED.sub("", line.strip()) for line in lines]  # here they are bullets
    return [Group(lines=[head, *said], figures=distances(columns), grids=grids)]


def _quality(result: dict[str, Any]) -> list[Group]:
    inspection = result.get("inspection")
    if not inspection:
        return []
    lines = [f"{line}." for line in finding_lines(inspection, "warning", "note")]
    rows, rest = overlap_table(inspection), more_columns(inspection)
    grids = (
        [Grid(f"Of the target's ids and rows, what the source has too{'; ' * bool(rest)}{rest}", rows)] if rows else []
    )
    return [Group(lines=lines or ["Nothing to warn of or to note."], grids=grids)]


def _reading(result: dict[str, Any]) -> list[Group]:
    return [Group(lines=reading(result))]


def _made(result: dict[str, Any]) -> list[Group]:
    grids = [Grid("Configuration, every default written out", [["setting", "value"], *_settings(result["config"])])]
    if versions := result.get("versions"):
        grids.append(Grid("Versions", [["package", "version"], *([name, str(of)] for name, of in versions.items())]))
    return [Group(grids=grids, closed=True)]


def _settings(config: dict[str, Any], above: str = "") -> Iterator[list[str]]:
    """A line per setting, named as `--set` names it, its value as TOML and JSON write it alike."""
    for name, value in config.items():
        if isinstance(value, dict) and value:
            yield from _settings(value, f"{above}{name}.")
        elif isinstance(value, list) and any(isinstance(one, dict) for one in value):
            for number, one in enumerate(value):
                yield [f"{above}{name}[{number}]", json.dumps(one, ensure_ascii=False)]
        else:
            yield [above + name, "" if value is None else json.dumps(value, ensure_ascii=False)]
