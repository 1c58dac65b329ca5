"""Distillation: a student learns from labels and from what a teacher says of the rows, over `training.fit`."""

from recdistill.distillation.distilling import distill, examples_for
from recdistill.distillation.objectives import Blend, SideBlend
from recdistill.distillation.settings import DistillSettings, require_losses
from recdistill.distillation.side_outputs import SideOutputs

__all__ = ["Blend", "DistillSettings", "SideBlend", "SideOutputs", "distill", "examples_for", "require_losses"]
