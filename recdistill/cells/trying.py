"""Candidates of a budget: each is tried, the best on the labelled validation rows kept."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path

from recdistill.arms import Trial
from recdistill.artefacts import manifest
from recdistill.configuration import StudentSettings, TeacherSettings
from recdistill.encoder import Encoder
from recdistill.errors import UsageError
from recdistill.metrics import logloss
from recdistill.models import build
from recdistill.ranker import Ranker
from recdistill.tables import Table
from recdistill.training import Fitted


def stopwatch() -> Callable[[], float]:
    """Processor seconds from now on; what torch loads at the first step of a process is not among them."""
    import torch._dynamo  # noqa: F401

    started = time.process_time()
    return lambda: time.process_time() - started


class Best:
    """The candidate with the lowest logloss on the labelled validation rows, whatever its fit was stopped by."""

    trial: Trial
    ranker: Ranker
    fitted: Fitted

    def __init__(self, valid: Table) -> None:
        self.valid, self.logloss = valid.take(valid.labelled), math.inf

    def offer(self, ranker: Ranker, trial: Trial, fitted: Fitted) -> None:
        """Keep it if it is better."""
        found = logloss(ranker.score(self.valid), self.valid.labels)
        if found < self.logloss:
            self.logloss, self.ranker, self.trial, self.fitted = found, ranker, trial, fitted

    def save(self, folder: Path, prepared: str, **facts: float) -> str:
        """Write it down, with the facts, and say how good it is."""
        found, choice = self.fitted, {"valid_logloss": self.logloss, "choice": self.trial.model_dump()}
        steps = {"best_epoch": found.best_epoch, "batch_size": found.batch_size, "history": list(found.history)}
        stored = {**choice, **steps, **facts}
        self.ranker.save(folder, prepared=prepared, **stored)
        return f"validation logloss {self.logloss:.4f}"


def chosen(folder: Path) -> tuple[Trial, dict[str, int]]:
    """What was chosen for a ranker on validation rows, for one that is fitted without them on a part of the rows.

    Returns:
        The candidate; and of the settings of its fit the epochs after which it was best and the rows of a step. By
        their number, fewer rows would get smaller batches: more steps for each row, at the same learning rate.

    Raises:
        UsageError: an earlier version made it.
    """
    facts = manifest(folder)["facts"]
    if "best_epoch" not in facts or "batch_size" not in facts:
        raise UsageError(f"{folder} was made by an earlier version; remove it, and the same command makes it anew")
    return Trial(**facts["choice"]), {"epochs": facts["best_epoch"], "batch_size": facts["batch_size"]}


def new_ranker(settings: TeacherSettings | StudentSettings, encoder: Encoder, classes: int, seed: int) -> Ranker:
    """A ranker of the task's classes that has learnt nothing."""
    arguments = {"classes": classes, **settings.arguments}
    return Ranker(encoder, build(settings.model, encoder.spec, seed=seed, arguments=arguments))
