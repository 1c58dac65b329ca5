"""`recdistill report` on several runs: their leaderboard."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from recdistill.cli.words import board, command


def compare_runs(
    folders: Sequence[Path], *, against: str | None, every: bool, out: Path | None, overwrite: bool
) -> None:
    """Make the leaderboard of several runs, show it, and write it where that is asked for."""
    from recdistill import report as reports
    from recdistill.leaderboard import leaderboard, require_room, write
    from recdistill.terminal import console, show_table

    if out is not None:
        require_room(out, overwrite=overwrite)
    say = board().say
    result = leaderboard(folders, against=against, every=every, command=command(), board=board())
    for line in reports.leader_lines(result):
        say(line)
    for caution in reports.leader_cautions(result):
        say(f"Caution: {caution}")
    for share in result["shares"]:
        show_table(console(), reports.leader_table(share, result["metric"]), reports.share_title(share))
    if out is not None:
        write(result, out)
        say(f"leaderboard: {out / 'leaderboard.md'}")
