"""Distil a large recommender into a compact ranker on another domain, and report honestly what it gained.

The five nouns: `Table` (with its `Schema`), `Encoder`, `Ranker`, `SoftLabels`, and the report that `evaluate` makes.
Names are loaded when they are first used, so that importing the package costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recdistill import calibrators, datasets, losses, metrics, models, weights
    from recdistill.adaptation import adapt, out_of_fold_labels
    from recdistill.baselines import item_means
    from recdistill.batches import Batches
    from recdistill.calibration import calibrate, calibrate_with, calibration_report
    from recdistill.compression import Compression, reduced
    from recdistill.distillation import DistillSettings, distill
    from recdistill.domains import by_member, by_time, by_value, require_disjoint, source_and_target
    from recdistill.encoder import Encoder
    from recdistill.encoder_settings import EncoderSettings
    from recdistill.evaluation import evaluate
    from recdistill.examples import Examples
    from recdistill.exporting import export
    from recdistill.fit_settings import FitSettings
    from recdistill.full_ranking import compare_ranked, rank_all
    from recdistill.labelling import label_prepared
    from recdistill.mixtures import mix_teachers
    from recdistill.on_ray import RayData
    from recdistill.pairs import unseen_pairs
    from recdistill.preparation import PrepareSettings, SplitBy, Threads, prepare
    from recdistill.prepared_table import PreparedTable
    from recdistill.ranker import Ranker
    from recdistill.report import Report
    from recdistill.schema import Schema
    from recdistill.segments import SegmentComparisons, compare_segments, segments_of
    from recdistill.serving import Scorer
    from recdistill.shift import Diagnosis, density_ratio, diagnose
    from recdistill.soft_labels import SoftLabels
    from recdistill.splits import keep_labels, split
    from recdistill.tables import Table, concat
    from recdistill.teaching import TeachSettings, teach
    from recdistill.terminal import Bar
    from recdistill.training import fit
    from recdistill.transfer import Decision, choose, decide
    from recdistill.transplants import transplant, with_teacher_vectors
    from recdistill.tuning import Tuning, tune

_HOMES = {
    "Bar": "terminal",
    "Batches": "batches",
    "Compression": "compression",
    "Decision": "transfer",
    "Diagnosis": "shift",
    "DistillSettings": "distillation",
    "Encoder": "encoder",
    "EncoderSettings": "encoder_settings",
    "Examples": "examples",
    "FitSettings": "fit_settings",
    "PrepareSettings": "preparation",
    "PreparedTable": "prepared_table",
    "Ranker": "ranker",
    "RayData": "on_ray",
    "Report": "report",
    "Schema": "schema",
    "Scorer": "serving",
    "SegmentComparisons": "segments",
    "SoftLabels": "soft_labels",
    "SplitBy": "preparation",
    "Table": "tables",
    "TeachSettings": "teaching",
    "Threads": "preparation",
    "Tuning": "tuning",
    "adapt": "adaptation",
    "by_member": "domains",
    "by_time": "domains",
    "by_value": "domains",
    "calibrate": "calibration",
    "choose": "transfer",
    "calibrate_with": "calibration",
    "calibration_report": "calibration",
    "compare_ranked": "full_ranking",
    "compare_segments": "segments",
    "concat": "tables",
    "decide": "transfer",
    "density_ratio": "shift",
    "diagnose": "shift",
    "distill": "distillation",
    "evaluate": "evaluation",
    "export": "exporting",
    "fit": "training",
    "item_means": "baselines",
    "keep_labels": "splits",
    "label_prepared": "labelling",
    "mix_teachers": "mixtures",
    "out_of_fold_labels": "adaptation",
    "prepare": "preparation",
    "rank_all": "full_ranking",
    "reduced": "compression",
    "require_disjoint": "domains",
    "segments_of": "segments",
    "source_and_target": "domains",
    "split": "splits",
    "teach": "teaching",
    "transplant": "transplants",
    "tune": "tuning",
    "unseen_pairs": "pairs",
    "with_teacher_vectors": "transplants",
}
_ROOMS = ("calibrators", "datasets", "losses", "metrics", "models", "weights")

__all__ = [
    "Bar",
    "Batches",
    "Compression",
    "Decision",
    "Diagnosis",
    "DistillSettings",
    "Encoder",
    "EncoderSettings",
    "Examples",
    "FitSettings",
    "PrepareSettings",
    "PreparedTable",
    "Ranker",
    "RayData",
    "Report",
    "Schema",
    "Scorer",
    "SegmentComparisons",
    "SoftLabels",
    "SplitBy",
    "Table",
    "TeachSettings",
    "Threads",
    "Tuning",
    "adapt",
    "by_member",
    "by_time",
    "by_value",
    "calibrate",
    "calibrate_with",
    "calibration_report",
    "calibrators",
    "choose",
    "compare_ranked",
    "compare_segments",
    "concat",
    "datasets",
    "decide",
    "density_ratio",
    "diagnose",
    "distill",
    "evaluate",
    "export",
    "fit",
    "item_means",
    "keep_labels",
    "label_prepared",
    "losses",
    "metrics",
    "mix_teachers",
    "models",
    "out_of_fold_labels",
    "prepare",
    "rank_all",
    "reduced",
    "require_disjoint",
    "segments_of",
    "source_and_target",
    "split",
    "teach",
    "transplant",
    "tune",
    "unseen_pairs",
    "weights",
    "with_teacher_vectors",
]


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return importlib.import_module(f"recdistill.{name}")
    if name in _HOMES:
        return getattr(importlib.import_module(f"recdistill.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'recdistill' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
