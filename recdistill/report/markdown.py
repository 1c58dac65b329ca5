"""`report.md`: the answer first, then the tables it rests on, then how to read them."""

from __future__ import annotations

from typing import Any

from recdistill.report.words import NAMES, answer, deltas, found, percent, signed, table

COUNTS = ("rows", "labelled", "positives", "mean_rating", "users", "items")
AGAINST = {
    "adapted_teacher": "the best teacher there is",
    "calibrated_scores": "the best teacher there is",
    "item_means": "what every model of ratings must beat",
}
UNSEEN = {"train": "the target's training rows", "source": "the source's rows", "both": "both"}


def page(result: dict[str, Any]) -> str:
    """The page of a result."""
    lines = ["# Does transfer help here?", "", *(f"- {answer(pooled)}" for pooled in result["pooled"]), ""]
    lines += [*_data(result), *(line for pooled in result["pooled"] for line in _share(pooled)), *_reading(result)]
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
        lines += [_privileged(column, on_target, result["config"]["teacher"]["hidden"]), ""]
    return [*lines, *_on_source(result)]


def _privileged(column: str, on_target: bool, hidden: float) -> str:
    if on_target:
        return f"Privileged: the teacher knows {column} on both domains, the student on neither."
    words = f"The teacher learnt with it hidden {100 * hidden:g} % of the time (teacher.hidden)"
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
    lines += [*_table(table(pooled)), "", *_against_others(pooled)]
    lines += _ranking(pooled)
    if not any(name.endswith("_all") for name in pooled["rankers"]):
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
    return [
        f"Ranking of unseen items ({ranking['protocol']}): each of {ranking['users']:,} test users with a click, of "
        f"{ranking['eligible']:,}, gets {ranking['candidates']:,.0f} items in order{biased}.",
        "",
        *_table([["ranker", *names], *rows]),
        "",
        f"chosen: {'; '.join(gains)}.",
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


def _reading(result: dict[str, Any]) -> list[str]:
    pooled, tune = result["pooled"][0], result["config"]["tune"]
    methods = sorted({comparison["method"] for p in result["pooled"] for comparison in p["comparisons"]})
    arms = sum(entry["role"] == "student" for entry in pooled["rankers"].values()) - 1
    seeds = len(pooled["seeds"])
    lines = ["## How to read this", ""]
    lines += [
        f"- chosen: in each seed the best of the {arms} arms with a teacher on that seed's labelled validation rows, "
        "which is what a user would get. A line picked by its test figures would promise too much.",
        f"- Every arm tried {len(tune['controls'])} candidates on the same validation rows{_adapted(result)}. chosen "
        "is the best of several arms, a control is one; an arm's own line is the plain comparison.",
        *_what_gains_mean(pooled),
        f"- A difference of less than {pooled['enough']['smallest_effect']:g} would not matter (smallest_effect). How "
        "many test rows it takes to tell it from 0 is estimated from the interval, for a power of 80 %.",
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


def _adapted(result: dict[str, Any]) -> str:
    return ", and so did the adapted teacher" if result["config"]["teacher"]["scores"] is None else ""


def _what_gains_mean(pooled: dict[str, Any]) -> list[str]:
    alpha = "alpha is the weight of the soft labels in each seed: with 0 there was no distillation."
    if len(deltas(pooled)) > 1:
        return [
            "- transfer is what was gained over the same student trained on the target's labels alone, distillation "
            "over the same student trained on the source and fine-tuned, without a teacher. Arms named _warm start "
            f"where that one ended. {alpha}"
        ]
    return [
        "- Without source rows no student can be trained there and fine-tuned, so the scores are all that is "
        "transferred: distillation is what was gained over the same student trained on the target's labels alone. "
        "calibrated_scores are the given ones fitted to the labelled rows (Platt). Arms named _warm start where "
        f"hard_only ended. {alpha}"
    ]


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
