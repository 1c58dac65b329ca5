"""The page of the benchmark of optimisers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import mean, median, stdev
from typing import Any

from optimising.trial import DATA_SETS
from optimising.verdict import (
    NAMES,
    SPARSE,
    TOLERANCE,
    Run,
    best,
    chosen,
    difference,
    in_seconds,
    of,
    rate,
    scores,
    seconds_budget,
    seeds_of,
    verdict,
)

COMMAND = "OMP_NUM_THREADS=1 python benchmarks/optimisers.py $RECDISTILL_DATA"
PROTOCOL = """\
A DeepFM with embeddings of {embedding_dim} and hidden layers {hidden}. AUC and log loss are of held-out rows; no
test row was read. Dense Adam moves every row of every table at each step; the others update the rows of a batch
alone, and Adam the dense weights beside them. Each optimiser had as many trials, listed below, with seed 0, on
grids laid around what a few earlier fits of each had shown (those on Criteo are also why the decay of tables counts
the steps without a lookup); the one of best AUC within the budget of rows was trained with four more seeds (of
weights, order of rows and unseen ids). Within a budget a run counts with its best evaluation. Figures are mean ±
standard deviation over the five seeds; differences are paired by seed, with the 95 % interval of Student's t, which
is of seeds alone: the held-out rows are the same.

Seconds are of the processor, of the steps alone at one thread: rows over the median run's rows per second. What
else the machine does takes of its caches and memory and lengthens them, by a tenth and more between runs; but for
seed 0 the optimisers took turns, so that all met the same. The budget of seconds is what dense Adam needs for half
its rows."""
HEADER = "| tables by | AUC | less dense Adam's | AUC in {:.2f} s | log loss | rows per second | best epoch |"


def page(result: dict[str, Any]) -> str:
    """All results as Markdown."""
    runs, facts = result["runs"], result["facts"]
    lines = ["# Optimisers of embedding tables", "", f"Made by `{COMMAND}`.", "", *answer(runs), ""]
    lines += PROTOCOL.format(**facts["model"]).splitlines()
    for name in DATA_SETS:
        lines += ["", *table(runs, name), "", *trials(runs, name)]
    lines += ["", f"Python {facts['python']}, torch {facts['torch']}, {facts['processes']} runs at a time."]
    return "\n".join([*lines, ""])


def answer(runs: Sequence[Run]) -> Iterator[str]:
    """The verdict in words."""
    found = verdict(runs)
    fast = [f"{NAMES[name]} ({found.speed[name]:.2f}×)" for name in found.holds]
    yield f"The rule: on both data sets the mean over five seeds is at most {TOLERANCE:g} below dense Adam's, or the"
    yield "paired interval holds 0. It supports, with the rows per second against dense Adam's:"
    yield f"**{', '.join(fast) or 'none of them'}**."
    yield ""
    yield from varied(runs, found.best)


def varied(runs: Sequence[Run], optimiser: str) -> Iterator[str]:
    """What bfloat16 costs and gains, and what the decay of tables gives."""
    yield f"A setting of {NAMES[optimiser]} changed, against the same unchanged, taking turns, nothing tuned anew:"
    yield ""
    yield "| | rows | AUC | difference | rows per second |"
    yield "|---|---|---|---|---|"
    changes = {"bfloat16": '`precision = "bfloat16"`', "no decay": "`embedding_weight_decay = 0`"}
    for change, words in changes.items():
        for name, told in DATA_SETS.items():
            before, after = (seeds_of(runs, name, f"{optimiser}, {kind}") for kind in ("unchanged", change))
            cells = [words, told.words, spread(scores(after)), str(difference(after, before))]
            yield "| " + " | ".join([*cells, f"{rate(after):,.0f} ({rate(after) / rate(before):.2f}×)"]) + " |"


def table(runs: Sequence[Run], name: str) -> Iterator[str]:
    """A data set's optimisers, each with its best trial."""
    told, dense = DATA_SETS[name], seeds_of(runs, name, "dense")
    seconds, rows = seconds_budget(runs, name), dense[0]["rows"][-1] // told.epochs
    yield f"## {told.words}"
    yield ""
    yield f"{rows:,} rows an epoch in batches of {told.batch_size:,}, {told.looks} evaluations an epoch. The budget of"
    yield f"rows is {told.epochs} epochs, that of seconds {seconds:.2f}."
    yield ""
    yield HEADER.format(seconds)
    yield "|" + "---|" * 7
    for optimiser in NAMES:
        found = seeds_of(runs, name, optimiser)
        less = "" if optimiser == "dense" else str(difference(found, dense))
        loss = mean(min(run["logloss"]) for run in found)
        epoch = median((best(run) + 1) / told.looks for run in found)
        cells = [NAMES[optimiser], spread(scores(found)), less, spread(in_seconds(found, seconds)), f"{loss:.4f}"]
        cells += [f"{rate(found):,.0f} ({rate(found) / rate(dense):.2f}×)", f"{epoch:g}"]
        yield "| " + " | ".join(cells) + " |"


def trials(runs: Sequence[Run], name: str) -> Iterator[str]:
    """Every trial's AUC with seed 0."""
    yield "| trials of seed 0 | of the tables: learning rate | weight decay | of the rest | AUC | best epoch |"
    yield "|---|---|---|---|---|---|"
    for optimiser in NAMES:
        taken = chosen(runs, name, optimiser)
        for run in sorted((run for run in of(runs, name, optimiser) if not run["seed"]), key=order):
            given, bold = run["settings"], "**" if run["settings"] == taken else ""
            rest = f"{given['learning_rate']:g}, {given['weight_decay']:g}" if optimiser in SPARSE else "the same"
            lr, decay = order(run)
            score, epoch = "diverged", ""
            if run["auc"]:
                score, epoch = (
                    f"{bold}{run['auc'][best(run)]:.4f}{bold}",
                    f"{(best(run) + 1) / DATA_SETS[name].looks:g}",
                )
            yield f"| {NAMES[optimiser]} | {lr:g} | {decay:g} | {rest} | {score} | {epoch} |"


def order(run: Run) -> tuple[float, float]:
    """The learning rate and weight decay of a run's tables."""
    given = run["settings"]
    if "embedding_optimiser" in given:
        return given["embedding_learning_rate"], given["embedding_weight_decay"]
    return given["learning_rate"], given["weight_decay"]


def spread(values: Sequence[float]) -> str:
    """Mean ± standard deviation."""
    return f"{mean(values):.4f} ± {stdev(values):.4f}"
