"""One share of labels in a sentence and in a table."""

from __future__ import annotations

from collections import Counter
from typing import Any

METRICS = ("auc", "logloss", "ndcg@10", "recall@10", "mrr", "gauc_mean", "accuracy", "precision", "recall", "f1")
DELTAS = {"hard_only": "transfer", "source_finetuned": "distillation"}


def answer(pooled: dict[str, Any]) -> str:
    """What to ship and what it gained: transfer and distillation apart, each with its interval."""
    rankers, seeds = pooled["rankers"], len(pooled["seeds"])
    size = rankers["source_teacher"]["bytes"] / rankers["chosen"]["bytes"]
    deltas = [f"{word} {signed(found(pooled, 'chosen', control))} over {control}" for control, word in DELTAS.items()]
    verdicts = ", ".join(_verdict(pooled, control, word) for control, word in DELTAS.items())
    controls = sum(name in DELTAS for name in pooled["shipped"])
    without = f" In {controls} of {seeds} seeds a student without a teacher did better on validation rows."
    return (
        f"{percent(pooled['labels'])} of the labels: {_counted(pooled['chosen'])}, chosen on validation rows, has AUC "
        f"{rankers['chosen']['metrics']['auc']:.4f} in 1/{size:.1f} of the teacher's bytes: {', '.join(deltas)}. "
        f"So {verdicts} here.{without if controls else ''}"
    )


def table(pooled: dict[str, Any], metrics: tuple[str, ...] = METRICS) -> list[list[str]]:
    """Header and one line per ranker: size, metrics, alphas, both AUC deltas, and where it is known the gap to the best
    AUC there can be.
    """
    rankers = pooled["rankers"]
    shown = [m for m in metrics if m in rankers["chosen"]["metrics"]]
    bound = rankers.get("best_possible")
    header = ["ranker", "role", "bytes", *shown, "alpha", *(f"{word} (AUC over {c})" for c, word in DELTAS.items())]
    lines = [header + (["AUC below best possible"] if bound else [])]
    for name, entry in rankers.items():
        # What a student without a teacher gains is transfer, never distillation; a teacher is neither.
        student = entry["role"] == "student"
        transfer = signed(found(pooled, name, "hard_only")) if student or name == "source_finetuned" else ""
        line = [name, entry["role"], f"{entry['bytes']:,}", *(f"{entry['metrics'][m]:.4f}" for m in shown)]
        line += [
            " ".join(f"{alpha:g}" for alpha in alphas(entry)),
            transfer,
            _distilled(pooled, name) if student else "",
        ]
        if bound:
            line.append(f"{bound['metrics']['auc'] - entry['metrics']['auc']:.4f}")
        lines.append(line)
    return lines


def summary(pooled: dict[str, Any]) -> list[list[str]]:
    """The table's columns that fit a terminal: bytes, AUC, logloss, and both deltas."""
    lines = table(pooled, ("auc", "logloss"))
    header = [name.split(" (")[0] for name in lines[0]]
    kept = [i for i, name in enumerate(header) if name not in ("role", "alpha") and "best possible" not in name]
    return [[line[i] for i in kept] for line in [header, *lines[1:]]]


def alphas(entry: dict[str, Any]) -> list[float]:
    """The alpha of each seed, for students of teachers."""
    return [choice["alpha"] for choice in entry.get("choices", ())] if entry["role"] == "student" else []


def found(pooled: dict[str, Any], a: str, b: str, metric: str = "auc") -> dict[str, Any] | None:
    """The comparison of a and b in a metric, or None."""
    wanted = (a, b, metric)
    return next((c for c in pooled["comparisons"] if (c["a"], c["b"], c["metric"]) == wanted), None)


def signed(comparison: dict[str, Any] | None) -> str:
    """A delta with its interval; nothing without a comparison."""
    if comparison is None:
        return ""
    return f"{comparison['delta']:+.4f} [{comparison['low']:+.4f}, {comparison['high']:+.4f}]"


def percent(share: float) -> str:
    """A share in percent, with as many digits as it has."""
    return f"{100 * share:.4g} %"


def _distilled(pooled: dict[str, Any], name: str) -> str:
    """The distillation delta of a student, marked where no soft label was listened to."""
    zeros = sum(alpha == 0 for alpha in alphas(pooled["rankers"][name]))
    of = len(pooled["seeds"])
    mark = "" if not zeros else " (alpha 0: none)" if zeros == of else f" (alpha 0 in {zeros} of {of})"
    return signed(found(pooled, name, "source_finetuned")) + mark


def _verdict(pooled: dict[str, Any], control: str, word: str) -> str:
    """What an interval says."""
    comparison = found(pooled, "chosen", control)
    if word == "distillation" and not any(alphas(pooled["rankers"]["chosen"])):
        return "there is no distillation (alpha 0 was chosen)"
    if comparison is None or comparison["low"] <= 0 <= comparison["high"]:
        return f"{word} is not shown"
    return f"{word} {'helps' if comparison['delta'] > 0 else 'harms'}"


def _counted(names: list[str]) -> str:
    """`a` for one name, `a (2 of 3 seeds) or b (1)` for several."""
    counts = Counter(names).most_common()
    if len(counts) == 1:
        return counts[0][0]
    (first, number), *others = counts
    rest = [f"{name} ({count})" for name, count in others]
    return " or ".join([f"{first} ({number} of {len(names)} seeds)", *rest])
