"""What is measured: per name the module that does it, and its arguments. Adding one is one line."""

from __future__ import annotations

from typing import Any

Subject = tuple[str, dict[str, Any]]

MATMUL: dict[str, Subject] = {"matrix product": ("throughput.matmul", {})}
# The dense network of this package's DeepFM, whose numbers have embeddings too, and that of the peers, who append them.
FLOORS: dict[str, Subject] = {
    "MLP alone": ("throughput.floor", {"numbers_embedded": True}),
    "MLP alone, as wide as the peers'": ("throughput.floor", {"numbers_embedded": False}),
}
# Arguments are those of `FitSettings`.
OURS: dict[str, Subject] = {
    "recdistill, rowwise Adagrad": ("throughput.with_recdistill", {"embedding_optimiser": "rowwise_adagrad"}),
    "recdistill, lazy Adam": ("throughput.with_recdistill", {"embedding_optimiser": "lazy_adam"}),
    "recdistill, dense Adam": ("throughput.with_recdistill", {"embedding_optimiser": "dense"}),
}
PEERS: dict[str, Subject] = {
    "DeepCTR-Torch": ("throughput.with_deepctr", {}),
    "torch-rechub": ("throughput.with_rechub", {}),
}
# Of each peer's virtual environment, beside torch. DeepCTR-Torch imports requests and does not require it.
REQUIREMENTS = {"DeepCTR-Torch": ("deepctr-torch==0.3.0", "requests"), "torch-rechub": ("torch-rechub",)}

ALL = {**MATMUL, **FLOORS, **OURS, **PEERS}


def ways(name: str) -> tuple[str, ...]:
    """How a subject is measured: by its bare step, and by its own loop where it has one."""
    return ("step", "fit") if name in OURS or name in PEERS else ("step",)
