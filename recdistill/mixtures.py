"""Several teachers as one: their logits or probabilities averaged, by weights that labels of other rows decide."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from recdistill.artefacts import digest
from recdistill.errors import UsageError
from recdistill.losses import label_loss
from recdistill.soft_labels import Sample, SoftLabels
from recdistill.splits import folds
from recdistill.tables import Table

Average = Literal["logit", "probability"]
Weights = Literal["uniform", "loss", "gate"]
SAMPLES: tuple[Sample, ...] = ("unseen", "out_of_fold", "in_sample")  # the weakest last
SHARPNESS = 20.0  # per nat
PENALTY = 1e-3
STEPS = 100


def mix_teachers(
    soft: Sequence[SoftLabels],
    table: Table,
    *,
    weights: Weights = "uniform",
    average: Average = "logit",
    k: int = 5,
    seed: int = 0,
) -> SoftLabels:
    """Soft labels of several teachers for the same rows, as those of one.

    A labelled row is mixed by weights that come from other rows' labels (k folds), an unlabelled row by those of all
    labels. These weights do not see the row's own label directly: where soft labels are out of fold, the other rows'
    logits come from teachers that were adapted on it. Labels that should have no say, such as old ones, are removed
    before (`Table.with_labels_only`).

    Args:
        soft: of one teacher each.
        table: the rows; with weights other than "uniform" its labels are read.
        weights: "uniform"; "loss": more for a teacher with less loss (`loss_gate`); "gate": trained on the labels, and
            of each row's own (`fit_gate`).
        average: of "logit", Σ_k w_k z_k; or of "probability", the logit of Σ_k w_k p_k.
        k: folds over the labelled rows.
        seed: of the folds.

    Returns:
        Labels without hidden states, whose sample is the weakest of their parts, at best "out_of_fold" where labels
        were read. Those of one teacher are its own.

    Raises:
        UsageError: there is no teacher, or a name or k makes no sense.
        DataError: soft labels are for other rows or grades.
    """
    if not soft or weights not in ("uniform", "loss", "gate") or average not in ("logit", "probability"):
        got = f"{len(soft)} teachers, {weights=}, {average=}"
        raise UsageError(f"a mixture has teachers, weights (uniform, loss, gate) and an average, got {got}")
    logits = torch.from_numpy(np.stack([one.for_table(table) for one in soft], 1)).double()  # (rows, teachers, …)
    if len(soft) == 1:
        return soft[0]
    labels, known = torch.from_numpy(table.labels.copy()), torch.from_numpy(table.labelled)
    masks = [] if weights == "uniform" else [torch.from_numpy(fold) for fold in folds(table, k=k, seed=seed)]
    seen = [known, *(known & ~fold for fold in masks)]
    gates = [_gate(logits[rows], labels[rows], weights, average) for rows in seen]
    mixed = mixture(logits, gates[0](logits), average)
    for fold, gate in zip(masks, gates[1:], strict=True):
        mixed[fold] = mixture(logits[fold], gate(logits[fold]), average)
    samples: list[Sample] = [one.sample for one in soft] + (["out_of_fold"] if masks else [])
    return SoftLabels(
        soft[0].row_ids,
        mixed.float().numpy(),
        teacher=digest([average, [one.teacher for one in soft], [gate.parameters for gate in gates]]),
        rows_fingerprint=soft[0].rows_fingerprint,
        sample=max(samples, key=SAMPLES.index),
        grades=soft[0].grades,
    )


@dataclass(frozen=True, eq=False)
class Gate:
    """w(z) = softmax(φ(z)·V + c), with φ(z) the scaled logits of all teachers.

    Args:
        bias: (teachers,) c.
        slope: (features, teachers) V; features are teachers · classes.
        mean, scale: (features,) of the logits; φ is (z − mean) / scale.
    """

    bias: Tensor
    slope: Tensor
    mean: Tensor
    scale: Tensor

    def __call__(self, logits: Tensor) -> Tensor:
        """(rows, teachers) positive weights that sum to 1, of (rows, teachers) or (rows, teachers, classes) logits."""
        features = (logits.flatten(1) - self.mean) / self.scale
        return (features @ self.slope + self.bias).softmax(1)

    @property
    def parameters(self) -> list[Any]:
        """Its numbers, as JSON takes them."""
        return [part.tolist() for part in (self.bias, self.slope, self.mean, self.scale)]


def constant_gate(logits: Tensor, bias: Tensor | None = None) -> Gate:
    """One weight per teacher for all rows: softmax of `(teachers,)` c, of alike ones without it."""
    teachers, features = logits.shape[1], logits.flatten(1).shape[1]
    bias, nothing = logits.new_zeros(teachers) if bias is None else bias, logits.new_zeros(features)
    return Gate(bias, logits.new_zeros(features, teachers), nothing, torch.ones_like(nothing))


def loss_gate(logits: Tensor, labels: Tensor) -> Gate:
    """w_k ∝ exp(−s·ℓ_k), with ℓ_k a teacher's mean log loss (after Zhu et al. 2020, arXiv:2011.04106).

    DIFF: the softmax is of s·ℓ_k, s = `SHARPNESS`: log losses of teachers differ by hundredths, which a softmax of
    the losses themselves would make nothing of.

    Args:
        logits: (rows, teachers) or (rows, teachers, classes).
        labels: (rows,).
    """
    losses = torch.stack([label_loss(one, labels.to(one.dtype)) for one in logits.unbind(1)])
    return constant_gate(logits, -SHARPNESS * losses)


def fit_gate(logits: Tensor, labels: Tensor, *, average: Average = "logit") -> Gate:
    """The gate whose mixture has the least log loss (Zhu et al. 2020, arXiv:2011.04106, its teacher gating).

    DIFF: it is trained before the student, not with it, and pulled to equal weights by `PENALTY`·(‖V‖² + ‖c‖²); its
    features are the teachers' logits.

    Args:
        logits: (rows, teachers) or (rows, teachers, classes).
        labels: (rows,).
        average: as in `mix_teachers`.
    """
    flat, start = logits.flatten(1), constant_gate(logits)
    scale = flat.std(0, correction=0)
    scale = torch.where(scale > 0, scale, torch.ones_like(scale))
    bias, slope = start.bias.requires_grad_(), start.slope.requires_grad_()
    gate = Gate(bias, slope, flat.mean(0), scale)
    optimiser = torch.optim.LBFGS([bias, slope], max_iter=STEPS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimiser.zero_grad()
        found = label_loss(mixture(logits, gate(logits), average), labels.to(logits.dtype))
        found = found + PENALTY * (bias.square().sum() + slope.square().sum())
        found.backward()
        return found

    optimiser.step(loss)
    return replace(gate, bias=bias.detach(), slope=slope.detach())


def mixture(logits: Tensor, weights: Tensor, average: Average) -> Tensor:
    """The logits of a mixture.

    Args:
        logits: (rows, teachers) or (rows, teachers, classes).
        weights: (rows, teachers), positive.
        average: as in `mix_teachers`.

    Returns:
        (rows,) or (rows, classes).
    """
    by_row = weights.view(*weights.shape, *[1] * (logits.ndim - 2))
    if average == "logit":
        return (by_row * logits).sum(1)
    if logits.ndim == 2:
        both = (F.logsigmoid(side) + weights.log() for side in (logits, -logits))
        click, none = (side.logsumexp(1) for side in both)
        return click - none
    return (logits.log_softmax(2) + by_row.log()).logsumexp(1)


def _gate(logits: Tensor, labels: Tensor, weights: Weights, average: Average) -> Gate:
    if weights == "uniform":
        return constant_gate(logits)
    return loss_gate(logits, labels) if weights == "loss" else fit_gate(logits, labels, average=average)
