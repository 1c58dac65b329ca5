"""The page of `train_throughput.py`, made from its figures."""

from __future__ import annotations

from statistics import median
from typing import Any

from throughput.figures import Result, Turns, fastest, fewest_steps, operations, peak_bytes, rates, ratios

METHOD = (
    "A step is the bare training step on tensors made before: forward, loss, backward, optimiser. A fit is the",
    "subject's own training loop (`fit`, a trainer's `fit`) on the same rows in memory, with its way of feeding them,",
    "timed from one forward to the next, so without what it does once. Each turn is a process of its own, and the",
    "subjects take turns. Rows/s: the batch over the median step of a turn; shown are the median of the turns, the",
    "least and the most. Ratios are formed turn by turn; their median is shown, with the least and the most. Memory",
    "is the most that a process held at once, the interpreter included.",
)
CAP = (
    "Cap: the MLP alone over the fastest peer's step: what there is to win, in single precision, where embeddings and",
    "their optimiser cost nothing.",
)
DIFFERENCES = (
    "All train a DeepFM without decay or dropout, by Adam over all weights where their name says nothing else. They",
    "differ:",
    "",
    "- recdistill has one table for all columns. It gives numbers an embedding each, in the FM term and the dense",
    "  network; the peers append the bare numbers to the dense network's input, which is narrower for it: hence the",
    "  line of an MLP as wide as theirs. Its first layer multiplies numbers by what their embeddings come to, which is",
    "  the same in fewer multiplications. Its step also replaces some ids by the unseen one, at random.",
    "- DeepCTR-Torch 0.3.0 has a table for each column, and another of width 1 for the linear term. Ids are floats in",
    "  one matrix with the numbers. It imports requests without requiring it, so that is installed; its question to",
    "  an index for a newer release is answered with an error. Its regularisation, 0 here, is not in the bare step.",
    "- torch-rechub 0.9.0 has a table for each column, looked up twice a step, no first-order weights of ids, and",
    "  batch normalisation in the dense network that cannot be turned off. Its regularisation, 0 here, is not in the",
    "  bare step.",
    "- The MLP alone has the gradient to its inputs too, without which no embedding could learn; a line shows it",
    "  without.",
)


def page(result: Result) -> str:
    """The result as Markdown."""
    lines = ["# Training throughput", "", f"Made by `{result['command']}`.", "", *conditions(result), ""]
    lines += [*METHOD, "", *limits(result), "", *summary(result)]
    for entry in result["sizes"]:
        lines += table(result, entry)
    return "\n".join([*lines, "## What is compared", "", *DIFFERENCES, "", *environments(result), ""])


def conditions(result: Result) -> list[str]:
    """Model, machine, and how fast it multiplies."""
    model, machine = result["model"], result["machine"]
    hidden, bf16 = "-".join(map(str, model["hidden"])), ", ".join(machine["bf16"]) or "none"
    (product,), floor = result["names"]["matmul"], result["names"]["floors"][0]
    best = max(operations(entry, product) for entry in result["sizes"])
    reached = max(operations(entry, floor) for entry in result["sizes"])
    return [
        f"DeepFM of {model['columns']} id columns and {model['numbers']} numbers, embeddings of",
        f"{model['embedding_dim']}, hidden layers {hidden}, batches of {model['batch']:,}. Ids are about as frequent",
        "as 1 / rank; columns have Criteo's shares of the total.",
        "",
        f"{machine['processor']}, {machine['cores']} cores, {gigabytes(machine['memory_bytes'])} of memory,",
        f"bf16 instructions: {bf16}; threads: {result['threads']}; torch {result['torch']}, Python {result['python']}.",
        f"A matrix product of the first layer's size reached {best / 1e9:.0f} GFLOP/s at best, the MLP alone",
        f"{reached / 1e9:.0f} ({reached / best:.0%}).",
    ]


def limits(result: Result) -> list[str]:
    """How much was timed."""
    told = result["measuring"]
    fewest, whose = fewest_steps(result)
    return [
        f"{told['turns']} turn(s); in each {told['warm_up']} steps to warm up and {told['steps']} timed ones (more of",
        f"the matrix product), or fewer where they took {told['seconds']:g} s: at the fewest {fewest} ({whose}).",
    ]


