"""The command line: `run` for everything, a verb per stage, and the verbs to begin with."""

from __future__ import annotations

import os
import sys

try:
    from recdistill.cli import beginnings, choosing, diagnosing, planning, shipping, stages, tuning, verifying
    from recdistill.cli.app import app
except ModuleNotFoundError as missing:  # where recdistill was installed without what it depends on
    if (missing.name or "recdistill").startswith("recdistill"):
        raise
    sys.exit(
        f"error: the commands need the whole package, got no {missing.name}: pip install recdistill; a machine that "
        "only serves has recdistill.serving in Python (Scorer, score_file)"
    )

__all__ = [
    "app",
    "beginnings",
    "choosing",
    "diagnosing",
    "main",
    "planning",
    "shipping",
    "stages",
    "tuning",
    "verifying",
]


def main() -> None:
    """Run the command line."""
    try:
        app()
    except SystemExit as end:
        if "TORCHELASTIC_RUN_ID" in os.environ and isinstance(end.code, int | None):
            from recdistill.ranks import ended

            ended(end.code or 0)
        raise
