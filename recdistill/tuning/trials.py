"""What was tried, on disk: `trials.json` is read to go on, `trials.csv` and `best.toml` are for who uses it."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

import tomli_w

from recdistill.arms import ARMS, TuneSettings
from recdistill.artefacts import read_json, write_json, write_text
from recdistill.errors import DataError, UsageError
from recdistill.settings import differences, override, plain
from recdistill.tuning.space import applied, text
from recdistill.tuning.students import Students

FORMAT = 1
TRIALS, TABLE, BEST = "trials.json", "trials.csv", "best.toml"


@dataclass(frozen=True)
class Tried:
    """One student that was tried.

    Args:
        point: its settings, by their names in the space.
        state: "finished"; "pruned", ended early as it was no better than most; or "failed".
        valid_logloss: on the labelled validation rows, with the weights of its best epoch; None if not finished.
        best_epoch: whose weights these are.
        scores: after each epoch, of the validation rows, by what its fit is stopped by.
        seconds: that it took.
        reason: why it failed.
    """

    point: dict[str, Any]
    state: Literal["finished", "pruned", "failed"]
    valid_logloss: float | None = None
    best_epoch: int | None = None
    scores: tuple[float, ...] = ()
    seconds: float = 0.0
    reason: str = ""

    @property
    def words(self) -> str:
        """What came of it, in a few words."""
        if self.state == "finished":
            return f"validation logloss {self.valid_logloss:.4f}, best after epoch {self.best_epoch}"
        return f"pruned after epoch {len(self.scores)}" if self.state == "pruned" else f"failed: {self.reason}"


def read(folder: Path, told: Mapping[str, Any]) -> list[Tried]:
    """What was tried in a folder before; nothing if it is new.

    Args:
        folder: any.
        told: what a tuning depends on, as `write` kept it.

    Raises:
        UsageError: it was another tuning.
        DataError: what is there cannot be read.
    """
    if not (folder / TRIALS).exists():
        if folder.is_dir() and any(folder.iterdir()):
            raise UsageError(f"{folder} is not empty and holds no {TRIALS}; choose another folder (--out)")
        return []
    there = read_json(folder / TRIALS)
    if not isinstance(there, dict) or there.get("format") != FORMAT:
        raise DataError(f"{folder / TRIALS} must be trials of format {FORMAT}")
    if there["told"] != told:
        words = differences(there["told"], told)
        more = f", and {len(words) - 3} more differ" if len(words) > 3 else ""
        raise UsageError(
            f"{folder} holds another tuning: {', '.join(words[:3])}{more}; choose another folder (--out), or remove it"
        )
    return [Tried(**{**one, "scores": tuple(one["scores"])}) for one in there["trials"]]


def write(folder: Path, told: Mapping[str, Any], trials: Sequence[Tried]) -> None:
    """Keep what was tried, so that it is there whole or as it was before."""
    write_json(folder / TRIALS, {"format": FORMAT, "told": told, "trials": [asdict(one) for one in trials]})
    write_text(folder / TABLE, _table(trials))


def best(trials: Sequence[Tried]) -> int | None:
    """The place of the finished one with the lowest logloss, the first of equals; None where none is finished."""
    found = [place for place, one in enumerate(trials) if one.valid_logloss is not None]
    return min(found, key=lambda place: trials[place].valid_logloss or 0.0) if found else None


def write_best(folder: Path, students: Students, trials: Sequence[Tried], place: int) -> None:
    """An experiment's TOML, which extends the run's and has the best one's settings: `best.toml`."""
    run, one = students.run, trials[place]
    student = {name: value for name, value in one.point.items() if name.startswith("student.")}
    said: dict[str, Any] = override({}, [f"{name}={text(value)}" for name, value in student.items()])
    trial = applied(run.config.student, one.point).trial
    lists = _longer(run.config.tune, distilled=ARMS[students.name].distilled)
    lists["distilled" if ARMS[students.name].distilled else "controls"].append(plain(trial))
    base = os.path.relpath(run.path / "config.toml", folder)
    text_of = tomli_w.dumps({"extends": Path(base).as_posix(), **said, "tune": lists})
    words = f"# Trial {place + 1} of {len(trials)} of {students.name}/{students.cell}: {one.words}.\n"
    write_text(folder / BEST, words + text_of)


def _longer(told: TuneSettings, *, distilled: bool) -> dict[str, list[dict[str, Any]]]:
    """Each list of candidates with one more: all have as many, so the others' last stands twice, which changes nothing.

    The list that the best one is still to be added to is left as it is.
    """
    mine = "distilled" if distilled else "controls"
    lists = {name: [plain(one) for one in getattr(told, name)] for name in TuneSettings.model_fields}
    return {name: of if name == mine else [*of, of[-1]] for name, of in lists.items()}


def _table(trials: Sequence[Tried]) -> str:
    """Comma-separated, a line for each."""
    facts = [field.name for field in fields(Tried) if field.name not in ("point", "scores")]
    names = list(trials[0].point) if trials else []
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["trial", *facts, *names])
    for number, one in enumerate(trials, start=1):
        values = [one.point[name] for name in names]
        shown = [text(value) if isinstance(value, list) else value for value in values]
        writer.writerow([number, *(getattr(one, name) for name in facts), *shown])
    return stream.getvalue()
