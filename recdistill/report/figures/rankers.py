"""How each ranker is drawn: the same colour, line and marker in every picture."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import cycle
from typing import Any, Literal

from recdistill.report.figures.drawing import BLUE, BROWN, GREEN, INK, MUTED, ORANGE, PURPLE

Dash = Literal["-"] | tuple[int, tuple[float, ...]]
MARKERS = {"student": "o", "control": "s", "teacher": "D", "baseline": "v", "bound": "_"}


@dataclass(frozen=True)
class Look:
    """How a ranker is drawn.

    Args:
        colour: of the palette.
        dash: of its line; two rankers of one picture never share colour and dash.
        marker: by its role.
    """

    colour: str
    dash: Dash
    marker: str


KNOWN: dict[str, tuple[str, Dash]] = {
    "chosen": (BLUE, "-"),
    "auto": (GREEN, "-"),
    "hard_only": (INK, (0, (4, 2))),
    "source_finetuned": (PURPLE, (0, (6, 1.5, 1, 1.5))),
    "source_teacher": (ORANGE, "-"),
    "given_scores": (ORANGE, "-"),
    "adapted_teacher": (BROWN, (0, (1, 1.2))),
}
OTHERS: tuple[tuple[str, Dash], ...] = (
    (ORANGE, (0, (2, 1.5))),
    (MUTED, "-"),
    (GREEN, (0, (2, 1.5))),
    (BLUE, (0, (2, 1.5))),
    (PURPLE, (0, (1, 1.2))),
)


def looks(names: Iterable[str], rankers: dict[str, Any]) -> dict[str, Look]:
    """A look for each ranker of a picture.

    Args:
        names: of the rankers.
        rankers: per name its entry in the report, with its role.
    """
    rest = cycle(OTHERS)
    return {
        name: Look(*(KNOWN.get(name) or next(rest)), MARKERS.get(rankers.get(name, {}).get("role", "student"), "o"))
        for name in names
    }
