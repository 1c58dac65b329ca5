"""The page of `transfer.py`, made from the committed cells alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import mean

from transfer_answers import of_auto, of_distillation, told
from transfer_cells import TASKS, Cell, mean_metric, pooled, shares

from recdistill.artefacts import write_text
from recdistill.report.words import NAMES, percent

COMMAND = "python benchmarks/transfer.py --workers 2"
SHOWN = (
    "source_teacher", "adapted_teacher", "given_scores", "calibrated_scores", "hard_only", "source_finetuned",
    "permuted_labelled", "permuted_labelled_warm", "base_rate_all", "base_rate_all_warm", "source_labelled",
    "calibrated_source_labelled", "scores_labelled", "scores_all", "calibrated_labelled", "calibrated_all",
    "adapted_labelled", "adapted_labelled_warm", "in_sample_labelled_warm", "adapted_all", "adapted_all_warm", "auto",
)  # fmt: skip
Lines = list[str]


def write_page(cells: Sequence[Cell], out: Path) -> None:
    """Write `README.md` and its figure; without cells no page."""
    if cells:
        from transfer_curves import draw  # matplotlib, which the words do without

        out.mkdir(parents=True, exist_ok=True)
        draw(cells, out / "curves.svg")
        write_text(out / "README.md", "\n".join(page(cells)) + "\n")


def page(cells: Sequence[Cell]) -> Lines:
    """The page."""
    return [
        *_head(cells),
        *of_auto(cells),
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
        *of_distillation(cells),
    ]


def _head(cells: Sequence[Cell]) -> Lines:
    tasks = Counter(cell.key[0] for cell in cells)
    missing = [name for name in TASKS if name not in tasks]
    absent = [f"**Not computed yet:** {', '.join(missing)}.", ""] if missing else []
    return [
        "# Does transfer help, and what of it is distillation?",
        "",
        f"{len(cells)} cells of {len(tasks)} tasks: {', '.join(f'{task} {count}' for task, count in tasks.items())}. "
        "A cell is a share of labels and a seed; test rows are the same in all cells of a task.",
        "",
        *absent,
        "Made from the cells in `benchmarks/results/cells` by",
        "",
        f"    {COMMAND}",
        "",
        *_time(cells),
    ]


def _time(cells: Sequence[Cell]) -> Lines:
    """How long the cells took: those that were made in one go from nothing."""
    timed = [cell for cell in cells if cell.entry.get("wall_seconds") is not None]
    if not timed:
        return []
    which = "They" if len(timed) == len(cells) else f"The {len(timed)} cells whose time was kept"
    workers = "/".join(sorted({str(cell.entry["workers"]) for cell in timed}))
    minutes = sum(cell.entry["wall_seconds"] for cell in timed) / 60
    return [f"{which} took {minutes:.0f} minutes with {workers} workers, data and teachers included.", ""]


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
    return f"{found:.4f}" + (f" ({told(over)})" if over else "")


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
        values = [_ndcg(cells, name) for cells in of.values()]
        lines.append(f"| {name} | " + " | ".join("" if value is None else f"{value:.4f}" for value in values) + " |")
    note = "Only users are shared: the source teacher has never seen an item of the target, so it cannot order them."
    return [*lines, "", note, ""]


def _ndcg(cells: Sequence[Cell], name: str) -> float | None:
    """The mean over seeds; None where the ranker was not made."""
    found = [cell.entry["ranking"]["rankers"].get(name) for cell in cells]
    known = [one["full:ndcg@10"] for one in found if one is not None]
    return mean(known) if len(known) == len(found) else None


def _out_of_fold(cells: Sequence[Cell]) -> Lines:
    """What labels out of fold gain over labels of rows that the teacher was adapted on."""
    rows = []
    for (task, share), of in shares(cells).items():
        if found := pooled(of, "adapted_labelled_warm", "in_sample_labelled_warm"):
            rows.append(f"| {task} | {percent(share)} | {NAMES[of[0].headline]} | {told(found)} |")
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
