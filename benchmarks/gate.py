"""Does the strategy tell planted teachers apart: one that helps, one that harms, one that knows nothing?

    OMP_NUM_THREADS=1 python benchmarks/gate.py

In each of 20 synthetic worlds a tenth of the target's training and validation rows keep their labels. `rd.choose` has
two candidates: `hard_only`, labels alone, and `taught`, the same student with a fixed alpha, so that it cannot refuse
to listen. The teachers are columns of scores:

- helpful: what a large system at home says of each row (the world's `system_score`), on the labels' scale;
- harmful: what such a system of another world says of the item that there has the same id, twice as sure of itself;
- useless: noise, on the labels' scale.

Test rows, which the strategy never sees, say whether the planting worked. Sizes, alpha and the fit were set on worlds
with other seeds (from 100 on). Writes `benchmarks/results/gate/results.json` and `README.md`.
"""

from __future__ import annotations

import argparse
import platform
from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gate_page import page

import recdistill as rd
from recdistill.artefacts import write_json, write_text
from recdistill.evaluation import compare
from recdistill.ranker import Ranker
from recdistill.tables import Table

FOLDER = Path(__file__).parent / "results" / "gate"
COMMAND = "OMP_NUM_THREADS=1 python benchmarks/gate.py"
SEEDS = range(20)
SIZES = {"source_rows": 10, "source_users": 10, "target_rows": 6_000, "target_users": 200, "items": 60}
SHARE, FOLDS = 0.1, 3
STUDENT: dict[str, Any] = {"embedding_dim": 4, "hidden": [16]}
LABELS_ALONE = rd.DistillSettings(alpha=0.0)
TAUGHT = rd.DistillSettings(alpha=0.8)
FIT = rd.FitSettings(learning_rate=3e-3, batch_size=128, device="cpu")
Logits = np.ndarray[Any, Any]


class World:
    """A target of which a tenth is labelled, and its planted teachers.

    Args:
        seed: of everything.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        train, valid, self.test = rd.split(_target(seed), valid=0.1, test=0.2)
        self.train, self.valid = rd.keep_labels(train, valid, share=SHARE, seed=seed)

    def helpful(self, rows: Table) -> rd.SoftLabels:
        """Calibrated by the labels that the rows have."""
        return rd.calibrate(rd.SoftLabels.from_column(rows), rows, k=FOLDS, seed=self.seed)

    def harmful(self, rows: Table) -> rd.SoftLabels:
        """As it comes: who trusts a system as it is gets its scale too."""
        return rd.SoftLabels.from_column(rows, self.elsewhere[rows.numpy("item_id")], scale="logit")

    def useless(self, rows: Table) -> rd.SoftLabels:
        """Calibrated, by which noise all but becomes the base rate."""
        noise = np.random.default_rng(self.seed).normal(size=len(rows))
        return rd.calibrate(rd.SoftLabels.from_column(rows, noise, scale="logit"), rows, k=FOLDS, seed=self.seed)

    @cached_property
    def elsewhere(self) -> Logits:
        """(items,) the mean logit of each item of another world, twice as far from their mean."""
        other = _target(self.seed + 10_000)
        logits, items = _logits(other), other.numpy("item_id")
        count = np.bincount(items, minlength=SIZES["items"])
        means = np.bincount(items, weights=logits, minlength=SIZES["items"]) / np.maximum(count, 1)
        means[count == 0] = logits.mean()
        return logits.mean() + 2 * (means - logits.mean())

    def student(self, rows: Table, teach: Callable[[Table], rd.SoftLabels] | None) -> Ranker:
        """A student of the labels that the rows have, and of a teacher."""
        encoder = rd.Encoder.fit(rows)
        student = Ranker(encoder, rd.models.build("deepfm", encoder.spec, seed=self.seed, arguments=STUDENT))
        soft, settings = (None, LABELS_ALONE) if teach is None else (teach(rows), TAUGHT)
        fitting = FIT.model_copy(update={"seed": self.seed})
        rd.distill(student, rows, soft, valid=self.valid, settings=settings, fitting=fitting)
        return student


TEACHERS = {"helpful": World.helpful, "harmful": World.harmful, "useless": World.useless}


def gated(seed: int, teachers: Iterable[str] = TEACHERS) -> list[dict[str, Any]]:
    """What the strategy decides of each teacher in a world, and what test rows say.

    Args:
        seed: of the world.
        teachers: keys of `TEACHERS`.
    """
    world, made = World(seed), {}

    def hard_only(rows: Table) -> Ranker:  # the same whatever the teacher
        if rows.fingerprint not in made:
            made[rows.fingerprint] = world.student(rows, None)
        return made[rows.fingerprint]

    return [{"seed": seed, "teacher": name, **_gated(world, hard_only, TEACHERS[name])} for name in teachers]


def _gated(
    world: World, hard_only: Callable[[Table], Ranker], teach: Callable[[World, Table], rd.SoftLabels]
) -> dict[str, Any]:
    def taught(rows: Table) -> Ranker:
        return world.student(rows, lambda table: teach(world, table))

    chosen, decision = rd.choose({"hard_only": hard_only, "taught": taught}, world.train, k=FOLDS, seed=world.seed)
    control = hard_only(world.train)
    student = chosen if decision.chosen == "taught" else taught(world.train)
    scores = [ranker.score(world.test).astype(np.float64) for ranker in (student, control)]
    found = {metric: compare(scores[0], scores[1], world.test, metric)["delta"] for metric in ("logloss", "auc")}
    return {"decision": decision.to_dict(), "test_gain": {"logloss": -found["logloss"], "auc": found["auc"]}}


def _target(seed: int) -> Table:
    return rd.datasets.synthetic.load(seed=seed, target_has=["system_score"], **SIZES)[1]


def _logits(table: Table) -> Logits:
    score = table.numpy("system_score")
    return np.asarray(np.log(score / (1 - score)))


def run(out: Path, seeds: Iterable[int] = SEEDS) -> dict[str, Any]:
    """All worlds, and the page.

    Args:
        out: where `results.json` and `README.md` go.
        seeds: of the worlds.
    """
    worlds = [entry for seed in seeds for entry in gated(seed)]
    settings = {"share": SHARE, "folds": FOLDS, "alpha": TAUGHT.alpha, "sizes": SIZES, "student": STUDENT}
    told = {"command": COMMAND, "python": platform.python_version(), "torch": torch.__version__, **settings}
    result = {**told, "labelled": int(World(0).train.labelled.sum()), "worlds": worlds}
    write_json(out / "results.json", result)
    write_text(out / "README.md", page(result))
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=FOLDER, help="where the page goes")
    torch.set_num_threads(1)
    run(parser.parse_args().out)


if __name__ == "__main__":
    main()
