"""Losses: tensors in, a scalar out; every distillation loss is 0 where student equals teacher."""

from collections.abc import Callable

from torch import Tensor

from recdistill.losses.binary import bce, binary_kd
from recdistill.losses.by_task import label_loss, teacher_loss
from recdistill.losses.categorical import categorical_kd, cross_entropy
from recdistill.losses.hidden import hint, rkd_distance, similarity
from recdistill.losses.listwise import calibrated_listwise_kd, listnet_kd
from recdistill.losses.ordinal import ordinal_kd
from recdistill.losses.pairwise import margin_mse, ranknet_kd
from recdistill.losses.regression import logit_mse, probability_mse
from recdistill.losses.standardised import dist, standardised_kd

# On logits: (student_logits, teacher_logits, *, where, weight, temperature), and `groups` where named in NEEDS_LISTS.
LOSSES: dict[str, Callable[..., Tensor]] = {
    "binary_kd": binary_kd,
    "calibrated_listwise_kd": calibrated_listwise_kd,
    "categorical_kd": categorical_kd,
    "dist": dist,
    "listnet_kd": listnet_kd,
    "logit_mse": logit_mse,
    "margin_mse": margin_mse,
    "ordinal_kd": ordinal_kd,
    "probability_mse": probability_mse,
    "ranknet_kd": ranknet_kd,
    "standardised_kd": standardised_kd,
}
NEEDS_LISTS = frozenset({"calibrated_listwise_kd", "listnet_kd", "margin_mse", "ranknet_kd"})
# What takes the (rows,) logits of clicks, and what takes the (rows, classes) logits of ratings.
FOR_CLICKS = frozenset(LOSSES) - {"categorical_kd", "ordinal_kd"}
FOR_RATINGS = frozenset(LOSSES) - NEEDS_LISTS - {"binary_kd"}

# On hidden states: (student_hidden, teacher_hidden, *, where, weight).
HIDDEN_LOSSES: dict[str, Callable[..., Tensor]] = {
    "hint": hint,
    "rkd_distance": rkd_distance,
    "similarity": similarity,
}

__all__ = [
    "FOR_CLICKS",
    "FOR_RATINGS",
    "HIDDEN_LOSSES",
    "LOSSES",
    "NEEDS_LISTS",
    "bce",
    "binary_kd",
    "calibrated_listwise_kd",
    "categorical_kd",
    "cross_entropy",
    "dist",
    "hint",
    "label_loss",
    "listnet_kd",
    "logit_mse",
    "margin_mse",
    "ordinal_kd",
    "probability_mse",
    "ranknet_kd",
    "rkd_distance",
    "similarity",
    "standardised_kd",
    "teacher_loss",
]
