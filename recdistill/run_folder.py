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

from recdistill.artefacts import digest, is_whole, sha256, write_json, write_text
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

    def holds(self, config: Config) -> bool:
        """Whether the folder holds a run of this configuration; False when there is nothing.

        Raises:
            UsageError: the folder holds something else than a run, or a run of another configuration.
        """
        if not self.path.exists() or (self.path.is_dir() and not any(self.path.iterdir())):
            return False
        self._require_run("is not empty and holds no run (no config.toml and versions.json); choose another folder")
        if read_toml(self._config) != _without_none(config.model_dump(mode="json")):
            rule = "holds a run of another configuration; choose another folder or pass --overwrite"
            raise UsageError(f"{self.path} {rule}")
        return True

    @property
    def is_run(self) -> bool:
        """Whether the folder holds a run, of whatever configuration."""
        return self._config.is_file() and self._versions.is_file()

    def begin(self, config: Config) -> None:
        """Write down what the run is told and with which packages; a run that was there goes, other files stay."""
        if self.is_run:
            self._remove()
        packages = {"python": platform.python_version()} | {name: version(name) for name in PACKAGES}
        write_json(self._versions, packages)
        write_text(self._config, tomli_w.dumps(_without_none(config.model_dump(mode="json"))))

    @property
    def identity(self) -> str:
        """Of the prepared rows; what is made from other rows carries another one and is made again."""
        return digest([sha256(self.prepared(part) / "manifest.json") for part in PARTS])

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
        if not self.is_prepared:
            raise UsageError(f"{self.path} has no prepared rows; run `recdistill prepare` first")
        return _read(self.path.absolute(), self.identity)

    def labelled(self, cell: Cell) -> tuple[Table, Table]:
        """Training and validation rows, with the labels of all but the cell's share removed."""
        tables = self.tables()
        return keep_labels(tables["train"], tables["valid"], share=cell.share, seed=cell.seed)

    @property
    def is_prepared(self) -> bool:
        """Whether the rows of every part are there."""
        return all(is_whole(self.prepared(part)) for part in PARTS)

    def _remove(self) -> None:
        for name in ("prepared", "teacher", "soft_labels", "students", "report"):
            shutil.rmtree(self.path / name, ignore_errors=True)
        self._config.unlink()
        self._versions.unlink()

    def _require_run(self, rule: str = "holds no run; `recdistill prepare` makes one") -> None:
        if not self.is_run:
            raise UsageError(f"{self.path} {rule}")

    @property
    def _config(self) -> Path:
        return self.path / "config.toml"

    @property
    def _versions(self) -> Path:
        return self.path / "versions.json"


@lru_cache(maxsize=1)
def _read(path: Path, identity: str) -> dict[str, Table]:
    return {part: Table.read(path / "prepared" / part) for part in PARTS}


def _without_none(values: Mapping[str, Any]) -> dict[str, Any]:
    kept = {k: v for k, v in values.items() if v is not None}
    return {k: _without_none(v) if isinstance(v, Mapping) else v for k, v in kept.items()}
