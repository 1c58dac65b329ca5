"""`recdistill diagnose`: how a target differs from a source, and what to do about it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recdistill.cli.app import app
from recdistill.cli.options import a_file
from recdistill.cli.words import board
from recdistill.errors import UsageError, beside

if TYPE_CHECKING:
    from recdistill.ranker import Ranker
    from recdistill.run_folder import RunFolder
    from recdistill.shift import Diagnosis
    from recdistill.soft_labels import SoftLabels
    from recdistill.tables import Table

What = Annotated[
    list[Path],
    typer.Argument(
        help="A run's folder (its source against its training rows, with its teacher); an experiment's TOML; or the "
        "source and the target: data files, or folders of tables.",
        metavar="RUN | TOML | SOURCE TARGET",
    ),
]
Roles = Annotated[
    Path | None,
    typer.Option(
        help="Of data files: the TOML that says what their columns mean, e.g. an experiment's.", callback=a_file
    ),
]
Assign = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help="Of an experiment's TOML: change a setting, e.g. --set data.root=FOLDER. May be repeated.",
        metavar="KEY=VALUE",
    ),
]
TeacherFolder = Annotated[
    Path | None,
    typer.Option("--teacher", help="A saved ranker's folder, to be judged on labelled target rows.", callback=a_file),
]
JsonOut = Annotated[Path | None, typer.Option("--out", help="A new file for all of it as JSON.", metavar="FILE.json")]


@app.command()
def diagnose(
    what: What, roles: Roles = None, by: TeacherFolder = None, assign: Assign = None, out: JsonOut = None
) -> None:
    """Say how the target differs from the source, and what to do about it: the verdict first, then the figures.

    Three shifts are told apart: other users and items (population), another click rate between rows that are alike
    (base rate), and other causes of a click (concept). The last two need labelled target rows. It takes seconds.
    """
    from recdistill.artefacts import write_json
    from recdistill.ranker import Ranker
    from recdistill.shift import diagnose as diagnosed

    for path in what:
        if not path.exists():
            raise UsageError(f"{path} does not exist{beside(path, Path.exists)}")
    if out is not None and out.exists():
        raise UsageError(f"--out writes a new file, and {out} is there already")
    source, target, teacher, soft = _asked(what, roles, assign or [])
    if by is not None:
        teacher, soft = Ranker.load(by), None
    board().say(f"comparing {len(source):,} source rows with {len(target):,} target rows")
    found = diagnosed(source, target, teacher=teacher, soft=soft)
    _show(found)
    if out is not None:
        write_json(out, found.to_dict())
        board().say(f"all of it: {out}")


def _show(found: Diagnosis) -> None:
    from recdistill.terminal import console, show_table

    say = board().say
    for line in found.opening:
        say(line)
    for title, lines in found.tables.items():
        say("")
        show_table(console(), lines, title)
    for note in found.notes:
        say(note)


def _asked(
    what: Sequence[Path], roles: Path | None, assign: Sequence[str]
) -> tuple[Table, Table, Ranker | None, SoftLabels | None]:
    """Source, target, and the teacher where a run has one."""
    from recdistill.run_folder import RunFolder

    experiment = len(what) == 1 and what[0].suffix == ".toml"
    if assign and not experiment:
        raise UsageError(f"--set changes a setting of an experiment's TOML, got {' and '.join(map(str, what))}")
    if len(what) > 2:
        raise UsageError(f"a diagnosis compares one source with one target, got {len(what)} paths")
    if len(what) == 2:
        return *_two(what[0], what[1], roles), None, None
    if roles is not None:
        raise UsageError(f"--roles says what the columns of two data files mean, got {what[0]} alone")
    if experiment:
        return *_of_experiment(what[0], assign), None, None
    if not RunFolder(what[0]).is_run:
        raise UsageError(f"{what[0]} holds no run: name a run, an experiment's TOML, or a source and a target")
    return _of_run(RunFolder(what[0]))


def _two(source: Path, target: Path, roles: Path | None) -> tuple[Table, Table]:
    from recdistill.datasets import files
    from recdistill.settings import read_toml
    from recdistill.tables import Table

    tables = [(path / "manifest.json").is_file() for path in (source, target)]
    if all(tables):
        return Table.read(source), Table.read(target)
    if any(tables):
        raise UsageError(f"source and target must both be tables or both data files, got {source} and {target}")
    if roles is None:
        draft = shlex.join(["recdistill", "init", str(source), str(target)])
        raise UsageError(f"data files need the roles of their columns: --roles TOML, e.g. what `{draft}` writes")
    values = read_toml(roles)
    told = values.get("data", {}).get("arguments", values)
    if "schema" not in told:
        raise UsageError(f"{roles} must say what the columns mean under [schema] or [data.arguments.schema]")
    there, here = files.load(
        "",
        source=str(source),
        target=str(target),
        schema=told["schema"],
        columns=told.get("columns", {}),
        csv=told.get("csv", {}),
        disjoint=told.get("disjoint", ("rows",)),
    )
    return _with_source(there, roles), here


def _of_experiment(path: Path, assign: Sequence[str]) -> tuple[Table, Table]:
    from recdistill import datasets
    from recdistill.configuration import Config
    from recdistill.settings import fill, override, read_toml

    data = fill(Config, override(read_toml(path), assign)).data
    source, target = datasets.load(data.name, data.root, data.arguments)
    return _with_source(source, path), target


def _of_run(run: RunFolder) -> tuple[Table, Table, Ranker | None, SoftLabels | None]:
    from recdistill.artefacts import is_whole
    from recdistill.ranker import Ranker
    from recdistill.soft_labels import SoftLabels

    tables = run.tables()
    source = _with_source(tables.get("source"), run.path)
    if min(run.config.labels) < 1:
        board().say("note: all labels of the run's training rows are read, also those that its shares of labels remove")
    given = run.config.teacher.scores is not None
    place = run.soft_labels(run.teachers[0], run.cells[0]) if given else run.pretrained("source_teacher", 0)
    if not is_whole(place):
        verbs = "`recdistill teacher` and then `label`" if given else "`recdistill teacher`"
        board().say(f"note: no teacher to judge yet; {verbs} on {run.path} first, to have it judged too")
        return source, tables["train"], None, None
    if given:
        return source, tables["train"], None, SoftLabels.load(place)
    return source, tables["train"], Ranker.load(place), None


def _with_source(source: Table | None, where: Path) -> Table:
    if source is None:
        raise UsageError(f"a diagnosis needs source rows, got {where}, whose teacher is a column of scores alone")
    return source
