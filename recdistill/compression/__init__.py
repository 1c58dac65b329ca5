"""Compression of a trained student: fewer ids, units and ranks, which are trained on, and fewer bits when it ships."""

from recdistill.compression.reducing import reduced
from recdistill.compression.settings import Compression

__all__ = ["Compression", "reduced"]
