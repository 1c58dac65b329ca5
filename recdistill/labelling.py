"""A teacher labels a prepared table part by part: by any engine, continued where it stopped, each row once."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from recdistill import soft_label_files
from recdistill.artefacts import finish, manifest, new_file
from recdistill.errors import DataError, UsageError
from recdistill.part_files import RowGroup, footer, row_groups
from recdistill.preparation import Engine, Threads
from recdistill.preparation.workspace import Workspace, is_there
from recdistill.prepared_table import PreparedTable
from recdistill.progress import SILENCE, Board, tracked
from recdistill.ranker import Ranker
from recdistill.ranks import current, meet
from recdistill.settings import differences
from recdistill.soft_labels import SoftLabels


@dataclass(frozen=True)
class Labelling:
    """Labels parts of a prepared table.

    Args:
        teacher: scores the rows.
        table: whose rows they are.
        facts: of the soft labels.
        folder: where to.
    """

    teacher: Ranker
    table: PreparedTable
    facts: dict[str, Any]
    folder: Path

    def __call__(self, part: Path) -> int:
        """Label a part, a row group at a time.

        Returns:
            How many rows it has.
        """
        found = [self._scored(group) for group in row_groups(part, self.table.part_schema.names)]
        row_ids, logits = (np.concatenate(side) for side in zip(*found, strict=True))
        labels = SoftLabels(row_ids, logits, **self.facts)
        with new_file(self.labelled(part)) as temporary:
            soft_label_files.write_rows(temporary, labels.grades, labels.row_ids, labels.logits)
        return len(row_ids)

    def _scored(self, group: RowGroup) -> tuple[Any, Any]:
        """The row ids and logits of a row group, which is not kept."""
        rows = self.table.read_group(group)
        return rows.row_id, self.teacher.score(rows.batch())

    def labelled(self, part: Path) -> Path:
        """Where a part's labels are, once it is labelled."""
        return self.folder / part.name.replace("part", "logits")


def label_prepared(
    teacher: Ranker | Path | str,
    prepared: PreparedTable,
    out: Path | str,
    *,
    split: str = "train",
    in_sample: bool = False,
    engine: Engine | None = None,
    board: Board = SILENCE,
    overwrite: bool = False,
) -> Path:
    """Write what `SoftLabels.from_teacher` gives, a file for each part of the table; `SoftLabels.load` reads them.

    A call that was stopped is continued by the same call. What is there of the same teacher and rows is left as it is.
    In a process group (torchrun) each rank labels its share of the parts, and rank 0 writes the manifest.
    Other processors, or another number of torch's threads, may add in another order and change a logit's last bit.

    Args:
        teacher: scores the rows, or the folder that it was saved in.
        prepared: the rows, prepared by the teacher's encoder.
        out: the folder to make.
        split: which rows.
        in_sample: whether the teacher was trained on labels of these rows; marked in the manifest.
        engine: does the work; by default one thread here, for torch itself takes the cores.
        board: told how far it is.
        overwrite: replace what else is there.

    Returns:
        The folder.

    Raises:
        UsageError: there is something else, or no such split.
        DataError: the table was prepared by another encoder, has no such rows, or a logit is not finite.
        EnvironmentFault: the disk is full.
    """
    teacher, out = teacher if isinstance(teacher, Ranker) else Ranker.load(teacher), Path(out)
    prepared.require_encoder(teacher.encoder)
    if not prepared.parts(split):
        raise DataError(f"labelling needs rows, got none in {split!r} of {prepared.path}")
    facts = {
        "teacher": teacher.fingerprint,
        "rows_fingerprint": prepared.split_fingerprint(split),
        "sample": "in_sample" if in_sample else "unseen",
        "grades": list(prepared.schema.class_grades),
    }
    stored = soft_label_files.described(facts, prepared.rows[split])
    workspace = Workspace.of(out)
    ranks = current()
    leads = ranks is None or ranks.first
    if is_there(out, soft_label_files.KIND, overwrite=overwrite) and not overwrite:
        there = _as_before(out, stored, board)
        if leads:
            workspace.discard_left(facts)
        return there
    with workspace.held() if leads else nullcontext():
        if leads and (words := workspace.begin(facts)):
            board.say(f"{workspace.path} {words}")
        labelling = Labelling(teacher, prepared, facts, workspace.path / "labels")
        parts = prepared.parts(split)
        meet(ranks)  # the folder is there
        _label(labelling, parts if ranks is None else parts[ranks.rank :: ranks.world], engine or Threads(1), board)
        meet(ranks)  # all parts are labelled
        if leads:
            finish(labelling.folder, out, stored)
            workspace.discard()
    meet(ranks)
    return out


def _as_before(out: Path, stored: dict[str, Any], board: Board) -> Path:
    """What is there, if the same teacher made it for the same rows.

    Raises:
        UsageError: it did not; says what differs.
    """
    there = manifest(out)["facts"]
    if found := differences({name: there.get(name) for name in stored}, stored):
        raise UsageError(f"{out} was made otherwise: {'; '.join(found[:3])}; choose another folder or overwrite it")
    board.say(f"{out} was made before by the same teacher for the same rows: nothing to do")
    return out


def _label(labelling: Labelling, parts: list[Path], engine: Engine, board: Board) -> None:
    """Label the parts that are not labelled yet."""
    left = [part for part in parts if not labelling.labelled(part).is_file()]
    with tracked(board, "labelling", sum(footer(part).num_rows for part in left), "rows"):
        for rows in engine.run(labelling, left):
            board.advance(rows)
