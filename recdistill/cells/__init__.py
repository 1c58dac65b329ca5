"""What an experiment makes, one artefact a function: rankers trained on the source, adapted teachers, soft labels,
students, the strategy's choice. Each takes the run's folder, reads what it needs there, and leaves one folder artefact.
"""

from recdistill.cells.strategy import choose, hold_out
from recdistill.cells.students import teach
from recdistill.cells.teachers import adapt, calibrated, label, pretrain, rows_for_teacher
from recdistill.cells.trying import new_ranker

__all__ = [
    "adapt",
    "calibrated",
    "choose",
    "hold_out",
    "label",
    "new_ranker",
    "pretrain",
    "rows_for_teacher",
    "teach",
]
