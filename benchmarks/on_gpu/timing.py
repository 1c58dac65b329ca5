"""How long work takes on a device, and how fast that device copies and multiplies."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from statistics import median

import torch

WARM_UP, COPIES, PRODUCTS = 5, 5, 5
MOST_STEPS = 50


def elapsed(work: Callable[[], object], device: str) -> float:
    """Seconds from an idle device until it is idle again; on a GPU by its own clock."""
    if device == "cpu":
        started = time.perf_counter()
        work()
        return time.perf_counter() - started
    torch.cuda.synchronize()
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    start.record()
    work()
    end.record()
    torch.cuda.synchronize()
    return start.elapsed_time(end) / 1e3


def turns(step: Callable[[int], object], device: str, *, count: int, seconds: float) -> list[float]:
    """Seconds of a step, in each of several turns.

    Args:
        step: takes its number.
        device: that it runs on.
        count: of turns.
        seconds: that a turn takes, about; it has 1 to `MOST_STEPS` steps one after the other.
    """
    numbers, warm = itertools.count(), 0.0
    for _ in range(WARM_UP):
        warm += (once := elapsed(lambda: step(next(numbers)), device))
        if warm > seconds and once > seconds:  # a step that is longer than a turn needs no more of it
            break
    steps = min(MOST_STEPS, max(1, int(seconds / max(once, 1e-9))))
    return [elapsed(lambda: [step(next(numbers)) for _ in range(steps)], device) / steps for _ in range(count)]


def rates(device: str, *, copied: int, side: int, count: int) -> dict[str, float]:
    """Bytes a second of copies, and operations a second of matrix products, each the median of some turns.

    Args:
        device: of which.
        copied: bytes of what is copied.
        side: of the square matrices.
        count: of turns.

    Returns:
        By name: "copy" within the device, read and written bytes counted; "host" to the device from pinned memory of
        the host; "float32", "bfloat16" and on a GPU "tf32".
    """
    return {**_copies(device, copied, count), **_products(device, side, count)}


def _copies(device: str, copied: int, count: int) -> dict[str, float]:
    source = torch.randn(copied // 4, device=device)
    target = torch.empty_like(source)
    pinned = torch.empty(copied // 4, pin_memory=device != "cpu")
    return {
        "copy": 2 * copied / _median(lambda: target.copy_(source), COPIES, device, count),
        "host": copied / _median(lambda: target.copy_(pinned, non_blocking=True), COPIES, device, count),
    }


def _products(device: str, side: int, count: int) -> dict[str, float]:
    kinds = {"float32": (torch.float32, "highest"), "bfloat16": (torch.bfloat16, "highest")}
    if device != "cpu":
        kinds["tf32"] = (torch.float32, "high")
    found, before = {}, torch.get_float32_matmul_precision()
    for name, (kind, precision) in kinds.items():
        torch.set_float32_matmul_precision(precision)
        left, right = (torch.randn(side, side, device=device, dtype=kind) for _ in range(2))
        out = torch.empty_like(left)
        seconds = _median(lambda a=left, b=right, c=out: torch.mm(a, b, out=c), PRODUCTS, device, count)
        found[name] = 2 * side**3 / seconds
    torch.set_float32_matmul_precision(before)
    return found


def _median(work: Callable[[], object], times: int, device: str, count: int) -> float:
    """Seconds of one of several in a row, the median of some turns after one that is not counted."""
    found = [elapsed(lambda: [work() for _ in range(times)], device) / times for _ in range(count + 1)]
    return median(found[1:])
