"""What processor and memory figures were measured on."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

BF16 = ("avx512_bf16", "amx_bf16")  # instructions on 16-bit floats, by the kernel's names


def machine() -> dict[str, Any]:
    """The processor's name, its bf16 instructions, cores and bytes of memory."""
    told: dict[str, str] = {}
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        told.setdefault(name.strip(), value.strip())
    return {
        "processor": told.get("model name", platform.machine()),
        "bf16": [flag for flag in BF16 if flag in told.get("flags", "").split()],
        "cores": len(os.sched_getaffinity(0)),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
    }
