"""Reports to render: a committed one with everything that a report may hold."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parent.parent / "benchmarks" / "results"
COMMITTED = sorted(path.parent.name for path in RESULTS.glob("*/report.json"))
METHOD = {"metric": "auc", "p": 0.04, "p_holm": 0.3, "method": "delong_cluster", "cluster": "user_id"}


def committed(name: str) -> dict[str, Any]:
    """A result page's report."""
    found: dict[str, Any] = json.loads((RESULTS / name / "report.json").read_text())
    return found


def full(name: str = "synthetic") -> dict[str, Any]:
    """A committed report with every key that one may hold."""
    result = committed(name)
    result |= {"versions": {"recdistill": "0.1.0", "torch": "2.13.0"}, "shift": SHIFT, "inspection": INSPECTION}
    for pooled in result["pooled"]:
        names = [name for name, of in pooled["rankers"].items() if of["role"] in ("teacher", "control")]
        drawn = [*names, "chosen", "calibrated_source_teacher"]
        pooled["curves"] = {name: _curves(1.5 + place / 4) for place, name in enumerate(drawn)}
        pooled["histories"] = {name: _history(place) for place, name in enumerate(pooled["rankers"])}
        pooled["segments"] = [_segment(number) for number in range(26)]
        students = [name for name, of in pooled["rankers"].items() if of["role"] == "student"]
        measures = {"agreement": 0.91, "kl": 0.0123, "rank_correlation": 0.87, "overlap@10": 0.6}
        pooled["fidelity"] = {name: dict(measures) for name in students}
        for comparison in pooled["comparisons"]:
            comparison |= {"p_holm": min(1.0, 10 * comparison["p"]), "small": comparison["b"] == "adapted_teacher"}
    return result


def renamed(value: Any, name: Callable[[str], str]) -> Any:
    """A report with other names: `name` gives each string, keys too, its new one."""
    if isinstance(value, dict):
        return {name(key): renamed(of, name) for key, of in value.items()}
    if isinstance(value, list):
        return [renamed(of, name) for of in value]
    return name(value) if isinstance(value, str) else value


def crowded(count: int = 30) -> dict[str, Any]:
    """A report of many rankers with long names."""
    result = full()
    for pooled in result["pooled"]:
        for number in range(count):
            name = f"adapted_teacher_calibrated_out_of_fold_all_rows_warm_start_embedding_dim_{number:02d}_with_hidden"
            pooled["rankers"][name] = pooled["rankers"]["adapted_labelled"] | {"bytes": 30_000 + 7_919 * number}
            like = [c for c in pooled["comparisons"] if c["a"] == "adapted_labelled"]
            pooled["comparisons"] += [c | {"a": name, "delta": c["delta"] + number / 1000} for c in like]
    return result


def _curves(strength: float) -> dict[str, Any]:
    x = [round(step / 100, 5) for step in range(101)]
    bins = [
        {"predicted": p, "observed": p ** (strength / 2), "low": p ** (strength / 2) * 0.9, "high": p, "rows": 900}
        for p in (0.05, 0.15, 0.3, 0.5, 0.7, 0.9)
    ]
    return {
        "roc": {"x": x, "y": [round(v ** (1 / strength), 5) for v in x]},
        "pr": {"x": x, "y": [round(1 - 0.6 * v**strength, 5) for v in x]},
        "reliability": bins,
        "tied_pairs": 0.0123,
    }


def _history(place: int) -> list[dict[str, float]]:
    return [
        {"loss": 0.6 + math.exp(-epoch - place / 9) / 4, "logloss": 0.55 + (epoch - 4) ** 2 / 300 + place / 500}
        for epoch in range(1, 9)
    ]


def _segment(number: int) -> dict[str, Any]:
    delta = -0.03 + number / 400
    ends = {"delta": delta, "low": delta - 0.02, "high": delta + 0.015, "value_a": 0.71 + delta, "value_b": 0.71}
    counts = {"rows": 1000 + number, "users": 321, "positives": 210 - number, "small": number > 10}
    column = ("popularity", "country", "user")[number % 3]
    return {"column": column, "segment": f"group {number}", "a": "auto", "b": "hard_only", **counts, **ends, **METHOD}


_DISTANCES = {"psi": 1.25, "by_chance": 0.01, "jensen_shannon": 0.52, "ks": None, "unseen": 0.75}
_TEACHER = {"rows": 4000, "rate": 0.3, "predicted": 0.35, "auc": 0.7, "low": 0.68, "high": 0.72}
_TEACHER |= {"normalised_entropy": 0.95, "calibration_error": 0.06, "calibration_p": 0.01}
SHIFT: dict[str, Any] = {
    "format": 1,
    "verdict": {
        "shifts": ["population", "base_rate"],
        "unknown": [],
        "words": ["Population: rows tell their side (AUC 0.83).", "Base rate: clicks are rarer here."],
        "advice": ["Calibrate the teacher on the labelled rows.", "Keep a student of labels alone to compare with."],
    },
    "columns": [
        {"column": "item_id", "kind": "item", **_DISTANCES},
        {"column": "country", "kind": "categorical", **_DISTANCES, "jensen_shannon": 0.21, "unseen": 0.0},
        {"column": "price", "kind": "number", **_DISTANCES, "jensen_shannon": 0.05, "ks": 0.2, "unseen": None},
    ],
    "teacher": {"whole": {"name": "all", **_TEACHER}, "segments": [{"name": "new items", **_TEACHER, "auc": 0.6}]},
}
INSPECTION: dict[str, Any] = {
    "findings": [
        {"level": "warning", "about": "leakage", "words": "dwell alone tells the label (AUC 0.99)"},
        {"level": "note", "about": "rows", "words": "3 rows occur twice"},
    ],
    "overlap": {
        "user_id": {"ids": 900, "seen_ids": 90, "share_of_ids": 0.1, "rows": 9000, "share_of_rows": 0.12},
    },
}
