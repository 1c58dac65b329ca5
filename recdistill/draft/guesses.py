"""One or two files looked at together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from recdistill.draft.leaks import without_leaks
from recdistill.draft.matching import candidates, match
from recdistill.draft.profiles import missing_marks, profiles
from recdistill.draft.roles import Guess, guess
from recdistill.errors import DataError, UsageError
from recdistill.readers import CsvSettings, Rows, delimiter_of, files_of, read_all, require_two
from recdistill.schema import FEATURE_KINDS

# A column that may have one of these roles is no privileged feature.
ROLES_ASKED = ("label", "user", "item")


@dataclass(frozen=True)
class Draft:
    """What two files (or one) probably hold.

    Args:
        target, source: the files; source is None for one.
        csv: how text files are read.
        guesses: per column of the target (and per privileged column of the source) what it probably is.
        columns: the source's names that differ, each with the target's name and why.
        privileged: feature columns that only the source has.
        asked: columns of the target without a counterpart, each with what it may be in the source and why.
    """

    target: Rows
    source: Rows | None
    csv: CsvSettings
    guesses: dict[str, Guess]
    columns: dict[str, tuple[str, str]] = field(default_factory=dict)
    privileged: tuple[str, ...] = ()
    asked: dict[str, dict[str, str]] = field(default_factory=dict)

    def role(self, role: str) -> str | None:
        """The column of a single-column role."""
        return next((name for name, guess in self.guesses.items() if guess.role == role), None)

    @property
    def needs_domain(self) -> bool:
        """Whether nothing tells the source's rows from the target's yet, nor stands in for a source."""
        return self.source is None and self.role("score") is None


def draft(files: Sequence[Path]) -> Draft:
    """Look at one file, or at the source's and the target's.

    Raises:
        UsageError: there are more files, or none, or one twice.
        DataError: a file is broken, or the files have different delimiters.
    """
    if not 1 <= len(files) <= 2:
        raise UsageError(f"an experiment has one file, or a source and a target file, got {len(files)} files")
    csv = _csv(files)
    tables = [read_all(path, csv) for path in files]
    marks = sorted({mark for rows in tables for mark in missing_marks(rows)})
    if marks:
        csv = csv.model_copy(update={"missing": ("", *marks)})
        tables = [read_all(path, csv) for path in files]
    if len(tables) == 1:
        here = _guesses(tables[0])
        return Draft(tables[0], None, _with_separators(csv, here), here)
    return _of_two(tables[0], tables[1], csv)


def _of_two(source: Rows, target: Rows, csv: CsvSettings) -> Draft:
    require_two(source, target)
    there, here = _guesses(source), _guesses(target)
    matched = match(there, here)
    agreed: dict[str, Guess] = {}
    for name, one in here.items():
        if name in matched:
            agreed[name] = _together(there[matched[name][0]], one)
        elif one.role in FEATURE_KINDS:
            agreed[name] = replace(one, role="", why="only the target has it, so no teacher could learn it")
        else:
            agreed[name] = replace(one, shared=False)
    if (row_id := next((name for name, one in agreed.items() if one.role == "row_id"), None)) is not None:
        agreed[row_id] = _row_id(agreed[row_id], there[matched[row_id][0]] if row_id in matched else None)
    taken = {name for name, _ in matched.values()}
    alone = {name: one for name, one in there.items() if name not in taken and name not in here}
    asked = _asked(alone, {name: one for name, one in here.items() if name not in matched})
    maybe = {old: new for new, found in asked.items() if here[new].role in ROLES_ASKED for old in found}
    labels = [old for old, new in maybe.items() if here[new].role == "label"]
    alone = without_leaks(source, alone, labels[0] if len(labels) == 1 else None)
    own = {name: _of_source(one, maybe.get(name)) for name, one in alone.items()}
    privileged = tuple(name for name, one in own.items() if one.role)
    columns = {old: (new, why) for new, (old, why) in matched.items() if new != old and agreed[new].role}
    return Draft(target, source, _with_separators(csv, agreed | own), agreed | own, columns, privileged, asked)


def _asked(there: dict[str, Guess], here: dict[str, Guess]) -> dict[str, dict[str, str]]:
    """What to ask of the target's unmatched columns; a label is always asked for, since no run goes without."""
    found = {name: candidates(there.values(), one) for name, one in here.items()}
    return {name: maybe for name, maybe in found.items() if maybe or here[name].role == "label"}


def _guesses(rows: Rows) -> dict[str, Guess]:
    """What the columns of a file are by themselves."""
    found = guess(profiles(rows))
    return without_leaks(rows, found, next((name for name, one in found.items() if one.role == "label"), None))


def _together(there: Guess, here: Guess) -> Guess:
    """One role for a column of both files."""
    if there.role == here.role or here.role not in FEATURE_KINDS:
        return here
    if there.role in ("categorical", "number") and here.role in ("categorical", "number"):
        return replace(here, role="categorical" if "text" in (there.profile.kind, here.profile.kind) else "number")
    if there.role in ("user", "item") and here.role == "categorical":
        return here
    return replace(here, role="", why=f"{here.role} here, but in the source {there.role or there.why}")


def _of_source(one: Guess, maybe: str | None) -> Guess:
    """A column that only the source has: a feature is privileged, unless it may be a role's; the rest is of no use."""
    if maybe is not None:
        return replace(one, role="", why=f"it may be the target's {maybe!r}")
    privileged = one.role in FEATURE_KINDS and one.role != "vector"  # a vector cannot be missing in the target
    return one if privileged or not one.role else replace(one, role="", why="only the source has it")


def _row_id(one: Guess, there: Guess | None) -> Guess:
    """Row ids must be in both files, and differ."""
    if there is None:
        return replace(one, role="", why="only the target has it; rows are numbered by position")
    if there.role != "row_id":
        return replace(one, role="", why="no row id in the source, so rows are numbered by position")
    ids = [guess.profile.values.cast(pa.int64()) for guess in (there, one)]
    if pc.any(pc.is_in(ids[1], ids[0])).as_py():
        return replace(one, role="", why="ids of both files meet, so rows are numbered by position")
    return one


def _csv(files: Sequence[Path]) -> CsvSettings:
    """The delimiter of the text files, where it is not what their names say."""
    found = {path: delimiter_of(files_of(path)[0]) for path in files}
    texts = {path: own for path, own in found.items() if own is not None}
    if all(usual == own for usual, own in texts.values()):
        return CsvSettings()
    if len({own for _, own in texts.values()}) > 1:
        words = " and ".join(f"{own!r} in {path}" for path, (_, own) in texts.items())
        raise DataError(f"both files must have one delimiter, got {words}")
    return CsvSettings(delimiter=next(own for _, own in texts.values()))


def _with_separators(csv: CsvSettings, guesses: dict[str, Guess]) -> CsvSettings:
    listed = {name: one.profile.separator for name, one in guesses.items() if one.role in ("multi", "vector")}
    unusual = {name: mark for name, mark in listed.items() if mark not in (None, "|")}
    return csv.model_copy(update={"separators": unusual})
