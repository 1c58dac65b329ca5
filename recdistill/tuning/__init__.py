"""Tuning: settings of a student and of its distillation, tried on the target's labelled validation rows.

`tune` is the page to read; `space` is what may be tried, `students` what is made, `proposals` what is tried next, and
`trials` what is kept of it.
"""

from recdistill.tuning.proposals import study_of
from recdistill.tuning.space import Choices, Range, Space
from recdistill.tuning.students import heard_by
from recdistill.tuning.trials import Tried
from recdistill.tuning.tuning import Tuning, tune

__all__ = ["Choices", "Range", "Space", "Tried", "Tuning", "heard_by", "study_of", "tune"]
