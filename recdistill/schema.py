"""Columns by role: what a table's columns mean to a ranker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from recdistill.errors import UsageError, nearest

FEATURE_KINDS = ("categorical", "multi", "number", "vector")


@dataclass(frozen=True)
class Schema:
    """The roles of a table's columns.

    Feature kinds say how a column enters a model; the single-column roles say what else it is.
    A user or item column is a feature only when it is also listed under a feature kind.

    Args:
        label: the click, 0 or 1; missing where a row is unlabelled.
        rating: a graded answer, e.g. 1 to 5.
        categorical: columns of one id each (strings or integers).
        multi: columns of a list of ids each.
        number: columns of one real number each.
        vector: columns of a fixed-length list of real numbers each, e.g. a text embedding.
        user, item, time, domain: the columns with these meanings.
        truth: the true click probability, known in synthetic worlds only; never a feature.
        privileged: columns that only the source has.
        row_id: the column of stable row ids (int64, unique).

    Raises:
        UsageError: a name stands where a list of names should, a column is listed under two feature kinds, or the
            label, the rating or the truth is also a feature.
    """

    label: str | None = None
    rating: str | None = None
    categorical: tuple[str, ...] = ()
    multi: tuple[str, ...] = ()
    number: tuple[str, ...] = ()
    vector: tuple[str, ...] = ()
    user: str | None = None
    item: str | None = None
    time: str | None = None
    domain: str | None = None
    truth: str | None = None
    privileged: tuple[str, ...] = ()
    row_id: str = "row_id"

    def __post_init__(self) -> None:
        for kind in (*FEATURE_KINDS, "privileged"):
            if isinstance(getattr(self, kind), str):
                raise UsageError(f"{kind} must be a list of columns, got {getattr(self, kind)!r}")
            object.__setattr__(self, kind, tuple(getattr(self, kind)))
        names = list(self.features)
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise UsageError(f"a column has one feature kind, got {twice} under several")
        answers = {name for name in (self.label, self.rating, self.truth, self.row_id) if name is not None}
        leaked = sorted(answers & set(names))
        if leaked:
            raise UsageError(f"the label, rating, truth and row id are never features, got {leaked} as features")

    @property
    def features(self) -> tuple[str, ...]:
        """The names of all feature columns, by kind."""
        return self.categorical + self.multi + self.number + self.vector

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of every column the schema speaks of, each once."""
        single = (self.row_id, self.label, self.rating, self.user, self.item, self.time, self.domain, self.truth)
        named = [name for name in single if name is not None]
        return tuple(dict.fromkeys([*named, *self.features, *self.privileged]))

    def kind(self, name: str) -> str:
        """The feature kind of a column."""
        for kind in FEATURE_KINDS:
            if name in getattr(self, kind):
                return kind
        raise UsageError(f"{name!r} is not a feature, {nearest(name, self.features)}")

    def without(self, *names: str) -> Schema:
        """The same schema with some feature columns taken out."""
        kept: dict[str, Any] = {k: tuple(c for c in getattr(self, k) if c not in names) for k in FEATURE_KINDS}
        return replace(self, **kept)

    def to_dict(self) -> dict[str, Any]:
        """Plain lists and strings, as they stand in TOML or JSON; absent roles are left out."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return {k: list(v) if isinstance(v, tuple) else v for k, v in values.items() if v not in (None, ())}

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> Schema:
        """The reverse of `to_dict`.

        Raises:
            UsageError: a role is not known.
        """
        known = [f.name for f in fields(Schema)]
        for key in values:
            if key not in known:
                raise UsageError(f"unknown role {key!r} in the schema, {nearest(key, known)}")
        plain: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return Schema(**plain)
