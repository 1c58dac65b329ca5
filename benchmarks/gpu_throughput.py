"""How many rows a second does a DeepFM train on with one GPU, and what has never run on one?

    PYTHONPATH=. python benchmarks/gpu_throughput.py

From the repository's root, where recdistill need not be installed; torchrec's tables are left out where it is not. In
eight minutes at most it measures copies and matrix products, the dense network alone, and training steps with plain
tables and torchrec's, up to tables that take 60 % of the device's memory, and writes `benchmarks/results/gpu/`.

    PYTEST_ADDOPTS=--junitxml=gpu.xml make test-gpu
    PYTHONPATH=. python benchmarks/gpu_throughput.py --list --tests gpu.xml

takes the tests that passed off the page's list of what has never run on a GPU. `--list` alone, which needs no GPU,
brings that list up to date.
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from dataclasses import asdict, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from on_gpu.cases import FLOOR, SUBJECTS, TINY, TINY_MEMORY, Sizes
from on_gpu.never_run import ELSEWHERE, marked, passed
from on_gpu.page import page
from on_gpu.steps import Measuring
from on_gpu.timing import rates
from throughput.machine import machine

from recdistill.artefacts import read_json, write_json, write_text
from recdistill.devices import device_of
from recdistill.errors import EnvironmentFault, UsageError

RESULTS = Path(__file__).resolve().parent / "results" / "gpu"
COPIED, SIDE = 4 << 30, 8192  # bytes that are copied; rows and columns of the matrices
OPTIONAL = ("torchrec", "fbgemm_gpu")


def main() -> None:
    """List, or measure and list."""
    asked = arguments()
    try:
        result = listed(asked) if asked.list else measured(asked)
    except (EnvironmentFault, UsageError) as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    save(result, asked.out)
    print(f"written to {asked.out}", flush=True)


def arguments() -> argparse.Namespace:
    """What is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", action="store_true", help="measure nothing; list what has never run on a GPU")
    parser.add_argument("--tests", type=Path, help="pytest's --junitxml report of the tests marked gpu")
    parser.add_argument("--out", type=Path, default=RESULTS, help=f"the result's folder (default {RESULTS.name}/)")
    parser.add_argument("--minutes", type=float, default=7, help="after which no network is begun (default 7)")
    parser.add_argument("--turns", type=int, default=5, help="of each case (default 5)")
    parser.add_argument("--seconds", type=float, default=0.2, help="of a turn, about (default 0.2)")
    parser.add_argument("--subjects", nargs="+", choices=list(SUBJECTS), default=list(SUBJECTS), metavar="NAME")
    words = "also managed tables that take this share of the device's memory, as 1.3; a driver may hang on it"
    parser.add_argument("--beyond", type=float, default=0.0, help=words)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help="cpu is a rehearsal, with --tiny")
    parser.add_argument("--tiny", action="store_true", help="sizes of no meaning")
    return parser.parse_args()


def listed(asked: argparse.Namespace) -> dict[str, Any]:
    """The result that is in the folder, or none, beside what has never run as of now."""
    result = {**head(asked), "rehearsal": False, "machine": None, "cases": []}
    return {**result, **earlier(asked), **known(asked)}


def measured(asked: argparse.Namespace) -> dict[str, Any]:
    """All cases, written down after each subject.

    Raises:
        EnvironmentFault: there is no GPU.
        UsageError: a rehearsal is asked for at full size, or in the place of results.
    """
    device, started = device_of(asked.device), time.monotonic()
    if device == "cpu" and not asked.tiny:
        raise UsageError("a rehearsal on the CPU needs --tiny")
    if asked.tiny and asked.out.resolve() == RESULTS:
        raise UsageError(f"--tiny is no result: give another folder than {RESULTS} by --out")
    sizes = replace(TINY if asked.tiny else Sizes(), beyond=asked.beyond)
    facts = {**machine(), **device_facts(device)}
    copied, side = (1 << 20, 64) if asked.tiny else (min(COPIED, facts["device_bytes"] // 8), SIDE)
    missing = [name for name in OPTIONAL if find_spec(name) is None]
    result = {
        **head(asked),
        "rehearsal": asked.tiny,
        "machine": facts,
        "missing": f"Not installed: {', '.join(missing)}." if missing else "torchrec is installed.",
        "measuring": {"turns": asked.turns, "seconds": asked.seconds, **asdict(sizes)},
        "rates": rates(device, copied=copied, side=side, count=asked.turns),
        "cases": [],
        **known(asked),
    }
    print(result["missing"], flush=True)
    measuring = Measuring(
        sizes,
        device,
        TINY_MEMORY if asked.tiny else facts["device_bytes"],
        facts["memory_bytes"],
        asked.turns,
        asked.seconds,
        lambda: time.monotonic() - started > 60 * asked.minutes,
    )
    for name in (FLOOR, *asked.subjects):
        for case in measuring.floors() if name == FLOOR else measuring.of(name):
            result["cases"].append(case)
            say(case)
        save(result, asked.out)
    return result


def device_facts(device: str) -> dict[str, Any]:
    """Name and memory of a device."""
    if device == "cpu":
        return {"device": "no GPU", "device_bytes": machine()["memory_bytes"], "cuda": None}
    told = torch.cuda.get_device_properties(device)
    return {"device": told.name, "device_bytes": told.total_memory, "cuda": torch.version.cuda}


def head(asked: argparse.Namespace) -> dict[str, Any]:
    """How the result is made."""
    command = "PYTHONPATH=. python benchmarks/gpu_throughput.py"
    if asked.list:
        command += " --list"
    else:
        command += f" --turns {asked.turns} --seconds {asked.seconds:g} --minutes {asked.minutes:g}"
        command += f" --beyond {asked.beyond:g}" if asked.beyond else ""
        command += f" --device {asked.device}" if asked.device == "cpu" else ""
        command += " --tiny" if asked.tiny else ""
        if (left := [f'"{name}"' for name in asked.subjects]) and len(left) < len(SUBJECTS):
            command += f" --subjects {' '.join(left)}"
    return {"command": command, "python": platform.python_version(), "torch": torch.__version__}


def earlier(asked: argparse.Namespace) -> dict[str, Any]:
    """The result that is in the folder."""
    there = asked.out / "results.json"
    return read_json(there) if there.is_file() else {}


def known(asked: argparse.Namespace) -> dict[str, Any]:
    """What there is to run, and which tests have passed on a GPU, now or earlier."""
    done = {*earlier(asked).get("tests", {}).get("passed", []), *(passed(asked.tests) if asked.tests else [])}
    names = marked()
    tests = {"marked": names, "passed": [name for name in names if name in done]}
    return {"tests": tests, "subjects": [FLOOR, *SUBJECTS], "sizes": asdict(Sizes()), "elsewhere": ELSEWHERE}


def say(case: dict[str, Any]) -> None:
    """A line for who waits."""
    sizes = f"{case['subject']}, {case['ids']:,} ids, {case['dim']}, {case['batch']:,}, {case['precision']}"
    speed = case.get("not_run") or f"{case['batch'] / sorted(case['seconds'])[len(case['seconds']) // 2]:,.0f} rows/s"
    print(f"  {sizes}: {speed}", flush=True)


def save(result: dict[str, Any], folder: Path) -> None:
    """Figures and page."""
    write_json(folder / "results.json", result)
    write_text(folder / "README.md", page(result))


if __name__ == "__main__":
    main()
