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
        grades: every value that the rating can take, rising. Without a label column they make the rating what rankers
            learn: class k is the k-th grade.
        categorical: columns of one id each (strings or integers).
        multi: columns of a list of ids each.
        number: columns of one real number each.
        vector: columns of a fixed-length list of real numbers each, e.g. a text embedding.
        user, item, time, domain: the columns with these meanings.
        truth: the true click probability, known in synthetic worlds only; never a feature.
        score: what a large system of the user's own says of each row; a teacher, never a feature.
        privileged: feature columns for the teacher alone: known offline, not when the student serves. A table may lack
            them: they are missing there.
        row_id: the column of stable row ids (int64, unique).

    Raises:
        UsageError: a name stands where a list of names should, a column is listed under two feature kinds, the label,
            the rating, the truth or the score is also a feature, a privileged column has no feature kind, or grades
            are fewer than two or do not rise.
    """

    label: str | None = None
    rating: str | None = None
    grades: tuple[float, ...] = ()
    categorical: tuple[str, ...] = ()
    multi: tuple[str, ...] = ()
    number: tuple[str, ...] = ()
    vector: tuple[str, ...] = ()
    user: str | None = None
    item: str | None = None
    time: str | None = None
    domain: str | None = None
    truth: str | None = None
    score: str | None = None
    privileged: tuple[str, ...] = ()
    row_id: str = "row_id"

    def __post_init__(self) -> None:
        for kind in (*FEATURE_KINDS, "privileged"):
            if isinstance(getattr(self, kind), str):
                raise UsageError(f"{kind} must be a list of columns, got {getattr(self, kind)!r}")
            object.__setattr__(self, kind, tuple(getattr(self, kind)))
        try:
            object.__setattr__(self, "grades", tuple(float(grade) for grade in self.grades))
        except (TypeError, ValueError):
            raise UsageError(f"grades must be numbers, got {self.grades!r}") from None
        names = list(self.features + self.privileged_features)
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise UsageError(f"a column has one feature kind, got {twice} under several")
        answers = (self.label, self.rating, self.truth, self.score, self.row_id)
        leaked = sorted({name for name in answers if name is not None} & set(names))
        if leaked:
            raise UsageError(f"the label, rating, truth, score and row id are never features, got {leaked} as features")
        for name in self.privileged:
            if name not in names:
                raise UsageError(f"a privileged column is listed under a feature kind too, got {name!r} under none")
        if self.grades and (
            self.rating is None or len(self.grades) < 2 or list(self.grades) != sorted(set(self.grades))
        ):
            raise UsageError(f"grades are at least two rising values of a rating, got {self.grades=}, {self.rating=}")

    @property
    def features(self) -> tuple[str, ...]:
        """The names of the feature columns, by kind; privileged ones are not among them."""
        return tuple(name for kind in FEATURE_KINDS for name in getattr(self, kind) if name not in self.privileged)

    @property
    def privileged_features(self) -> tuple[str, ...]:
        """The names of the privileged feature columns, by kind."""
        return tuple(name for kind in FEATURE_KINDS for name in getattr(self, kind) if name in self.privileged)

    @property
    def classes(self) -> int:
        """How many logits a row gets: 1 for a click, one per grade for a rating."""
        return len(self.class_grades) or 1

    @property
    def class_grades(self) -> tuple[float, ...]:
        """The rating of each class that rankers learn; none for a click."""
        return self.grades if self.label is None else ()

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of every column the schema speaks of, each once."""
        answers = (self.row_id, self.label, self.rating)
        single = (*answers, self.user, self.item, self.time, self.domain, self.truth, self.score)
        named = [name for name in single if name is not None]
        return tuple(dict.fromkeys([*named, *self.features, *self.privileged]))

    @property
    def roles(self) -> dict[str, str]:
        """Per column what it is, in words: "user, categorical"."""
        found: dict[str, list[str]] = {name: [] for name in self.columns}
        for role, names in self.to_dict().items():
            for name in [names] if isinstance(names, str) else names:
                if role != "grades":
                    found[name].append(role)
        return {name: ", ".join(roles) or "row_id" for name, roles in found.items()}

    def kind(self, name: str) -> str:
        """The feature kind of a column."""
        for kind in FEATURE_KINDS:
            if name in getattr(self, kind):
                return kind
        raise UsageError(f"{name!r} is not a feature, {nearest(name, self.features)}")

    def without(self, *names: str) -> Schema:
        """The same schema with some feature columns taken out."""
        kinds = (*FEATURE_KINDS, "privileged")
        kept: dict[str, Any] = {k: tuple(c for c in getattr(self, k) if c not in names) for k in kinds}
        return replace(self, **kept)

    def to_dict(self) -> dict[str, Any]:
        """Plain lists and strings, as they stand in TOML or JSON; absent roles are left out."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return {k: list(v) if isinstance(v, tuple) else v for k, v in values.items() if v not in (None, ())}

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> Schema:
        """The reverse of `to_dict`.

        Raises:
            UsageError: a role is not known, or is not a name where it has one column and a list of names where several.
        """
        known = [f.name for f in fields(Schema)]
        for key in values:
            if key not in known:
                raise UsageError(f"unknown role {key!r} in the schema, {nearest(key, known)}")
        for role in (*FEATURE_KINDS, "privileged"):
            names = values.get(role, [])
            if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
                raise UsageError(f"{role} must be a list of columns, got {names!r}")
        for role in set(known) - {*FEATURE_KINDS, "privileged", "grades"}:
            if not isinstance(values.get(role), str | None):
                raise UsageError(f"{role} must be the name of one column, got {values[role]!r}")
        plain: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return Schema(**plain)
