"""A run's folder: where each artefact is, and what the run was told."""

from __future__ import annotations

import contextlib
import platform
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import tomli_w

from recdistill.arms import CONTROLS
from recdistill.artefacts import digest, is_whole, read_json, sha256, write_json, write_text
from recdistill.configuration import Config
from recdistill.domains import privileged_columns
from recdistill.errors import UsageError
from recdistill.inputs import Input
from recdistill.label_budget import Cell, labelled_rows
from recdistill.settings import differences, fill, plain, read_toml
from recdistill.tables import Table

PARTS = ("source", "train", "valid", "test")
MADE = ("prepared", "teacher", "soft_labels", "students", "held_out", "tuning", "pareto", "report")
PACKAGES = ("recdistill", "torch", "numpy", "pyarrow", "scikit-learn")


@dataclass(frozen=True)
class RunFolder:
    """The folder of one run.

    Args:
        path: where it is.
        only: the cells that are wanted; None for all.
    """

    path: Path
    only: frozenset[Cell] | None = None

    def holds(self, config: Config) -> bool:
        """Whether the folder holds a run of this configuration; False when there is nothing.

        Raises:
            UsageError: the folder holds something else than a run, or a run of another configuration.
        """
        if not self.path.exists() or (self.path.is_dir() and not any(self.path.iterdir())):
            return False
        self._require_run("is not empty and holds no run (no config.toml and versions.json); choose another folder")
        if self.config != config:
            told = differences(plain(self.config), plain(config))
            more = f", and {len(told) - 3} more differ" if len(told) > 3 else ""
            rule = f"holds a run of another configuration: {', '.join(told[:3])}{more}"
            raise UsageError(f"{self.path} {rule}; choose another folder or pass --overwrite")
        return True

    @property
    def is_run(self) -> bool:
        """Whether the folder holds a run, of whatever configuration."""
        return self._config.is_file() and self._versions.is_file()

    def begin(self, config: Config, *, source: bool, inputs: Sequence[Input] = ()) -> None:
        """Write down what the run is told, whether it has source rows, from which files, and with which packages.

        A run of another configuration goes, other files stay. Of the same configuration only the prepared rows and the
        report go: what was made from the same rows is kept, and so is the word of what it was made with.
        """
        facts = {"source": source, "inputs": [one.to_dict() for one in inputs]}
        same = False
        with contextlib.suppress(UsageError):
            same = self.is_run and self.config == config
        if same:
            for name in ("report", "prepared"):
                shutil.rmtree(self.path / name, ignore_errors=True)
            written = read_json(self._versions)
            write_json(self._versions, written | {"run": written.get("run", {}) | facts})
            return
        if self.is_run:
            self._remove()
        packages = {"python": platform.python_version()} | {name: version(name) for name in PACKAGES}
        text = tomli_w.dumps(plain(config))
        write_json(self._versions, {**packages, "run": {"config": digest(text), **facts}})
        write_text(self._config, text)

    @property
    def identity(self) -> str:
        """Of the prepared rows; what is made from other rows carries another one and is made again."""
        return digest([sha256(self.prepared(part) / "manifest.json") for part in self.parts])

    @property
    def versions(self) -> dict[str, str]:
        """Python's version and the packages', when the run began."""
        return {name: told for name, told in read_json(self._versions).items() if name != "run"}

    @property
    def inputs(self) -> list[Input] | None:
        """The files that the rows were read from; None where an earlier version did not write them down."""
        written = self._begun.get("inputs")
        return None if written is None else [Input.from_dict(one) for one in written]

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts there are: all of `PARTS`, or without source rows the target's."""
        return PARTS if self.has_source else PARTS[1:]

    @property
    def has_source(self) -> bool:
        """Whether there are source rows; with scores as the teacher there need not be."""
        return bool(self._begun.get("source", self.prepared("source").exists()))

    @property
    def teachers(self) -> tuple[str, str]:
        """The teacher as it came, and at its best: adapted to the labelled target rows."""
        told = self.config.teacher
        return "source_teacher" if told.scores is None else "given_scores", told.at_best

    @property
    def controls(self) -> tuple[str, ...]:
        """The arms without a teacher; warm arms start from the last one."""
        return CONTROLS if self.has_source else CONTROLS[:1]

    @property
    def config(self) -> Config:
        """What the run was told.

        Raises:
            UsageError: the folder holds no run, or its configuration was edited since.
        """
        self._require_run()
        if self._begun.get("config", text_digest := digest(self._config.read_text("utf-8"))) != text_digest:
            rule = "was edited after the run began, so what is there was made by another configuration"
            raise UsageError(f"{self._config} {rule}; begin anew with your own TOML, elsewhere or with --overwrite")
        return fill(Config, read_toml(self._config))

    @property
    def cells(self) -> list[Cell]:
        """Every share of labels with every seed, if not only some are wanted."""
        config = self.config
        cells = [Cell(share, seed) for seed in range(config.seeds) for share in config.labels]
        return [cell for cell in cells if self.only is None or cell in self.only]

    def prepared(self, part: str) -> Path:
        """The rows of a part: "source", "train", "valid" or "test"; and what was found in them: "inspection"."""
        return self.path / "prepared" / part

    def pretrained(self, name: str, seed: int) -> Path:
        """A ranker trained on the source: "source_teacher" or "source_student"."""
        return self.path / "teacher" / name / f"seed-{seed}"

    def adapted(self, cell: Cell, part: str) -> Path:
        """The teacher fine-tuned on the target: "whole", or "fold-k" without the k-th fold's labels."""
        return self.path / "teacher" / "adapted_teacher" / str(cell) / part

    def soft_labels(self, teacher: str, cell: Cell) -> Path:
        """A teacher's soft labels; those of one as it came are for any share of labels, where that leaves the rows."""
        alike = teacher == self.teachers[0] and not self.config.data.negatives
        return self.path / "soft_labels" / teacher / (f"seed-{cell.seed}" if alike else str(cell))

    def student(self, arm: str, cell: Cell) -> Path:
        """The student of an arm, or of the strategy."""
        return self.path / "students" / arm / str(cell)

    def held_out(self, arm: str, cell: Cell, fold: int) -> Path:
        """The student of an arm without a fold's labels."""
        return self.path / "held_out" / arm / str(cell) / f"fold-{fold}"

    def tuning(self, arm: str, cell: Cell) -> Path:
        """What `recdistill tune` tried for an arm."""
        return self.path / "tuning" / arm / str(cell)

    def teacher_models(self, cell: Cell) -> dict[str, Path]:
        """A cell's teachers that are rankers, as it came first; none where a column of scores is the teacher."""
        source, adapted = self.pretrained("source_teacher", cell.seed), self.adapted(cell, "whole")
        models = {"source_teacher": source, "adapted_teacher": adapted}
        return models if self.config.teacher.scores is None else {}

    @property
    def report(self) -> Path:
        """The report's own folder."""
        return self.path / "report"

    def tables(self) -> dict[str, Table]:
        """The prepared rows of every part, see `part`."""
        return {name: self.part(name) for name in self.parts}

    def part(self, name: str) -> Table:
        """The prepared rows of a part; read once per process.

        Raises:
            UsageError: the folder holds no run, or the run is not prepared.
            DataError: a file was changed.
        """
        self._require_run()
        if not self.is_prepared:
            raise UsageError(f"{self.path} has no prepared rows; run `recdistill prepare` first")
        return _read(self.path.absolute(), self.identity, name)

    @property
    def privileged(self) -> dict[str, bool]:
        """Per privileged column whether the target has it too; otherwise the teacher knows it on the source alone."""
        return privileged_columns(self.part(self.parts[0]), self.part("train"))

    def labelled(self, cell: Cell) -> tuple[Table, Table]:
        """Training and validation rows of a cell, see `label_budget.labelled_rows`."""
        self.part("train")
        return _labelled(self.path.absolute(), self.identity, cell)

    @property
    def is_prepared(self) -> bool:
        """Whether the rows of every part are there."""
        return all(is_whole(self.prepared(part)) for part in self.parts)  # the source, where there is one, comes first

    def _remove(self) -> None:
        for name in MADE:
            shutil.rmtree(self.path / name, ignore_errors=True)
        self._config.unlink()
        self._versions.unlink()

    def _require_run(self, rule: str = "holds no run; `recdistill prepare` makes one") -> None:
        if not self.is_run:
            raise UsageError(f"{self.path} {rule}")

    @property
    def _begun(self) -> dict[str, Any]:
        """What `begin` wrote down beside the packages."""
        self._require_run()
        return dict(read_json(self._versions).get("run", {}))

    @property
    def _config(self) -> Path:
        return self.path / "config.toml"

    @property
    def _versions(self) -> Path:
        return self.path / "versions.json"


@lru_cache(maxsize=len(PARTS))
def _read(path: Path, identity: str, part: str) -> Table:
    return Table.read(path / "prepared" / part)


@lru_cache(maxsize=4)  # cells take turns in every stage
def _labelled(path: Path, identity: str, cell: Cell) -> tuple[Table, Table]:
    run = RunFolder(path)
    names = ("train", "valid", "test") if run.config.data.negatives else ("train", "valid")
    return labelled_rows(run.config.data, cell, **{name: run.part(name) for name in names})
