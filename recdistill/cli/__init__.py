"""The command line: `run` for everything, a verb per stage, and the verbs to begin with."""

from __future__ import annotations

import os

from recdistill.cli import beginnings, choosing, diagnosing, planning, shipping, stages, tuning
from recdistill.cli.app import app

__all__ = ["app", "beginnings", "choosing", "diagnosing", "main", "planning", "shipping", "stages", "tuning"]


def main() -> None:
    """Run the command line."""
    try:
        app()
    except SystemExit as end:
        if "TORCHELASTIC_RUN_ID" in os.environ and isinstance(end.code, int | None):
            from recdistill.ranks import ended

            ended(end.code or 0)
        raise
