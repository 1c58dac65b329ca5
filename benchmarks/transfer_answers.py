"""What the grid's cells answer: whether "auto" harms and what it gains, and what distillation adds."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean, stdev

from scipy import stats
from transfer_cells import Cell, gain, harmed, mean_metric, pooled, shares

from recdistill.metrics import Comparison
from recdistill.report.words import LOWER_IS_BETTER, NAMES, percent, signed

Lines = list[str]


def of_auto(cells: Sequence[Cell]) -> Lines:
    lines = ["## Does the strategy auto do no harm, and what does it gain?", ""]
    for metric, words in (("headline", "the headline metric"), ("logloss", "logloss")):
        found = [f"{_name(cell)} ({one['delta']:+.4f}, p {p:.3f})" for cell, one, p in harmed(cells, metric)]
        told = f"in {len(found)}: {', '.join(found)}" if found else "in none"
        lines.append(f"- Significantly below labels alone in {words}, after Holm over all {len(cells)} cells: {told}.")
    known = dict.fromkeys(c["metric"] for cell in cells for c in cell.entry["comparisons"])
    lines += [_over_cells(cells, metric) for metric in ("auc", "logloss") if metric in known]
    kept = [cell for cell in cells if cell.rankers["auto"]["decision"]["chosen"] == "hard_only"]
    differ = [cell for cell in kept if (cell.found("auto", "hard_only") or {})["delta"] != 0]
    exact = "difference exactly 0 in each" if not differ else f"in {len(differ)} it is not"
    words = f"in {len(kept)} cells; there it is the hard-only student itself ({exact})" if kept else "in no cell"
    lines.append(f"- It kept labels alone {words}.")
    costs = [cell.cost for cell in cells]
    lines.append(
        f"- It took {mean(costs):.1f} times one distillation with unlabelled rows, at most {max(costs):.1f} times, in "
        "processor seconds: its candidate arms with their whole tuning budgets, the same without each fold, and the "
        "teacher's adaptation, whole and without each fold, and its labels, over the arm adapted_all with its tuning "
        "budget and its teacher's labels (with all labels adapted_labelled; of scores calibrated_all). What is trained "
        "on the source and reading the rows are in neither."
    )
    return [*lines, "", *_reached(cells)]


def mean_gain(cells: Sequence[Cell], metric: str) -> tuple[float, float, float]:
    """The mean gain of "auto" over labels alone over tasks, each the mean of its cells, with its 95 % interval.

    Student's t over tasks: the cells of one share test rows and labels, so they do not count as draws of their own.
    """
    of: dict[str, list[float]] = {}
    for cell in cells:
        if (one := cell.found("auto", "hard_only", metric)) is not None:
            of.setdefault(cell.key[0], []).append(gain(one["delta"], metric))
    gains = [mean(each) for each in of.values()]
    half = float(stats.t.ppf(0.975, len(gains) - 1)) * stdev(gains) / len(gains) ** 0.5 if len(gains) > 1 else 0.0
    return mean(gains), mean(gains) - half, mean(gains) + half


def _over_cells(cells: Sequence[Cell], metric: str) -> str:
    known = [one for cell in cells if (one := cell.found("auto", "hard_only", metric)) is not None]
    worst = min(gain(one["delta"], metric) for one in known)
    found, low, high = mean_gain(cells, metric)
    words = f"{found:+.4f} [{low:+.4f}, {high:+.4f}] over tasks; the worst of {len(known)} cells {worst:+.4f}"
    return f"- Mean gain over labels alone in {NAMES.get(metric, metric)}: {words}."


def _reached(cells: Sequence[Cell]) -> Lines:
    """How much of what the adapted teacher is above labels alone "auto" reaches."""
    lines = [
        "| task | labels | auto over hard_only | of the way to the adapted teacher | regret |",
        "|---|---|---|---|---|",
    ]
    for (task, share), of in shares(cells).items():
        names = ("adapted_teacher", "hard_only", "auto")
        teacher, alone, auto = (mean_metric(of, name) for name in names)
        known = teacher is not None and alone is not None and auto is not None
        metric = of[0].headline
        part = _part(gain(auto - alone, metric), gain(teacher - alone, metric)) if known else ""
        regret = mean(cell.regret for cell in of)
        lines.append(f"| {task} | {percent(share)} | {told(pooled(of, 'auto', 'hard_only'))} | {part} | {regret:.4f} |")
    note = "regret: how far auto stays behind the arm with the best test figure, which nobody knows beforehand."
    return [*lines, "", note, ""]


def _part(gained: float, there: float) -> str:
    """Of a gap that is one."""
    return f"{100 * gained / there:.0f} %" if there > 0.005 else ""


def of_distillation(cells: Sequence[Cell]) -> Lines:
    """What the teacher adds over the student that was fine-tuned from the source without it."""
    lines = [
        "## What distillation adds",
        "",
        "The distilled arm that each seed's own validation rows choose: against the same student fine-tuned from the "
        "source without a teacher, against labels alone, and against the same student that heard a placebo. Only what "
        "stands against both of the others is the teacher's. Where alpha is 0 no soft label was heard: a warm arm then "
        "is the fine-tuned student trained once more.",
        "",
        "| task | labels | metric | over source_finetuned | over hard_only | over its placebo | arm, alpha by seed |",
        "|---|---|---|---|---|---|---|",
    ]
    for (task, share), of in shares(cells).items():
        over = pooled(of, None, "source_finetuned")
        first = told(over) if over else "no source rows: there is none"
        arms = ", ".join(f"{cell.taught} {cell.rankers[cell.taught]['choice']['alpha']:g}" for cell in of)
        alone, placebo = told(pooled(of, None, "hard_only")), told(pooled(of, None, None))
        metric = NAMES[of[0].headline] + (" (lower is better)" if of[0].headline in LOWER_IS_BETTER else "")
        lines.append(f"| {task} | {percent(share)} | {metric} | {first} | {alone} | {placebo} | {arms} |")
    return [*lines, "", *_only_way(cells)]


def _only_way(cells: Sequence[Cell]) -> Lines:
    """Where there is no student without a teacher to compare with."""
    without = list(dict.fromkeys(cell.key[0] for cell in cells if "source_finetuned" not in cell.rankers))
    if not without:
        return []
    return [f"Without source rows distillation is the only transfer there is: {', '.join(without)}.", ""]


def told(found: Comparison | None) -> str:
    """A difference with its interval."""
    return signed(None if found is None else vars(found))


def _name(cell: Cell) -> str:
    task, share, seed = cell.key
    return f"{task} {percent(share)} seed {seed}"
