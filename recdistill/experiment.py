"""The experiment, read top to bottom: load, split, teachers, soft labels, students and controls, evaluate, write.

Every stage makes what is not there yet and leaves folder artefacts, so any stage can be run alone or again.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from recdistill import datasets, report, run_arms, run_inspection
from recdistill.artefacts import is_made_from, read_json, verify
from recdistill.configuration import Config
from recdistill.devices import device_of
from recdistill.errors import DataError, UsageError
from recdistill.inputs import Input, is_there, require_unchanged
from recdistill.label_budget import with_test_negatives
from recdistill.progress import SILENCE, Board
from recdistill.readers import Quarantine
from recdistill.rehearsal import rehearse
from recdistill.report.frontier.words import GRID, PAGE
from recdistill.results import evaluated
from recdistill.run_folder import RunFolder
from recdistill.splits import split
from recdistill.stages import label_units, require_before, strategy_units, student_units, teacher_units
from recdistill.work import Workers


def run(
    config: Config,
    out: Path,
    *,
    workers: int = 1,
    board: Board = SILENCE,
    overwrite: bool = False,
    command: str = "",
) -> dict[str, Any]:
    """All stages; returns the report.

    Args:
        config: of the experiment.
        out: the run's folder; an unfinished run of the same configuration is continued.
        workers: processes that train at the same time.
        board: told what is going on.
        overwrite: replace a run of another configuration.
        command: as the user typed it, for the report.

    Raises:
        UsageError: the folder holds something else.
        DataError: the data are not what they must be.
        EnvironmentFault: a device is not there.
        Interrupted: the user stopped it.
    """
    for fitting in (config.teacher.fit, config.teacher.adapt, config.student.fit):
        device_of(fitting.device)
    folder = prepare(config, out, board=board, overwrite=overwrite)
    for line in report.finding_lines(run_inspection.read(folder), "warning"):
        board.say(line)
    with Workers(workers, board) as crew:
        train_teachers(folder, crew)
        label(folder, crew)
        distil(folder, crew)
    return evaluate(folder, board=board, command=command)


def prepare(config: Config, out: Path, *, board: Board = SILENCE, overwrite: bool = False) -> RunFolder:
    """Load the data set, split the target, and keep the rows of each part in a run's folder.

    What a later stage would stumble over is tried here (`rehearsal`), before anything is trained. With `overwrite` the
    data are read again; what was made from the same rows by the same configuration is kept all the same.

    Raises:
        UsageError: the folder holds something else, or rows of the same configuration from files that have changed.
        DataError: the data are not what they must be.
    """
    folder = RunFolder(out)
    again = overwrite and folder.is_run
    if not again and folder.holds(config) and folder.is_prepared:
        words = _unchanged(folder.inputs, _files_now(config))
        if _is_inspected(folder):
            board.say(words)
            return folder
    board.say(f"preparing {config.data.name}")
    inputs = datasets.inputs(config.data.name, config.data.root, config.data.arguments)
    read = [Input.of(path) for path in inputs if is_there(path)]
    aside = Quarantine() if config.data.on_bad_row == "quarantine" else None
    loaded, target = datasets.load(config.data.name, config.data.root, config.data.arguments, quarantine=aside)
    source = loaded if config.data.source else None
    by, implicit = config.split.by, config.data.negatives > 0
    train, valid, test = split(target, valid=config.split.valid, test=config.split.test, by=by, implicit=implicit)
    test = with_test_negatives(config.data, train, valid, test)
    # Rows that came without a label can train, where their part does.
    parts = {"train": train, "valid": valid.take(valid.labelled), "test": test.take(test.labelled)}
    found = run_inspection.inspected(config, source, parts)
    rehearse(config, source, parts)
    folder.begin(config, source=source is not None, inputs=read)  # only now, when the data are known to be good
    for part, table in (parts if source is None else {"source": source, **parts}).items():
        table.write(folder.prepared(part))
        board.say(f"  {part}: {len(table):,} rows")
    for share in config.labels:
        if absent := report.left_out(run_arms.left_out(folder, share), share):
            board.say(f"  {absent}")
    run_inspection.write(folder, found, aside)
    return folder


def _is_inspected(folder: RunFolder) -> bool:
    """Whether what was found in the rows is there, or can be found again: rows that were set aside cannot."""
    if run_inspection.read(folder) is None:  # other rows were put there, or an earlier version prepared them
        config, rows = folder.config, dict(folder.tables())
        if config.data.on_bad_row == "quarantine":
            return False
        run_inspection.write(folder, run_inspection.inspected(config, rows.pop("source", None), rows))
    return True


def _files_now(config: Config) -> list[str] | None:
    """The files that preparing would read now; None where the data set is no longer there."""
    try:
        return datasets.inputs(config.data.name, config.data.root, config.data.arguments)
    except (DataError, UsageError):
        return None


def _unchanged(inputs: Sequence[Input] | None, now: Sequence[str] | None) -> str:
    """What to say of rows that are there; refuses them where the files that they were read from have changed."""
    if inputs is None:
        return "prepared before with the same settings (from which files was not written down then): nothing to do"
    gone = require_unchanged(inputs, now)
    if gone:
        return f"prepared before with the same settings; no longer there to compare: {', '.join(gone)}: nothing to do"
    return f"prepared before from the same {'files and ' if inputs else ''}settings: nothing to do"


def train_teachers(folder: RunFolder, crew: Workers) -> None:
    """Train on the source, once per seed; then adapt the teacher to each cell's labels, whole and per fold."""
    folder.tables()
    for stage, units in teacher_units(folder).items():
        crew.carry_out(stage, units)


def label(folder: RunFolder, crew: Workers) -> None:
    """Keep both teachers' logits for every training row of the target."""
    require_before(folder, "label")
    crew.carry_out("soft labels", label_units(folder))


def distil(folder: RunFolder, crew: Workers) -> None:
    """Train the students of every arm, controls included."""
    require_before(folder, "distill")
    for units_of in (student_units, strategy_units):
        for stage, units in units_of(folder).items():
            crew.carry_out(stage, units)


def evaluate(folder: RunFolder, *, board: Board = SILENCE, command: str = "") -> dict[str, Any]:
    """Score the test rows with every ranker, compare, and write the report."""
    require_before(folder, "evaluate")
    result = _with_frontier(evaluated(folder, command=command, board=board), folder)
    report.write(result, folder.report)
    return result


def render(folder: RunFolder) -> dict[str, Any]:
    """Write the report's pages again from `report.json`."""
    result = _with_frontier(reported(folder), folder)
    report.write(result, folder.report)
    return result


def _with_frontier(result: dict[str, Any], folder: RunFolder) -> dict[str, Any]:
    """The report with what `recdistill pareto` found of the same rows, if anything."""
    page = folder.path / GRID / PAGE
    kept = {name: value for name, value in result.items() if name != "frontier"}
    if not is_made_from(page, folder.identity):
        return kept
    verify(page)
    return {**kept, "frontier": read_json(page / "pareto.json")}


def reported(folder: RunFolder) -> dict[str, Any]:
    """The report of a finished run, as it was written.

    Raises:
        UsageError: a stage is missing.
        DataError: the report was changed since, or written by an earlier version.
    """
    require_before(folder, "report")
    result = report.Report.read(folder.path).result
    if any("enough" not in pooled for pooled in result["pooled"]):
        raise DataError(f"{folder.report} was written by an earlier version; run `recdistill evaluate {folder.path}`")
    return result
