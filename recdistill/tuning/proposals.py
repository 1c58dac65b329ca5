"""What to try next: Optuna proposes it, and says when a student is no better than most. The only door to Optuna."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from recdistill.errors import EnvironmentFault
from recdistill.streams import seed
from recdistill.tuning.space import Range, Space, text
from recdistill.tuning.trials import Tried

if TYPE_CHECKING:
    import optuna

RANDOM = 10  # trials before what was found decides what is tried
UNPRUNED, EPOCHS = 5, 2  # finished trials before any is pruned, and epochs of each


class Proposal:
    """A point to try.

    Which it is follows from the space, the seed and what was tried before alone, so that who goes on after a stop tries
    what they would have tried without it.

    Args:
        space: what may be tried.
        before: what was.
        number: of the seed.
        falls: whether a lower score after an epoch is better.
    """

    def __init__(self, space: Space, before: Sequence[Tried], number: int, *, falls: bool) -> None:
        self._sign = 1.0 if falls else -1.0
        with _quiet() as optuna:
            study = study_of(space, before, falls=falls)
            drawn = seed(number, len(before), "tune") % 2**32
            study.sampler = optuna.samplers.TPESampler(seed=drawn, n_startup_trials=RANDOM, multivariate=True)
            self._trial = study.ask(_distributions(space))
        self.point = _point(space, self._trial.params)

    def is_poor(self, epoch: int, score: float) -> bool:
        """Whether the best score up to this epoch is above the median of the finished ones after as many."""
        self._trial.report(self._sign * score, epoch)
        return self._trial.should_prune()


def study_of(space: Space, tried: Sequence[Tried], *, falls: bool = True) -> optuna.Study:
    """What was tried as a study of Optuna, e.g. for its figures.

    Args:
        space: in which it was tried.
        tried: of `tune`.
        falls: whether a lower score after an epoch is better.

    Raises:
        EnvironmentFault: Optuna is not installed.
    """
    with _quiet() as optuna:
        pruner = optuna.pruners.MedianPruner(n_startup_trials=UNPRUNED, n_warmup_steps=EPOCHS)
        study = optuna.create_study(direction="minimize", pruner=pruner)
        for one in tried:
            study.add_trial(_frozen(space, one, 1.0 if falls else -1.0))
    return study


def _frozen(space: Space, one: Tried, sign: float) -> optuna.trial.FrozenTrial:
    """A trial that is over; one that failed is to be kept away from, as one that was pruned at once."""
    import optuna

    finished = one.state == "finished"
    params = {n: v if isinstance(space.dimensions[n], Range) else text(v) for n, v in one.point.items()}
    scores = {epoch: sign * score for epoch, score in enumerate(one.scores, start=1)}
    return optuna.trial.create_trial(
        state=optuna.trial.TrialState.COMPLETE if finished else optuna.trial.TrialState.PRUNED,
        value=one.valid_logloss if finished else None,
        params=params,
        distributions=_distributions(space),
        intermediate_values={} if one.state == "failed" else scores,
    )


def _distributions(space: Space) -> dict[str, Any]:
    import optuna.distributions as kinds

    found: dict[str, Any] = {}
    for name, of in space.dimensions.items():
        if not isinstance(of, Range):
            found[name] = kinds.CategoricalDistribution([text(choice) for choice in of.choices])
        elif of.whole:
            found[name] = kinds.IntDistribution(int(of.low), int(of.high), log=of.log)
        else:
            found[name] = kinds.FloatDistribution(of.low, of.high, log=of.log)
    return found


def _point(space: Space, params: dict[str, Any]) -> dict[str, Any]:
    dimensions = space.dimensions.items()
    return {name: params[name] if isinstance(of, Range) else json.loads(params[name]) for name, of in dimensions}


def require_optuna() -> None:
    """Refuse a tuning before anything is begun for it.

    Raises:
        EnvironmentFault: Optuna is not installed.
    """
    with _quiet():
        pass


@contextmanager
def _quiet() -> Iterator[Any]:
    """Optuna, without its log and its warnings of what is new in it; a level that somebody set stays.

    Raises:
        EnvironmentFault: it is not installed.
    """
    try:
        import optuna
    except ImportError:
        raise EnvironmentFault("tuning needs Optuna: pip install 'recdistill[tune]'") from None
    level = optuna.logging.get_verbosity()
    if level == optuna.logging.INFO:  # Optuna's own
        optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield optuna
    finally:
        optuna.logging.set_verbosity(level)