def summary(result: Result) -> list[str]:
    """The fastest of each side."""
    ours, peers, (floor, strict, *_) = (result["names"][kind] for kind in ("ours", "peers", "floors"))
    if not ours or not peers:
        return []
    lines = ["| ids | recdistill, fastest step | peers, fastest step | ratio | of the MLP alone |"]
    lines[-1] += " of it without gradient to its inputs | cap | fits' ratio |"
    lines += ["|" + "---|" * 8]
    for entry in result["sizes"]:
        best, rival = (fastest(result, entry, names, "step") for names in (ours, peers))
        fit, rival_fit = (fastest(result, entry, names, "fit") for names in (ours, peers))
        one, two, least, bare = (rates(result, entry, str(name), "step") for name in (best, rival, floor, strict))
        three, four = (rates(result, entry, str(name), "fit") for name in (fit, rival_fit))
        cells = [f"{entry['ids']:,}", f"{median(one):,.0f}, {best}", f"{median(two):,.0f}, {rival}"]
        cells += [f"{median(ratios(one, two)):.2f}", f"{median(ratios(one, least)):.0%}"]
        cells += [f"{median(ratios(one, bare)):.0%}"]
        cells += [f"{median(ratios(least, two)):.2f}", f"{median(ratios(three, four)):.2f}, {fit} over {rival_fit}"]
        lines.append(row(cells))
    return [*lines, "", *CAP, ""]


def table(result: Result, entry: Result) -> list[str]:
    """All subjects with one total number of ids."""
    kinds = result["names"]
    floor, rival = kinds["floors"][0], fastest(result, entry, kinds["peers"], "step")
    rival_fit = fastest(result, entry, kinds["peers"], "fit")
    lines = [f"## {entry['ids']:,} ids", ""]
    lines += ["| with | step, rows/s | over fastest peer's | of the MLP alone | fit, rows/s | over fastest peer's |"]
    lines[-1] += " memory: step | fit | weights |"
    lines += ["|" + "---|" * 9]
    for name in (*kinds["floors"], *kinds["ours"], *kinds["reduced"], *kinds["peers"]):
        step, fit = (rates(result, entry, name, way) for way in ("step", "fit"))
        share = ratios(step, rates(result, entry, floor, "step"))
        cells = [name, spread(step, ",.0f"), over(result, entry, step, rival, "step"), spread(share, ".0%")]
        cells += [spread(fit, ",.0f"), over(result, entry, fit, rival_fit, "fit")]
        cells += [gigabytes(peak_bytes(entry, name, way)) for way in ("step", "fit")]
        lines.append(row([*cells, f"{entry['subjects'][name]['step'][0]['weights']:,}"]))
    if rival is None:
        return [*lines, ""]
    cap = over(result, entry, rates(result, entry, floor, "step"), rival, "step")
    return [*lines, "", f"Cap, the MLP alone over the fastest peer's step ({rival}): {cap}.", ""]


def over(result: Result, entry: Result, turns: Turns, rival: str | None, way: str) -> str:
    """A subject's rates over the fastest peer's."""
    return "" if rival is None or not turns else spread(ratios(turns, rates(result, entry, rival, way)), ".2f")


def environments(result: Result) -> list[str]:
    """What each peer was installed with, and got."""
    lines: list[str] = []
    for name, requirements in result["environments"].items():
        versions = result["sizes"][0]["subjects"][name]["step"][0]["versions"]
        told = ", ".join(f"{package} {version}" for package, version in versions.items())
        lines += [f"{name}: `pip install {' '.join(requirements)}` gave {told}.", ""]
    return lines


def spread(values: Turns, digits: str) -> str:
    """The median of some values, with the least and the most where there are several."""
    if not values:
        return ""
    low, middle, high = (format(value, digits) for value in (min(values), median(values), max(values)))
    return middle if len(values) == 1 else f"{middle} ({low} to {high})"


def gigabytes(count: float | None) -> str:
    """Of bytes, in words; empty where there are none."""
    return "" if count is None else f"{count / 1e9:.2f} GB"


def row(cells: list[Any]) -> str:
    """Of a table."""
    return "| " + " | ".join(cells) + " |"
