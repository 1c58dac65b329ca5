"""A network that ranks train together: tables dealt by torchrec, the dense part the same on every rank."""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from recdistill.artefacts import remove
from recdistill.batch import Batch
from recdistill.checkpoints import State, Tensors, best_folder, best_folders
from recdistill.checkpoints.dealt import DealtState, load_weights, write_weights
from recdistill.errors import UsageError
from recdistill.examples import Examples
from recdistill.features import FeatureSpec
from recdistill.fit_settings import FitSettings
from recdistill.models import build, model_name
from recdistill.models.embeddings import unplaced
from recdistill.models.embeddings.sharding import Dealing, deal
from recdistill.optimisers import Optimisers
from recdistill.ranker import require_finite
from recdistill.ranks import Ranks, meet, new_shared_folder
from recdistill.trainees import Scores, dense_optimiser

STEP_ROWS = 16_384  # of held-out rows that are scored at a time, by each rank


class Together:
    """A network that ranks train together.

    Args:
        network: one of the package's models. Its tables are taken over, or drawn where they are not placed.
        spec: of the rows.
        settings: of the fit.
        ranks: all of them call each method.
        folder: for the fit's states; the best weights go there too, since no rank need hold them in memory. Without one
            they go into a temporary folder, which all ranks must see.

    Raises:
        UsageError: torchrec's kernels do not have the optimiser, or tables cannot be sharded so.
        EnvironmentFault: torchrec is not installed, or the tables do not fit.
    """

    def __init__(
        self, network: nn.Module, spec: FeatureSpec, settings: FitSettings, ranks: Ranks, folder: Path | None
    ) -> None:
        self.ranks, self.device = ranks, ranks.device
        _require_sense(settings, ranks)
        with unplaced():
            arguments: dict[str, Any] = dict(network.arguments)  # type: ignore[arg-type]
            self._plain = build(model_name(network), spec, arguments=arguments)
        dealing = dealing_of(settings, batch=settings.batch_size // ranks.world or Dealing.batch)
        self.dealt = deal(network, dealing, device=self.device)
        self.network = self.dealt.network
        self.optimiser = Optimisers([dense_optimiser(list(self.dealt.dense.values()), settings)])
        self.stored = DealtState(self.dealt, self.optimiser, ranks)
        self._temporary = ranks.told(tempfile.mkdtemp() if folder is None and ranks.first else "")
        self.folder = folder or Path(self._temporary)

    def shared(self, loss: Tensor, examples: Examples) -> tuple[Tensor, float]:
        """This rank's part of the mean over all rows, times the ranks, since gradients are averaged over them."""
        weight = float(examples.weight[examples.labelled].sum())
        total, weights = self.ranks.summed([float(loss.detach()) * weight, weight])
        share = weight / weights if weights else 0.0
        return loss * (share * self.ranks.world), total / weights if weights else 0.0

    def agreed(self, *asked: bool) -> tuple[bool, ...]:
        """Whether any rank asks for it, of each."""
        return tuple(count > 0 for count in self.ranks.summed([float(one) for one in asked]))

    def score(self, features: Batch) -> Scores:
        """(rows,) or (rows, classes) logits: each rank scores its share, in as many steps as the others."""
        share = -(-len(features) // self.ranks.world)
        own = (self.ranks.rank * share + torch.arange(share)) % len(features)  # the last ones score some rows again
        self.network.eval()
        with torch.no_grad():
            parts = [self.network(features.rows(rows).to(self.device)).float().cpu() for rows in own.split(STEP_ROWS)]
        scores = np.concatenate(self.ranks.gathered(torch.cat(parts).numpy()))[: len(features)]
        require_finite(scores)
        return scores

    def keep(self, epoch: int) -> Tensors:
        """Write the weights down."""
        with new_shared_folder(best_folder(self.folder, epoch), self.ranks, {"kind": "weights"}) as temporary:
            write_weights(self.dealt, temporary)
        return {}

    def must_save(self, state: State) -> bool:
        """Whether better weights were written, which a state on disk must name."""
        return not math.isnan(state.best_score) and state.best_epoch == state.epoch

    def saved(self, state: State) -> None:
        """Remove the best weights of old, but for those before the last, which the state before may name."""
        if self.ranks.first and not math.isnan(state.best_score):
            current = best_folder(self.folder, state.best_epoch)
            others = sorted(path for path in best_folders(self.folder) if path != current)
            for path in others[:-1]:
                remove(path)

    def end(self, state: State) -> nn.Module:
        """On rank 0 the network with its best weights, in plain tables; elsewhere one whose tables are not placed."""
        judged = not math.isnan(state.best_score)
        best = state.best_epoch if judged else state.epoch
        if not judged:
            self.keep(best)
        if self.ranks.first:
            load_weights(self._plain, best_folder(self.folder, best))
        meet(self.ranks)
        return self.abandoned()

    def abandoned(self) -> nn.Module:
        """The network without its dealt tables: they are not placed, unless the fit put the weights there."""
        if self.ranks.first and self._temporary:
            shutil.rmtree(self._temporary, ignore_errors=True)
        return self._plain


def dealing_of(settings: FitSettings, *, batch: int, lengths: Mapping[str, float] | None = None) -> Dealing:
    """How a fit's settings deal tables; `batch` and `lengths` as in `Dealing`."""
    return Dealing(
        settings.embedding_optimiser,
        lr=settings.table_rate,
        weight_decay=settings.embedding_weight_decay,
        sharding=settings.sharding,
        of=settings.sharding_of,
        lengths=lengths or {},
        batch=batch,
        seed=settings.seed,
    )


def _require_sense(settings: FitSettings, ranks: Ranks) -> None:
    """Refuse settings that ranks would not follow."""
    kind = ranks.device.split(":")[0]
    if settings.device != "auto" and settings.device.split(":")[0] != kind:
        raise UsageError(f"these ranks compute on {kind}, got device={settings.device!r}")
    if settings.embedding_location != "device":
        rule = "embedding_location is of one process' tables"
        raise UsageError(f"{rule}; torchrec's planner places those of ranks, got {settings.embedding_location!r}")
