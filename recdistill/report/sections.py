"""The chapters of the page, in order; what a report does not hold is left out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from recdistill.report.comparisons import (
    against,
    comparison_grid,
    intervals,
    method_words,
    segment_grid,
    segment_intervals,
)
from recdistill.report.figures.curves import ranking_curves, reliability
from recdistill.report.figures.efficiency import efficiency
from recdistill.report.figures.history import learning_curves
from recdistill.report.figures.intervals import forest
from recdistill.report.figures.size import quality_and_size
from recdistill.report.frontier.pictures import quality_and_cost
from recdistill.report.frontier.words import APART, frontier_lines
from recdistill.report.parts import Figure, Grid, Group, Section
from recdistill.report.run_words import (
    beside_lines,
    budget_table,
    ranking_gains,
    ranking_lead,
    ranking_table,
    rows_line,
)
from recdistill.report.words import LOWER_IS_BETTER, NAMES, deltas, percent, table

Pooled = dict[str, Any]
MOST = 20  # segments in a picture


def evidence(result: dict[str, Any]) -> list[Section]:
    """What the answer rests on."""
    per_share: list[tuple[str, str, str, Callable[[Pooled], Group]]] = [
        (
            "gains",
            "What was gained",
            "Each ranker's difference to labels alone (transfer) and to the same student fine-tuned from the source "
            "without a teacher (distillation).",
            _gains,
        ),
        ("rankers", "Every ranker", "All metrics on the same test rows, means over seeds.", _rankers),
        ("size", "Quality against size", "What is paid in bytes for what.", _sizes),
        ("curves", "ROC and precision-recall", "How well the rankers order rows, at every threshold.", _curves),
        (
            "calibration",
            "Are the probabilities right?",
            "Predicted against observed shares of clicks, of the teacher before and after calibration too.",
            _reliability,
        ),
        (
            "segments",
            "Where it helps and where it harms",
            "What is shipped against labels alone in groups of test rows, the worst first as far as that is sure.",
            _segments,
        ),
        ("unseen", "Ranking of unseen items", "Each user's items in order, those seen in training left out.", _ranking),
        ("fidelity", "Does the student follow its teacher?", "Students against the best teacher.", _fidelity),
        ("learning", "Learning curves", "How training went, epoch by epoch.", _learning),
    ]
    sections = [Section(key, title, lead, list(_groups(result, make))) for key, title, lead, make in per_share]
    if frontier := result.get("frontier"):
        lead = f"{APART} {percent(frontier['labels'])} of the labels; bytes are those of the shipped files."
        group = Group(lines=frontier_lines(frontier), figures=quality_and_cost(frontier))
        sections.append(Section("frontier", "What does a smaller student cost?", lead, [group]))
    if figures := efficiency(result):
        lead = "How quality grows with the share of labels, and how much of it labels alone reach."
        sections.insert(1, Section("labels", "How many labels is transfer worth?", lead, [Group(figures=figures)]))
    return [section for section in sections if section.groups]


def _groups(result: dict[str, Any], make: Callable[[Pooled], Group]) -> Iterator[Group]:
    """A share each, under its own heading where there are several; where each has one picture, these side by side."""
    made = [(pooled, group) for pooled in result["pooled"] if (group := make(pooled))]
    if made and all(len(group.figures) == 1 and not (group.lines or group.grids) for _, group in made):
        yield Group(figures=[group.figures[0] for _, group in made])
        return
    for pooled, group in made:
        title = f"{percent(pooled['labels'])} of the labels" if len(result["pooled"]) > 1 else ""
        yield replace(group, title=title)


def _gains(pooled: Pooled) -> Group:
    metric, share = pooled["headline"], f"{percent(pooled['labels'])} of the labels"
    better = "below" if metric in LOWER_IS_BETTER else "above"
    figures = []
    for control, word in deltas(pooled).items():
        if not (lines := intervals(pooled, control)):
            continue
        title = f"{NAMES[metric]} over {control} ({word}), {share}"
        caption = (
            f"Filled: the paired 95 % interval is wholly {better} 0 (blue, a gain) or on its other side (orange, a "
            "loss); open: not shown to differ. Circles are students, squares controls, diamonds teachers: only what a "
            f"student gains is {word}. Each interval is for its own comparison; p values corrected for their number "
            "stand in the table."
        )
        svg = forest(lines, title=title, axis=f"{NAMES[metric]} − that of {control}")
        figures.append(Figure(svg, title, caption, comparison_grid(title, against(pooled, control))))
    others = [c for c in pooled["comparisons"] if c["metric"] != metric or c["b"] not in deltas(pooled)]
    grids = [comparison_grid(f"Other metrics and other pairs, {share}", others)] if others else []
    return Group(lines=beside_lines(pooled), figures=figures, grids=grids, closed=True)


def _rankers(pooled: Pooled) -> Group:
    share = f"{percent(pooled['labels'])} of the labels"
    methods = {method_words(c) for c in pooled["comparisons"] if c["metric"] == pooled["headline"]}
    caption = f"Rankers with {share}; differences with 95 % intervals ({' and '.join(sorted(methods))})"
    grids = [Grid(caption, table(pooled)), Grid(f"Labelled rows by seed, {share}", budget_table(pooled))]
    return Group(lines=[line for line in [rows_line(pooled)] if line], grids=grids)


def _sizes(pooled: Pooled) -> Group:
    figure = quality_and_size(pooled)
    return Group(figures=[figure] if figure else [])


def _curves(pooled: Pooled) -> Group:
    tied = {name: of["tied_pairs"] for name, of in (pooled.get("curves") or {}).items() if "tied_pairs" in of}
    rows = [["ranker", "tied pairs"], *([name, f"{100 * share:.4g} %"] for name, share in tied.items())]
    caption = f"Pairs of a click and another row with equal scores, {percent(pooled['labels'])} of the labels"
    return Group(figures=ranking_curves(pooled), grids=[Grid(caption, rows)] if tied else [], closed=True)


def _reliability(pooled: Pooled) -> Group:
    return Group(figures=reliability(pooled))


def _learning(pooled: Pooled) -> Group:
    return Group(figures=learning_curves(pooled))


def _segments(pooled: Pooled) -> Group:
    if not (found := pooled.get("segments")):
        return Group()
    metric, share = found[0]["metric"], f"{percent(pooled['labels'])} of the labels"
    title = f"{NAMES.get(metric, metric)} of {found[0]['a']} over {found[0]['b']} by segment, {share}"
    drawn = found[:MOST]
    caption = (
        "First the segments that may be worst at best: by the better end of their interval. Filled: a gain (blue) or a "
        f"loss (orange) after Holm's correction over {len(found)} segments; open: not shown to differ."
    )
    if len(found) > MOST:
        caption += f" The worst {MOST} of {len(found)}; the table has all."
    axis = f"{NAMES.get(metric, metric)} − that of {found[0]['b']}"
    grid = segment_grid(title, found)
    return Group(figures=[Figure(forest(segment_intervals(drawn), title=title, axis=axis), title, caption, grid)])


def _ranking(pooled: Pooled) -> Group:
    if (ranking := pooled.get("ranking")) is None:
        return Group()
    share = f"{percent(pooled['labels'])} of the labels"
    grids = [
        Grid(f"Ranking of unseen items, {share}", ranking_table(ranking)),
        comparison_grid(f"Differences in the ranking of unseen items, {share}", ranking["comparisons"]),
    ]
    return Group(lines=[ranking_lead(ranking), ranking_gains(pooled)], grids=grids)


def _fidelity(pooled: Pooled) -> Group:
    if not (found := pooled.get("fidelity")):
        return Group()
    measures = list(dict.fromkeys(name for of in found.values() for name in of))
    rows = [["student", *(name.replace("_", " ") for name in measures)]]
    rows += [[student, *(_figure(of.get(name)) for name in measures)] for student, of in found.items()]
    return Group(grids=[Grid(f"Students and the best teacher, {percent(pooled['labels'])} of the labels", rows)])


def _figure(value: Any) -> str:
    return "" if value is None else f"{value:.4f}" if isinstance(value, float) else str(value)
