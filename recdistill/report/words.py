"""One share of labels in a sentence and in a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from recdistill.evaluation import TASKS

METRICS = {
    "auc": ("auc", "logloss", "ndcg@10", "recall@10", "mrr", "gauc_mean", "accuracy", "precision", "recall", "f1"),
    "rmse": ("rmse", "mae", "logloss", "accuracy", "macro_f1"),
}
NAMES = {"auc": "AUC", "rmse": "RMSE"}
LOWER_IS_BETTER = {task.headline for task in TASKS.values() if not task.higher_is_better}
# Half an interval in standard errors of the rows, from which on most of its width comes from the seeds: 1.96 · √2.
SPREAD = 2.77


def deltas(pooled: dict[str, Any]) -> dict[str, str]:
    """Per control what a gain over it is called.

    Without source rows there is no `source_finetuned`, and all that can be gained over labels alone is distillation.
    """
    if "source_finetuned" in pooled["rankers"]:
        return {"hard_only": "transfer", "source_finetuned": "distillation"}
    return {"hard_only": "distillation"}


def answer(pooled: dict[str, Any]) -> list[str]:
    """What was chosen, what it gained, transfer and distillation apart, each with its interval, and what to ship."""
    rankers, metric = pooled["rankers"], pooled["headline"]
    better = " (lower is better)" if metric in LOWER_IS_BETTER else ""
    reached = f"{NAMES[metric]} {rankers['chosen']['metrics'][metric]:.4f}{better}{_size(rankers)}"
    lines = [
        f"{percent(pooled['labels'])} of the labels: {counted_names(pooled['chosen'])}, chosen on validation rows: "
        f"{reached}."
    ]
    heard = any(alphas(rankers["chosen"]))
    for control, word in deltas(pooled).items():
        if word == "distillation" and not heard:
            lines.append("Distillation: none: alpha 0 was chosen.")
            continue
        silence = silent(pooled, "chosen") if word == "distillation" else ""
        gain = f"{signed(found(pooled, 'chosen', control))} over {control}{silence}"
        lines.append(f"{word.capitalize()}: {gain}: {verdict(pooled, control)}.")
    if heard and (placebo := found(pooled, "chosen", "placebo")):
        gain = f"{NAMES[metric]} {signed(placebo)}"
        credit = "more than a placebo gains"
        if not _beyond_placebo(pooled):
            credit = "not shown to be more than a placebo gains, so not credited to the teacher"
        lines.append(f"Over the same student that hears a placebo instead of the teacher: {gain}: {credit}.")
    return [*lines, *_shipping(pooled)]


def _shipping(pooled: dict[str, Any]) -> list[str]:
    """What to ship and why; and which arms look as if they harm."""
    named = counted_names(pooled["shipped"])
    told = f"Ship: {named}{_unheard(pooled)}"
    if "decisions" not in pooled:
        as_told = ", as strategy says; nothing was tested" if "folders" in pooled else ""
        return [f"{told}{as_told}.", *_folders(pooled)]
    reason = ": cross-validation over the labelled rows is sure of no gain over it."
    if set(pooled["shipped"]) != {"hard_only"}:
        reason = f". {_out_of_fold(pooled)}"
    lines = [f"{told}{reason}", *_folders(pooled)]
    harmful = Counter(name for decision in pooled["decisions"] for name in decision["harmful"])
    if harmful:
        told = ", ".join(f"{name} ({count} of {len(pooled['seeds'])} seeds)" for name, count in harmful.items())
        bound = f"at a one-sided {100 * pooled['decisions'][0]['confidence']:g} % bound in one of the metrics"
        lines.append(f"Signs of negative transfer: on the labelled rows worse than labels alone {bound}: {told}.")
    return lines


def _out_of_fold(pooled: dict[str, Any]) -> str:
    """What was chosen gains by cross-validation, in the mean of the seeds that chose it; and what on test rows."""
    decisions = [decision for decision in pooled["decisions"] if decision["chosen"] != decision["control"]]
    control, metric = decisions[0]["control"], pooled["headline"]
    said = []
    for name, bound in ((metric, f"{100 * decisions[0]['confidence']:g} % lower bound "), ("logloss", "")):
        gains = [decision["gains"][decision["chosen"]][name] for decision in decisions]
        mean, low = sum(gain["mean"] for gain in gains) / len(gains), min(gain["low"] for gain in gains)
        said.append(f"{NAMES.get(name, name)} {mean:+.4f} ({bound}{low:+.4f})")
    of = f", in the mean of {len(decisions)} seeds with the lowest of their bounds" if len(decisions) > 1 else ""
    better = " (lower is better)" if metric in LOWER_IS_BETTER else ""
    test = f"On test rows: {NAMES[metric]} {signed(found(pooled, 'auto', control))}{better}"
    return f"Out of fold on the labelled rows it gains {' and '.join(said)} over {control}{of}. {test}."


def _unheard(pooled: dict[str, Any]) -> str:
    """Whether the student of a teacher is to be shipped that listened to no soft label."""
    rankers, shipped = pooled["rankers"], pooled["shipped"]
    choices = [rankers[name]["choices"][place] for place, name in enumerate(shipped)]
    taught = [rankers[name]["role"] == "student" for name in shipped]
    zeros = sum(of and not choice["alpha"] for of, choice in zip(taught, choices, strict=True))
    seeds = "" if zeros == len(shipped) else f" in {zeros} of {len(shipped)} seeds"
    return f" (alpha 0{seeds}: no teacher was heard)" if zeros else ""


def _folders(pooled: dict[str, Any]) -> list[str]:
    """Where what is to be shipped stands in the run's folder."""
    folders = pooled.get("folders", [])
    return [f"It is in {', '.join(folders)} of the run's folder."] if folders else []


