"""The draft as a TOML file that runs, with a comment for every guess."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterable, Iterator
from pathlib import Path

from recdistill.artefacts import write_text
from recdistill.draft.guesses import Draft
from recdistill.draft.leaks import LEAK
from recdistill.draft.roles import Guess
from recdistill.errors import UsageError
from recdistill.readers import Rows
from recdistill.schema import FEATURE_KINDS

SINGLE = ("label", "score", "user", "item", "time", "row_id", "rating")
IDS = ("user", "item")
MANY = 12
# Ways to split the target's rows, with the roles that each needs.
SPLITS = {"random": (), "time": ("time",), "user": ("user",), "position": (), "last": ("user", "time")}


def write_page(made: Draft, out: Path, *, force: bool = False) -> None:
    """Write the TOML file.

    Raises:
        UsageError: there is a file already, and force was not asked for; or it is one of the files looked at.
    """
    if out.exists() and any(rows is not None and out.samefile(rows.path) for rows in (made.source, made.target)):
        raise UsageError(f"{out} is one of the files looked at, which are never replaced; pass --out another")
    if out.exists() and not force:
        raise UsageError(f"{out} is there already; pass --force to replace it, or --out another")
    write_text(out, page(made, out))


def page(made: Draft, out: Path) -> str:
    """The text of the TOML file.

    Args:
        made: the guesses.
        out: the file's name, for the command in it.
    """
    return "\n".join([*_top(out), *_data(made), *_columns(made), *_schema(made), *_csv(made), *_rest(made)]) + "\n"


def summary(made: Draft) -> list[str]:
    """What was guessed, a line per column."""
    own = {new: old for old, (new, _) in made.columns.items()}
    width = max(len(name) for name in made.guesses)
    lines = []
    for name, one in made.guesses.items():
        role = (one.role or "left out") + (", privileged" if name in made.privileged else "")
        there = f"; {own[name]!r} in the source" if name in own else ""
        lines.append(f"  {name:<{width}}  {role}: {one.why}{there}")
    return lines


def questions(made: Draft) -> list[str]:
    """What must be answered before the run, and what to check first."""
    lines = []
    for name, found in made.asked.items():
        if made.source is not None and made.guesses[name].role:
            maybe = f"is it {' or '.join(map(quoted, found))}?" if found else "which column is it?"
            rule = f"{quoted(name)} has no counterpart in {made.source.path.name}"
            lines.append(f"answer before the run: {rule}: {maybe}")
    leaks = {name: one.why for name, one in made.guesses.items() if LEAK in one.why}
    return lines + [f"check: {quoted(name)} is left out: {why}" for name, why in leaks.items()]


def run_command(out: Path) -> str:
    """The command that runs the TOML file, as it can be typed."""
    return shlex.join(["recdistill", "run", str(out), "--out", "runs/mine"])


def _top(out: Path) -> Iterator[str]:
    yield "# A first draft by `recdistill init`: every role below is a guess from names and values. Check them, then:"
    yield f"#   {run_command(out)}"
    yield "# What each role means: docs/own_data.md. Every other setting, with its default: runs/mine/config.toml."
    yield ""
    yield "labels = [1.0]  # the share of the target's labels to use; [0.1, 1.0] also shows what fewer would give"
    yield "# seeds = 3     # more runs, each with other labels and weights: how sure is the answer?"


def _data(made: Draft) -> Iterator[str]:
    paths = [rows.path for rows in (made.source, made.target) if rows is not None]
    root = Path(os.path.commonpath([path.parent for path in paths]) or ".")
    yield from ("", "[data]", 'name = "files"')
    yield f"root = {quoted(root.as_posix())}  # the files' folder, from where the command is typed; $NAME is a variable"
    yield from ("", "[data.arguments]")
    if made.source is not None:
        yield f"source = {_file(made.source, root)}"
    yield f"target = {_file(made.target, root)}"
    yield 'disjoint = ["rows"]  # add "user" or "item" where none may be in both domains'
    if made.source is None:
        yield from _domain(made)


def _domain(made: Draft) -> Iterator[str]:
    if made.role("score") is None:
        yield "# What tells the source's rows from the target's? Take one line, or give a second file as `source`."
    else:
        yield "# The score is the teacher and needs no source rows. If the file holds both domains, take one line:"
    if (time := made.role("time")) is not None:
        yield f"# domain = {{ column = {quoted(time)}, at = 0.6 }}  # the first 60 % of the rows are the source"
    for name, one in made.guesses.items():
        if one.role == "categorical" and 2 <= one.profile.distinct <= MANY:
            values = sorted(map(str, one.profile.values.to_pylist()))
            sides = f"source = {_listed(values[:-1])}, target = {_listed(values[-1:])}"
            yield f"# domain = {{ column = {quoted(name)}, {sides} }}"


def _columns(made: Draft) -> Iterator[str]:
    if made.source is None:
        return
    yield from ("", "# The source's names that differ: its name = the target's.", "[data.arguments.columns]")
    for old, (new, why) in made.columns.items():
        yield f"{quoted(old)} = {quoted(new)}  # {why}"
    if made.asked:
        yield "# Without a counterpart so far. Take what is right, and name it in the schema as the target does:"
    for new, found in made.asked.items():
        yield from (f"# {quoted(old)} = {quoted(new)}  # is it? {why}" for old, why in found.items())
        if not found:
            yield f'# "..." = {quoted(new)}  # which column is it?'


def _schema(made: Draft) -> Iterator[str]:
    yield from ("", "# The roles, in the target's names. Leave out what is known only after the answer.")
    yield "[data.arguments.schema]"
    if made.role("label") is None and made.role("rating") is None:
        flags = [name for name, one in made.guesses.items() if one.profile.kind == "flag"]
        hint = f"is it {' or '.join(map(quoted, flags))}?" if flags else "no column holds 0 and 1 alone"
        yield f'# label = "..."  # no column looks like a click: name yours, or the run stops here; {hint}'
    for role in SINGLE:
        if (name := made.role(role)) is not None:
            yield f"{role} = {quoted(name)}  # {_facts(made.guesses[name])}"
    rating = made.role("rating")
    if rating is not None:
        grades = sorted({float(str(value)) for value in made.guesses[rating].profile.values.to_pylist()})
        yield f"{'' if made.role('label') is None else '# '}grades = {json.dumps(grades)}  # every value, rising"
    for kind in FEATURE_KINDS:
        names = [name for name, one in made.guesses.items() if kind == "categorical" and one.role in IDS and one.shared]
        names += [name for name, one in made.guesses.items() if one.role == kind]
        if names:
            yield f"{kind} = ["
            yield from (f"    {quoted(name)},  # {_facts(made.guesses[name])}" for name in names)
            yield "]"
    if made.privileged:
        yield "# Only the source has these: for the teacher alone, and not used unless [teacher] hidden is below 1."
        yield f"privileged = {_listed(made.privileged)}"
    for name, one in made.guesses.items():
        if not one.role:
            yield f"# left out: {quoted(name)}: {_facts(one)}"


def _csv(made: Draft) -> Iterator[str]:
    told = made.csv.model_dump(exclude_defaults=True)
    if told:
        yield from ("", "# How the text files are read.", "[data.arguments.csv]")
    if "delimiter" in told:
        yield f"delimiter = {quoted(told['delimiter'])}"
    if "missing" in told:
        yield f"missing = {_listed(told['missing'])}"
    if told.get("separators"):
        pairs = ", ".join(f"{quoted(name)} = {quoted(mark)}" for name, mark in told["separators"].items())
        yield f"separators = {{ {pairs} }}"


def _rest(made: Draft) -> Iterator[str]:
    by = "time" if made.role("time") else "random"
    yield from ("", "# How the target's rows are split. By time: the last rows test, those before validate.", "[split]")
    others = [way for way, needed in SPLITS.items() if way != by and all(map(made.role, needed))]
    yield f'by = "{by}"  # or {", ".join(map(quoted, others))}'
    if made.role("score") is None and not made.privileged:
        return
    yield from ("", "[teacher]")
    if made.role("score") is not None:
        own = made.source is None
        yield "# The score column as the teacher." + ("" if own else " Without this one is trained.")
        yield f'{"" if own else "# "}scores = "probability"'
    if made.privileged:
        yield "# hidden = 0.5  # hides what only the source has in half of the training rows, not in all"


def _file(rows: Rows, root: Path) -> str:
    name = quoted(Path(os.path.relpath(rows.path, root)).as_posix())
    return f"{name}  # {rows.arrow.num_rows:,} rows, {rows.arrow.num_columns} columns"


def _facts(one: Guess) -> str:
    return f"{one.why}; {one.profile.words()}"


def quoted(text: str) -> str:
    """A TOML string: as JSON's, but that one character more is escaped."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", r"\u007f")


def _listed(texts: Iterable[str]) -> str:
    return f"[{', '.join(map(quoted, texts))}]"
