"""One share of labels in a sentence and in a table."""

from __future__ import annotations

from typing import Any

METRICS = ("auc", "logloss", "ndcg@10", "recall@10", "mrr", "gauc_mean", "accuracy", "precision", "recall", "f1")
DELTAS = {"hard_only": "transfer", "source_finetuned": "distillation"}


def answer(pooled: dict[str, Any]) -> str:
    """What to ship and what it gained: transfer and distillation apart, each with its interval."""
    name, rankers = pooled["chosen"], pooled["rankers"]
    deltas = [f"{word} {signed(found(pooled, name, control))} over {control}" for control, word in DELTAS.items()]
    size = rankers["source_teacher"]["bytes"] / rankers[name]["bytes"]
    return (
        f"{percent(pooled['labels'])} of the labels: {name} (chosen on validation rows, AUC "
        f"{rankers[name]['metrics']['auc']:.4f}, 1/{size:.1f} of the teacher's bytes): {', '.join(deltas)}. "
        f"{_verdict(pooled)}"
    )


def table(pooled: dict[str, Any], metrics: tuple[str, ...] = METRICS) -> list[list[str]]:
    """Header and one line per ranker: size, metrics, both AUC deltas, and where it is known the gap to the best AUC."""
    rankers = pooled["rankers"]
    shown = [m for m in metrics if m in rankers[pooled["chosen"]]["metrics"]]
    bound = rankers.get("best_possible")
    header = ["ranker", "role", "bytes", *shown, *(f"{word} (AUC over {c})" for c, word in DELTAS.items())]
    lines = [header + (["AUC below best possible"] if bound else [])]
    for name, entry in rankers.items():
        # What a student without a teacher gains is transfer, never distillation; a teacher is neither.
        means = [entry["role"] == "student" or name == "source_finetuned", entry["role"] == "student"]
        deltas = [found(pooled, name, c) if meant else None for c, meant in zip(DELTAS, means, strict=True)]
        line = [name + (" *" if name == pooled["chosen"] else ""), entry["role"], f"{entry['bytes']:,}"]
        line += [f"{entry['metrics'][m]:.4f}" for m in shown] + [signed(delta) for delta in deltas]
        if bound:
            line.append(f"{bound['metrics']['auc'] - entry['metrics']['auc']:.4f}")
        lines.append(line)
    return lines


def summary(pooled: dict[str, Any]) -> list[list[str]]:
    """The table's columns that fit a terminal: bytes, AUC, logloss, and both deltas."""
    lines = table(pooled, ("auc", "logloss"))
    header = [name.split(" (")[0] for name in lines[0]]
    kept = [i for i, name in enumerate(header) if name != "role" and "best possible" not in name]
    return [[line[i] for i in kept] for line in [header, *lines[1:]]]


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


def _verdict(pooled: dict[str, Any]) -> str:
    """What both intervals say."""
    words = []
    for control, word in DELTAS.items():
        comparison = found(pooled, pooled["chosen"], control)
        if comparison is not None:
            sure = comparison["low"] > 0 or comparison["high"] < 0
            words.append(f"{word} {('helps' if comparison['delta'] > 0 else 'harms') if sure else 'is not shown'}")
    return f"So {', '.join(words)} here."
