"""The command line: `run` for everything, a verb per stage, and the verbs to begin with."""

from __future__ import annotations

from recdistill.cli import beginnings, planning, stages
from recdistill.cli.app import app

__all__ = ["app", "beginnings", "main", "planning", "stages"]


def main() -> None:
    """Run the command line."""
    app()
