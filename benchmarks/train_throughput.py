"""How many rows a second does a DeepFM train on? This package, its peers, and the dense network alone.

    python benchmarks/train_throughput.py --environments ~/.cache/recdistill-peers

For each total number of ids it makes rows, then lets every subject (`throughput/subjects.py`) take turns, each turn in
a process of its own, and writes `benchmarks/results/train_throughput/`. Each peer lives in a virtual environment, made
here; without `--environments` they are made anew, and go with the run's other temporary files. Needs Linux.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from feeding import BATCH, COUNTS, MODELS, NUMBERS
from throughput.environments import environment, requirements_of
from throughput.machine import machine
from throughput.page import page
from throughput.rows import write
from throughput.subjects import ALL, FLOORS, MATMUL, OURS, PEERS, REDUCED, REQUIREMENTS, ways

from recdistill.artefacts import write_json, write_text

HERE = Path(__file__).resolve().parent
IDS, WARM_UP = [10_000, 100_000, 1_000_000, 10_000_000], 3


def main() -> None:
    """Make environments and rows, take turns, write the page."""
    asked = arguments()
    names = [name for name in ALL if name in (*MATMUL, *FLOORS, *asked.subjects)]
    with tempfile.TemporaryDirectory(prefix="throughput-", dir=asked.folder) as folder:
        pythons = interpreters(asked.environments or Path(folder) / "environments", names)
        sizes = [size(Path(folder), asked, total, names, pythons) for total in sorted(asked.ids)]
    result = {**facts(asked, names), "sizes": sizes}
    write_json(asked.out / "results.json", result)
    write_text(asked.out / "README.md", page(result))
    print(f"written to {asked.out}", flush=True)


def arguments() -> argparse.Namespace:
    """What is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    chosen = [*OURS, *REDUCED, *PEERS]
    parser.add_argument("--ids", type=int, nargs="+", default=IDS, help="in all columns together; one run for each")
    parser.add_argument("--turns", type=int, default=3, help="of each subject (default 3)")
    parser.add_argument("--steps", type=int, default=15, help="timed a turn, at most (default 15)")
    parser.add_argument("--seconds", type=float, default=20, help="after which no step is timed any more (default 20)")
    parser.add_argument("--threads", type=int, default=2, help="of torch (default 2)")
    parser.add_argument("--subjects", nargs="+", choices=chosen, default=chosen, metavar="NAME", help="; ".join(chosen))
    parser.add_argument("--environments", type=Path, help="where the peers' environments are kept")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()), help="where temporary files go")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "train_throughput", help="where the page goes")
    return parser.parse_args()


def interpreters(folder: Path, names: list[str]) -> dict[str, Path]:
    """Of each subject; a peer's is that of its environment."""
    places = {name: folder.resolve() / name.lower() for name in names if name in PEERS}
    made = {name: environment(place, requirements_of(REQUIREMENTS[name])) for name, place in places.items()}
    return {name: made.get(name, Path(sys.executable)) for name in names}


def size(
    folder: Path, asked: argparse.Namespace, total: int, names: list[str], pythons: dict[str, Path]
) -> dict[str, Any]:
    """What all subjects find with one total number of ids."""
    print(f"{total:,} ids", flush=True)
    rows = folder / f"{total}.npz"
    write(rows, total, BATCH * (WARM_UP + asked.steps + 1))
    model = {"batch": BATCH, **MODELS["large"], "warm_up": WARM_UP}
    limits = {"steps": asked.steps, "seconds": asked.seconds, "threads": asked.threads}
    found: dict[str, dict[str, list[Any]]] = {name: {way: [] for way in ways(name)} for name in names}
    for turn in range(asked.turns):
        for name, way in [(one, way) for one in names for way in ways(one)]:
            module, own = ALL[name]
            told = {"rows": str(rows), "way": way, **model, **limits, "arguments": own}
            found[name][way].append(answer := measured(pythons[name], module, told))
            steps, rate = len(answer["seconds"]), BATCH / median(answer["seconds"])
            cost = f"{rate:,.0f} rows/s, {steps} steps, {answer['peak_bytes'] / 1e9:.2f} GB"
            print(f"  [{turn + 1}/{asked.turns}] {name}, {way}: {cost}", flush=True)
    rows.unlink()
    return {"ids": total, "subjects": found}


def measured(python: Path, module: str, told: dict[str, Any]) -> dict[str, Any]:
    """What a subject says of itself, run in a process of its own.

    Raises:
        SystemExit: it failed, or runs another release of torch.
    """
    surroundings = {**os.environ, "OMP_NUM_THREADS": str(told["threads"])}
    if python != Path(sys.executable):
        surroundings.pop("PYTHONPATH", None)
    command = [str(python), "-m", module, json.dumps(told)]
    done = subprocess.run(command, cwd=HERE, env=surroundings, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{module} ({told['way']}) failed with {done.returncode}:\n{done.stderr[-4000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    if found["versions"]["torch"] != version("torch"):
        raise SystemExit(f"{module} must run torch {version('torch')}, got {found['versions']['torch']}")
    return found


def facts(asked: argparse.Namespace, names: list[str]) -> dict[str, Any]:
    """How the figures were made, and on what."""
    ids = " ".join(f"{total:_}" for total in asked.ids)
    command = f"python benchmarks/train_throughput.py --ids {ids} --turns {asked.turns} --steps {asked.steps}"
    limits = f"--seconds {asked.seconds:g} --threads {asked.threads}"
    some = [f'"{name}"' for name in names if name in asked.subjects]
    kinds = {"matmul": MATMUL, "floors": FLOORS, "ours": OURS, "reduced": REDUCED, "peers": PEERS}
    return {
        "command": " ".join(
            [command, limits, *([] if len(some) == len([*OURS, *REDUCED, *PEERS]) else ["--subjects", *some])]
        ),
        "machine": machine(),
        "python": platform.python_version(),
        "torch": version("torch"),
        "model": {"columns": len(COUNTS), "numbers": NUMBERS, "batch": BATCH, **MODELS["large"]},
        "measuring": {"turns": asked.turns, "warm_up": WARM_UP, "steps": asked.steps, "seconds": asked.seconds},
        "threads": asked.threads,
        "environments": {name: requirements_of(REQUIREMENTS[name]) for name in names if name in PEERS},
        "names": {kind: [name for name in names if name in subjects] for kind, subjects in kinds.items()},
    }


if __name__ == "__main__":
    main()
