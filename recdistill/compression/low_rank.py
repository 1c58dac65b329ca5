"""Hidden layers of lower rank: a matrix as the product of two narrow ones."""

from __future__ import annotations

import copy
from collections import defaultdict
from typing import Any

import torch
from torch import Tensor, nn

from recdistill.errors import UsageError
from recdistill.features import FeatureSpec
from recdistill.models import DCNv2, build, model_name
from recdistill.models.dcnv2 import Experts
from recdistill.models.hidden_layers import HiddenLayer, dense_networks, hidden_layers, product, sizes_at
from recdistill.models.layers import units_of


def low_rank(network: nn.Module, spec: FeatureSpec, share: float) -> nn.Module:
    """A copy of a network whose hidden layers' matrices are of lower rank, by truncated singular value decompositions.

    W ≈ (U √S) (√S Vᵀ), the nearest matrix of its rank (Eckart & Young 1936), as two linear layers, which are trained
    on: Xue, Li & Gong 2013, "Restructuring of deep neural network acoustic models with singular value decomposition".
    The cross layers of DCN-V2 are made of lower rank likewise (its equation 2). Other linear layers stay: most have as
    few outputs as there are classes.

    Args:
        network: one of the package's models.
        spec: what it was built for.
        share: of a matrix's smaller side, in (0, 1), rounded, at least 1. A matrix (out, in) of which rank · (out + in)
            are no fewer numbers stays, and so does one that is of no higher rank already. Layers of one size in the
            arguments, as those of FinalMLP's gates, get the larger rank.

    Raises:
        UsageError: no matrix becomes smaller.
    """
    arguments = copy.deepcopy(dict(network.arguments))  # type: ignore[arg-type]
    layers = defaultdict(list)
    for layer in hidden_layers(network):
        layers[layer.argument].append(layer)
    for sharing in layers.values():
        _lower_rank(network, arguments, sharing, share)
    if isinstance(network, DCNv2):
        _lower_rank_of_crosses(network, arguments, share)
    if arguments == network.arguments:
        raise UsageError(f"a lower rank must save weights, got rank={share:g}, with which no hidden layer is smaller")
    small = build(model_name(network), spec, arguments=arguments)
    fresh = small.state_dict()
    kept = {name: values for name, values in network.state_dict().items() if name in fresh}
    small.load_state_dict(kept | _dense_weights(network, small) | _cross_weights(network, small))
    return small


def rank_of(matrix: Tensor, share: float) -> int | None:
    """A share of a matrix's smaller side, rounded, at least 1; None where two matrices of it save nothing."""
    rank = max(1, round(share * min(matrix.shape)))
    return rank if rank * sum(matrix.shape) < matrix.numel() else None


def factors(matrix: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """(out, in) of any matrix to (out, rank) and (rank, in), whose product is the nearest of that rank."""
    u, s, v = torch.linalg.svd(matrix.double(), full_matrices=False)
    root = s[:rank].sqrt()  # on both sides alike, so that both learn at the same pace
    return (u[:, :rank] * root).float(), (root[:, None] * v[:rank]).float()


def _lower_rank(network: nn.Module, arguments: dict[str, Any], layers: list[HiddenLayer], share: float) -> None:
    """Change the size in the arguments that some layers share, if that makes each of them smaller."""
    ranks = [rank_of(product(network, layer.own), share) for layer in layers]
    sizes, place = sizes_at(arguments, layers[0])
    known = [rank for rank in ranks if rank is not None]
    shapes = [product(network, layer.own).shape for layer in layers]
    if known and any(max(known) * sum(shape) >= shape.numel() for shape in shapes):
        return  # the largest rank saves nothing in one of them
    if len(known) < len(ranks) or (not isinstance(sizes[place], int) and sizes[place][1] <= max(known)):
        return
    sizes[place] = [units_of(sizes[place]), max(known)]


def _lower_rank_of_crosses(network: DCNv2, arguments: dict[str, Any], share: float) -> None:
    first = network.cross.layers[0]
    if isinstance(first, nn.Linear) and (rank := rank_of(first.weight, share)):
        arguments["ranks"] = [rank]


def _dense_weights(network: nn.Module, small: nn.Module) -> dict[str, Tensor]:
    """The weights of the smaller one's dense networks."""
    state: dict[str, Tensor] = {}
    for (_, whole), (_, fewer) in zip(dense_networks(network), dense_networks(small), strict=True):
        for old, new in zip(whole, fewer, strict=True):
            state |= _weights(network, old, new, small)
    return state


def _weights(network: nn.Module, old: list[str], new: list[str], small: nn.Module) -> dict[str, Tensor]:
    """Of the linear layers before an activation."""
    if not new:
        return {}
    found = [network.get_parameter(f"{name}.weight").detach() for name in old]
    shapes = [small.get_parameter(f"{name}.weight").shape for name in new]
    if [weight.shape for weight in found] != shapes:
        up, down = factors(product(network, tuple(old)), shapes[0][0])
        found = [down, up]
    bias = network.get_parameter(f"{old[-1]}.bias").detach()
    named = (f"{name}.weight" for name in new)
    return {**dict(zip(named, found, strict=True)), f"{new[-1]}.bias": bias}


def _cross_weights(network: nn.Module, small: nn.Module) -> dict[str, Tensor]:
    """The weights of cross layers that were whole and are of low rank."""
    state: dict[str, Tensor] = {}
    layers = [one.cross.layers if isinstance(one, DCNv2) else () for one in (network, small)]
    for place, (old, new) in enumerate(zip(*layers, strict=True)):
        if isinstance(old, nn.Linear) and isinstance(new, Experts):
            up, down = factors(old.weight.detach(), new.ranks[0])
            weights = {"down.weight": down, "up.weight": up, "up.bias": old.bias.detach()}
            state |= {f"cross.layers.{place}.{name}": values for name, values in weights.items()}
    return state
