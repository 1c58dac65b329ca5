"""Where a fit stands, on disk: the last two states, of one process or of ranks together."""

from recdistill.checkpoints.contents import best_folder, best_folders
from recdistill.checkpoints.folder import Checkpoints, State, Stored, Tensors
from recdistill.checkpoints.held import by_first, held
from recdistill.checkpoints.unfinished import Unfinished
from recdistill.checkpoints.whole import WholeState

__all__ = [
    "Checkpoints",
    "State",
    "Stored",
    "Tensors",
    "Unfinished",
    "WholeState",
    "best_folder",
    "best_folders",
    "by_first",
    "held",
]
