"""What is measured: per name the module that does it, and its arguments. Adding one is one line."""

from __future__ import annotations

from typing import Any

Subject = tuple[str, dict[str, Any]]

MATMUL: dict[str, Subject] = {"matrix product": ("throughput.matmul", {})}
# The dense network of this package's DeepFM, whose numbers have embeddings too, with the gradient to its inputs that
# embeddings learn from, and without it; and that of the peers, who append bare numbers.
FLOORS: dict[str, Subject] = {
    "MLP alone": ("throughput.floor", {"numbers_embedded": True, "to_inputs": True}),
    "MLP alone, no gradient to its inputs": ("throughput.floor", {"numbers_embedded": True, "to_inputs": False}),
    "MLP alone, as wide as the peers'": ("throughput.floor", {"numbers_embedded": False, "to_inputs": True}),
}
# Arguments are those of `FitSettings`.
OURS: dict[str, Subject] = {
    "recdistill, rowwise Adagrad": ("throughput.with_recdistill", {"embedding_optimiser": "rowwise_adagrad"}),
    "recdistill, lazy Adam": ("throughput.with_recdistill", {"embedding_optimiser": "lazy_adam"}),
    "recdistill, rowwise Adagrad, torchrec": (
        "throughput.with_recdistill",
        {"embedding_optimiser": "rowwise_adagrad", "embedding_backend": "torchrec"},
    ),
    "recdistill, dense Adam": ("throughput.with_recdistill", {"embedding_optimiser": "dense"}),
}
# Shown beside the others, and in no comparison: the peers compute in single precision.
REDUCED: dict[str, Subject] = {
    "recdistill, rowwise Adagrad, bfloat16": (
        "throughput.with_recdistill",
        {"embedding_optimiser": "rowwise_adagrad", "precision": "bfloat16"},
    ),
}
PEERS: dict[str, Subject] = {
    "DeepCTR-Torch": ("throughput.with_deepctr", {}),
    "torch-rechub": ("throughput.with_rechub", {}),
}
# Of each peer's virtual environment, beside torch. DeepCTR-Torch imports requests and does not require it.
REQUIREMENTS = {"DeepCTR-Torch": ("deepctr-torch==0.3.0", "requests"), "torch-rechub": ("torch-rechub",)}

ALL = {**MATMUL, **FLOORS, **OURS, **REDUCED, **PEERS}


def ways(name: str) -> tuple[str, ...]:
    """How a subject is measured: by its bare step, and by its own loop where it has one."""
    return ("step", "fit") if name in {**OURS, **REDUCED, **PEERS} else ("step",)
