"""How a target differs from a source, and what follows for distillation."""

from __future__ import annotations

from recdistill.shift.diagnosis import Diagnosis, diagnose
from recdistill.shift.domain import density_ratio

__all__ = ["Diagnosis", "density_ratio", "diagnose"]
