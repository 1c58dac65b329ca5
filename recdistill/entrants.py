"""The finished runs of a leaderboard, each under a name of its own; refused where their test rows differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recdistill import experiment
from recdistill.artefacts import manifest
from recdistill.errors import DataError, UsageError
from recdistill.evaluation import task
from recdistill.run_folder import RunFolder
from recdistill.schema import Schema
from recdistill.settings import differences, plain

SHOWN = 16  # digits of a fingerprint


@dataclass(frozen=True)
class Entrant:
    """A run on a leaderboard.

    Args:
        name: of its own among the runs.
        run: its folder.
        result: its report.
    """

    name: str
    run: RunFolder
    result: dict[str, Any]

    def seeds(self, share: float) -> set[int]:
        """The seeds of a share of labels; none where it has not that share."""
        return {seed for pooled in self.result["pooled"] if pooled["labels"] == share for seed in pooled["seeds"]}


def entrants_of(paths: Sequence[Path]) -> list[Entrant]:
    """The runs in folders, each called as its folder is, or where two are called so by its path.

    Raises:
        UsageError: fewer than two, one twice, or one that is not finished.
        DataError: the task, the columns or the test rows of one differ from the first one's; or one was changed.
    """
    places = [path.resolve() for path in paths]
    if len(set(places)) < max(2, len(places)):
        raise UsageError(f"a leaderboard needs at least two runs, each once, got {', '.join(map(str, paths))}")
    alike = Counter(place.name for place in places)
    named = {
        (place.name if alike[place.name] == 1 else str(path)): path for path, place in zip(paths, places, strict=True)
    }
    runs = {name: RunFolder(path) for name, path in named.items()}
    first, *others = runs
    for other in others:
        _require_same_rows(runs, first, other)
    return [Entrant(name, run, experiment.reported(run)) for name, run in runs.items()]


def tested_rows(run: RunFolder) -> dict[str, Any]:
    """What the manifest of a run's test rows says of them: rows, schema and fingerprint.

    Raises:
        UsageError: they are not prepared.
    """
    config = run.config
    if not run.is_prepared:
        raise UsageError(f"{run.path} has no prepared rows of {config.data.name}; run `recdistill prepare` first")
    return dict(manifest(run.prepared("test"))["facts"])


def _require_same_rows(runs: dict[str, RunFolder], first: str, other: str) -> None:
    there, here = tested_rows(runs[first]), tested_rows(runs[other])
    if there["fingerprint"] == here["fingerprint"]:
        return
    tasks = [task(Schema.from_dict(facts["schema"])).headline for facts in (there, here)]
    if tasks[0] != tasks[1]:
        told = f"{tasks[0]} as the headline of {first} and {tasks[1]} of {other}"
        raise DataError(f"runs on one leaderboard must have the same task, got {told}")
    if columns := differences(there["schema"], here["schema"]):
        told = f"other ones in {first} (there) and {other} (here): {columns[0]}"
        raise DataError(f"runs on one leaderboard must have the same columns, got {told}")
    rows = [f"{f['fingerprint'][:SHOWN]} ({f['rows']:,} rows) in {name}" for name, f in ((first, there), (other, here))]
    raise DataError(
        f"runs on one leaderboard must have the same test rows, got the fingerprints {' and '.join(rows)}; "
        f"run one of them anew with the [data] and [split] of the other: {_why(runs, first, other)}"
    )


def _why(runs: dict[str, RunFolder], first: str, other: str) -> str:
    """Where the settings that choose the test rows differ."""
    told = [{part: plain(runs[name].config)[part] for part in ("data", "split")} for name in (first, other)]
    if settings := differences(told[0], told[1]):
        return f"{settings[0]} (there is {first}, here {other})"
    return "their settings agree, so the files have changed in between"
