"""Adaptation: a teacher fine-tuned on labelled target rows, whole or in part, and its soft labels for those rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import torch

from recdistill.errors import DataError, UsageError
from recdistill.fit_settings import FitSettings
from recdistill.models.embeddings import PlainTables, embeddings_of, require_plain
from recdistill.progress import Progress, Watch
from recdistill.ranker import Ranker
from recdistill.settings import of_kind
from recdistill.soft_labels import SoftLabels
from recdistill.splits import folds
from recdistill.tables import Table
from recdistill.training import Fitted, fit

What = Literal["all", "new_rows", "head"]


def adapt(
    teacher: Ranker,
    table: Table,
    *,
    valid: Table,
    what: What = "all",
    fitting: FitSettings | None = None,
    progress: Progress | None = None,
) -> Ranker:
    """A copy of a teacher, fine-tuned on a target table's labelled rows and stopped on held-out ones.

    Ids that only the target has get embedding rows of their own first, each starting as the unseen id's row. What is
    not trained stays bit for bit, and on the validation rows the copy is never worse than it began.

    Args:
        teacher: left as it is.
        table: target rows; those without a label bring their ids.
        valid: labelled target rows that decide when to stop.
        what: "all" weights; "new_rows", the embeddings of ids that the teacher did not know, so that nothing changes
            for rows of known ids; or "head", what makes logits of all the rest (each model's `head`).
        fitting: how to train.
        progress: told of every step.

    Raises:
        UsageError: a part is to be trained in torchrec's tables, new rows in compact ones, or there is no such part.
        DataError: new rows are to be trained and there are none, or as in `fit`.
    """
    return fine_tuned(teacher, table, valid=valid, what=what, fitting=fitting, progress=progress)[0]


def fine_tuned(
    teacher: Ranker,
    table: Table,
    *,
    valid: Table | None,
    what: What = "all",
    fitting: FitSettings | None = None,
    progress: Progress | None = None,
) -> tuple[Ranker, Fitted]:
    """What `adapt` gives, and what came of its fit; without validation rows it is trained for all epochs.

    Arguments and errors are those of `adapt`.
    """
    fitting, adapted = of_kind(FitSettings, fitting, "fitting"), teacher.extended(table)
    if what != "all" and fitting.embedding_backend != "torch":
        got = f"{what=} with embedding_backend={fitting.embedding_backend!r}"
        raise UsageError(f"only torch's tables can be left as they are in training, got {got}")
    _hold(adapted, teacher, what)
    found = fit(adapted, table.take(table.labelled), valid=valid, settings=fitting, progress=progress)
    _release(adapted)
    return adapted, found


def out_of_fold_labels(
    teacher: Ranker,
    table: Table,
    *,
    valid: Table,
    k: int = 5,
    seed: int = 0,
    what: What = "all",
    fitting: FitSettings | None = None,
    watch: Watch | None = None,
) -> SoftLabels:
    """Soft labels of an adapted teacher, for each labelled row by one that was not adapted on its fold.

    It is adapted k + 1 times: on all labelled rows, which scores the others, and without each fold, which scores that.
    `SoftLabels.from_teacher(adapt(…), table, in_sample=True)` costs one adaptation, and partly says again what the
    labels say: a student would hear them twice, and trust the teacher where it only remembers.

    Args:
        teacher, table, valid, what, fitting: as in `adapt`.
        k: folds over the labelled rows.
        seed: of the folds.
        watch: told how far it is.

    Raises:
        UsageError: k makes no sense, or as in `adapt`.
        DataError: as in `adapt`.
    """
    masks, adapted = folds(table, k=k, seed=seed), []
    for number, left_out in enumerate([~table.labelled, *masks]):
        rows = table.with_labels_only(table.labelled & ~left_out)
        progress = None if watch is None else watch.part(number, len(masks) + 1)
        adapted.append(adapt(teacher, rows, valid=valid, what=what, fitting=fitting, progress=progress))
    return SoftLabels.out_of_fold(adapted[0], adapted[1:], masks, table)


def _hold(adapted: Ranker, teacher: Ranker, what: What) -> None:
    """Mark what a fit leaves as it is."""
    if what == "all":
        return
    if what not in ("new_rows", "head"):
        raise UsageError(f"what is adapted is 'all', 'new_rows' or 'head', got {what!r}")
    network: Any = adapted.network
    network.requires_grad_(False)
    if what == "head":
        for weights in network.head:
            weights.requires_grad_(True)
        return
    require_plain(network, "new rows that are trained alone")
    if adapted.encoder.spec == teacher.encoder.spec:
        raise DataError("new rows are of ids that the teacher does not know, got rows of known ids alone")
    known = dict((*teacher.encoder.spec.categorical, *teacher.encoder.spec.multi))
    for table, features in _tables(adapted):
        table.weight.requires_grad_(True)
        table.held = torch.ones(len(table.weight), dtype=torch.bool)
        for (name, rows), start in zip(features, table.starts, strict=False):
            table.held[start + known[name] : start + rows] = False  # new ids come after the known ones


def _release(adapted: Ranker) -> None:
    """The reverse of `_hold`."""
    adapted.network.requires_grad_(True)
    for table, _ in _tables(adapted):
        table.held = None


def _tables(ranker: Ranker) -> Iterator[tuple[PlainTables, tuple[tuple[str, int], ...]]]:
    """A ranker's tables, each with its features and how many rows they have."""
    for _, module in embeddings_of(ranker.network):
        if isinstance(module.table, PlainTables):
            yield module.table, module.features
