"""How many rows it takes to tell a difference from none."""

from __future__ import annotations

import math

from scipy import stats

from recdistill.errors import UsageError


def rows_needed(low: float, high: float, rows: int, *, effect: float, power: float = 0.8) -> int:
    """About how many test rows would tell a difference of `effect` from 0, judged by an interval on fewer rows.

    n · ((z₀.₉₇₅ + z_power) · e / effect)², where e is the standard error that the interval shows: it falls with the
    root of the number of rows (Cohen 1988, section 2). Spread between seeds, which more rows do not narrow, counts as
    if they did; more clusters (users) are meant, not more rows of the same ones.

    Args:
        low, high: (), the 95 % interval that was found.
        rows: test rows it was found on.
        effect: the difference to be told, > 0.
        power: the probability to tell it, in (0, 1).

    Raises:
        UsageError: the effect or the power is out of range.
    """
    if not effect > 0 or not 0 < power < 1:
        raise UsageError(f"an effect must be positive and a power in (0, 1), got {effect=}, {power=}")
    normal = stats.norm.ppf(0.975)
    error = (high - low) / 2 / normal
    return math.ceil(rows * ((normal + stats.norm.ppf(power)) * error / effect) ** 2)
