"""Ranks: the processes that train one network together, started by torchrun or by the caller.

What only one rank finds out, such as whether the user wants to stop, is told to all, so that all do the same.
"""

from __future__ import annotations

import contextlib
import datetime
import gc
import os
import socket
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch
import torch.distributed as dist

from recdistill.artefacts import new_folder
from recdistill.errors import EnvironmentFault

Array = np.ndarray[Any, Any]
STARTED_BY = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")  # what torchrun tells its processes
# How long ranks wait for one that works alone, e.g. saves the teacher. One that has ended is noticed at once: its
# connections close, and torchrun ends the job.
PATIENCE = datetime.timedelta(hours=2)
LAST_MOMENT = 5.0  # seconds
LOST = ("Connection closed by peer", "Connection reset", "Broken pipe", "Timed out", "timed out", "Connection refused")


@dataclass(frozen=True)
class Ranks:
    """The process group, as this process sees it.

    Args:
        rank, world: which of how many processes this is.
        device: "cpu", or this process's GPU, as "cuda:1".
    """

    rank: int
    world: int
    device: str

    @property
    def first(self) -> bool:
        """Whether this is the process that speaks and writes for all."""
        return self.rank == 0

    def summed(self, values: Sequence[float]) -> list[float]:
        """The sums of the ranks' values."""
        total = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(total)
        return [float(value) for value in total.tolist()]

    def gathered(self, values: Array) -> list[Array]:
        """Every rank's values, in the order of the ranks.

        Args:
            values: numbers, of the same shape on every rank.
        """
        own = torch.from_numpy(np.array(values)).to(self.device)
        found = [torch.empty_like(own) for _ in range(self.world)]
        dist.all_gather(found, own)
        return [one.cpu().numpy() for one in found]

    def told(self, text: str) -> str:
        """What rank 0 says."""
        said = np.frombuffer(text.encode() if self.first else b"", dtype=np.uint8)
        length = int(self.summed([len(said) if self.first else 0])[0])
        padded = said if self.first else np.zeros(length, np.uint8)
        return self.gathered(padded)[0].tobytes().decode()


def current() -> Ranks | None:
    """The process group that this process is in, if it is in one."""
    if not (dist.is_available() and dist.is_initialized()):
        return None
    local = int(os.environ.get("LOCAL_RANK", dist.get_rank()))
    device = f"cuda:{local}" if dist.get_backend() == "nccl" else "cpu"
    return Ranks(dist.get_rank(), dist.get_world_size(), device)


def meet(ranks: Ranks | None) -> None:
    """Wait until all ranks are here; alone there is none to wait for."""
    if ranks is not None:
        ranks.summed([0.0])


@contextlib.contextmanager
def new_shared_folder(path: Path, ranks: Ranks | None, facts: dict[str, Any]) -> Iterator[Path]:
    """As `artefacts.new_folder`, for ranks that fill a folder of a file system they share.

    Args:
        path: the final name.
        ranks: none for this process alone.
        facts: kept in the manifest.
    """
    with new_folder(path, **facts) if ranks is None or ranks.first else contextlib.nullcontext(path) as temporary:
        yield temporary if ranks is None else Path(ranks.told(str(temporary)))
        meet(ranks)  # it is whole
    meet(ranks)  # it has its name


@contextlib.contextmanager
def joined() -> Iterator[Ranks | None]:
    """Within it this process is one of those that torchrun started together; none where it did not.

    Processes speak by NCCL where each has a GPU, otherwise by Gloo.

    Raises:
        EnvironmentFault: another process has gone, or does not answer.
    """
    if any(name not in os.environ for name in STARTED_BY):
        yield None
        return
    gpus = torch.cuda.is_available() and torch.cuda.device_count() >= int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    if gpus:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    dist.init_process_group("nccl" if gpus else "gloo", timeout=PATIENCE)
    ranks = current()
    try:
        with noticing(ranks), warnings.catch_warnings():
            # torchrec calls what torch is about to rename.
            warnings.filterwarnings("ignore", category=FutureWarning, module=r"torch\b")
            yield ranks
            meet(ranks)  # none takes its connections down while another still speaks
    finally:
        gc.collect()  # a network that is still held by a cycle holds the group's threads
        dist.destroy_process_group()


def ended(code: int) -> NoReturn:
    """End this process, one of those that torchrun started, whose work is done.

    Nothing is torn down: threads of torch's and torchrec's that still run would now and then abort the process, and so
    the whole job, after all its work.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


@contextlib.contextmanager
def noticing(ranks: Ranks | None) -> Iterator[None]:
    """Within it the loss of another process is a fault that names it.

    Raises:
        EnvironmentFault: another process has gone, or does not answer.
    """
    if ranks is None:
        yield
        return
    here = f"{socket.gethostname()}:{os.getpid()}"
    store = dist.distributed_c10d._get_default_store()
    store.set(f"recdistill/{ranks.rank}", here)
    meet(ranks)
    names = {rank: store.get(f"recdistill/{rank}").decode() for rank in range(ranks.world)}
    try:
        yield
    except RuntimeError as error:
        if not any(words in str(error) for words in LOST):
            raise
        gone = [f"rank {rank} (process {name.split(':')[1]})" for rank, name in _gone(names).items()]
        rule = f"{' and '.join(gone)} of {ranks.world} has gone" if gone else f"another of {ranks.world} ranks has gone"
        raise EnvironmentFault(f"{rule}, perhaps for want of memory; the same command continues") from error


def _gone(names: dict[int, str]) -> dict[int, str]:
    """The processes that have ended; one lets go of its connections a moment before."""
    until = time.monotonic() + LAST_MOMENT
    while not (found := {rank: name for rank, name in names.items() if _has_gone(name)}) and time.monotonic() < until:
        time.sleep(LAST_MOMENT / 50)
    return found


def _has_gone(name: str) -> bool:
    """Whether a process of this machine has ended; of another machine that cannot be known."""
    host, process = name.split(":")
    if host != socket.gethostname():
        return False
    try:
        with open(f"/proc/{process}/stat") as stream:
            return stream.read().rpartition(")")[2].split()[0] in "ZX"  # ended, and nobody has asked yet how
    except OSError:
        return True
