"""How a run's target differs from its source: looked at for the report, as `recdistill diagnose` looks at a run."""

from __future__ import annotations

from typing import Any

from recdistill.errors import DataError
from recdistill.label_budget import Cell
from recdistill.progress import Board
from recdistill.ranker import Ranker
from recdistill.run_folder import RunFolder
from recdistill.shift import diagnose
from recdistill.soft_labels import SoftLabels


def of_report(run: RunFolder, board: Board) -> dict[str, Any] | None:
    """The diagnosis of the source against the training rows, with the first seed's teacher as it came.

    All labels of the training rows are read, also those that the run's shares of labels remove; of an implicit target
    those of its greatest share, since its negatives are drawn for a share. Test rows play no part.

    Args:
        run: the run's folder.
        board: told why there is none.

    Returns:
        `Diagnosis.to_dict`; None without source rows, or where there are too few rows or labels to say anything.
    """
    if not run.has_source:
        return None
    tables, config, seed = run.tables(), run.config, min(cell.seed for cell in run.cells)
    most = Cell(max(cell.share for cell in run.cells), seed)
    target = run.labelled(most)[0] if config.data.negatives else tables["train"]
    if config.teacher.scores is None:
        teacher, soft = Ranker.load(run.pretrained("source_teacher", seed)), None
    else:
        given = SoftLabels.from_column(target, scale=config.teacher.scores, clip=config.teacher.clip)
        teacher, soft = None, given  # not those of the run's folder: no arm need have asked for them
    try:
        return diagnose(tables["source"], target, teacher=teacher, soft=soft).to_dict()
    except DataError as error:
        board.say(f"  no diagnosis of the shift: {error}")
        return None
