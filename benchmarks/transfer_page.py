"""The page of `transfer.py`, made from the committed cells alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, stdev

from scipy import stats
from transfer_cells import Cell, gain, harmed, mean_metric, pooled, read, shares

from recdistill.arms import placebo_of
from recdistill.artefacts import write_text
from recdistill.metrics import Comparison
from recdistill.report.words import LOWER_IS_BETTER, NAMES, percent

COMMAND = "python benchmarks/transfer.py --workers 2"
SHOWN = (
    "source_teacher", "adapted_teacher", "given_scores", "calibrated_scores", "hard_only", "source_finetuned",
    "permuted_labelled", "permuted_labelled_warm", "base_rate_all", "base_rate_all_warm", "source_labelled",
    "calibrated_source_labelled", "scores_labelled", "scores_all", "calibrated_labelled", "calibrated_all",
    "adapted_labelled", "adapted_labelled_warm", "in_sample_labelled_warm", "adapted_all", "adapted_all_warm", "auto",
)  # fmt: skip
Lines = list[str]


def write_page(folder: Path, out: Path) -> None:
    """Write `README.md` and its figure from the cells that are there; none, no page."""
    cells = read(folder)
    if cells:
        from transfer_curves import draw  # matplotlib, which the words do without

        out.mkdir(parents=True, exist_ok=True)
        draw(cells, out / "curves.svg")
        write_text(out / "README.md", "\n".join(page(cells)) + "\n")


def page(cells: Sequence[Cell]) -> Lines:
    """The page."""
    return [
        *_head(cells),
        *_auto(cells),
        "## By task",
        "",
        "![Label-efficiency curves: a panel a task, the headline metric over the share of labels](curves.svg)",
        "",
        "*What to see: how far each line stands from labels alone (grey), and whether that closes to the right.*",
        "",
        *(line for task in dict.fromkeys(cell.key[0] for cell in cells) for line in _task(cells, task)),
        *_out_of_fold(cells),
        *_decisions(cells),
        *_reading(),
        *_distillation(cells),
    ]


def _head(cells: Sequence[Cell]) -> Lines:
    tasks = Counter(cell.key[0] for cell in cells)
    return [
        "# Does transfer help, and what of it is distillation?",
        "",
        f"{len(cells)} cells of {len(tasks)} tasks: {', '.join(f'{task} {count}' for task, count in tasks.items())}. "
        "A cell is a share of labels and a seed; test rows are the same in all cells of a task.",
        "",
        "Made from the cells in `benchmarks/results/cells` by",
        "",
        f"    {COMMAND}",
        "",
    ]


def _auto(cells: Sequence[Cell]) -> Lines:
    lines = ["## Does the strategy auto do no harm, and what does it gain?", ""]
    for metric, words in (("headline", "the headline metric"), ("logloss", "logloss")):
        found = [f"{_name(cell)} ({one['delta']:+.4f}, p {p:.3f})" for cell, one, p in harmed(cells, metric)]
        told = f"in {len(found)}: {', '.join(found)}" if found else "in none"
        lines.append(f"- Significantly below labels alone in {words}, after Holm over all {len(cells)} cells: {told}.")
    lines += [_over_cells(cells, metric) for metric in ("auc", "logloss")]
    kept = [cell for cell in cells if cell.rankers["auto"]["decision"]["chosen"] == "hard_only"]
    differ = [cell for cell in kept if (cell.found("auto", "hard_only") or {})["delta"] != 0]
    exact = "difference exactly 0 in each" if not differ else f"in {len(differ)} it is not"
    words = f"in {len(kept)} cells; there it is the hard-only student itself ({exact})" if kept else "in no cell"
    lines.append(f"- It kept labels alone {words}.")
    costs = [cell.cost for cell in cells]
    lines.append(
        f"- It took {mean(costs):.1f} times one distillation with unlabelled rows (an arm with its whole tuning "
        f"budget, in processor seconds, teacher adaptation included); at most {max(costs):.1f} times."
    )
    return [*lines, "", *_reached(cells)]


def _over_cells(cells: Sequence[Cell], metric: str) -> str:
    """The mean difference over all cells that have the metric, with Student's t over cells."""
    known = [one for cell in cells if (one := cell.found("auto", "hard_only", metric)) is not None]
    gains = [gain(one["delta"], metric) for one in known]
    half = float(stats.t.ppf(0.975, len(gains) - 1)) * stdev(gains) / len(gains) ** 0.5 if len(gains) > 1 else 0.0
    name = NAMES.get(metric, metric)
    told = f"{mean(gains):+.4f} [{mean(gains) - half:+.4f}, {mean(gains) + half:+.4f}], worst cell {min(gains):+.4f}"
    return f"- Mean gain over labels alone in {name}, over {len(gains)} cells: {told}."


def _reached(cells: Sequence[Cell]) -> Lines:
    """How much of what the adapted teacher is above labels alone "auto" reaches."""
    lines = [
        "| task | labels | auto over hard_only | of the way to the adapted teacher | regret |",
        "|---|---|---|---|---|",
    ]
    for (task, share), of in shares(cells).items():
        names = ("adapted_teacher", "hard_only", "auto")
        teacher, alone, auto = (mean_metric(of, name) for name in names)
        part = "" if teacher is None or alone is None or auto is None else _part(auto - alone, teacher - alone)
        regret = mean(cell.regret for cell in of)
        lines.append(
            f"| {task} | {percent(share)} | {_signed(pooled(of, 'auto', 'hard_only'))} | {part} | {regret:.4f} |"
        )
    note = "regret: how far auto stays behind the arm with the best test figure, which nobody knows beforehand."
    return [*lines, "", note, ""]


