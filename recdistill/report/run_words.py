"""What a run's rows and each share's rankers say beside the answer: lines and tables, of Markdown and HTML alike."""

from __future__ import annotations

from typing import Any

from recdistill.report.words import NAMES, deltas, found, left_out, signed, silent

COUNTS = ("rows", "labelled", "positives", "mean_rating", "users", "items")
AGAINST = {
    "adapted_teacher": "the teacher at its best",
    "calibrated_scores": "the teacher on the target's scale",
    "item_means": "what every model of ratings must beat",
}
UNSEEN = {"train": "the target's training rows", "source": "the source's rows", "both": "both"}
Table = list[list[str]]


def counts_table(result: dict[str, Any]) -> Table:
    """Header and a line per part of the data: its rows, labels, users and items."""
    names = [name for name in COUNTS if any(name in of for of in result["data"].values())]
    counts = [[part, *(number(of.get(name)) for name in names)] for part, of in result["data"].items()]
    return [["part", *names], *counts]


def data_lines(result: dict[str, Any]) -> list[str]:
    """What is new in the test rows, which columns are privileged, and how good the teacher is at home."""
    lines = ["Which training and validation rows are labelled depends on the share, see below."]
    for role, shares in result["unseen"].items():
        new = ", ".join(f"{UNSEEN[part]} {100 * share:.1f} %" for part, share in shares.items() if _says(part, shares))
        lines.append(f"Test rows whose {role} is new to {new}.")
    for column, on_target in result["privileged"].items():
        lines.append(_privileged(column, on_target, result["config"]["teacher"]))
    return [*lines, _on_source(result)]


def budget_table(pooled: dict[str, Any]) -> Table:
    """Header and a line per seed: how many rows it had labels of."""
    answers = "positives" if "positives" in pooled["labelled"][0]["train"] else "mean_rating"
    budget = [
        [str(seed), *(number(kept[part][what]) for part in ("train", "valid") for what in ("labelled", answers))]
        for seed, kept in zip(pooled["seeds"], pooled["labelled"], strict=True)
    ]
    return [["seed", "train rows labelled", answers, "validation rows labelled", answers], *budget]


def beside_lines(pooled: dict[str, Any]) -> list[str]:
    """What was chosen against others than the controls, and the reason of each seed's decision."""
    metric = NAMES[pooled["headline"]]
    lines = [
        f"chosen against {other}, {what}: {metric} {signed(comparison)}."
        for other, what in AGAINST.items()
        if (comparison := found(pooled, "chosen", other)) is not None
    ]
    decisions = zip(pooled["seeds"], pooled.get("decisions", ()), strict=False)
    return [*lines, *(f"auto, seed {seed}: {decision['words']}." for seed, decision in decisions)]


def rows_line(pooled: dict[str, Any]) -> str:
    """Which arms there are none of for want of unlabelled rows; empty where there are all."""
    if absent := left_out(pooled.get("left_out", ()), pooled["labels"]):
        return f"{absent[0].upper()}{absent[1:]}."
    if all(kept["train"]["labelled"] == kept["train"]["rows"] for kept in pooled["labelled"]):
        return "Every training row is labelled, so there are no arms with unlabelled rows."
    return ""


def ranking_table(ranking: dict[str, Any]) -> Table:
    """Header and a line per ranker that ordered unseen items."""
    names = [name.partition(":")[2] for name in ranking["rankers"]["chosen"]]
    rows = [[name, *(f"{value:.4f}" for value in of.values())] for name, of in ranking["rankers"].items()]
    return [["ranker", *names], *rows]


def ranking_lead(ranking: dict[str, Any], *, strong: str = "") -> str:
    """How unseen items were ranked.

    Args:
        ranking: of a share of labels.
        strong: what stands around the words that warn.
    """
    biased = f", drawn at random: {strong}a biased estimate of the full ranking{strong}" if ranking["biased"] else ""
    return (
        f"Ranking of unseen items ({ranking['protocol']}): each of {ranking['users']:,} test users with a click, of "
        f"{ranking['eligible']:,}, gets {ranking['candidates']:,.0f} items in order{biased}."
    )


def ranking_gains(pooled: dict[str, Any]) -> str:
    """What the chosen student gains in the ranking of unseen items."""
    words = deltas(pooled)
    gains = [
        f"{words[c['b']]} {signed(c)} in {c['metric'].partition(':')[2]} over {c['b']}"
        for c in pooled["ranking"]["comparisons"]
    ]
    return f"chosen{silent(pooled, 'chosen')}: {'; '.join(gains)}."


def number(value: float | None) -> str:
    """A count with separators, a mean with three digits, nothing for nothing."""
    return "" if value is None else f"{value:,}" if isinstance(value, int) else f"{value:.3f}"


def _privileged(column: str, on_target: bool, teacher: dict[str, Any]) -> str:
    if teacher["scores"] is not None or column in teacher["encoder"]["drop"]:
        return f"Privileged: {column} is used by no ranker of this run."
    if on_target:
        return f"Privileged: the teacher knows {column} on both domains, the student on neither."
    words = f"The teacher learnt with it hidden {100 * teacher['hidden']:g} % of the time (teacher.hidden)"
    return f"Privileged: {column} is in the source alone. {words}, and does without on the target; no student has it."


def _on_source(result: dict[str, Any]) -> str:
    if not result["source"]:
        return "There are no source rows: the teacher is a column of scores."
    metric = result["pooled"][0]["headline"]
    reached = [
        f"{name} {', '.join(format(entry[name][metric], '.4f') for entry in result['source'])}"
        for name in result["source"][0]
        if name != "seed"
    ]
    head = f"The source is split again to train on it. On held-out source rows, {NAMES[metric]} by seed:"
    return ";\n".join([f"{head}\n{reached[0]}", *reached[1:]]) + "."


def _says(part: str, shares: dict[str, float]) -> bool:
    """Whether a share says something that the others do not."""
    return part != "both" or len(shares) > 2
