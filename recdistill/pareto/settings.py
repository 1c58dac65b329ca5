"""What `recdistill pareto` can be told: which students, in which compressions, and what a smaller one may cost."""

from __future__ import annotations

import re
from typing import Any

from pydantic import Field, field_validator, model_validator

from recdistill.arms import TEACHERS
from recdistill.compression import Compression
from recdistill.configuration import StudentSettings
from recdistill.encoder_settings import EncoderSettings
from recdistill.errors import UsageError
from recdistill.report.frontier.words import BASELINE
from recdistill.settings import Settings, fill, plain

PLAIN = Compression()
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
TEACHER = "teacher"
TAKEN = (BASELINE, TEACHER, *TEACHERS)  # what a page calls others


class Size(Settings):
    """A student of the grid; what is not told is the run's student's.

    Args:
        model: a key of `recdistill.models.MODELS`; another than the run's begins with its own default arguments.
        arguments: of the model, over the run's student's.
        encoder: of the rows.
    """

    model: str | None = None
    arguments: dict[str, Any] = {}
    encoder: EncoderSettings | None = None

    def of(self, student: StudentSettings) -> StudentSettings:
        """The run's student, changed so."""
        told = plain(student)
        same = self.model in (None, student.model)
        told["arguments"] = {**(told["arguments"] if same else {}), **self.arguments}
        told["model"] = self.model or student.model
        if self.encoder is not None:
            told["encoder"] = plain(self.encoder)
        return fill(StudentSettings, told)


class ParetoSettings(Settings):
    """A grid of students, each in every compression.

    Args:
        arm: how students are made, a key of `recdistill.arms.ARMS`; by default by the best teacher's soft labels of all
            rows. Those that start from another student are not for several sizes.
        sizes: students by name; by default the run's own, and with half and twice its embedding's length.
        compressions: of each student; uncompressed it is there in any case.
        margin: how much of the headline metric (AUC, of ratings RMSE) a smaller student may lose on validation rows, by
            the worse end of its interval.
        calls: how many rounds of calls are timed.
    """

    arm: str = ""
    sizes: dict[str, Size] = {}
    compressions: tuple[Compression, ...] = (
        Compression(tables="int8"),
        Compression(tables="int4"),
        Compression(tables="int8", dense="int8"),
        Compression(prune=0.5),
        Compression(prune=0.5, tables="int8"),
        Compression(rank=0.25),
        Compression(min_count=3),
        Compression(min_count=3, tables="int8"),
    )
    margin: float = Field(0.002, gt=0, lt=1)
    calls: int = Field(300, ge=20)

    @field_validator("sizes")
    @classmethod
    def _names(cls, sizes: dict[str, Size]) -> dict[str, Size]:
        for name in sizes:
            if not NAME.fullmatch(name) or name in TAKEN:
                rule = f"a size is called by letters, digits, '_', '-' and '.', and not {' or '.join(TAKEN)}"
                raise ValueError(f"{rule}, got {name!r}")
        return sizes

    @model_validator(mode="after")
    def _distinct(self) -> ParetoSettings:
        if len(set(self.compressions)) < len(self.compressions):
            raise UsageError("a compression stands in a grid once")
        return self

    def students(self, student: StudentSettings) -> dict[str, StudentSettings]:
        """The grid's students by name, of a run's student."""
        sizes = self.sizes or _around(student)
        return {name: size.of(student) for name, size in sizes.items()}

    @property
    def ways(self) -> tuple[Compression, ...]:
        """The compressions, none first."""
        return (PLAIN, *(how for how in self.compressions if how != PLAIN))


def _around(student: StudentSettings) -> dict[str, Size]:
    """The student itself, and with half and twice its embedding's length, where it has one."""
    sizes, length = {"student": Size()}, student.arguments.get("embedding_dim")
    if isinstance(length, int):
        sizes |= {f"dim{n}": Size(arguments={"embedding_dim": n}) for n in (length // 2, 2 * length) if n}
    return sizes
