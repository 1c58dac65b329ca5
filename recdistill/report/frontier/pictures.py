"""A grid in pictures: quality against bytes and time, and what each compression costs."""

from __future__ import annotations

from collections.abc import Callable

from recdistill.report.comparisons import comparison_grid, direction
from recdistill.report.figures.drawing import BLUE, BROWN, GREEN, INK
from recdistill.report.figures.intervals import Interval, forest
from recdistill.report.figures.rankers import MARKERS, Look
from recdistill.report.figures.scatter import Dot, scatter
from recdistill.report.figures.size import in_bytes
from recdistill.report.frontier.words import BASELINE, COUNT, Entry, in_time, students
from recdistill.report.parts import Figure, Grid
from recdistill.report.words import LOWER_IS_BETTER, NAMES, percent, signed


def costs(result: Entry) -> Figure | None:
    """A forest plot of what each compression costs its student on validation rows; None where there is none."""
    found = [point for point in students(result) if point["compression"]]
    if not found:
        return None
    metric = NAMES[result["metric"]]
    title = f"What each compression costs in {metric}, validation rows"
    lines = [
        Interval(
            name=point["name"],
            **{end: point["against_plain"][end] for end in ("delta", "low", "high")},
            words=signed(point["against_plain"]),
            tone=direction(point["against_plain"]),
        )
        for point in found
    ]
    caption = (
        "Each student against itself uncompressed, paired over the same rows, 95 % intervals over seeds. Filled: shown "
        "to gain (blue) or to lose (orange); open: not shown to differ. What lost units, ranks or ids was trained on."
    )
    grid = comparison_grid(title, [{"a": p["name"], "b": p["size"], **p["against_plain"]} for p in found])
    svg = forest(lines, title=title, axis=f"{metric} − that of the student uncompressed")
    return Figure(svg, title, caption, grid)


def quality_and_cost(result: Entry) -> list[Figure]:
    """Quality on validation rows against bytes, and against the network's time."""
    better = "lower" if result["metric"] in LOWER_IS_BETTER else "higher"
    quality = f"{NAMES[result['metric']]}, validation ({better} is better)"
    table: list[tuple[str, str, str, Callable[[float], str]]] = [
        ("bytes", "bytes", "bytes of the network's file (log scale)", in_bytes),
        ("network", "time", f"median time for {COUNT} candidates (log scale)", in_time),
    ]
    figures = []
    for cost, word, axis, unit in table:
        title = f"{NAMES[result['metric']]} against {word}, {percent(result['labels'])} of the labels"
        front = sorted((p for p in students(result) if cost in p["front"]), key=lambda point: point[cost])
        svg = scatter(
            title, _dots(result, cost), cost=axis, quality=quality, unit=unit, line=[point["name"] for point in front]
        )
        caption = (
            "The further left and the better, the more is had for less; along the grey line no other student does "
            "better. Named are what to ship, the best, the teacher (diamond) and logistic regression on labels alone."
        )
        rows = [["ranker", word, NAMES[result["metric"]]]]
        rows += [[name, unit(dot.cost), f"{dot.quality:.4f}"] for name, dot in _dots(result, cost).items()]
        figures.append(Figure(svg, title, caption, Grid(title, rows)))
    return figures


def _dots(result: Entry, cost: str) -> dict[str, Dot]:
    looks = {BASELINE: Look(INK, "-", MARKERS["control"]), result["best"]: Look(BLUE, "-", "o")}
    looks[result["recommended"]] = Look(GREEN, "-", "o")
    dots = {
        point["name"]: Dot(point[cost], point["valid"], looks.get(point["name"]))
        for point in result["points"]
        if not point["refused"]
    }
    if teacher := result["teacher"]:
        dots[result["teacher_name"]] = Dot(teacher[cost], teacher["valid"], Look(BROWN, "-", MARKERS["teacher"]))
    return dots
