"""Is a run what it says it is? Every byte hashed again, every row counted again, nothing missing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from recdistill import report
from recdistill.artefacts import MANIFEST, is_whole, manifest, read_json, verify
from recdistill.compression import Compression
from recdistill.errors import DataError
from recdistill.pareto import Grid, ParetoSettings, Point
from recdistill.report.frontier.words import GRID, PAGE
from recdistill.run_folder import RunFolder
from recdistill.soft_labels import SoftLabels
from recdistill.stages import label_units, strategy_units, student_units, teacher_units


@dataclass(frozen=True)
class Verified:
    """What was found to be right.

    Args:
        artefacts: folder artefacts with all their files as they were written.
        files: their files.
        rows: rows counted again, in tables and soft labels.
        missing: artefacts that the run's configuration asks for and that are not there yet.
    """

    artefacts: int
    files: int
    rows: int
    missing: tuple[str, ...]


def verify_run(path: Path) -> Verified:
    """Hash every file again, and count rows, labels and positives again.

    Raises:
        UsageError: the folder holds no run.
        DataError: a file is missing or was changed, or counts differ.
    """
    run = RunFolder(path)
    prepared = [run.prepared(part) for part in run.parts]
    inspected = run.prepared("inspection")
    try:
        _require_unchanged(_there(prepared))
    except DataError:  # by which nothing else can be read: whatever else was changed is said at once
        _require_unchanged([file.parent for file in sorted(path.rglob(MANIFEST))])
        raise
    run.tables()
    stages = [*teacher_units(run).values(), label_units(run), *student_units(run).values()]
    stages += strategy_units(run).values()
    units = [unit for units in stages for unit in units]
    wanted = [*prepared, inspected, *(unit.folder for unit in units), run.report]
    made = {inspected: run.identity} | {unit.folder: unit.prepared for unit in units}
    others = {folder for folder, rows in made.items() if _of_other_rows(folder, rows)}
    there = [folder for folder in _there(wanted) if folder not in others]
    there += _made_beside(path)
    files = _require_unchanged(there)
    wanted += _told_of(run)  # by a page that is as it was written
    missing = tuple(str(folder.relative_to(path)) for folder in wanted if folder not in there)
    return Verified(len(there), files, _counted_again(run), missing)


def _of_other_rows(folder: Path, prepared: str) -> bool:
    """Whether what is there was made from other rows than those prepared now, and so is to be made anew."""
    return bool(_there([folder])) and manifest(folder)["facts"].get("prepared") != prepared


def _there(folders: list[Path]) -> list[Path]:
    return [folder for folder in folders if (folder / MANIFEST).is_file()]


def _made_beside(run: Path) -> list[Path]:
    """What `recdistill pareto` made of the run, for which its configuration does not ask."""
    files = sorted((run / GRID).rglob(MANIFEST))
    return [file.parent for file in files if not file.parent.name.startswith(".")]  # of a process that was killed


def _told_of(run: RunFolder) -> list[Path]:
    """What the page of a run's grid speaks of: every student that it shows, of every seed."""
    page = run.path / GRID / PAGE / "pareto.json"
    if not page.is_file():
        return []
    told = read_json(page)
    grid = Grid(run, ParetoSettings(), told["labels"])
    shown = [point for point in told["points"] if not point["refused"]]
    points = [Point(point["size"], Compression(**point["compression"])) for point in shown]
    return [grid.shipped(point, cell) for point in points for cell in grid.cells]


def _require_unchanged(folders: list[Path]) -> int:
    """The number of their files; refuses them with a line for each artefact that is not as it was written."""
    files, wrong = 0, []
    for folder in folders:
        try:
            files += verify(folder)
        except DataError as error:
            wrong.append(str(error))
    if wrong:
        raise DataError("\n".join(wrong))
    return files


def _counted_again(run: RunFolder) -> int:
    """Rows of the tables and of the soft labels, compared with what manifests and report say."""
    tables = run.tables()
    counts = report.counted_parts(tables)
    for part in run.parts:
        if manifest(run.prepared(part))["facts"]["fingerprint"] != tables[part].fingerprint:
            raise DataError(f"{run.prepared(part)} must have the fingerprint in its manifest, got another")
    if is_whole(run.report):
        said = read_json(run.report / "report.json")["data"]
        if said != counts:
            raise DataError(f"{run.report} must count what is there, {counts}, got {said}")
    rows = sum(len(table) for table in tables.values())
    for unit in label_units(run):
        if unit.is_done:
            rows += len(SoftLabels.load(unit.folder).for_table(run.labelled(unit.arguments[-1])[0]))
    return rows
