"""The page of `raising.py`, made from its `results.json` alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from recdistill.report.words import LOWER_IS_BETTER, NAMES, percent, signed

COMMAND = "python benchmarks/raising.py --tasks {} --workers 2"
WHAT = {
    "kd": "the teacher's answers by KL divergence, as in the grid",
    "dist": "DIST: correlation instead of KL, free of the teacher's scale",
    "ranknet": "pairs of a user's rows, by the teacher's difference (RankNet-KD)",
    "listwise": "a user's rows as a list, calibration kept (after CLID)",
    "side_head": "the teacher supervises a side head, the served head sees labels alone",
    "curriculum": "alpha falls from 1 over three epochs: teacher first, labels later",
    "hint": "the batch's similarities in the last hidden layer drawn to those of the teacher, which knows the labels",
    "transplant": "tables start as the adapted teacher's, cut down by SVD",
    "several_teachers": "three teachers, mixed by a gate fitted out of fold",
    "unseen_pairs": "as many unseen user-item pairs as rows, labelled by the teacher",
}
Result = Mapping[str, Any]


def page(tasks: Mapping[str, Result]) -> str:
    """The results as Markdown."""
    lines = [
        "# What raises the share of distillation?",
        "",
        "Each idea starts from the student that was fine-tuned from the source without a teacher (transplant: from the "
        "teacher's tables) and learns from labelled and unlabelled rows. Every idea has as many candidates on the same "
        "validation rows, alpha 0 among them. Differences are paired, 95 %, over seeds; what the answer calls shown "
        "stands after Holm over the ideas of a task (over plain KD: by its own interval).",
        "",
        "Made by",
        "",
        f"    {COMMAND.format(' '.join(tasks))}",
        "",
        *_answer(tasks),
    ]
    for name, result in tasks.items():
        lines += _task(name, result)
    return "\n".join([*lines, "## The ideas", "", *(f"- **{name}**: {words}." for name, words in WHAT.items()), ""])


def _answer(tasks: Mapping[str, Result]) -> Sequence[str]:
    lines = ["## Answer", ""]
    for name, result in tasks.items():
        control = result["control"]
        sign = -1 if result["headline"] in LOWER_IS_BETTER else 1
        ideas = {idea: of for idea, of in result["ideas"].items() if idea != control}
        shown = [i for i, of in ideas.items() if of["p"] < 0.05 and sign * _over(of, control)["delta"] > 0]
        better = [i for i, of in ideas.items() if "kd" in of["over"] and min(_gains(of, sign)) > 0]
        told = (
            f"shown to be above {control}: {', '.join(shown) or 'none'}; above plain KD: {', '.join(better) or 'none'}"
        )
        lines.append(f"- {name}, {percent(result['labels'])} of the labels: {told}.")
    return [*lines, ""]


def _gains(of: Result, sign: int) -> tuple[float, float]:
    """The ends of the interval over plain KD, as gains."""
    return sign * _over(of, "kd")["low"], sign * _over(of, "kd")["high"]


def _over(of: Result, other: str) -> Mapping[str, Any]:
    """The difference in the headline metric."""
    return dict(of["over"][other][0])


def _task(name: str, result: Result) -> Sequence[str]:
    metric, control = NAMES[result["headline"]], result["control"]
    header = (
        f"| idea | {metric} | logloss | {metric} over {control} | {metric} over kd | logloss over {control} | alpha |"
    )
    lines = [
        f"## {name}, {percent(result['labels'])} of the labels",
        "",
        f"{result['test_rows']:,} test rows, {result['seeds']} seeds.",
        "",
        header,
        "|---|---|---|---|---|---|---|",
    ]
    for idea, of in result["ideas"].items():
        first, second = (of["over"].get(other) for other in (control, "kd"))
        cells = [idea, f"{of['metrics'][result['headline']]:.4f}", f"{of['metrics']['logloss']:.4f}"]
        cells += [signed(first[0]) if first else "", signed(second[0]) if second else ""]
        cells += [signed(first[1]) if first else "", " ".join(f"{alpha:g}" for alpha in of["alphas"])]
        lines.append("| " + " | ".join(cells) + " |")
    return [*lines, ""]
