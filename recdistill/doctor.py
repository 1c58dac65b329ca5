"""Whether this machine has what a run needs, and the exact command for what it lacks."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from recdistill.memory import free_memory
from recdistill.work import cores

# Releases of torchrec and fbgemm-gpu by the release of torch they are built for.
PAIRS = {"2.13": "1.8.0", "2.12": "1.7.0", "2.11": "1.6.0"}
GIB = 1024**3
PER_WORKER, DISK = 1 * GIB, 1 * GIB
SECONDS = 120
CUDA_LIBRARIES = ("libtorch_cuda", "libcudart", "libnvidia", "libcuda.")
CPU_TORCH = "pip install torch --index-url https://download.pytorch.org/whl/cpu"
LOOK_AT_TORCH = (
    "import torch; n = torch.cuda.device_count() if torch.cuda.is_available() else 0;"
    "print(*(torch.cuda.get_device_name(i) for i in range(n)), sep='\\n')"
)
TRY_TORCHREC = "import torchrec"


@dataclass(frozen=True)
class Facts:
    """What was found.

    Args:
        python: its version.
        torch, torchrec, fbgemm: versions of the packages, None where they are not installed.
        optuna: version of what only `recdistill tune` needs.
        torch_error, torchrec_error: the last line of a failed import, empty where it worked or was not tried.
        gpus: names.
        cores: that this process may use.
        memory: free bytes, None where it cannot be known.
        disk: free bytes where runs are written.
        writable: whether that place can be written to.
        out: that place.
    """

    python: tuple[int, int, int] = (3, 11, 0)
    torch: str | None = None
    torchrec: str | None = None
    fbgemm: str | None = None
    optuna: str | None = None
    torch_error: str = ""
    torchrec_error: str = ""
    gpus: tuple[str, ...] = ()
    cores: int = 1
    memory: int | None = None
    disk: int = 0
    writable: bool = True
    out: Path = Path()


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's.

    Args:
        level: "problem" keeps runs from working.
        words: what was found.
        fix: the command that mends a problem.
    """

    level: Literal["ok", "note", "problem"]
    words: str
    fix: str = ""


def gather(out: Path) -> Facts:
    """Look at this machine; packages are imported in a process of their own, since a broken one may kill it.

    Args:
        out: where runs will be written.
    """
    place = next(p for p in (out.absolute(), *out.absolute().parents) if p.exists())
    torch, torchrec = _version("torch"), _version("torchrec")
    words, torch_error = _try(LOOK_AT_TORCH) if torch else ("", "")
    torchrec_error = _try(TRY_TORCHREC)[1] if torchrec and torch and not torch_error else ""
    return Facts(
        python=sys.version_info[:3],
        torch=torch,
        torchrec=torchrec,
        fbgemm=_version("fbgemm-gpu") or _version("fbgemm-gpu-cpu"),
        optuna=_version("optuna"),
        torch_error=torch_error,
        torchrec_error=torchrec_error,
        gpus=tuple(words.split("\n")) if words else (),
        cores=cores(),
        memory=free_memory(),
        disk=shutil.disk_usage(place).free,
        writable=place.is_dir() and os.access(place, os.W_OK),
        out=out,
    )


def findings(facts: Facts) -> list[Finding]:
    """What the facts mean, one finding per subject."""
    packages = [*_python(facts), *_torch(facts), *_torchrec(facts), *_optuna(facts)]
    return [*packages, *_gpu(facts), *_processors(facts), *_disk(facts)]


def _python(facts: Facts) -> Iterator[Finding]:
    words = f"Python {'.'.join(map(str, facts.python))}"
    if facts.python < (3, 11):
        yield Finding("problem", f"{words}, 3.11 or later is needed", "make PYTHON=python3.11 run")
    else:
        yield Finding("ok", words)


def _torch(facts: Facts) -> Iterator[Finding]:
    if facts.torch is None:
        yield Finding("problem", "torch is not installed", CPU_TORCH)
    elif facts.torch_error:
        fix = CPU_TORCH.replace("install", "install --force-reinstall", 1)
        yield Finding("problem", f"torch {facts.torch} cannot be imported: {facts.torch_error}", fix)
    elif _release(facts.torch) < (2, 6):
        yield Finding("problem", f"torch {facts.torch}, 2.6 or later is needed", f"{CPU_TORCH} --upgrade")
    else:
        yield Finding("ok", f"torch {facts.torch}")


