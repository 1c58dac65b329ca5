"""One share of labels in a sentence and in a table."""

from __future__ import annotations

from collections import Counter
from typing import Any

METRICS = {
    "auc": ("auc", "logloss", "ndcg@10", "recall@10", "mrr", "gauc_mean", "accuracy", "precision", "recall", "f1"),
    "rmse": ("rmse", "mae", "logloss", "accuracy", "macro_f1"),
}
NAMES = {"auc": "AUC", "rmse": "RMSE"}
LOWER_IS_BETTER = {"rmse"}


def deltas(pooled: dict[str, Any]) -> dict[str, str]:
    """Per control what a gain over it is called.

    Without source rows there is no `source_finetuned`, and all that can be gained over labels alone is distillation.
    """
    if "source_finetuned" in pooled["rankers"]:
        return {"hard_only": "transfer", "source_finetuned": "distillation"}
    return {"hard_only": "distillation"}


def answer(pooled: dict[str, Any]) -> str:
    """What to ship and what it gained: transfer and distillation apart, each with its interval."""
    rankers, seeds, metric = pooled["rankers"], len(pooled["seeds"]), pooled["headline"]
    parts = [f"{word} {signed(found(pooled, 'chosen', control))} over {control}" for control, word in _apart(pooled)]
    verdicts = "; ".join(verdict(pooled, control) for control, _ in _apart(pooled))
    shipped = sum(name in deltas(pooled) for name in pooled["shipped"])
    without = f" In {shipped} of {seeds} seeds a student without a teacher did better on validation rows."
    return (
        f"{percent(pooled['labels'])} of the labels: {_counted(pooled['chosen'])}, chosen on validation rows, has "
        f"{NAMES[metric]} {rankers['chosen']['metrics'][metric]:.4f}{_size(rankers)}: {', '.join(parts)}. "
        f"So here {verdicts}.{without if shipped else ''}"
    )


def table(pooled: dict[str, Any], metrics: tuple[str, ...] = ()) -> list[list[str]]:
    """Header and one line per ranker: size, metrics, alphas, both deltas in the headline metric, and where it is known
    the gap to the best there can be.
    """
    rankers, headline = pooled["rankers"], pooled["headline"]
    shown = [m for m in metrics or METRICS[headline] if m in rankers["chosen"]["metrics"]]
    bound = rankers.get("best_possible")
    header = ["ranker", "role", "bytes", *shown, "alpha"]
    header += [f"{word} ({NAMES[headline]} over {control})" for control, word in _apart(pooled)]
    lines = [header + ([f"{NAMES[headline]} below best possible"] if bound else [])]
    for name, entry in rankers.items():
        line = [name, entry["role"], f"{entry['bytes']:,}" if entry["bytes"] else ""]
        line += [f"{entry['metrics'][m]:.4f}" if m in entry["metrics"] else "" for m in shown]
        line.append(" ".join(f"{alpha:g}" for alpha in alphas(entry)))
        line += [_gain(pooled, name, control, word) for control, word in _apart(pooled)]
        if bound:
            line.append(f"{abs(bound['metrics'][headline] - entry['metrics'][headline]):.4f}")
        lines.append(line)
    return lines


def summary(pooled: dict[str, Any]) -> list[list[str]]:
    """The table's columns that fit a terminal: bytes, two metrics, and both deltas."""
    lines = table(pooled, METRICS[pooled["headline"]][:2])
    header = [name.split(" (")[0] for name in lines[0]]
    kept = [i for i, name in enumerate(header) if name not in ("role", "alpha") and "best possible" not in name]
    return [[line[i] for i in kept] for line in [header, *lines[1:]]]


def verdict(pooled: dict[str, Any], control: str) -> str:
    """What the interval of the chosen student's gain over a control says."""
    word, comparison, enough = deltas(pooled)[control], found(pooled, "chosen", control), pooled["enough"]
    if word == "distillation" and not any(alphas(pooled["rankers"]["chosen"])):
        return "there is no distillation (alpha 0 was chosen)"
    if comparison is None:
        return f"{word} is not known"
    if comparison["low"] > 0 or comparison["high"] < 0:
        better = (comparison["delta"] > 0) != (pooled["headline"] in LOWER_IS_BETTER)
        return f"{word} {'helps' if better else 'harms'}"
    effect = enough["smallest_effect"]
    if -effect < comparison["low"] and comparison["high"] < effect:
        return f"{word} makes no difference that matters (less than {effect:g})"
    more = max(0, enough["needed"][control] - enough["test_rows"])
    if not more:
        return f"{word} is not shown, though there are rows enough to tell {effect:g} from 0"
    rows = f"{float(f'{more:.2g}'):,.0f}"
    return f"{word} is not shown: too few rows, about {rows} more test rows like these would tell {effect:g} from 0"


def alphas(entry: dict[str, Any]) -> list[float]:
    """The alpha of each seed, for students of teachers."""
    return [choice["alpha"] for choice in entry.get("choices", ())] if entry["role"] == "student" else []


def found(pooled: dict[str, Any], a: str, b: str, metric: str | None = None) -> dict[str, Any] | None:
    """The comparison of a and b in a metric (the headline's by default), or None."""
    wanted = (a, b, metric or pooled["headline"])
    return next((c for c in pooled["comparisons"] if (c["a"], c["b"], c["metric"]) == wanted), None)


def signed(comparison: dict[str, Any] | None) -> str:
    """A delta with its interval; nothing without a comparison."""
    if comparison is None:
        return ""
    delta, low, high = (round(comparison[end], 4) + 0.0 for end in ("delta", "low", "high"))  # no -0.0000
    return f"{delta:+.4f} [{low:+.4f}, {high:+.4f}]"


def percent(share: float) -> str:
    """A share in percent, with as many digits as it has."""
    return f"{100 * share:.4g} %"


def _apart(pooled: dict[str, Any]) -> list[tuple[str, str]]:
    return list(deltas(pooled).items())


def _size(rankers: dict[str, Any]) -> str:
    """How much smaller than the teacher; a system of the user's own has no known size."""
    teacher = rankers.get("source_teacher")
    return f" in 1/{teacher['bytes'] / rankers['chosen']['bytes']:.1f} of the teacher's bytes" if teacher else ""


def _gain(pooled: dict[str, Any], name: str, control: str, word: str) -> str:
    """A ranker's delta to a control, where it is one of what the word means.

    What a student without a teacher gains is transfer, never distillation; a teacher's is neither. Where no soft label
    was listened to, it says so.
    """
    entry = pooled["rankers"][name]
    student = entry["role"] == "student"
    if not student and not (word == "transfer" and name == "source_finetuned"):
        return ""
    zeros, of = sum(alpha == 0 for alpha in alphas(entry)), len(pooled["seeds"])
    mark = "" if not zeros else " (alpha 0: none)" if zeros == of else f" (alpha 0 in {zeros} of {of})"
    return signed(found(pooled, name, control)) + (mark if word == "distillation" else "")


def _counted(names: list[str]) -> str:
    """`a` for one name, `a (2 of 3 seeds) or b (1)` for several."""
    counts = Counter(names).most_common()
    if len(counts) == 1:
        return counts[0][0]
    (first, number), *others = counts
    rest = [f"{name} ({count})" for name, count in others]
    return " or ".join([f"{first} ({number} of {len(names)} seeds)", *rest])
