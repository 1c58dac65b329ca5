"""`report.md`: the answer first, then the tables it rests on, then how to read them."""

from __future__ import annotations

from typing import Any

from recdistill.report.words import answer, found, percent, signed, table

COUNTS = ("rows", "labelled", "positives", "users", "items")


def page(result: dict[str, Any]) -> str:
    """The page of a result."""
    lines = ["# Does transfer help here?", "", *(f"- {answer(pooled)}" for pooled in result["pooled"]), ""]
    lines += [*_data(result), *(line for pooled in result["pooled"] for line in _share(pooled)), *_reading(result)]
    if result["command"]:
        lines += ["## Made by", "", f"    {result['command']}", ""]
    return "\n".join(lines)


def _data(result: dict[str, Any]) -> list[str]:
    counts = [[part, *(f"{of[k]:,}" if k in of else "" for k in COUNTS)] for part, of in result["data"].items()]
    lines = ["## Data", "", *_table([["part", *COUNTS], *counts]), ""]
    lines.append("The source is split again to train the teacher. On held-out source rows, AUC by seed:")
    for name in ("source_teacher", "source_student"):
        lines.append(f"{name} {', '.join(format(entry[name]['auc'], '.4f') for entry in result['source'])};")
    return [*lines[:-1], lines[-1].rstrip(";") + ".", ""]


def _share(pooled: dict[str, Any]) -> list[str]:
    budget = [
        [
            str(seed),
            *(f"{kept[part][what]:,}" for part in ("train", "valid") for what in ("labelled", "positives")),
        ]
        for seed, kept in zip(pooled["seeds"], pooled["labelled"], strict=True)
    ]
    header = ["seed", "train rows labelled", "positives", "validation rows labelled", "positives"]
    lines = [f"## {percent(pooled['labels'])} of the labels", "", *_table([header, *budget]), ""]
    lines += [*_table(table(pooled)), "", *_against_teachers(pooled)]
    if pooled["labels"] == 1:
        lines += ["Every training row is labelled, so there are no arms with unlabelled rows.", ""]
    return lines


def _against_teachers(pooled: dict[str, Any]) -> list[str]:
    name = pooled["chosen"]
    words = [
        f"{signed(comparison)} against {teacher}"
        for teacher in ("source_teacher", "adapted_teacher")
        if (comparison := found(pooled, name, teacher)) is not None
    ]
    return [f"{name} and the teacher it learnt from: AUC {', '.join(words)}.", ""]


def _reading(result: dict[str, Any]) -> list[str]:
    pooled = result["pooled"][0]
    methods = sorted({comparison["method"] for p in result["pooled"] for comparison in p["comparisons"]})
    skipped = pooled["rankers"][pooled["chosen"]].get("users_skipped") or {}
    lines = ["## How to read this", ""]
    lines += [
        "- `*` marks the arm that the labelled validation rows chose. Its test figures are an estimate; the best of "
        "the other lines' test figures, picked after the fact, is not.",
        f"- Metrics are means over {len(pooled['seeds'])} seeds (labels kept, weights, order of rows), all on the same "
        "test rows. Accuracy, precision, recall and F1 are at the threshold with the best F1 on the labelled "
        "validation rows.",
        f"- Intervals are paired and 95 %: {', '.join(methods)}. Those of several seeds include their spread.",
        "- Tied scores: AUC counts a tied pair as half; ranking metrics are expected values over random orders.",
    ]
    if skipped:
        words = ", ".join(f"{count:,} for {metric}" for metric, count in skipped.items())
        lines.append(f"- Test users without a value (no click, or for gauc_mean one class only) are left out: {words}.")
    return [*lines, ""]


def _table(rows: list[list[str]]) -> list[str]:
    header, *body = rows
    return [_row(header), "|" + "---|" * len(header), *map(_row, body)]


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
