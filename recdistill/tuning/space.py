"""What may be tried: for each setting of a student a range, choices, or one value; read from TOML."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeGuard

from recdistill.arms import Trial
from recdistill.configuration import StudentSettings
from recdistill.errors import UsageError, nearest
from recdistill.settings import Settings, fill, group_of, override, plain, read_toml

KEYS = ("low", "high", "log", "choices")
Point = Mapping[str, Any]


class Candidate(Settings):
    """The settings of one student: those of its distillation, and all others."""

    trial: Trial = Trial()
    student: StudentSettings = StudentSettings()


@dataclass(frozen=True)
class Range:
    """Numbers between two ends, both among them.

    Args:
        low, high: the ends.
        log: whether they are drawn evenly in the logarithm.
        whole: whether only whole numbers are drawn.
    """

    low: float
    high: float
    log: bool = False
    whole: bool = False

    @property
    def probes(self) -> tuple[Any, ...]:
        """Values that stand for all: the ends and, of numbers that need not be whole, one between them."""
        between = self.low + (self.high - self.low) * 0.381966
        return (self.low, self.high) if self.whole else (self.low, self.high, between)


@dataclass(frozen=True)
class Choices:
    """Values without an order.

    Args:
        choices: numbers, texts, truth values or lists of these; one alone is a setting that is not tuned.
    """

    choices: tuple[Any, ...]

    @property
    def probes(self) -> tuple[Any, ...]:
        """All of them."""
        return self.choices


@dataclass(frozen=True)
class Space:
    """Every setting that may be tried, by its name below `trial.` and `student.`.

    Args:
        dimensions: in the order of their names, which decides what is drawn.
    """

    dimensions: Mapping[str, Range | Choices]

    @staticmethod
    def of(values: Mapping[str, Any]) -> Space:
        """A space of plain values, as a TOML file has them.

        Raises:
            UsageError: a range or choices break a rule.
        """
        return Space(dict(sorted(_dimensions(values))))

    @staticmethod
    def read(path: Path) -> Space:
        """A space of a TOML file, which may extend another.

        Raises:
            UsageError: the file is no TOML, or a range or choices break a rule.
        """
        return Space.of(read_toml(path))

    def without(self, *names: str) -> Space:
        """The space without some settings, or without groups of them."""
        kept = {name: of for name, of in self.dimensions.items() if not _is_in(name, names)}
        return Space(kept)

    def named(self, *names: str) -> list[str]:
        """Which of its settings are these, or of these groups."""
        return [name for name in self.dimensions if _is_in(name, names)]

    @property
    def tuned(self) -> list[str]:
        """The settings with more than one value."""
        return [name for name, of in self.dimensions.items() if len(of.probes) > 1]

    def probes(self) -> Iterator[Point]:
        """Points that try every value with every model: the first of each dimension, and then one other at a time."""
        first = {name: of.probes[0] for name, of in self.dimensions.items()}
        models = self.dimensions.get("student.model", Choices(()))
        for model in models.probes or (None,):
            start = first if model is None else {**first, "student.model": model}
            yield start
            for name, of in self.dimensions.items():
                if of is not models:
                    yield from ({**start, name: value} for value in of.probes[1:])

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {name: json.loads(json.dumps(asdict(of))) for name, of in self.dimensions.items()}


def applied(student: StudentSettings, point: Point) -> Candidate:
    """The settings of a student with those of a point in their place.

    Raises:
        UsageError: a name is not known (the nearest is named), or a value breaks a rule.
    """
    assignments = [f"{name}={text(value)}" for name, value in point.items()]
    return fill(Candidate, override({"trial": {}, "student": plain(student)}, assignments))


def text(value: Any) -> str:
    """A value as it stands in TOML; of numbers, texts, truth values and their lists that is JSON.

    >>> text([64, 32]), text("mlp"), text(1e-05), text(True)
    ('[64, 32]', '"mlp"', '1e-05', 'true')
    """
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")  # which TOML wants escaped


def _dimensions(values: Mapping[str, Any], group: str = "") -> Iterator[tuple[str, Range | Choices]]:
    for key, told in values.items():
        name = f"{group}{key}"
        if isinstance(told, Mapping) and not told.keys() & set(KEYS):
            yield from _dimensions(told, f"{name}.")
        else:
            yield name, _dimension(name, told if isinstance(told, Mapping) else {"choices": [told]})


def _dimension(name: str, told: Mapping[str, Any]) -> Range | Choices:
    for key in told:
        if key not in KEYS:
            raise UsageError(f"{name}: unknown key {key!r}, {nearest(key, KEYS)}")
    if "choices" not in told:
        return _range(name, told)
    choices = told["choices"]
    if len(told) > 1:
        raise UsageError(f"{name} has choices or a range, got {', '.join(told)}")
    if not isinstance(choices, list) or not choices or not all(map(_is_plain, choices)):
        rule = "choices must be a list of numbers, texts, truth values or lists of these, at least one"
        raise UsageError(f"{name}: {rule}, got {choices!r}")
    if len({text(choice) for choice in choices}) < len(choices):
        raise UsageError(f"{name}: choices must differ, got {choices!r}")
    return Choices(tuple(choices))


def _range(name: str, told: Mapping[str, Any]) -> Range:
    low, high, log = told.get("low"), told.get("high"), told.get("log", False)
    if not (_is_number(low) and _is_number(high)):
        raise UsageError(f"{name}: a range has numbers low and high, got {low=}, {high=}")
    if not isinstance(log, bool):
        raise UsageError(f"{name}: log must be true or false, got {log=}")
    if not low < high:
        raise UsageError(f"{name}: low must be below high, got {low=}, {high=}")
    if log and low <= 0:
        raise UsageError(f"{name}: with log = true low must be positive, got {low=}")
    whole = isinstance(low, int) and isinstance(high, int) and not _takes_floats(name)
    return Range(low, high, log, whole) if whole else Range(float(low), float(high), log)


def _takes_floats(name: str) -> bool:
    """Whether a setting is a number that need not be whole, so that `low = 0, high = 1` means all between."""
    *groups, key = name.split(".")
    field = group_of(Candidate, groups).model_fields.get(key)
    return field is not None and field.annotation is float


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_plain(value: Any) -> bool:
    if isinstance(value, list):
        return all(map(_is_plain, value))
    return isinstance(value, str | bool) or _is_number(value)


def _is_in(name: str, places: tuple[str, ...]) -> bool:
    """Whether a setting is one of these, or of one of these groups."""
    return any(name == place or name.startswith(f"{place}.") for place in places)
