"""How much memory there is to take."""

from __future__ import annotations

from pathlib import Path


def free_memory(machine: Path = Path("/proc/meminfo"), group: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Bytes that this process may still take: of the machine, and of its control group where it has a limit.

    Args:
        machine: the file in which Linux says what is available.
        group: the folder of the control group.
    """
    lines = machine.read_text().splitlines() if machine.is_file() else []
    free = [1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")]
    limit = (group / "memory.max").read_text().strip() if (group / "memory.max").is_file() else "max"
    if limit != "max":
        stat = (group / "memory.stat").read_text().splitlines() if (group / "memory.stat").is_file() else []
        # Files that were read count as taken, and are dropped when memory is wanted.
        cached = [int(line.split()[1]) for line in stat if line.startswith("inactive_file ")]
        free.append(int(limit) - int((group / "memory.current").read_text()) + sum(cached))
    return min(free, default=None)
