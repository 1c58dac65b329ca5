"""A small teacher of a prepared table, and all that soft labels hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from recdistill.models import build
from recdistill.prepared_table import PreparedTable
from recdistill.ranker import Ranker
from recdistill.soft_labels import SoftLabels


def teacher_of(table: PreparedTable, seed: int = 0) -> Ranker:
    arguments = {"embedding_dim": 4, "classes": table.classes}
    return Ranker(table.encoder, build("fm", table.encoder.spec, seed=seed, arguments=arguments))


def saved(folder: Path) -> dict[str, Any]:
    """All that soft labels hold."""
    soft = SoftLabels.load(folder)
    named = {name: getattr(soft, name) for name in ("teacher", "rows_fingerprint", "sample", "grades")}
    return {**named, "row_ids": soft.row_ids.tolist(), "logits": soft.logits.tolist()}
