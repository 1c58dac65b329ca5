"""What a student minimises: labels and what the teacher says, in one number."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from recdistill.distillation.settings import KD
from recdistill.examples import Examples
from recdistill.losses import HIDDEN_LOSSES, LOSSES, NEEDS_LISTS, label_loss, teacher_loss


@dataclass(frozen=True)
class Blend:
    """(1 - α)·CE over the labelled rows + α·T²·KL over the rows with a soft label (Hinton et al. 2015, section 2).

    Both terms are of Bernoulli distributions for clicks and categorical ones for ratings. Another loss may stand in
    the place of T²·KL. An objective for `fit`: `(logits, Examples) -> ()`, of (batch,) or (batch, classes) logits.

    DIFF: each term is a mean over its own rows, so that unlabelled rows do not thin out the labels.
    DIFF: with trust r_i in the teacher (`Examples.trust`), α is α·r_i in row i's soft term; see `heard`.

    Args:
        alpha: in [0, 1].
        temperature: > 0 and finite.
        loss: "kd", or one of `recdistill.losses.LOSSES`.

    Raises:
        ValueError: alpha or temperature is out of range.
    """

    alpha: float
    temperature: float
    loss: str = KD

    def __post_init__(self) -> None:
        if not 0 <= self.alpha <= 1:
            raise ValueError(f"alpha must be in [0, 1], got alpha={self.alpha}")
        if not 0 < self.temperature < math.inf:
            raise ValueError(f"temperature must be positive and finite, got temperature={self.temperature}")

    def __call__(self, logits: Tensor, examples: Examples) -> Tensor:
        """(), the loss of (batch,) or (batch, classes) logits."""
        return self.of_heads(logits, logits, examples)

    def of_heads(self, served: Tensor, taught: Tensor, examples: Examples) -> Tensor:
        """(), the loss of the logits that learn from labels and of those that learn from the teacher."""
        of_labels = label_loss(served, examples.label, where=examples.labelled, weight=examples.weight)
        if self.alpha == 0:
            return of_labels
        return (1 - self.alpha) * of_labels + self.alpha * self._of_teacher(taught, examples)

    def with_alpha(self, alpha: float) -> Blend:
        """The same with another alpha."""
        return replace(self, alpha=alpha)

    def _of_teacher(self, logits: Tensor, examples: Examples) -> Tensor:
        weight, share = heard(examples)
        loss = teacher_loss if self.loss == KD else LOSSES[self.loss]
        lists = {"groups": examples.lists} if self.loss in NEEDS_LISTS else {}
        where, temperature = examples.taught, self.temperature
        return share * loss(logits, examples.teacher, where=where, weight=weight, temperature=temperature, **lists)


def heard(examples: Examples) -> tuple[Tensor, float | Tensor]:
    """How much of the teacher is heard: (batch,) weights of the rows in its term, and () what the term is times.

    Of a loss that is a weighted mean over rows the soft term is Σ r_i w_i l_i / Σ w_i over the rows with a soft label,
    r the trust and w the weights. Its mean is not taken anew over r: a batch in which the teacher is little trusted is
    to listen to it little. Losses of pairs, of lists and of z-scores take the weights r_i w_i in ways of their own,
    which no such sum over rows describes; of them only the factor Σ r_i w_i / Σ w_i is the same.
    """
    if examples.trust is None:
        return examples.weight, 1.0
    zero = torch.zeros_like(examples.weight)
    weight = torch.where(examples.taught, examples.weight * examples.trust, zero)
    total = torch.where(examples.taught, examples.weight, zero).sum()
    return weight, weight.sum() / torch.where(total > 0, total, torch.ones_like(total))


@dataclass(frozen=True)
class SideBlend:
    """A blend over the columns of `SideOutputs`.

    (1 - α)·CE(y, z) + α·(L(t, side) + w·H(hidden, t's hidden)) + CE(y, t'), where each part that is not there is left
    out: without a side head L is of z itself, and with an adapter t is t' = (1 + s)·t + b of the row's s and b. No
    gradient of L reaches the adapter and none of CE(y, t') the student (ExFM, Liang et al. 2025, arXiv:2502.17494).

    DIFF: the paper's adapter is a network of its own on the teacher's prediction; here it is affine in the teacher's
    logit, and the network decides by how much, so that it starts as the teacher, and decays to it.

    Args:
        blend: of labels and soft labels.
        widths: (name, columns) of each part: "served", then some of "side", "adapter" and "hidden".
        hint: one of `recdistill.losses.HIDDEN_LOSSES`, where there is "hidden".
        hint_weight: w.
    """

    blend: Blend
    widths: tuple[tuple[str, int], ...]
    hint: str | None = None
    hint_weight: float = 1.0

    def __call__(self, columns: Tensor, examples: Examples) -> Tensor:
        """(), the loss of (batch, columns)."""
        names, widths = zip(*self.widths, strict=True)
        found = dict(zip(names, columns.split(widths, 1), strict=True))
        logits = {name: found[name].view_as(examples.teacher) for name in ("served", "side") if name in found}
        of_adapter = columns.new_zeros(())
        if "adapter" in found:
            adapted = _adapted(examples, found["adapter"])
            known = examples.labelled & examples.taught
            of_adapter = label_loss(adapted, examples.label, where=known, weight=examples.weight)
            taught = examples.taught.view(-1, *[1] * (adapted.ndim - 1))
            examples = replace(examples, teacher=torch.where(taught, adapted.detach(), math.nan))
        loss = self.blend.of_heads(logits["served"], logits.get("side", logits["served"]), examples) + of_adapter
        if self.hint is None:
            return loss
        weight, share = heard(examples)
        hidden = HIDDEN_LOSSES[self.hint](found["hidden"], examples.hidden, weight=weight)
        return loss + self.alpha * self.hint_weight * share * hidden

    @property
    def alpha(self) -> float:
        """Weight of what the teacher says."""
        return self.blend.alpha

    def with_alpha(self, alpha: float) -> SideBlend:
        """The same with another alpha."""
        return replace(self, blend=self.blend.with_alpha(alpha))


def _adapted(examples: Examples, coefficients: Tensor) -> Tensor:
    """(batch,) or (batch, classes) of (1 + s)·t + b, of (batch, 1 + classes) s and b; of no teacher, b alone."""
    teacher = examples.teacher.nan_to_num().view(len(coefficients), -1)
    adapted = (1 + coefficients[:, :1]) * teacher + coefficients[:, 1:]
    return adapted.view_as(examples.teacher)
