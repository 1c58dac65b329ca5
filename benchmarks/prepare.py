"""How fast are rows prepared, and in how much memory? This package against pandas and against bare polars.

    pip install -e '.[bench]'
    python benchmarks/prepare.py --rows 1_000_000 3_000_000 10_000_000 --repeats 3

Makes Criteo-like rows (`criteo_like/`), prepares each file in turn with every peer (`peers/`), each in a process of its
own, checks that all give the same rows, and writes `benchmarks/results/prepare/`. Files live in a temporary folder.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

from measured import Run, measured
from prepare_page import page

HERE = Path(__file__).parent
PEERS = ("recdistill", "polars", "pandas")
BYTES_PER_ROW = 500  # of disk, at the most: 240 of text, the stages between and what is prepared


def main() -> None:
    """Make rows, take turns, compare, write the page."""
    asked = arguments()
    require_space(asked.folder, max(asked.rows))
    result = facts(asked)
    for rows in sorted(asked.rows):
        with tempfile.TemporaryDirectory(prefix="prepare-", dir=asked.folder) as folder:
            limits = {"recdistill": rows, "polars": asked.polars_up_to, "pandas": asked.pandas_up_to}
            peers = [name for name in PEERS if rows <= limits[name]]
            result["sizes"].append(size(Path(folder), rows, peers, asked.repeats))
    asked.out.mkdir(parents=True, exist_ok=True)
    (asked.out / "results.json").write_text(json.dumps(result, indent=2) + "\n")
    (asked.out / "README.md").write_text(page(result))
    print(f"written to {asked.out}", flush=True)


def arguments() -> argparse.Namespace:
    """What is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 10_000_000], help="sizes of the files")
    parser.add_argument("--repeats", type=int, default=3, help="turns of each peer; the fastest counts (default 3)")
    parser.add_argument("--pandas-up-to", type=int, default=1_000_000, help="rows; it keeps all in memory")
    parser.add_argument("--polars-up-to", type=int, default=10_000_000, help="rows")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()), help="where temporary files go")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "prepare", help="where the page goes")
    return parser.parse_args()


def facts(asked: argparse.Namespace) -> dict[str, Any]:
    """How the page is made, and no size yet."""
    rows = " ".join(f"{rows:_}" for rows in asked.rows)
    limits = f"--pandas-up-to {asked.pandas_up_to:_} --polars-up-to {asked.polars_up_to:_}"
    versions = {name: version(name) for name in ("pyarrow", "polars", "pandas")}
    return {
        "command": f"python benchmarks/prepare.py --rows {rows} --repeats {asked.repeats} {limits}",
        "cores": len(os.sched_getaffinity(0)),
        "versions": {"python": platform.python_version(), **versions},
        "sizes": [],
    }


def require_space(folder: Path, rows: int) -> None:
    """End the program where the disk is too small for the largest size."""
    free, needed = shutil.disk_usage(folder).free, rows * BYTES_PER_ROW
    if free < needed:
        raise SystemExit(f"{rows:,} rows need {needed / 1e9:.1f} GB of disk, got {free / 1e9:.1f} GB free in {folder}")


def size(folder: Path, rows: int, peers: list[str], repeats: int) -> dict[str, Any]:
    """What one size costs every peer."""
    print(f"{rows:,} rows", flush=True)
    file = folder / "rows.tsv"
    subprocess.run([sys.executable, HERE / "criteo_like" / "generate.py", str(rows), file], check=True)
    runs: dict[str, list[Run]] = {name: [] for name in peers}
    written: dict[str, int] = {}
    for turn in range(repeats):
        for name in peers:
            out = folder / name
            shutil.rmtree(out, ignore_errors=True)
            runs[name].append(run := measured([HERE / "peers" / f"with_{name}.py", file, out]))
            written[name] = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
            cost = f"{run.work:.1f} s, {run.wall:.1f} with its start ({run.cpu:.1f} s of processor)"
            told = f"{rows / run.work:,.0f} rows/s, {cost}, {run.peak_bytes / 1e9:.2f} GB"
            print(f"  [{turn + 1}/{repeats}] {name}: {told}", flush=True)
    return {
        "rows": rows,
        "bytes": file.stat().st_size,
        "distinct": answer("criteo_like/distinct.py", file),
        "agreed": answer("peers/agree.py", *(folder / name for name in peers)),
        "peers": {name: best(runs[name]) | {"written_bytes": written[name]} for name in peers},
    }


def best(runs: list[Run]) -> dict[str, Any]:
    """The least of each cost but memory, of which the most; and all turns."""
    least = {cost: min(getattr(run, cost) for run in runs) for cost in ("work", "wall", "cpu")}
    return {**least, "peak_bytes": max(run.peak_bytes for run in runs), "turns": [list(run) for run in runs]}


def answer(script: str, *arguments: Path) -> Any:
    """What a script prints last, as JSON."""
    command = [sys.executable, HERE / script, *arguments]
    done = subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise SystemExit(f"{script} failed; its own words stand above")
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    main()
