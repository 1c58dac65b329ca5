"""`report.md`: the answer first, then the tables it rests on, then how to read them."""

from __future__ import annotations

from typing import Any

from recdistill.report.cautions import cautions
from recdistill.report.inspected import finding_lines, more_columns, overlap_table
from recdistill.report.reading import reading
from recdistill.report.words import NAMES, answer, deltas, found, left_out, percent, signed, silent, table

COUNTS = ("rows", "labelled", "positives", "mean_rating", "users", "items")
AGAINST = {
    "adapted_teacher": "the teacher at its best",
    "calibrated_scores": "the teacher on the target's scale",
    "item_means": "what every model of ratings must beat",
}
UNSEEN = {"train": "the target's training rows", "source": "the source's rows", "both": "both"}


def page(result: dict[str, Any]) -> str:
    """The page of a result."""
    lines = ["# Does transfer help here?", ""]
    for pooled in result["pooled"]:
        first, *others = answer(pooled)
        lines += [f"- {first}", *(f"  - {line}" for line in others)]
    lines += ["", *(line for caution in cautions(result) for line in (f"**Caution:** {caution}", ""))]
    lines += [
        *_data(result),
        *_inspected(result.get("inspection")),
        *(line for pooled in result["pooled"] for line in _share(pooled)),
        *reading(result),
    ]
    if result["command"]:
        lines += ["## Made by", "", f"    {result['command']}", ""]
    return "\n".join(lines)


def _data(result: dict[str, Any]) -> list[str]:
    names = [name for name in COUNTS if any(name in of for of in result["data"].values())]
    counts = [[part, *(_number(of.get(name)) for name in names)] for part, of in result["data"].items()]
    lines = ["## Data", "", *([result["config"]["data"]["note"], ""] if result["config"]["data"]["note"] else [])]
    lines += [*_table([["part", *names], *counts]), ""]
    lines += ["Which training and validation rows are labelled depends on the share, see below.", ""]
    for role, shares in result["unseen"].items():
        new = ", ".join(f"{UNSEEN[part]} {100 * share:.1f} %" for part, share in shares.items() if _says(part, shares))
        lines += [f"Test rows whose {role} is new to {new}.", ""]
    for column, on_target in result["privileged"].items():
        lines += [_privileged(column, on_target, result["config"]["teacher"]), ""]
    return [*lines, *_on_source(result)]


def _inspected(inspection: dict[str, Any] | None) -> list[str]:
    if not inspection:
        return []
    table, findings = overlap_table(inspection), finding_lines(inspection, "warning", "note")
    lines = ["## What the rows are like", ""]
    if table:
        lines += ["Of the target's ids and rows, what the source has too:", "", *_table(table), ""]
    if rest := more_columns(inspection):
        lines += [f"{rest}.".capitalize(), ""]
    return [*lines, *(f"- {line}." for line in findings or ["nothing to warn of or to note"]), ""]


def _privileged(column: str, on_target: bool, teacher: dict[str, Any]) -> str:
    if teacher["scores"] is not None or column in teacher["encoder"]["drop"]:
        return f"Privileged: {column} is used by no ranker of this run."
    if on_target:
        return f"Privileged: the teacher knows {column} on both domains, the student on neither."
    words = f"The teacher learnt with it hidden {100 * teacher['hidden']:g} % of the time (teacher.hidden)"
    return f"Privileged: {column} is in the source alone. {words}, and does without on the target; no student has it."


def _on_source(result: dict[str, Any]) -> list[str]:
    if not result["source"]:
        return ["There are no source rows: the teacher is a column of scores.", ""]
    names = [name for name in result["source"][0] if name != "seed"]
    metric = result["pooled"][0]["headline"]
    lines = [f"The source is split again to train on it. On held-out source rows, {NAMES[metric]} by seed:"]
    for name in names:
        reached = ", ".join(format(entry[name][metric], ".4f") for entry in result["source"])
        lines.append(f"{name} {reached}{'.' if name == names[-1] else ';'}")
    return [*lines, ""]


def _share(pooled: dict[str, Any]) -> list[str]:
    answers = "positives" if "positives" in pooled["labelled"][0]["train"] else "mean_rating"
    budget = [
        [str(seed), *(_number(kept[part][what]) for part in ("train", "valid") for what in ("labelled", answers))]
        for seed, kept in zip(pooled["seeds"], pooled["labelled"], strict=True)
    ]
    header = ["seed", "train rows labelled", answers, "validation rows labelled", answers]
    lines = [f"## {percent(pooled['labels'])} of the labels", "", *_table([header, *budget]), ""]
    lines += [*_table(table(pooled)), "", *_against_others(pooled), *_decisions(pooled)]
    lines += _ranking(pooled)
    if absent := left_out(pooled.get("left_out", ()), pooled["labels"]):
        lines += [f"{absent[0].upper()}{absent[1:]}.", ""]
    elif all(kept["train"]["labelled"] == kept["train"]["rows"] for kept in pooled["labelled"]):
        lines += ["Every training row is labelled, so there are no arms with unlabelled rows.", ""]
    return lines


def _ranking(pooled: dict[str, Any]) -> list[str]:
    ranking = pooled.get("ranking")
    if ranking is None:
        return []
    biased = ", drawn at random: **a biased estimate of the full ranking**" if ranking["biased"] else ""
    names = [name.partition(":")[2] for name in ranking["rankers"]["chosen"]]
    rows = [[name, *(f"{value:.4f}" for value in of.values())] for name, of in ranking["rankers"].items()]
    words = deltas(pooled)
    gains = [
        f"{words[c['b']]} {signed(c)} in {c['metric'].partition(':')[2]} over {c['b']}" for c in ranking["comparisons"]
    ]
    silence = silent(pooled, "chosen")
    return [
        f"Ranking of unseen items ({ranking['protocol']}): each of {ranking['users']:,} test users with a click, of "
        f"{ranking['eligible']:,}, gets {ranking['candidates']:,.0f} items in order{biased}.",
        "",
        *_table([["ranker", *names], *rows]),
        "",
        f"chosen{silence}: {'; '.join(gains)}.",
        "",
    ]


def _against_others(pooled: dict[str, Any]) -> list[str]:
    metric = NAMES[pooled["headline"]]
    return [
        line
        for other, what in AGAINST.items()
        if (comparison := found(pooled, "chosen", other)) is not None
        for line in (f"chosen against {other}, {what}: {metric} {signed(comparison)}.", "")
    ]


def _decisions(pooled: dict[str, Any]) -> list[str]:
    decisions = zip(pooled["seeds"], pooled.get("decisions", ()), strict=False)
    return [line for seed, decision in decisions for line in (f"auto, seed {seed}: {decision['words']}.", "")]


def _says(part: str, shares: dict[str, float]) -> bool:
    """Whether a share says something that the others do not."""
    return part != "both" or len(shares) > 2


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,}" if isinstance(value, int) else f"{value:.3f}"


def _table(rows: list[list[str]]) -> list[str]:
    header, *body = rows
    return [_row(header), "|" + "---|" * len(header), *map(_row, body)]


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