def _part(gained: float, there: float) -> str:
    return f"{100 * gained / there:.0f} %" if abs(there) > 0.005 else ""


def _distillation(cells: Sequence[Cell]) -> Lines:
    """The last word: what the teacher adds over the student that was fine-tuned from the source without it."""
    lines = [
        "## What distillation adds",
        "",
        "The distilled arm that each seed's own validation rows choose, against the same student fine-tuned from the "
        "source without a teacher, and against the same student that heard a placebo. Without source rows, or where "
        "the teacher knows columns that no student can have, there is no other way to what it knows.",
        "",
        "| task | labels | metric | over source_finetuned | over hard_only | over its placebo | arms |",
        "|---|---|---|---|---|---|---|",
    ]
    for (task, share), of in shares(cells).items():
        over = pooled(of, None, "source_finetuned")
        told = _signed(over) if over else "there is no such student"
        arms = ", ".join(dict.fromkeys(cell.taught for cell in of))
        alone, placebo = _signed(pooled(of, None, "hard_only")), _signed(_over_placebo(of))
        metric = NAMES[of[0].headline] + (" (lower is better)" if of[0].headline in LOWER_IS_BETTER else "")
        lines.append(f"| {task} | {percent(share)} | {metric} | {told} | {alone} | {placebo} | {arms} |")
    return [*lines, ""]


def _over_placebo(cells: Sequence[Cell]) -> Comparison | None:
    names = {placebo_of(cell.taught) for cell in cells}
    return pooled(cells, None, names.pop()) if len(names) == 1 else None


def _task(cells: Sequence[Cell], task: str) -> Lines:
    of = {share: found for (name, share), found in shares(cells).items() if name == task}
    first = next(iter(of.values()))[0]
    metric = NAMES[first.headline]
    header = f"| {metric} | " + " | ".join(percent(share) for share in of) + " |"
    lines = [
        f"### {task}",
        "",
        f"Test rows {first.entry['data']['test_rows']:,}.",
        "",
        header,
        "|---" * (len(of) + 1) + "|",
    ]
    for name in SHOWN:
        if any(name in cell.rankers for found in of.values() for cell in found):
            lines.append(f"| {name} | " + " | ".join(_shown(found, name) for found in of.values()) + " |")
    return [*lines, "", *_ranked(of)]


def _shown(cells: Sequence[Cell], name: str) -> str:
    found = mean_metric(cells, name)
    if found is None:
        return ""
    over = pooled(cells, name, "hard_only")
    return f"{found:.4f}" + (f" ({_signed(over)})" if over else "")


def _ranked(of: dict[float, list[Cell]]) -> Lines:
    """The full ranking of unseen items, where the task has it."""
    if any("ranking" not in cell.entry for cells in of.values() for cell in cells):
        return []
    names = list(next(iter(of.values()))[0].entry["ranking"]["rankers"])
    lines = [
        "All unseen items ranked for a fixed sample of users, NDCG@10:",
        "",
        "| ranker | " + " | ".join(percent(share) for share in of) + " |",
        "|---" * (len(of) + 1) + "|",
    ]
    for name in names:
        values = [
            mean(cell.entry["ranking"]["rankers"][name]["full:ndcg@10"] for cell in cells) for cells in of.values()
        ]
        lines.append(f"| {name} | " + " | ".join(f"{value:.4f}" for value in values) + " |")
    note = "Only users are shared: the source teacher has never seen an item of the target, so it cannot order them."
    return [*lines, "", note, ""]


def _out_of_fold(cells: Sequence[Cell]) -> Lines:
    """What labels out of fold gain over labels of rows that the teacher was adapted on."""
    rows = []
    for (task, share), of in shares(cells).items():
        if found := pooled(of, "adapted_labelled_warm", "in_sample_labelled_warm"):
            rows.append(f"| {task} | {percent(share)} | {NAMES[of[0].headline]} | {_signed(found)} |")
    if not rows:
        return []
    what = "The same student, with soft labels out of fold less with soft labels of rows the teacher was adapted on:"
    return [
        "## Out of fold or in sample",
        "",
        what,
        "",
        "| task | labels | metric | difference |",
        "|---|---|---|---|",
        *rows,
        "",
    ]


def _decisions(cells: Sequence[Cell]) -> Lines:
    lines = ["## What auto decided", "", "| task | labels | seed | chosen | why |", "|---|---|---|---|---|"]
    for cell in cells:
        task, share, seed = cell.key
        decision = cell.rankers["auto"]["decision"]
        lines.append(f"| {task} | {percent(share)} | {seed} | {decision['chosen']} | {decision['words']} |")
    return [*lines, ""]


def _reading() -> Lines:
    return [
        "## How to read this",
        "",
        "- Differences are paired over the same test rows, 95 %, rows clustered by user where there are users. Over "
        "seeds: the mean of the seeds' row errors (which more seeds do not narrow) and the spread between seeds.",
        "- Every arm, control and placebo chose among as many candidates on the same labelled validation rows.",
        "- permuted: the teacher's soft labels shuffled among the labelled rows; base_rate: the labels' mean instead.",
        "- in_sample: soft labels of rows that the teacher was adapted on; adapted: out of fold.",
        "",
    ]


def _signed(found: Comparison | None) -> str:
    if found is None:
        return ""
    delta, low, high = (round(value, 4) + 0.0 for value in (found.delta, found.low, found.high))  # no -0.0000
    return f"{delta:+.4f} [{low:+.4f}, {high:+.4f}]"


def _name(cell: Cell) -> str:
    task, share, seed = cell.key
    return f"{task} {percent(share)} seed {seed}"
