"""Rows drawn for any spec, and a network that has made some steps on them with its tables held in whatever way."""

from __future__ import annotations

import torch

from recdistill.batch import Batch
from recdistill.examples import Examples
from recdistill.features import PAD, FeatureSpec
from recdistill.fit_settings import FitSettings
from recdistill.models import build
from recdistill.steps import Steps, hard_labels
from recdistill.trainees import Alone

SPEC = FeatureSpec(categorical=(("user", 12), ("item", 30)), multi=(("tags", 6),), number=("price",))


def drawn(spec: FeatureSpec, rows: int = 64, seed: int = 0) -> Examples:
    """Rows with lists of one to three ids."""
    generator = torch.Generator().manual_seed(seed)
    ids = [torch.randint(0, n, (rows,), generator=generator) for _, n in spec.categorical]
    lists = tuple(torch.randint(-1, n, (rows, 3), generator=generator).int() for _, n in spec.multi)
    for values in lists:
        values[:, 0] = values[:, 0].clamp(min=0)
        values[:, 1:] = torch.where((values[:, 1:2] == PAD), PAD, values[:, 1:])
    number = torch.randn(rows, len(spec.number), generator=generator)
    label = torch.randint(0, 2, (rows,), generator=generator).float()
    vector = tuple(torch.randn(rows, dim, generator=generator) for _, dim in spec.vector)
    stacked = torch.stack(ids, 1).int() if ids else torch.empty(rows, 0, dtype=torch.int32)
    return Examples(Batch(stacked, lists, number, vector), label, torch.full((rows,), torch.nan), torch.ones(rows))


def trained(
    settings: FitSettings, *, spec: FeatureSpec = SPEC, model: str = "deepfm", dim: int = 4, steps: int = 6
) -> Alone:
    """A network after some steps; its tables are where they were trained."""
    arguments = {} if model == "lr" else {"embedding_dim": dim}
    trainee = Alone(build(model, spec, seed=3, arguments=arguments).train(), settings)
    go_on(trainee, settings, spec, range(steps))
    return trainee


def go_on(trainee: Alone, settings: FitSettings, spec: FeatureSpec, steps: range) -> None:
    """Steps of these numbers, each on rows of its own."""
    making = Steps(trainee, hard_labels, settings, spec)
    for step in steps:
        making.step(drawn(spec, seed=step).to(trainee.device), 0, step)