def _torchrec(facts: Facts) -> Iterator[Finding]:
    if facts.torch is None:
        return
    if facts.torchrec is None:
        yield Finding("note", "torchrec is not installed; nothing here needs it")
        return
    pair = PAIRS.get("{}.{}".format(*_release(facts.torch)))
    found = f"torchrec {facts.torchrec}, fbgemm-gpu {facts.fbgemm or 'not installed'}"
    if any(library in facts.torchrec_error for library in CUDA_LIBRARIES):
        words = f"{found}: the CUDA build, on a machine without ({facts.torchrec_error})"
        yield Finding("problem", words, _install(pair or facts.torchrec, cpu=True))
    elif pair is None:
        known = ", ".join(f"{torch} with {own}" for torch, own in PAIRS.items())
        yield Finding("note", f"{found}: no known pair for torch {facts.torch} (known: {known})")
    elif any(own is None or _release(own) != _release(pair) for own in (facts.torchrec, facts.fbgemm)):
        words = f"{found}: torch {facts.torch} needs {pair} of both"
        yield Finding("problem", words, _install(pair, cpu="+cpu" in facts.torch))
    elif facts.torchrec_error:
        words = f"{found}: cannot be imported: {facts.torchrec_error}"
        yield Finding("problem", words, _install(pair, cpu="+cpu" in f"{facts.torch} {facts.fbgemm}"))
    elif facts.torch_error:
        yield Finding("note", f"{found}: not tried, since torch cannot be imported")
    else:
        yield Finding("ok", found)


def _optuna(facts: Facts) -> Iterator[Finding]:
    if facts.optuna is None:
        yield Finding(
            "note", "optuna is not installed; only `recdistill tune` needs it: pip install 'recdistill[tune]'"
        )
    else:
        yield Finding("ok", f"optuna {facts.optuna}")


def _install(release: str, *, cpu: bool) -> str:
    """The command for torchrec and fbgemm-gpu; its two builds share a folder, so neither is installed over the other.

    torchrec asks for the CUDA build by name, hence `--no-deps` for the other.
    """
    away = "pip uninstall -y torchrec fbgemm-gpu fbgemm-gpu-cpu && pip install"
    if cpu:
        return f"{away} --no-deps torchrec=={release} fbgemm-gpu-cpu=={release}"
    return f"{away} torchrec=={release} fbgemm-gpu=={release}"


def _gpu(facts: Facts) -> Iterator[Finding]:
    if facts.gpus:
        yield Finding("ok", f"{len(facts.gpus)} GPU: {', '.join(facts.gpus)}")
    else:
        yield Finding("note", "no GPU; everything runs on the CPU")


def _processors(facts: Facts) -> Iterator[Finding]:
    yield Finding("ok" if facts.cores > 1 else "note", f"{facts.cores} core{'s' if facts.cores > 1 else ''}")
    if facts.memory is None:
        yield Finding("note", "how much memory is free cannot be known here")
        return
    workers, words = int(facts.memory / PER_WORKER), f"{facts.memory / GIB:.1f} GiB of memory free"
    if not workers:
        yield Finding("problem", f"{words}, a process needs about 1", "end other programs, or take a larger machine")
    elif workers < facts.cores:
        yield Finding("note", f"{words}: run with --workers {workers}, each process needs about 1 GiB")
    else:
        yield Finding("ok", words)


def _disk(facts: Facts) -> Iterator[Finding]:
    words = f"{facts.disk / GIB:.1f} GiB of disk free for {facts.out}"
    if not facts.writable:
        yield Finding("problem", f"{facts.out} cannot be written to", "recdistill run --out A_FOLDER_OF_YOURS")
    elif facts.disk < DISK:
        yield Finding("problem", f"{words}, a run needs about 1", "recdistill run --out A_FOLDER_ON_ANOTHER_DISK")
    else:
        yield Finding("ok", words)


def _release(text: str) -> tuple[int, int]:
    """The first two numbers of a version.

    >>> _release("2.13.0+cpu")
    (2, 13)
    >>> _release("1.8rc1"), _release("2")
    ((1, 8), (2, 0))
    """
    numbers = [*map(int, re.findall(r"\d+", text.split("+")[0])), 0, 0]
    return numbers[0], numbers[1]


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _try(code: str) -> tuple[str, str]:
    """What code prints in a process of its own, and the last line of its error."""
    try:
        done = subprocess.run(  # noqa: S603
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return "", f"it took more than {SECONDS} s"
    if done.returncode == 0:
        return done.stdout.strip(), ""
    lines = done.stderr.strip().splitlines()
    return "", lines[-1] if done.returncode > 0 and lines else f"the process ended with {done.returncode}"
