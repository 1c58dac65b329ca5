"""A grid of a run: its students and points, where each is, and what it was made from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from recdistill import run_arms
from recdistill.arms import ARMS, Arm
from recdistill.artefacts import digest, is_whole, manifest
from recdistill.compression import Compression
from recdistill.configuration import StudentSettings
from recdistill.errors import UsageError, nearest
from recdistill.label_budget import Cell
from recdistill.pareto.settings import PLAIN, ParetoSettings
from recdistill.report.frontier.words import BASELINE, GRID, PAGE
from recdistill.run_folder import RunFolder
from recdistill.settings import plain


@dataclass(frozen=True)
class Point:
    """A student of the grid in one compression.

    Args:
        size: the student's name.
        how: it is compressed.
    """

    size: str
    how: Compression = PLAIN

    @property
    def name(self) -> str:
        """For people."""
        return self.size if self.how == PLAIN else f"{self.size}, {self.how.words}"


@dataclass(frozen=True)
class Grid:
    """What a run's grid is and where it is kept.

    Args:
        run: the run's folder.
        settings: of the grid.
        share: of the labels.
    """

    run: RunFolder
    settings: ParetoSettings
    share: float

    @cached_property
    def cells(self) -> list[Cell]:
        """Every seed with this share of labels.

        Raises:
            UsageError: the run has no such share.
        """
        found = [cell for cell in self.run.cells if cell.share == self.share]
        if not found:
            known = ", ".join(f"{share:g}" for share in self.run.config.labels)
            raise UsageError(f"{self.run.path} has labels {known}, got {self.share:g}")
        return found

    @cached_property
    def arm_name(self) -> str:
        """The arm by which students are made.

        Raises:
            UsageError: there is no such arm here, it hears no teacher, or it starts from another student.
        """
        made = run_arms.arms(self.run, self.share)
        known = [name for name, arm in made.items() if arm.teacher is not None and not arm.warm]
        name = self.settings.arm or run_arms.usual(self.run, self.share)
        if name not in known:
            rule = (
                "a grid's students are made by an arm of this run that hears a teacher and starts from random weights"
            )
            raise UsageError(f"{rule}, got {name!r}; {nearest(name, known)}")
        return name

    @property
    def arm(self) -> Arm:
        """The same, itself."""
        return ARMS[self.arm_name]

    @cached_property
    def students(self) -> dict[str, StudentSettings]:
        """Per name what the student is told; the baseline, which learns from labels alone, last."""
        student = self.run.config.student
        baseline = student.model_copy(update={"model": "lr", "arguments": {}})
        return {**self.settings.students(student), BASELINE: baseline}

    def arm_of(self, size: str) -> Arm:
        """How a student is made."""
        return ARMS["hard_only"] if size == BASELINE else self.arm

    @property
    def points(self) -> Iterator[Point]:
        """Every student in every compression, and the baseline."""
        yield from (Point(size, how) for size in self.students if size != BASELINE for how in self.settings.ways)
        yield Point(BASELINE)

    @property
    def path(self) -> Path:
        """Where it is kept."""
        return self.run.path / GRID

    @property
    def page(self) -> Path:
        """Where it is told."""
        return self.path / PAGE

    def student(self, size: str, cell: Cell) -> Path:
        """A student as it was trained."""
        return self.path / "students" / size / str(cell)

    def shipped(self, point: Point, cell: Cell) -> Path:
        """A point as it would be served."""
        return self.path / "shipped" / point.size / point.how.name / str(cell)

    def teacher(self, cell: Cell) -> Path:
        """The best teacher, as it would be served."""
        return self.path / "shipped" / self.run.teachers[-1] / str(cell)

    def learnt_from(self, size: str, cell: Cell) -> str:
        """What decides what a student is; of other settings or soft labels it is made anew."""
        arm = self.arm_of(size)
        soft = None if arm.teacher is None else manifest(self.run.soft_labels(arm.teacher, cell))["files"]
        told = "hard_only" if size == BASELINE else self.arm_name
        return digest([self.run.identity, told, plain(self.students[size]), soft])

    def made_from(self, point: Point, cell: Cell) -> str:
        """What decides what a point is: its student, as that stands there now, and the compression."""
        student = self.student(point.size, cell)
        trained = manifest(student)["facts"]["fingerprint"] if is_whole(student) else ""
        return digest([self.learnt_from(point.size, cell), trained, plain(point.how)])

    def adapted_from(self, cell: Cell) -> str:
        """What decides what the exported teacher is."""
        return digest([self.run.identity, manifest(self.run.adapted(cell, "whole"))["facts"]["fingerprint"]])
