"""What was found in the rows, in words and a table; nothing of a report that an earlier version wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

FILE = "prepared/inspection/inspection.json"
MOST = 12  # columns shown in the overlap's table, and findings of one level


def overlap_table(inspection: dict[str, Any] | None) -> list[list[str]]:
    """Header and one line per id column: what of the target the source has; the least shared first."""
    if not inspection or not inspection["overlap"]:
        return []
    least = sorted(inspection["overlap"].items(), key=lambda item: item[1]["share_of_rows"])
    lines = [["column", "ids", "in the source too", "rows", "with such an id"]]
    for name, of in least[:MOST]:
        ids, rows = (_percent(of[f"share_of_{what}"]) for what in ("ids", "rows"))
        lines.append([name, f"{of['ids']:,}", f"{of['seen_ids']:,} ({ids})", f"{of['rows']:,}", rows])
    return lines


def more_columns(inspection: dict[str, Any] | None) -> str:
    """What the overlap's table leaves out; empty where it holds every column."""
    rest = len(inspection["overlap"]) - MOST if inspection else 0
    return f"and {rest} more columns, each shared more than these" if rest > 0 else ""


def finding_lines(inspection: dict[str, Any] | None, *levels: str, where: str | Path = FILE) -> list[str]:
    """A line for each finding of some levels, in their order; of many in one level the first."""
    found = inspection["findings"] if inspection else []
    lines = []
    for level in levels:
        own = [f"{level}: {finding['words']}" for finding in found if finding["level"] == level]
        rest = len(own) - MOST
        lines += own[:MOST] + ([f"{level}: and {rest} more in {where}"] if rest > 0 else [])
    return lines


def _percent(share: float) -> str:
    """A share in percent that says 0 and 100 only where it is exact."""
    if share in (0.0, 1.0):
        return f"{100 * share:.0f} %"
    return f"{min(max(100 * share, 0.1), 99.9):.1f} %"
