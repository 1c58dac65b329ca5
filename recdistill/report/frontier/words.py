"""A grid in words and tables: the one to ship, and what it and the others take."""

from __future__ import annotations

from typing import Any

from recdistill.latency import COUNTS, QUANTILES
from recdistill.report.figures.size import in_bytes
from recdistill.report.words import NAMES, counted_seeds, signed

COUNT = str(max(COUNTS))  # candidates by which networks are compared
GRID, PAGE = "pareto", "page"  # where a run's folder keeps a grid, and in that its page
BASELINE = "logistic_regression"
# In a run's own report, where the strategy's answer stands above.
APART = (
    "What `recdistill pareto` found: the smallest that is good enough of the students of one arm, whether or not the "
    "strategy is sure that this arm gains anything; that stands above. It is of"
)
Entry = dict[str, Any]


def in_time(microseconds: float) -> str:
    """A time in the unit that keeps it short.

    >>> in_time(412.3), in_time(1_530), in_time(12_300)
    ('412 µs', '1.53 ms', '12.3 ms')
    """
    return f"{microseconds:.3g} µs" if microseconds < 1000 else f"{microseconds / 1000:.3g} ms"


def frontier_lines(result: Entry) -> list[str]:
    """The answer: what to ship, what it takes, what it was chosen by, and what test rows say."""
    point, teacher, metric = recommended(result), result["teacher"], NAMES[result["metric"]]
    takes = f"{in_bytes(point['bytes'])}, and its network {in_time(point['network'])} for {COUNT} candidates"
    if teacher:
        parts = (teacher["bytes"] / point["bytes"], teacher["network"] / point["network"])
        takes += f": 1/{parts[0]:.1f} of the teacher's bytes and 1/{parts[1]:.1f} of its network's time"
    lines = [f"Ship {point['name']}, of the students that learn by {result['arm']}: {takes}."]
    if point["name"] == result["best"]:
        why = f"it is the best on validation rows ({metric} {point['valid']:.4f}), and none smaller is shown to be near"
    else:
        why = f"on validation rows {metric} {signed(point['against_best'])} against the best, {result['best']}"
    rule = f"of {len(students(result))} students the smallest that loses less than {result['margin']:g} by its whole"
    lines.append(f"It is {rule} interval: {why}.")
    reached = result["test"]["rankers"][point["name"]][result["metric"]]
    against = [
        f"{signed(c)} against {told(result, c['b'])}"
        for c in result["test"]["comparisons"]
        if c["metric"] == result["metric"]
    ]
    return [*lines, f"On {result['test']['rows']:,} test rows: {metric} {reached:.4f}; {'; '.join(against)}."]


def told(result: Entry, name: str) -> str:
    """A ranker that the answer is compared with, in words."""
    if name == BASELINE:
        return "logistic regression on labels alone"
    if name == result["teacher_name"]:
        return f"the teacher ({name})"
    if name == result["test"].get("ships"):
        return f"what the run ships ({name})"
    if name == recommended(result)["size"]:
        return f"the same student uncompressed ({name})"
    return f"the best ({name})" if name == result["best"] else name


def recommended(result: Entry) -> Entry:
    """The point to ship."""
    return next(point for point in result["points"] if point["name"] == result["recommended"])


def students(result: Entry) -> list[Entry]:
    """The points that can be shipped."""
    return [point for point in result["points"] if not point["refused"] and point["name"] != BASELINE]


def frontier_table(result: Entry) -> list[list[str]]:
    """Header and a line per point: bytes, time, quality on validation rows, and what its compression costs."""
    metric, teacher = NAMES[result["metric"]], result["teacher"]
    share = ["of the teacher's"] if teacher else []
    header = ["student", "bytes", *share, "weights", f"{metric}, validation", "against the best [95 %]"]
    rows = [[*header, "against itself uncompressed [95 %]", f"network, {COUNT}", f"encoding, {COUNT}", "on the front"]]
    for point in (one for one in result["points"] if not one["refused"]):
        part = [f"1/{teacher['bytes'] / point['bytes']:.1f}"] if teacher else []
        plain = signed(point["against_plain"]) if point["compression"] else ""
        times = [in_time(point["latency"][COUNT][part]["p50"]) for part in ("network", "encoding")]
        kept = [f"{point['bytes']:,}", *part, f"{point['parameters']:,}", f"{point['valid']:.4f}"]
        rows.append([point["name"], *kept, signed(point["against_best"]), plain, *times, " and ".join(fronts(point))])
    return rows


def fronts(point: Entry) -> list[str]:
    """The costs in which no other point beats it."""
    return [{"bytes": "bytes", "network": "time"}[cost] for cost in point["front"]]


def refused_lines(result: Entry) -> list[str]:
    """What could not be served, and why."""
    return [f"{point['name']} is left out: {point['refused']}." for point in result["points"] if point["refused"]]


def latency_table(result: Entry) -> list[list[str]]:
    """Header and a line per ranker, number of candidates and part, of those that matter."""
    names = dict.fromkeys((result["recommended"], recommended(result)["size"], result["best"], BASELINE))
    entries = {point["name"]: point["latency"] for point in result["points"] if point["name"] in names}
    if result["teacher"]:
        entries[result["teacher_name"]] = result["teacher"]["latency"]
    quantiles = [f"p{q}" for q in QUANTILES]
    rows = [["ranker", "candidates", "part", *quantiles]]
    for name, by_count in entries.items():
        for count, parts in by_count.items():
            rows += [[name, count, part, *(in_time(of[q]) for q in quantiles)] for part, of in parts.items()]
    return rows


def frontier_reading(result: Entry) -> list[str]:
    """How to read the page."""
    metric, rows = NAMES[result["metric"]], " and ".join(f"{rows:,}" for rows in result["valid_rows"])
    return [
        f"Students learn by the arm {result['arm']}: from one set of soft labels for each seed, each student with as "
        "many candidates as an arm of the run, chosen on the labelled validation rows. What loses units, ranks or ids "
        "learns on from the same soft labels, so that a gain over itself uncompressed may be that of longer training; "
        "fewer bits are the last step and learn nothing.",
        f"The best has the highest mean {metric} on validation rows over {counted_seeds(result['seeds'])} ({rows} "
        "labelled rows). It is the best of many, so its own figure is a little too good; and the smallest of many "
        "whose intervals pass is sometimes one that passed by luck, for they are not corrected for their number. The "
        "evidence is its interval on test rows.",
        "Bytes are those of the network's file as it is shipped, means over seeds; the vocabulary beside it is the "
        "same for all but those with fewer ids. Every file was proved to score validation rows as torch does.",
        f"Times are of {result['config']['calls']:,} rounds of calls of the first seed's files, in turns, by ONNX "
        "Runtime on one thread of this machine; they compare rankers with each other, not with other machines.",
        "logistic_regression has the student's columns and learns from labels alone, with the controls' candidates.",
    ]
