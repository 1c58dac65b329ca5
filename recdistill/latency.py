"""How long exported students take: calls that take turns, so that all see the same machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from recdistill.errors import DataError
from recdistill.progress import SILENCE, Board, tracked
from recdistill.serving import Scorer

COUNTS = (1, 100, 500)  # candidates of one call
PARTS = ("raw rows", "encoding", "network")
QUANTILES = (50, 95, 99)
WARM = 20  # calls before the first that counts

Latency = dict[str, dict[str, dict[str, float]]]


def latencies(
    scorers: Mapping[str, Scorer],
    records: Sequence[Mapping[str, Any]],
    *,
    calls: int,
    counts: Sequence[int] = COUNTS,
    parts: Sequence[str] = PARTS,
    board: Board = SILENCE,
) -> dict[str, Latency]:
    """Microseconds by ranker, number of candidates and part: quantiles over calls that take turns.

    "raw rows" is `Scorer.score` of dicts; "encoding" is dicts to arrays; "network" is ONNX Runtime on these arrays.

    Args:
        scorers: by name.
        records: raw rows, at least as many as the largest count; each scorer gets those columns that it reads.
        calls: of each kind.
        counts: how many candidates a call has.
        parts: of `PARTS`, those to time.
        board: told of every round of calls.

    Returns:
        Per name, count and part {"p50", "p95", "p99"}.

    Raises:
        DataError: there are too few records.
    """
    if len(records) < max(counts):
        raise DataError(f"{max(counts)} candidates are timed, got {len(records)} rows")
    works = {
        (name, str(count), part): work
        for name, scorer in scorers.items()
        for count in counts
        for part, work in _works(scorer, records[:count]).items()
        if part in parts
    }
    times = {key: np.empty(calls) for key in works}
    for work in works.values():
        for _ in range(WARM):
            work()
    with tracked(board, "timing", calls, "rounds of calls"):
        for call in range(calls):
            for key, work in works.items():
                started = time.perf_counter_ns()
                work()
                times[key][call] = (time.perf_counter_ns() - started) / 1e3
            board.advance(1)
    found: dict[str, Latency] = {}
    for (name, count, part), taken in times.items():
        quantiles = {f"p{q}": round(float(np.quantile(taken, q / 100)), 1) for q in QUANTILES}
        found.setdefault(name, {}).setdefault(count, {})[part] = quantiles
    return found


def _works(scorer: Scorer, records: Sequence[Mapping[str, Any]]) -> dict[str, Callable[[], Any]]:
    own = [{column: record[column] for column in scorer.columns} for record in records]
    fed = scorer.encoded(own)
    return {
        "raw rows": lambda: scorer.score(own),
        "encoding": lambda: scorer.encoded(own),
        "network": lambda: scorer.run(fed),
    }
