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
    lines += ["Which training and validation rows are labelled depends on the share, see below.", ""]
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
    comparison = signed(found(pooled, "chosen", "adapted_teacher"))
    return [f"chosen against adapted_teacher, the best teacher there is: AUC {comparison}.", ""]


def _reading(result: dict[str, Any]) -> list[str]:
    pooled, tune = result["pooled"][0], result["config"]["tune"]
    methods = sorted({comparison["method"] for p in result["pooled"] for comparison in p["comparisons"]})
    arms = sum(entry["role"] == "student" for entry in pooled["rankers"].values()) - 1
    seeds = len(pooled["seeds"])
    lines = ["## How to read this", ""]
    lines += [
        f"- chosen: in each seed the best of the {arms} arms with a teacher on that seed's labelled validation rows, "
        "which is what a user would get. A line picked by its test figures would promise too much.",
        f"- Every arm tried {len(tune['controls'])} candidates on the same validation rows, and so did the adapted "
        "teacher. chosen is the best of several arms, a control is one; an arm's own line is the plain comparison.",
        "- transfer is what was gained over the same student trained on the target's labels alone, distillation over "
        "the same student trained on the source and fine-tuned, without a teacher. Arms named _warm start where that "
        "one ended. alpha is the weight of the soft labels in each seed: with 0 there was no distillation.",
        f"- Metrics are means over {seeds} seed{'s' if seeds > 1 else ''} (labels kept, weights, order of rows), all "
        "on the same test rows. Accuracy, precision, recall and F1 are at the threshold with the best F1 on the "
        "labelled validation rows.",
        f"- Intervals are paired and 95 %: {', '.join(methods)}. Those of several seeds include their spread.",
        "- Tied scores: AUC counts a tied pair as half; ranking metrics are expected values over random orders.",
    ]
    skipped = pooled["rankers"]["chosen"]["users_skipped"]
    if skipped:
        words = ", ".join(f"{count:,} for {metric}" for metric, count in skipped.items())
        lines.append(f"- Test users without a value (no click, or for gauc_mean one class only) are left out: {words}.")
    return [*lines, ""]


def _table(rows: list[list[str]]) -> list[str]:
    header, *body = rows
    return [_row(header), "|" + "---|" * len(header), *map(_row, body)]


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
