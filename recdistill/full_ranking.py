"""Full ranking: a ranker orders, for each test user, all items that the user has not seen.

The pointwise metrics of `evaluation` rank a user's test rows among each other; here the clicks must stand out from
the whole catalogue. Users and items are encoded once each and put together as tensors, in bounded memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from recdistill.batch import Batch
from recdistill.candidates import Candidates
from recdistill.errors import DataError, UsageError, nearest
from recdistill.metrics import Exposure, PerList, exposure, mean_difference, mrr, ndcg_at_k, recall_at_k
from recdistill.ranker import Ranker
from recdistill.tables import Table

Array = np.ndarray[Any, Any]
ROWS = 65_536  # at a time: put together, scored and ranked


@dataclass(frozen=True)
class Ranked:
    """One ranker's ranking of every user's candidates.

    Metrics over sampled negatives are biased, and can even order rankers the other way round than the full ranking
    does (Krichene & Rendle 2020, "On Sampled Metrics for Item Recommendation"): `protocol` says which these are.

    Args:
        protocol: "full", or "sampled-100" with 100 negatives drawn for each user.
        values: per metric ("recall@10", "ndcg@10", "mrr") one value per user.
        shown: what the first k of all users' lists show of the catalogue; empty with sampled negatives, where it is
            the draw that decides: "coverage@10", "entropy@10" and "gini@10" of `metrics.Exposure`, and
            "popularity@10", its average popularity in rows of what was seen.
        eligible: how many users could be ranked; more than were where users were drawn.
        candidates: how many a user had, on average.
        context: columns of the ranker that belong neither to user nor to item; all candidates of a user have the value
            of the user's first test row.
        cluster: the user column.
        fingerprint: of who was ranked what.
    """

    protocol: str
    values: dict[str, PerList]
    shown: dict[str, float]
    eligible: int
    candidates: float
    context: tuple[str, ...]
    cluster: str
    fingerprint: str

    @property
    def users(self) -> int:
        """How many were ranked."""
        return len(self.values["mrr"].lists)

    @property
    def skipped(self) -> int:
        """How many test users have no click on an item that they had not seen."""
        return self.values["mrr"].skipped

    @property
    def metrics(self) -> dict[str, float]:
        """The mean over users of each metric, under its name with the protocol in front, e.g. "full:ndcg@10"; and what
        is shown of the catalogue.
        """
        means = {name: found.mean for name, found in self.values.items()}
        return {f"{self.protocol}:{name}": value for name, value in (means | self.shown).items()}

    def to_dict(self) -> dict[str, Any]:
        """Everything but the single users, for JSON."""
        counts = {"users": self.users, "eligible": self.eligible, "skipped": self.skipped}
        said = {"protocol": self.protocol, "biased": self.protocol != "full", "context": list(self.context)}
        return {**said, **counts, "candidates": self.candidates, "metrics": self.metrics}


def rank_all(
    ranker: Ranker,
    test: Table,
    *,
    seen: Sequence[Table],
    catalogue: Sequence[Table] = (),
    users: int | None = None,
    sampled: int | None = None,
    seed: int = 0,
    k: int = 10,
) -> Ranked:
    """Rank, for each test user, every item that the user has not seen.

    Args:
        ranker: scores clicks.
        test, seen, catalogue, users, sampled, seed: as in `Candidates.of`, which also says where a candidate's
            columns come from. With `sampled` the metrics are biased, see `Ranked`.
        k: depth of recall@k and NDCG@k.

    Raises:
        UsageError, DataError: as in `Candidates.of` and `rank`.
    """
    candidates = Candidates.of(test, seen=seen, catalogue=catalogue, users=users, sampled=sampled, seed=seed)
    return rank(ranker, candidates, k=k)


def rank(ranker: Ranker, candidates: Candidates, *, k: int = 10) -> Ranked:
    """A ranker's ranking of candidates that several rankers share.

    Args:
        ranker: scores clicks.
        candidates: who is ranked what.
        k: depth of recall@k and NDCG@k.

    Raises:
        UsageError: k is below 1.
        DataError: the candidates lack a column of the ranker, or it has more than one logit per row.
    """
    if k < 1:
        raise UsageError(f"k must be at least 1, got {k=}")
    pairs = _Pairs(ranker, candidates)
    blocks, exposed, count = [], [], 0
    for block in candidates.blocks(ROWS):
        user, item = block.candidate.nonzero()
        scores = np.full(block.candidate.shape, -np.inf)
        scores[user, item] = pairs.score(block.start + user, item)
        kept = _decisive(scores, block.relevant, k)
        (lists, items), labels = kept.nonzero(), block.relevant[kept]
        blocks.append(_metrics(scores[kept], labels, lists + block.start, k))
        exposed.append(exposure(scores[kept], lists, items, catalogue=kept.shape[1], k=k))
        count += len(user)
    values = {}
    for name in blocks[0]:
        found = np.concatenate([block[name].values for block in blocks])
        values[name] = PerList(candidates.names, found, candidates.skipped)
    return Ranked(
        protocol=candidates.protocol,
        values=values,
        shown=_shown(exposed, candidates.popularity, k) if candidates.sampled is None else {},
        eligible=candidates.eligible,
        candidates=count / len(candidates.names),
        context=tuple(name for name in ranker.encoder.columns if candidates.sides[name] == "context"),
        cluster=str(candidates.users.schema.user),
        fingerprint=candidates.fingerprint,
    )


def compare_ranked(a: Ranked | Sequence[Ranked], b: Ranked | Sequence[Ranked], metric: str) -> dict[str, Any]:
    """The paired difference of two rankers over users, as `evaluation.compare` gives it.

    Args:
        a, b: rankings of the same candidates; several of each are seeds.
        metric: "recall@10", "ndcg@10" or "mrr", with the k that they were ranked with.

    Raises:
        UsageError: the metric is not known.
        DataError: the candidates differ, or there are fewer than 2 users.
    """
    first, second = ([side] if isinstance(side, Ranked) else list(side) for side in (a, b))
    for ranked in (*first, *second):
        if metric not in ranked.values:
            raise UsageError(f"unknown metric {metric!r}, {nearest(metric, ranked.values)}")
        if ranked.fingerprint != first[0].fingerprint:
            got = [(r.protocol, r.fingerprint[:12]) for r in (first[0], ranked)]
            raise DataError(f"rankings to compare must be of the same candidates, got {got[0]} and {got[1]}")
    values = [np.stack([ranked.values[metric].values for ranked in side]) for side in (first, second)]
    found = mean_difference(values[0], values[1], unit="list")
    return {"metric": f"{first[0].protocol}:{metric}", **asdict(found), "cluster": first[0].cluster}


class _Pairs:
    """Scores pairs of a user and an item, each encoded once."""

    def __init__(self, ranker: Ranker, candidates: Candidates) -> None:
        device = next(ranker.network.parameters()).device
        self.ranker, spec = ranker, ranker.encoder.spec
        self.users = ranker.encoder.encode(candidates.users).to(device)
        self.items = ranker.encoder.encode(candidates.items).to(device)

        def of_item(names: Sequence[str]) -> list[int]:
            return [position for position, name in enumerate(names) if candidates.sides[name] == "item"]

        self.ids = of_item([name for name, _ in spec.categorical])
        self.multi = of_item([name for name, _ in spec.multi])
        self.number = of_item(spec.number)
        self.vector = of_item([name for name, _ in spec.vector])

    def score(self, user: Array, item: Array) -> Array:
        """(pairs,) logits of (pairs,) positions of users and items."""
        parts = []
        for start in range(0, len(user), ROWS):
            rows = slice(start, start + ROWS)
            batch = self._batch(torch.from_numpy(user[rows]), torch.from_numpy(item[rows]))
            parts.append(self.ranker.score(batch))
            if parts[-1].ndim != 1:
                raise DataError(f"full ranking needs one logit per row, got {parts[-1].shape} for {len(batch)} rows")
        return np.concatenate(parts)

    def _batch(self, user: torch.Tensor, item: torch.Tensor) -> Batch:
        users, items = self.users, self.items
        ids, number = users.ids[user], users.number[user]
        ids[:, self.ids] = items.ids[:, self.ids][item]
        number[:, self.number] = items.number[:, self.number][item]
        multi = (items.multi[p][item] if p in self.multi else users.multi[p][user] for p in range(len(users.multi)))
        vector = (
            items.vector[p][item] if p in self.vector else users.vector[p][user] for p in range(len(users.vector))
        )
        return Batch(ids, tuple(multi), number, tuple(vector))


def _decisive(scores: Array, relevant: Array, k: int) -> Array:
    """(users, items) bool, what the metrics depend on: positives, and what is not below both the k-th score and the
    best positive. Without the others each rank up to k and the first positive's stay as they are.
    """
    depth = min(k, scores.shape[1])
    last = np.partition(scores, -depth, axis=1)[:, -depth]
    best = np.where(relevant, scores, -np.inf).max(1)
    return relevant | (np.isfinite(scores) & (scores >= np.minimum(last, best)[:, None]))


def _metrics(scores: Array, labels: Array, lists: Array, k: int) -> dict[str, PerList]:
    return {
        f"recall@{k}": recall_at_k(scores, labels, lists, k=k),
        f"ndcg@{k}": ndcg_at_k(scores, labels, lists, k=k),
        "mrr": mrr(scores, labels, lists),
    }


def _shown(exposed: list[Exposure], popularity: Array, k: int) -> dict[str, float]:
    whole = exposed[0]
    for more in exposed[1:]:
        whole = whole + more
    found = {"coverage": whole.coverage, "entropy": whole.entropy, "gini": whole.gini}
    found["popularity"] = whole.average_popularity(popularity)
    return {f"{name}@{k}": value for name, value in found.items()}
