"""Structured pruning: whole hidden units are removed, so that what is left is a smaller ordinary network."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from recdistill.errors import UsageError
from recdistill.features import FeatureSpec
from recdistill.models import build, model_name
from recdistill.models.hidden_layers import HiddenLayer, hidden_layers, mask, product, sizes_at, squares


def pruned(network: nn.Module, spec: FeatureSpec, share: float) -> nn.Module:
    """A copy of a network without the hidden units of least magnitude.

    As filters are removed by Li et al. 2017 (arXiv:1608.08710, section 3.1), each layer by itself and all layers at
    once, with what belongs to them in the next layer. Zeros that are spread over a matrix would save no bytes.

    DIFF: the paper measures a filter by the sum of its own absolute weights. A unit's scale may be moved from its own
    weights to those that read it without changing what a network of ReLUs computes (Neyshabur et al. 2015,
    arXiv:1506.02617, section 2), so that its own say nothing alone; here it is the product of both norms.

    Args:
        network: one of the package's models.
        spec: what it was built for.
        share: of each layer's units, in [0, 1), rounded to whole units; one stays. Where what reads them takes them in
            equal parts, as the heads of FinalMLP do, as many of each part.

    Raises:
        UsageError: it has no hidden layer.
    """
    layers = hidden_layers(network)
    if not layers:
        raise UsageError(f"pruning removes hidden units, got {model_name(network)!r} without a hidden layer")
    state: dict[str, Tensor] = {name: values.detach().cpu() for name, values in network.state_dict().items()}
    arguments = copy.deepcopy(dict(network.arguments))  # type: ignore[arg-type]
    masks: dict[str, Tensor] = {}
    for layer in layers:
        kept = most(magnitudes(network, layer), share, parts=_parts(state, layer))
        sizes, place = sizes_at(arguments, layer)
        sizes[place] = int(kept.sum()) if isinstance(sizes[place], int) else [int(kept.sum()), *sizes[place][1:]]
        for units in (*layer.makers, *layer.readers):
            weight = state[units.weight]
            masks[units.weight] = masks.get(units.weight, torch.tensor(True)) & mask(weight, units, kept)
    small = build(model_name(network), spec, arguments=arguments)
    shapes = {name: values.shape for name, values in small.state_dict().items()}
    cut = {name: state[name][stays.expand_as(state[name])].view(shapes[name]) for name, stays in masks.items()}
    small.load_state_dict(state | cut)
    return small


def magnitudes(network: nn.Module, layer: HiddenLayer) -> Tensor:
    """(units,) the norm of a unit's own weights and bias, times that of the weights that read it."""
    bias = network.get_parameter(f"{layer.own[-1]}.bias").detach()
    own = product(network, layer.own).square().sum(1) + bias.square()
    if layer.after:
        read = product(network, layer.after).square().sum(0)
    else:
        found = [squares(network.get_parameter(one.weight).detach(), one, len(bias)) for one in layer.readers]
        read = torch.stack(found).sum(0)
    return (own * read).sqrt().cpu()


def most(values: Tensor, share: float, *, parts: int = 1) -> Tensor:
    """(units,) bool, which are left when a share of the least is removed; of equal values the last are.

    Args:
        values: (units,), the magnitude of each.
        share: of the units of each part, rounded, less than all.
        parts: equal parts of the units, one after the other.
    """
    by_part = values.view(parts, -1)
    count = by_part.shape[1] - min(by_part.shape[1] - 1, round(share * by_part.shape[1]))
    best = by_part.argsort(dim=1, descending=True, stable=True)[:, :count]
    return torch.zeros_like(by_part, dtype=torch.bool).scatter(1, best, value=True).flatten()


def _parts(state: dict[str, Tensor], layer: HiddenLayer) -> int:
    """Of how many equal parts a layer's readers take its units."""
    return max(state[one.weight].shape[one.axes[0]] if len(one.axes) > 1 else 1 for one in layer.readers)
