"""How many rows it takes to tell a difference from none."""

from __future__ import annotations

import math

from scipy import stats

from recdistill.errors import UsageError


def rows_needed(rows_error: float, rows: int, *, effect: float, power: float = 0.8) -> int:
    """About how many test rows would tell a difference of `effect` from 0 at the 5 % level.

    n · ((z₀.₉₇₅ + z_power) · e / effect)²: the standard error e falls with the root of the number of rows (Cohen 1988,
    section 2). Where rows cluster by user, more users are meant, not more rows of the same ones.

    Args:
        rows_error: (), e, as `rows` test rows gave it; without the spread between seeds, which no rows narrow.
        rows: how many test rows there were.
        effect: the difference to be told, > 0.
        power: the probability to tell it, in (0, 1).

    Raises:
        UsageError: the effect or the power is out of range.
    """
    if not effect > 0 or not 0 < power < 1:
        raise UsageError(f"an effect must be positive and a power in (0, 1), got {effect=}, {power=}")
    return math.ceil(rows * ((stats.norm.ppf(0.975) + stats.norm.ppf(power)) * rows_error / effect) ** 2)
