"""How long does a student take to score raw rows, beside its teacher and beside its network alone?

    OMP_NUM_THREADS=1 python benchmarks/latency.py runs/new_market --labels 0.1

Both are exported from a finished run and scored by ONNX Runtime in turns, on test rows: 1, 100 and 500 candidates, as
dicts. "Raw rows" is `Scorer.score`; "network" is ONNX Runtime on what the encoder gave, and "encoding" what the encoder
takes. Writes `benchmarks/results/latency/`.
"""

from __future__ import annotations

import argparse
import os
import platform
import shlex
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

from recdistill.artefacts import write_json, write_text
from recdistill.exporting import export
from recdistill.label_budget import Cell
from recdistill.latency import COUNTS, PARTS, QUANTILES, latencies
from recdistill.ranker import Ranker
from recdistill.run_folder import RunFolder
from recdistill.serving import Scorer

FOLDER = Path(__file__).parent / "results" / "latency"
BARS = {1: 10, 500: 3}


def main() -> None:
    """Export, measure in turns, write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="a finished run")
    parser.add_argument("--labels", type=float, default=0.1, help="share of labels (default 0.1)")
    parser.add_argument("--arm", default="auto", help="whose student (default: what the run ships)")
    parser.add_argument("--calls", type=int, default=2_000, help="of each kind (default 2,000)")
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder of the page")
    asked = parser.parse_args()
    run, cell = RunFolder(asked.run), Cell(asked.labels, 0)
    places = {"student": run.student(asked.arm, cell), "teacher": run.adapted(cell, "whole")}
    rows = run.tables()["test"]
    with tempfile.TemporaryDirectory() as folder:
        found = {}
        for name, place in places.items():
            ranker = Ranker.load(place)
            export(ranker, Path(folder) / name, rows=rows)
            found[name] = {
                "parameters": ranker.parameters,
                "bytes": (Path(folder) / name / "model.onnx").stat().st_size,
            }
        records = rows.arrow.slice(0, max(COUNTS)).to_pylist()
        timed = {}
        for threads in (1, os.cpu_count() or 1):
            scorers = {name: Scorer.load(Path(folder) / name, threads=threads) for name in places}
            timed[str(threads)] = latencies(scorers, records, calls=asked.calls)
    packages = ("recdistill", "onnxruntime", "numpy", "pyarrow")
    versions = {"python": platform.python_version(), **{name: version(name) for name in packages}}
    run_words = f"{run.path.name}, {cell.share:g} of the labels, {asked.arm}"
    told = {"command": command(), "calls": asked.calls, "cores": os.cpu_count(), "versions": versions}
    result = {"run": run_words, **told}
    result |= {"rankers": found, "microseconds": timed}
    write_json(asked.out / "results.json", result)
    write_text(asked.out / "README.md", page(result))
    print(page(result))


def command() -> str:
    """As it was typed."""
    threads = os.environ.get("OMP_NUM_THREADS")
    return shlex.join(
        [*([f"OMP_NUM_THREADS={threads}"] if threads else []), "python", "benchmarks/latency.py", *sys.argv[1:]]
    )


def page(result: dict[str, Any]) -> str:
    """The result as Markdown."""
    told = ", ".join(f"{name} {number}" for name, number in result["versions"].items())
    lines = ["# How long a student takes to score", ""]
    lines += [f"Made by `{result['command']}`.", ""]
    lines += [
        f"{result['run']}; {result['calls']:,} calls of each kind in turns, {result['cores']} cores; {told}.",
        "Candidates are dicts of test rows. Raw rows: `Scorer.score`; encoding: dicts to arrays; network: ONNX Runtime",
        "on these arrays. Microseconds.",
        "",
        "| threads | ranker | candidates | part | p50 | p95 | p99 |",
        "|---|---|---|---|---|---|---|",
    ]
    for threads, by_ranker in result["microseconds"].items():
        for name, by_count in by_ranker.items():
            for count, parts in by_count.items():
                for part in PARTS:
                    cells = [threads, name, count, part, *(f"{parts[part][f'p{q}']:,.1f}" for q in QUANTILES)]
                    lines.append("| " + " | ".join(cells) + " |")
    lines += ["", "| ranker | parameters | bytes of the network's file |", "|---|---|---|"]
    lines += [f"| {name} | {of['parameters']:,} | {of['bytes']:,} |" for name, of in result["rankers"].items()]
    lines += ["", *(f"- {line}" for line in ratios(result))]
    return "\n".join([*lines, ""])


def ratios(result: dict[str, Any]) -> list[str]:
    """What the figures come to, on one thread."""
    student, teacher = (result["microseconds"]["1"][name] for name in ("student", "teacher"))
    lines = []
    for count, bar in BARS.items():
        times = overhead(result, count)
        held = "holds" if times <= bar else "does not hold"
        words = "raw row" if count == 1 else "raw rows"
        lines.append(f"{count} {words}: {times:.1f} times the network alone; at most {bar}: {held}.")
    p50 = [side[str(max(COUNTS))]["network"]["p50"] for side in (teacher, student)]
    lines.append(f"The teacher's network takes {p50[0] / p50[1]:.1f} times the student's for {max(COUNTS)} candidates.")
    return lines


def overhead(result: dict[str, Any], count: int) -> float:
    """How many times the network's median time raw rows take, on one thread."""
    parts = result["microseconds"]["1"]["student"][str(count)]
    return float(parts["raw rows"]["p50"] / parts["network"]["p50"])


if __name__ == "__main__":
    main()
