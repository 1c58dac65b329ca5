"""Which role a column probably has, by its name and its values."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from recdistill.draft.profiles import Profile

NAMES = {
    "label": "click clicked clicks label y target like liked buy bought purchase purchased order ordered convert "
    "converted conversion response watched played",
    "score": "score scores pred preds prediction predicted prob proba probability pctr ctr",
    "rating": "rating ratings stars star grade",
    "user": "user users customer member visitor account person client reader viewer uid",
    "item": "item items product article movie song track book video ad asin sku listing news game iid",
    "time": "time timestamp ts date datetime day created at when unixtime",
    "row_id": "row rowid impression event record line index",
}
WORDS = {role: frozenset(names.split()) for role, names in NAMES.items()}
# Say that a name is an identifier, and nothing of what.
IDS = frozenset(["id", "ids", "no", "nr", "number", "num", "code", "key", "uuid", "hash"])
CODES = IDS | frozenset(["zip", "postcode", "category", "type", "kind", "class", "region"])
FEW = 20
ANSWERS = ("label", "score", "rating")


@dataclass(frozen=True)
class Guess:
    """What a column probably is.

    Args:
        profile: of the column.
        role: a role of the schema, or "" to leave the column out.
        why: in a few words.
        shared: whether both files have the column; of one file, every column.
    """

    profile: Profile
    role: str
    why: str
    shared: bool = True


def tokens(name: str) -> list[str]:
    """A name's words in lower case.

    >>> tokens("userId"), tokens("IS_CLICK")
    (['user', 'id'], ['is', 'click'])
    """
    apart = re.sub(r"([a-z\d])([A-Z])", r"\1 \2", name)
    return re.findall(r"[^\W_]+", apart.lower())


def guess(columns: Sequence[Profile]) -> dict[str, Guess]:
    """A role for each column; at most one column gets the label, the user, and so on."""
    found: dict[str, Guess] = {}
    for role in WORDS:
        fits = [p for p in columns if p.name not in found and _named(p.name, role) and _can_be(p, role)]
        if fits:
            best = min(fits, key=lambda p: len(tokens(p.name)))
            found[best.name] = Guess(best, role, _like(role))
        if role in ANSWERS:  # the others say the same after the fact
            rest = {p.name: Guess(p, "", f"another answer, like the {role}") for p in fits}
            found = rest | found
    return {p.name: found.get(p.name) or _feature(p) for p in columns}


def _like(role: str) -> str:
    words = role.replace("_", " ")
    return f"named like {'an' if words[0] in 'aeio' else 'a'} {words}"


def _named(name: str, role: str) -> bool:
    said = set(tokens(name)) - {"is", "the"}
    if role == "score":
        return bool(said & WORDS[role])
    kept = said - IDS if role not in ("label", "rating") else said
    # One name may join two of a role's words: "event_time" is a time, "user_age" is no user.
    return bool(kept & WORDS[role]) and (kept <= WORDS[role] or (role == "time" and tokens(name)[-1] in WORDS[role]))


def _can_be(column: Profile, role: str) -> bool:
    if role == "label":
        return column.kind == "flag"
    if role == "score":
        return column.kind == "number" and _between_0_and_1(column)
    if role == "rating":
        return column.kind == "number" and 2 < column.distinct <= FEW
    if role == "time":
        return (column.kind == "time" or (column.kind == "number" and column.distinct > FEW)) and not column.missing
    if role == "row_id":
        return column.kind == "number" and column.whole and column.unique and _are_row_ids(column.values)
    return column.kind in ("text", "number") and column.distinct > 1 and not column.missing


def _feature(column: Profile) -> Guess:
    """The feature kind of a column without a role of its own, or why it is left out."""
    present = column.rows - column.missing
    if column.kind == "other":
        return Guess(column, "", "of a type that no role can use")
    if column.kind == "empty" or column.distinct == 1:
        return Guess(column, "", "the same in every row")
    if column.kind in ("multi", "vector"):
        listed = f"lists, separated by {column.separator!r}" if column.separator else "lists"
        return Guess(column, column.kind, listed)
    if column.kind == "time":
        return Guess(column, "", "a time is no feature as it is")
    if column.kind == "flag":
        return Guess(column, "categorical", "two values")
    if column.kind == "number":
        if column.whole and column.unique and _named(column.name, "row_id") and not _are_row_ids(column.values):
            return Guess(column, "", "row ids are whole numbers below 2^63, written without a point")
        if column.whole and column.unique and column.rows > FEW and set(tokens(column.name)) <= IDS:
            return Guess(column, "", "a number of its own in every row")
        coded = column.whole and (column.distinct <= FEW or bool(set(tokens(column.name)) & CODES))
        return (
            Guess(column, "categorical", "few or coded whole numbers") if coded else Guess(column, "number", "numbers")
        )
    if column.distinct > 0.9 * present and column.rows > FEW:
        return Guess(column, "", "a text of its own in nearly every row")
    return Guess(column, "categorical", "text")


def _are_row_ids(values: pa.Array) -> bool:
    try:
        values.cast(pa.int64())
    except pa.ArrowInvalid:
        return False
    return True


def _between_0_and_1(column: Profile) -> bool:
    ends = pc.min_max(column.values.cast(pa.float64()))
    return bool(ends["min"].as_py() > 0 and ends["max"].as_py() < 1)
