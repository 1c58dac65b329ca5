"""Linear layers in 8 bits: how far a weight may move, and what a network computes with them."""

from __future__ import annotations

import math

import pytest
import torch
from drawn import drawn
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from recdistill.errors import DataError
from recdistill.features import FeatureSpec
from recdistill.models import MODELS, build
from recdistill.models.quantised_layers import QuantisedLinear, with_quantised_layers

FULL = FeatureSpec((("user", 7), ("item", 5)), (("genres", 6),), ("age", "price"), (("image", 3),))


def linear(out: int, width: int, seed: int, *, bias: bool = True) -> nn.Linear:
    layer = nn.Linear(width, out, bias=bias)
    for weights in layer.parameters():
        weights.data.normal_(generator=torch.Generator().manual_seed(seed))
    return layer


@given(st.integers(1, 9), st.integers(1, 12), st.floats(1e-6, 1e6), st.booleans(), st.integers(0, 99))
def test_no_weight_is_off_by_more_than_half_a_step(out: int, width: int, scale: float, bias: bool, seed: int) -> None:
    """w is read as step · round(w / step) with step = max |w| / 127 of its row; the largest of a row stays."""
    plain = linear(out, width, seed, bias=bias)
    plain.weight.data *= scale
    small = QuantisedLinear(plain)
    for row in range(out):
        step = max(abs(w) for w in plain.weight[row].tolist()) / 127
        values = (plain.weight[row].tolist(), small.codes[row].tolist(), small.weight[row].tolist())
        for w, code, read in zip(*values, strict=True):
            assert abs(code) <= 127
            assert read == pytest.approx(step * code, rel=1e-6)
            assert abs(w - read) <= step / 2 * (1 + 1e-4)
    x = torch.randn(4, width, generator=torch.Generator().manual_seed(seed))
    assert torch.equal(small(x), nn.functional.linear(x, small.weight, plain.bias))
    assert [(*t.shape,) for t in small.state_dict().values()] == [(out,)] * bias + [(out, width), (out, 1)]


def test_a_row_of_zeros_stays_and_what_is_no_number_is_refused() -> None:
    plain = linear(3, 4, seed=0)
    plain.weight.data[1] = 0
    assert torch.equal(QuantisedLinear(plain).weight[1], torch.zeros(4))
    plain.weight.data[2, 0] = math.nan
    with pytest.raises(DataError, match="must be finite to be quantised"):
        QuantisedLinear(plain)


@pytest.mark.parametrize("name", MODELS)
def test_every_model_scores_as_with_the_weights_multiplied_out(name: str) -> None:
    """And it takes of each linear layer (out, in) of more than one input 3 · out · in bytes less, 4 · out more."""
    network, batch = build(name, FULL).eval(), drawn(FULL).features
    small = with_quantised_layers(network)
    expected = build(name, FULL).eval()
    expected.load_state_dict(network.state_dict())
    saved = 0
    for key, layer in expected.named_modules():
        if isinstance(layer, nn.Linear) and layer.in_features > 1:
            other = small.get_submodule(key)
            assert isinstance(other, QuantisedLinear)
            assert not torch.equal(other.weight, layer.weight)
            saved += 3 * layer.weight.numel() - 4 * layer.out_features
            layer.weight.data = other.weight
    assert saved > 0
    torch.testing.assert_close(small(batch), expected(batch))
    whole, fewer = (sum(t.numel() * t.element_size() for t in n.state_dict().values()) for n in (network, small))
    assert whole - fewer == saved
    assert not any(isinstance(layer, QuantisedLinear) for layer in network.modules())