def left_out(names: Iterable[str], share: float) -> str:
    """What to say of arms that were asked for and cannot be made at a share of labels; nothing where there are none."""
    if not (listed := ", ".join(names)):
        return ""
    arms = f"arms {listed} need" if "," in listed else f"arm {listed} needs"
    return f"{arms} unlabelled rows; there are none with {percent(share)} of the labels"


def table(pooled: dict[str, Any], metrics: tuple[str, ...] = ()) -> list[list[str]]:
    """Header and one line per ranker: size, metrics, alphas, both deltas in the headline metric, and where it is known
    the gap to the best there can be.
    """
    rankers, headline = pooled["rankers"], pooled["headline"]
    shown = [m for m in metrics or METRICS[headline] if m in rankers["chosen"]["metrics"]]
    bound = rankers.get("best_possible")
    header = ["ranker", "role", "bytes", *shown, "alpha"]
    header += [f"{word} ({NAMES[headline]} over {control})" for control, word in deltas(pooled).items()]
    lines = [header + ([f"{NAMES[headline]} below best possible"] if bound else [])]
    for name, entry in rankers.items():
        line = [name, entry["role"], f"{entry['bytes']:,}" if entry["bytes"] else ""]
        line += [f"{entry['metrics'][m]:.4f}" if m in entry["metrics"] else "" for m in shown]
        line.append(" ".join(f"{alpha:g}" for alpha in alphas(entry)))
        line += [_gain(pooled, name, control, word) for control, word in deltas(pooled).items()]
        if bound:
            line.append(f"{bound['metrics'][headline] - entry['metrics'][headline]:.4f}")
        lines.append(line)
    return lines


