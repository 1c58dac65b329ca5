"""A run's folder: where each artefact is, and what the run was told."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import tomli_w

from recdistill.artefacts import is_whole, sha256, write_json, write_text
from recdistill.configuration import Config
from recdistill.errors import UsageError
from recdistill.settings import fill, read_toml
from recdistill.splits import keep_labels
from recdistill.tables import Table

PARTS = ("source", "train", "valid", "test")
PACKAGES = ("recdistill", "torch", "numpy", "pyarrow", "scikit-learn")


@dataclass(frozen=True)
class Cell:
    """One share of labels and one seed.

    Args:
        share: of the target's training and validation labels, in (0, 1].
        seed: of the kept labels, the weights and the training.
    """

    share: float
    seed: int

    def __str__(self) -> str:
        return f"labels-{self.share:g}-seed-{self.seed}"


@dataclass(frozen=True)
class RunFolder:
    """The folder of one run.

    Args:
        path: where it is.
    """

    path: Path

    def open(self, config: Config, *, overwrite: bool = False) -> None:
        """Make the folder, or continue the run of the same configuration.

        Raises:
            UsageError: the folder is no run, or holds a run of another configuration and `overwrite` is false.
        """
        resolved = _without_none(config.model_dump(mode="json"))
        if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
            if not self._config.is_file():
                rule = "is not empty and holds no run (no config.toml); choose another folder"
                raise UsageError(f"{self.path} {rule}")
            if read_toml(self._config) == resolved:
                return
            if not overwrite:
                rule = "holds a run of another configuration; choose another folder or pass --overwrite"
                raise UsageError(f"{self.path} {rule}")
            shutil.rmtree(self.path)
        write_text(self._config, tomli_w.dumps(resolved))
        write_json(
            self.path / "versions.json", {"python": platform.python_version()} | {p: version(p) for p in PACKAGES}
        )

    @property
    def config(self) -> Config:
        """What the run was told.

        Raises:
            UsageError: the folder holds no run.
        """
        self._require_run()
        return fill(Config, read_toml(self._config))

    @property
    def cells(self) -> list[Cell]:
        """Every share of labels with every seed."""
        config = self.config
        return [Cell(share, seed) for seed in range(config.seeds) for share in config.labels]

    def prepared(self, part: str) -> Path:
        """The rows of a part: "source", "train", "valid" or "test"."""
        return self.path / "prepared" / part

    def pretrained(self, name: str, seed: int) -> Path:
        """A ranker trained on the source: "source_teacher" or "source_student"."""
        return self.path / "teacher" / name / f"seed-{seed}"

    def adapted(self, cell: Cell, part: str) -> Path:
        """The teacher fine-tuned on the target: "whole", or "fold-k" without the k-th fold's labels."""
        return self.path / "teacher" / "adapted_teacher" / str(cell) / part

    def soft_labels(self, teacher: str, cell: Cell) -> Path:
        """A teacher's soft labels; the source teacher's are the same for every share of labels."""
        return self.path / "soft_labels" / teacher / (f"seed-{cell.seed}" if teacher == "source_teacher" else str(cell))

    def student(self, arm: str, cell: Cell) -> Path:
        """The student of an arm."""
        return self.path / "students" / arm / str(cell)

    @property
    def report(self) -> Path:
        """The report's own folder."""
        return self.path / "report"

    def tables(self) -> dict[str, Table]:
        """The prepared rows by part; read once per process.

        Raises:
            UsageError: the folder holds no run, or the run is not prepared.
            DataError: a file was changed.
        """
        self._require_run()
        if not all(is_whole(self.prepared(part)) for part in PARTS):
            raise UsageError(f"{self.path} has no prepared rows; run `recdistill prepare` first")
        return _read(self.path.absolute(), tuple(sha256(self.prepared(part) / "manifest.json") for part in PARTS))

    def labelled(self, cell: Cell) -> tuple[Table, Table]:
        """Training and validation rows, with the labels of all but the cell's share removed."""
        tables = self.tables()
        return keep_labels(tables["train"], tables["valid"], share=cell.share, seed=cell.seed)

    def _require_run(self) -> None:
        if not self._config.is_file():
            raise UsageError(f"{self.path} holds no run (no config.toml); `recdistill prepare` makes one")

    @property
    def _config(self) -> Path:
        return self.path / "config.toml"


@lru_cache(maxsize=1)
def _read(path: Path, identity: tuple[str, ...]) -> dict[str, Table]:
    return {part: Table.read(path / "prepared" / part) for part in PARTS}


def _without_none(values: Mapping[str, Any]) -> dict[str, Any]:
    kept = {k: v for k, v in values.items() if v is not None}
    return {k: _without_none(v) if isinstance(v, Mapping) else v for k, v in kept.items()}
