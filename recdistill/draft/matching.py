"""Which column of one file is which of the other."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping

import pyarrow as pa
import pyarrow.compute as pc

from recdistill.draft.roles import FEW, Guess, tokens

SINGLE = ("label", "rating", "score", "user", "item", "time")
NEAR, SHARED = 0.8, 0.5
ALIKE = 0.6  # of names and of ranges: enough to ask, too little to say
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


def candidates(source: Iterable[Guess], here: Guess) -> dict[str, str]:
    """Columns of the source that a column of the target may be, each with why; only the user can say."""
    if here.role == "label":
        return {there.profile.name: "two values" for there in source if there.profile.kind == "flag"}
    if here.role in ("user", "item"):
        return {there.profile.name: "its values look like ids" for there in source if _may_be_ids(there, here)}
    numbers = [there for there in source if there.role == here.role == "number"]
    named = [there for there in numbers if _likeness(there, here) >= ALIKE]
    if named:
        return {there.profile.name: "a similar name" for there in named}
    return {there.profile.name: "a similar range" for there in numbers if _overlap(there, here) >= ALIKE}


def _same_name(there: Guess, here: Guess) -> str:
    return "the same name" if there.profile.name == here.profile.name else ""


def _same_words(there: Guess, here: Guess) -> str:
    return "the same name but for its spelling" if _squashed(there) == _squashed(here) else ""


def _same_role(there: Guess, here: Guess) -> str:
    return f"each {here.why}" if there.role == here.role and here.role in SINGLE else ""


def _near_name(there: Guess, here: Guess) -> str:
    words = set(tokens(there.profile.name)), set(tokens(here.profile.name))
    near = _likeness(there, here) >= NEAR
    within = words[0] <= words[1] or words[1] <= words[0]
    return "nearly the same name, and the same kind" if (near or within) and there.role == here.role else ""


def _same_values(there: Guess, here: Guess) -> str:
    kinds = {there.profile.kind, here.profile.kind}
    if kinds not in ({"text"}, {"multi"}) or here.role == "" or there.role == "":
        return ""
    share = _known(there, here)
    return f"{share * 100:.0f} % of its values are there too" if share >= SHARED else ""


def _may_be_ids(there: Guess, here: Guess) -> bool:
    """Whether values are the same ids, or many that come again and again, as the target's are written."""
    own = there.profile
    whole = own.kind == "text" or own.whole
    if there.role not in ("categorical", "number") or own.kind != here.profile.kind or not whole:
        return False
    return _known(there, here) >= SHARED or FEW < own.distinct < own.rows


def _known(there: Guess, here: Guess) -> float:
    """The share of the target's values that the source has too."""
    known = pc.is_in(here.profile.values.cast(pa.string()), there.profile.values.cast(pa.string()))
    return float(pc.mean(known.cast(pa.float64())).as_py())


def _overlap(there: Guess, here: Guess) -> float:
    """What both ranges of numbers share, of what they cover together."""
    ends = [pc.min_max(one.profile.values.cast(pa.float64())).as_py() for one in (there, here)]
    low, high = [end["min"] for end in ends], [end["max"] for end in ends]
    return float((min(high) - max(low)) / (max(high) - min(low)))


def _likeness(there: Guess, here: Guess) -> float:
    """Of two names, in [0, 1]."""
    return difflib.SequenceMatcher(None, _squashed(there), _squashed(here)).ratio()


def _squashed(guess: Guess) -> str:
    return "".join(tokens(guess.profile.name))