def verdict(pooled: dict[str, Any], control: str) -> str:
    """What the interval of the chosen student's gain over a control says."""
    comparison, enough = found(pooled, "chosen", control), pooled["enough"]
    effect = enough["smallest_effect"]
    if comparison is None:
        return "not known"
    small = -effect < comparison["low"] and comparison["high"] < effect
    if gained := _gained(pooled, comparison):
        words = f"it helps{_beside_labels_alone(pooled, control)}" if gained > 0 else "it harms"
        if gained > 0 and deltas(pooled)[control] == "distillation" and not _beyond_placebo(pooled):
            words = "not the teacher's: a placebo is not shown to gain less"
        return f"{words}, by less than matters ({effect:g})" if small else words
    if small:
        return f"no difference that matters (less than {effect:g})"
    more = max(0, enough["needed"][control] - enough["test_rows"])
    rows = f"about {float(f'{more:.2g}'):,.0f} more test rows like these" if more else "the test rows there are"
    if (comparison["high"] - comparison["low"]) / 2 > SPREAD * comparison["rows_error"]:
        reason = f"the seeds differ too much: with more of them {rows}"
    elif more:
        reason = f"too few rows: {rows}"
    else:
        return f"not shown, though there are rows enough to tell a difference of {effect:g} from none"
    return f"not shown, {reason} would tell a difference of {effect:g} from none"


def _beside_labels_alone(pooled: dict[str, Any], control: str) -> str:
    """A gain over a control that the source made worse is no reason to ship."""
    comparison = found(pooled, "chosen", "hard_only")
    if control == "hard_only" or comparison is None:
        return ""
    better = _gained(pooled, comparison) > 0
    return "" if better else f" against {control}, but the student is not shown to beat labels alone"


def _beyond_placebo(pooled: dict[str, Any]) -> bool:
    """Whether the chosen student is shown to be better than the one that heard a placebo."""
    comparison = found(pooled, "chosen", "placebo")
    return comparison is None or _gained(pooled, comparison) > 0


def _gained(pooled: dict[str, Any], comparison: dict[str, Any]) -> int:
    """What an interval tells in the headline metric: 1 a gain, -1 a loss, 0 neither, for it holds 0."""
    sign = int(comparison["low"] > 0) - int(comparison["high"] < 0)
    return -sign if pooled["headline"] in LOWER_IS_BETTER else sign


def alphas(entry: dict[str, Any]) -> list[float]:
    """The alpha of each seed, for students of teachers."""
    return [choice["alpha"] for choice in entry.get("choices", ())] if entry["role"] == "student" else []


def found(pooled: dict[str, Any], a: str, b: str, metric: str | None = None) -> dict[str, Any] | None:
    """The comparison of a and b in a metric (the headline's by default), or None."""
    wanted = (a, b, metric or pooled["headline"])
    return next((c for c in pooled["comparisons"] if (c["a"], c["b"], c["metric"]) == wanted), None)


def silent(pooled: dict[str, Any], name: str) -> str:
    """In how many seeds a ranker listened to no soft label; nothing where it always did."""
    zeros, of = sum(alpha == 0 for alpha in alphas(pooled["rankers"][name])), len(pooled["seeds"])
    return "" if not zeros else " (alpha 0: none)" if zeros == of else f" (alpha 0 in {zeros} of {of})"


def signed(comparison: dict[str, Any] | None) -> str:
    """A delta with its interval; nothing without a comparison."""
    if comparison is None:
        return ""
    delta, low, high = (round(comparison[end], 4) + 0.0 for end in ("delta", "low", "high"))  # no -0.0000
    return f"{delta:+.4f} [{low:+.4f}, {high:+.4f}]"


def percent(share: float) -> str:
    """A share in percent, with as many digits as it has."""
    return f"{100 * share:.4g} %"


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
    return signed(found(pooled, name, control)) + (silent(pooled, name) if word == "distillation" else "")


def counted_names(names: list[str]) -> str:
    """`a` for one name, `a (2 of 3 seeds) or b (1)` for several."""
    counts = Counter(names).most_common()
    if len(counts) == 1:
        return counts[0][0]
    (first, number), *others = counts
    rest = [f"{name} ({count})" for name, count in others]
    return " or ".join([f"{first} ({number} of {len(names)} seeds)", *rest])


def counted_seeds(count: int) -> str:
    """How many seeds, in words."""
    return f"{count} seed{'s' if count > 1 else ''}"
