"""Hidden layers: which arguments give their sizes, which weights make their units, and which read them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any, cast

import torch
from torch import Tensor, nn

from recdistill.models.layers import Units

# Where a model's arguments have the sizes of the hidden layers of each dense network.
SIZES: dict[str, tuple[str | int, ...]] = {
    "bottom": ("bottom",),
    "deep": ("hidden",),
    "gates.0.network": ("gate",),
    "gates.1.network": ("gate",),
    "streams.0": ("streams", 0),
    "streams.1": ("streams", 1),
    "top": ("top",),
}


@dataclass(frozen=True)
class HiddenLayer:
    """A hidden layer of one of a network's dense networks.

    Args:
        argument: where in the model's arguments its size stands.
        own: names of its linear layers, two where it is of low rank.
        after: names of the linear layers that follow it in its dense network; none where that ends with it.
        readers: what reads its units, in the following layer or elsewhere.
    """

    argument: tuple[str | int, ...]
    own: tuple[str, ...]
    after: tuple[str, ...]
    readers: tuple[Units, ...]

    @property
    def makers(self) -> tuple[Units, ...]:
        """What makes its units."""
        return Units(f"{self.own[-1]}.weight", (0,)), Units(f"{self.own[-1]}.bias", (0,))


def dense_networks(network: nn.Module) -> Iterator[tuple[str, list[list[str]]]]:
    """The dense networks that have hidden layers, each with the names of its linear layers.

    Returns:
        For each the linear layers before, between and after the activations: two of a layer of low rank, and none at
        the end of a dense network that ends with a hidden layer.
    """
    for name, module in network.named_modules():
        if not isinstance(module, nn.Sequential) or not any(isinstance(layer, nn.ReLU) for layer in module):
            continue
        groups: list[list[str]] = [[]]
        for place, layer in module.named_children():
            if isinstance(layer, nn.ReLU):
                groups.append([])
            elif isinstance(layer, nn.Linear):
                groups[-1].append(f"{name}.{place}")
        yield name, groups


def hidden_layers(network: nn.Module) -> list[HiddenLayer]:
    """All hidden layers of one of the package's models."""
    found = []
    elsewhere = cast("Mapping[str, tuple[Units, ...]]", getattr(network, "readers", {}))
    for name, groups in dense_networks(network):
        for place, (own, after) in enumerate(itertools.pairwise(groups)):
            readers = (Units(f"{after[0]}.weight", (1,)),) if after else elsewhere[name]
            found.append(HiddenLayer((*SIZES[name], place), tuple(own), tuple(after), readers))
    return found


def sizes_at(arguments: Mapping[str, Any], layer: HiddenLayer) -> tuple[list[Any], int]:
    """The list of a model's arguments that has a layer's size, and where in it."""
    *path, place = layer.argument
    sizes: Any = arguments
    for key in path:
        sizes = sizes[key]
    return sizes, int(place)


def product(network: nn.Module, layers: tuple[str, ...]) -> Tensor:
    """(out, in) of linear layers one after the other as one matrix."""
    weights = [network.get_parameter(f"{name}.weight").detach() for name in layers]
    return reduce(lambda low, high: high @ low, weights)


def mask(weight: Tensor, units: Units, kept: Tensor) -> Tensor:
    """Which numbers of a weight stay, (1, …) on all axes but those that count units.

    Args:
        weight: of any shape.
        units: where in it they stand.
        kept: (units,) bool.
    """
    counted = [size if axis in units.axes else 1 for axis, size in enumerate(weight.shape)]
    stays = torch.ones(counted, dtype=torch.bool).flatten()
    first = len(stays) - len(kept) if units.last else 0
    stays[first : first + len(kept)] = kept
    return stays.view(counted)


def squares(weight: Tensor, units: Units, count: int) -> Tensor:
    """(units,) the sum of the squares of a weight's numbers that belong to each unit.

    Args:
        weight: of any shape.
        units: where in it they stand.
        count: how many units.
    """
    others = [axis for axis in range(weight.ndim) if axis not in units.axes]
    sums = (weight.square().sum(others) if others else weight.square()).flatten()
    return sums[-count:] if units.last else sums[:count]
