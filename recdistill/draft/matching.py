"""Which column of one file is which of the other."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping

import pyarrow as pa
import pyarrow.compute as pc

from recdistill.draft.roles import Guess, tokens

SINGLE = ("label", "rating", "score", "user", "item", "time")
NEAR, SHARED = 0.8, 0.5
Rule = Callable[[Guess, Guess], str]


def match(source: Mapping[str, Guess], target: Mapping[str, Guess]) -> dict[str, tuple[str, str]]:
    """Per matched column of the target its name in the source, and why; the surest matches are made first."""
    matched: dict[str, tuple[str, str]] = {}
    for rule in (_same_name, _same_words, _same_role, _near_name, _same_values):
        for name, here in target.items():
            taken = {there for there, _ in matched.values()}
            left = [guess for there, guess in source.items() if there not in taken]
            whys = [(guess.profile.name, why) for guess in left if (why := rule(guess, here))]
            if name not in matched and whys:
                matched[name] = whys[0]
    return matched


def _same_name(there: Guess, here: Guess) -> str:
    return "the same name" if there.profile.name == here.profile.name else ""


def _same_words(there: Guess, here: Guess) -> str:
    return "the same name but for its spelling" if _squashed(there) == _squashed(here) else ""


def _same_role(there: Guess, here: Guess) -> str:
    return f"each {here.why}" if there.role == here.role and here.role in SINGLE else ""


def _near_name(there: Guess, here: Guess) -> str:
    words = set(tokens(there.profile.name)), set(tokens(here.profile.name))
    near = difflib.SequenceMatcher(None, _squashed(there), _squashed(here)).ratio() >= NEAR
    within = words[0] <= words[1] or words[1] <= words[0]
    return "nearly the same name, and the same kind" if (near or within) and there.role == here.role else ""


def _same_values(there: Guess, here: Guess) -> str:
    kinds = {there.profile.kind, here.profile.kind}
    if kinds not in ({"text"}, {"multi"}) or here.role == "" or there.role == "":
        return ""
    known = pc.is_in(here.profile.values.cast(pa.string()), there.profile.values.cast(pa.string()))
    share = pc.mean(known.cast(pa.float64())).as_py()
    return f"{share * 100:.0f} % of its values are there too" if share >= SHARED else ""


def _squashed(guess: Guess) -> str:
    return "".join(tokens(guess.profile.name))
