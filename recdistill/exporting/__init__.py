"""Export: a student as an ONNX network and its encoder, proved on real rows to score as it did in torch."""

from recdistill.exporting.graphs import exported_program, onnx_program, require_packages
from recdistill.exporting.writing import BOUNDS, Dense, Exported, Parity, Tables, export, parity

__all__ = [
    "BOUNDS",
    "Dense",
    "Exported",
    "Parity",
    "Tables",
    "export",
    "exported_program",
    "onnx_program",
    "parity",
    "require_packages",
]
