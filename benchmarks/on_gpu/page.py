"""The page of `gpu_throughput.py`, made from its figures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from statistics import median
from typing import Any

from on_gpu.cases import FLOOR
from throughput.page import gigabytes, row, spread

Result = Mapping[str, Any]
Case = Mapping[str, Any]
REHEARSALS = {
    True: "**A rehearsal, at sizes of no meaning: no result.**",
    False: "**A rehearsal on a CPU, at sizes of no meaning: no result, and nothing of it ran on a GPU.**",
}
NOTHING = "No case of this benchmark has run on a GPU yet; it is ready to."
METHOD = (
    "A step is that of `fit` on batches that are on the device already: some ids replaced by the unseen one (drawn by",
    "the CPU), forward, loss, backward, optimiser, and the loss read back, which every step waits for. A turn is some",
    "steps in a row between two events of the device; shown are the median of the turns, the least and the most. Ids",
    "are about as frequent as 1 / rank; columns have Criteo's shares of the total.",
    "",
    "Of the floor: rows/s over those of the dense network alone, which has the gradient to its inputs too. Bytes: the",
    "least that a step moves (`benchmarks/on_gpu/cost.py` has the formula), and how long that takes at the rate of the",
    "copies above, as a share of the step. Products: the same of its floating-point operations, at the rate of large",
    "matrix products of the same precision. Memory is the most that torch allocated on the device; rows of managed",
    "tables are in the host's.",
)


def page(result: Result) -> str:
    """The result as Markdown."""
    lines = ["# Training on one GPU", "", f"Made by `{result['command']}`.", ""]
    if result["machine"] is None:
        lines += [NOTHING, ""]
    else:
        lines += [REHEARSALS[result["machine"]["cuda"] is not None], ""] if result["rehearsal"] else []
        lines += [*conditions(result), "", *METHOD, ""]
        lines += [line for table in tables(result) for line in table]
    return "\n".join([*lines, *never_run(result)])


def conditions(result: Result) -> list[str]:
    """Machine, model, and how fast the one copies and multiplies."""
    machine, rates, told = result["machine"], result["rates"], result["measuring"]
    products = ", ".join(
        f"{rates[name] / 1e12:,.3g} ({name})" for name in ("float32", "tf32", "bfloat16") if name in rates
    )
    hidden = "-".join(map(str, told["hidden"]))
    return [
        f"{machine['device']}, {gigabytes(machine['device_bytes'])}; {machine['processor']}, {machine['cores']} cores,",
        f"{gigabytes(machine['memory_bytes'])}; torch {result['torch']}, CUDA {machine['cuda'] or 'none'}, Python",
        f"{result['python']}. {result['missing']}",
        "",
        f"Measured beside the steps: copies within the device {rates['copy'] / 1e9:,.0f} GB/s (read and written), from",
        f"the host's pinned memory {rates['host'] / 1e9:,.1f} GB/s; matrix products {products} TFLOP/s.",
        "",
        f"DeepFM of 26 id columns and 13 numbers, hidden layers {hidden}; {told['turns']} turns of about",
        f"{told['seconds']:g} s each.",
    ]


def tables(result: Result) -> Iterator[list[str]]:
    """One for each length of embeddings, size of batches and precision."""

    def size(case: Case) -> tuple[int, int, str]:
        return case["dim"], case["batch"], case["precision"]

    for (dim, batch, precision), group in groupby(sorted(result["cases"], key=size), size):
        cases = list(group)
        floor = next(case for case in cases if case["subject"] == FLOOR)
        lines = [f"## Embeddings of {dim}, batches of {batch:,}, {precision}", ""]
        lines += [
            "| with | ids | tables, state | rows/s | of the floor | bytes | products | memory |",
            "|" + "---|" * 8,
        ]
        lines += [_line(case, floor, result["rates"]) for case in cases]
        yield [*lines, ""]


def _line(case: Case, floor: Case, rates: Mapping[str, float]) -> str:
    cells = [case["subject"], f"{case['ids']:,}" if case["ids"] else "", gigabytes(case["table_bytes"] or None)]
    if "not_run" in case:
        return row([*cells, f"not run: {case['not_run']}", "", "", "", ""])
    speeds = [case["batch"] / seconds for seconds in case["seconds"]]
    least = case["bytes"]["device"] / rates["copy"] + case["bytes"]["bus"] / rates["host"]
    moved = f"{sum(case['bytes'].values()) / 1e6:,.3g} MB, {least / median(case['seconds']):.1%}"
    share = case["operations"] / rates[case["precision"]] / median(case["seconds"])
    of_floor = f"{median(floor['seconds']) / median(case['seconds']):.0%}"
    return row([*cells, spread(speeds, ",.0f"), of_floor, moved, f"{share:.1%}", gigabytes(case["peak_bytes"])])


def never_run(result: Result) -> list[str]:
    """By name what has never run on a GPU, as far as this result knows."""
    lines = ["## What has never run on a GPU", ""]
    lines += ["Tests (`make test-gpu`; its report is read with `--tests`):", ""]
    done = set(result["tests"]["passed"])
    waiting = [name for name in result["tests"]["marked"] if name not in done]
    lines += [*(f"- `tests/{name}`" for name in waiting)] or ["- none"]
    lines += ["", f"Cases of this benchmark ({_sizes(result['sizes'])}):", "", *(_cases(result) or ["- none"])]
    lines += ["", "What one GPU cannot show, or was not asked to:", ""]
    return [*lines, *(f"- {name}: {why}" for name, why in result["elsewhere"].items()), ""]


def _sizes(sizes: Mapping[str, Any]) -> str:
    """Of the cases of a whole run."""
    ids, dims, batches = (_listed(f"{size:,}" for size in sizes[name]) for name in ("ids", "dims", "batches"))
    largest = f"as many as take {sizes['share']:.0%} of the device's memory"
    return f"{ids} ids and {largest}; embeddings of {dims}; batches of {batches}; {_listed(sizes['precisions'])}"


def _listed(words: Iterable[str]) -> str:
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last


def _cases(result: Result) -> list[str]:
    """Of each subject, what was not measured."""
    lines = []
    for subject in result["subjects"]:
        cases = [case for case in result["cases"] if case["subject"] == subject]
        waiting = cases if result["rehearsal"] else [case for case in cases if "not_run" in case]
        if result["machine"] is None or (cases and len(waiting) == len(cases)):
            lines.append(f"- {subject}: all" + _reasons(waiting))
        else:
            lines += [f"- {subject}: {_named(case)}" for case in waiting]
    return lines


def _reasons(cases: Sequence[Case]) -> str:
    found = dict.fromkeys(case["not_run"] for case in cases if "not_run" in case)
    return f" ({'; '.join(found)})" if found else ""


def _named(case: Case) -> str:
    sizes = f"{case['ids']:,} ids, embeddings of {case['dim']}, batches of {case['batch']:,}, {case['precision']}"
    return f"{sizes} ({case['not_run']})"
