"""What makes a report's answer weaker than its figures look."""

from __future__ import annotations

from typing import Any

from recdistill.metrics.comparison import ENOUGH
from recdistill.report.words import LOWER_IS_BETTER, NAMES, percent

FEW = 100  # rows, of clicks those of the rarer class


def cautions(result: dict[str, Any]) -> list[str]:
    """A sentence each, the gravest first."""
    found = [_teacher(result), *map(_harm, result["pooled"]), *map(_choice, result["pooled"])]
    found.append(few_to_test(result["data"].get("test", {})))
    if len(result["pooled"][0]["seeds"]) == 1:
        found.append("one seed: how much another draw of labels and weights would change is not known (--set seeds=3).")
    return [caution for caution in found if caution]


def few_to_test(test: dict[str, float]) -> str:
    """What is to be said of few test rows; nothing of as many as intervals were shown to hold for.

    Args:
        test: counts of "users" and "positives", where the rows have them.
    """
    few = [f"{test[of]:,.0f} {of}" for of in ("users", "positives") if test.get(of, ENOUGH) < ENOUGH]
    return f"the test rows have {' and '.join(few)}: below {ENOUGH} intervals may be too narrow." if few else ""


def _teacher(result: dict[str, Any]) -> str:
    """A teacher that is no better than the student at home has little to teach."""
    metric = result["pooled"][0]["headline"]
    names = ("source_teacher", "source_student")
    reached = [[entry[name][metric] for entry in result["source"] if name in entry] for name in names]
    if not all(reached):
        return ""
    teacher, student = (sum(values) / len(values) for values in reached)
    if (teacher < student) if metric in LOWER_IS_BETTER else (teacher > student):
        return ""
    figures = f"{NAMES[metric]} {teacher:.4f}, the student's {student:.4f}"
    return f"on held-out source rows the teacher is no better than the compact student ({figures}): mend it first."


def _harm(pooled: dict[str, Any]) -> str:
    """What comes from the source may do harm: a reason to look at it, though noise looks so now and then too."""
    harmful = dict.fromkeys(name for decision in pooled.get("decisions", ()) for name in decision["harmful"])
    if not harmful:
        return ""
    return (
        f"signs of negative transfer with {percent(pooled['labels'])} of the labels, by {', '.join(harmful)}: what "
        "holds in the source may not hold here, or be on another scale. Each arm and metric has a bound of its own, so "
        "chance alone gives such signs now and then; look into it before you ship another arm than auto's."
    )


def _choice(pooled: dict[str, Any]) -> str:
    """Arms are chosen on validation rows; with few of a class another draw might choose another arm."""
    kept = [labelled["valid"] for labelled in pooled["labelled"]]
    clicks = "positives" in kept[0]
    fewest = min(min(of["positives"], of["labelled"] - of["positives"]) if clicks else of["labelled"] for of in kept)
    if fewest >= FEW:
        return ""
    rows = f"{fewest:,.0f} validation rows{' of the rarer class' if clicks else ''} choose among the arms"
    return f"with {percent(pooled['labels'])} of the labels {rows}: another draw might choose another."
