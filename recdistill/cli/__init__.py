"""The command line: `run` for everything, a verb per stage, and the verbs to begin with."""

from __future__ import annotations

from recdistill.cli import beginnings, stages
from recdistill.cli.app import app

__all__ = ["app", "beginnings", "main", "stages"]


def main() -> None:
    """Run the command line."""
    app()
