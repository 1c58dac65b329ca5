"""A run so small that a test can afford it, and one in which distillation wins."""

from __future__ import annotations

import re
from collections.abc import Callable

Call = Callable[..., tuple[int, str, str]]

TINY = """
labels = [0.5]
folds = 2
arms = ["adapted_all"]
strategy = "hard_only"
[data.arguments]
source_rows = 3000
target_rows = 2000
source_users = 100
target_users = 60
items = 50
[teacher]
arguments = {embedding_dim = 8, hidden = [16]}
fit = {epochs = 1, batch_size = 64}
adapt = {epochs = 1}
[student.fit]
epochs = 1
[tune]
controls = [{learning_rate = 1e-3, weight_decay = 0.0}]
distilled = [{learning_rate = 1e-3, weight_decay = 0.0, alpha = 0.0}]
adapted = [{}]
"""
# Every arm that needs not be asked for, and the strategy that chooses.
WHOLE = TINY.replace('arms = ["adapted_all"]\nstrategy = "hard_only"\n', "")
# Alpha 0 must be among the candidates; here it cannot win.
DISTILLING = (
    WHOLE.replace("controls = [{", "controls = [{learning_rate = 1e-9}, {")
    .replace("adapted = [{}]", "adapted = [{learning_rate = 1e-9}, {}]")
    .replace("alpha = 0.0}]", "alpha = 0.7}, {learning_rate = 1e-9, alpha = 0.0}]")
)
# Scores are the teacher: nothing is said of a model.
SCORING = 'arms = ["calibrated_all"]\nstrategy = "hard_only"\n' + re.sub(
    r"\[teacher\].*?(?=\[student)", "", DISTILLING, flags=re.DOTALL
)
