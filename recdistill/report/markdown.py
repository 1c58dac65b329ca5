"""`report.md`: the answer first, then the tables it rests on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from recdistill.artefacts import write_text

COLUMNS = ("auc", "logloss", "ndcg@10", "gauc_mean", "f1")
NAMES = {"hard_only": "transfer", "source_finetuned": "distillation"}


def answer(pooled: dict[str, Any]) -> str:
    """One share of labels in a sentence: transfer and distillation apart, each with its interval."""
    parts = []
    for control, name in NAMES.items():
        found = next(
            c
            for c in pooled["comparisons"]
            if c["a"] == pooled["chosen"] and c["b"] == control and c["metric"] == "auc"
        )
        parts.append(f"{name} {_signed(found)} over {control}")
    size = pooled["rankers"]["source_teacher"]["bytes"] / pooled["rankers"][pooled["chosen"]]["bytes"]
    return (
        f"At {pooled['labels']:.0%} of the labels, {pooled['chosen']} (chosen on validation rows; "
        f"1/{size:.1f} of the teacher's bytes): {', '.join(parts)} AUC."
    )


def table(pooled: dict[str, Any]) -> list[list[str]]:
    """Header and one line per ranker: role, bytes, metrics, and both AUC deltas with their 95 % intervals."""
    header = ["ranker", "role", "bytes", *COLUMNS, *(f"{name}, AUC over {c}" for c, name in NAMES.items())]
    lines = [header]
    for name, entry in pooled["rankers"].items():
        deltas = []
        for control in NAMES:
            found = [c for c in pooled["comparisons"] if c["a"] == name and c["b"] == control and c["metric"] == "auc"]
            deltas.append(_signed(found[0]) if found else "")
        metrics = [f"{entry['metrics'][m]:.4f}" if m in entry["metrics"] else "" for m in COLUMNS]
        lines.append([name, entry["role"], f"{entry['bytes']:,}", *metrics, *deltas])
    return lines


def summary(pooled: dict[str, Any]) -> list[list[str]]:
    """The table's columns that fit a terminal: AUC, logloss, and both deltas."""
    lines = table(pooled)
    kept = [lines[0].index(name) for name in ("ranker", "bytes", "auc", "logloss")]
    kept += [i for i, name in enumerate(lines[0]) if " over " in name]
    short = [[line[i] for i in kept] for line in lines]
    return [[name.split(",")[0] for name in short[0]], *short[1:]]


def write_markdown(result: dict[str, Any], path: Path) -> None:
    """Write the page of a report."""
    lines = ["# Does transfer help here?", "", *(f"- {answer(p)}" for p in result["pooled"]), ""]
    lines += ["## Data", "", "| part | rows | labelled | positives | users | items |", "|---|---|---|---|---|---|"]
    for name, counts in result["data"].items():
        lines.append(
            _row([name, *(str(counts.get(k, "")) for k in ("rows", "labelled", "positives", "users", "items"))])
        )
    for pooled in result["pooled"]:
        kept = pooled["labelled"]
        words = [
            f"{p} {kept[p]['labelled']:,} rows with {kept[p]['positives']:,} positives" for p in ("train", "valid")
        ]
        seeds = len(pooled["seeds"])
        lines += ["", f"## {pooled['labels']:.0%} of the labels", "", f"Labelled: {', '.join(words)} (first seed)."]
        lines += [
            f"Means over {seeds} seeds on the same test rows; thresholds and candidates chosen on validation rows.",
            "",
        ]
        header, *body = table(pooled)
        lines += [_row(header), "|" + "---|" * len(header), *map(_row, body)]
    methods = sorted({c["method"] for c in result["comparisons"]})
    lines += [
        "",
        "Intervals are paired, 95 %, by " + ", ".join(methods) + "; several seeds widen them by their spread.",
        "",
    ]
    if result["command"]:
        lines += ["Made by:", "", f"    {result['command']}", ""]
    write_text(path, "\n".join(lines))


def _signed(comparison: dict[str, Any]) -> str:
    return f"{comparison['delta']:+.4f} [{comparison['low']:+.4f}, {comparison['high']:+.4f}]"


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
