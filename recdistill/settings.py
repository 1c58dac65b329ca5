"""Settings: small frozen models, filled from TOML and `--set a.b=value`; a typo names the nearest key."""

from __future__ import annotations

import inspect
import json
import re
import shlex
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from recdistill.errors import UsageError, nearest


class Settings(BaseModel):
    """A group of settings: frozen, unknown keys forbidden.

    Raises:
        UsageError: as in `fill`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    if not TYPE_CHECKING:  # which reads the arguments off the fields

        def __init__(self, /, **values: Any) -> None:
            try:
                self.__pydantic_validator__.validate_python(values, self_instance=self)
            except ValidationError as error:
                raise _told(type(self), error) from None

        __init__.__pydantic_base_init__ = True  # so that pydantic fills groups within groups without it, as its own

    @model_validator(mode="before")
    @classmethod
    def _rest_of_groups(cls, values: Any) -> Any:
        """A group that is given in part keeps the defaults of the place where it stands, not those of its kind."""
        if not isinstance(values, Mapping):
            return values
        groups = {
            name: {**field.default.model_dump(exclude_unset=True), **values[name]}
            for name, field in cls.model_fields.items()
            if isinstance(field.default, Settings) and isinstance(values.get(name), Mapping)
        }
        return {**values, **groups}


S = TypeVar("S", bound=Settings)


def read_toml(path: Path) -> dict[str, Any]:
    """A TOML file's values. `extends = "other.toml"`, from beside it, has it say only what differs from another file.

    Raises:
        UsageError: a file is missing or is not TOML, or one extends itself.
    """
    return _extended(path, ())


def _extended(path: Path, above: tuple[Path, ...]) -> dict[str, Any]:
    if path.resolve() in above:
        raise UsageError(f"{path} extends itself, through {' and '.join(one.name for one in above)}")
    values = _toml(path)
    base = values.pop("extends", None)
    if base is None:
        return values
    if not isinstance(base, str):
        raise UsageError(f"{path}: extends names a TOML file, got {base!r}")
    return _over(_extended(path.parent / base, (*above, path.resolve())), values)


def _over(base: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Values over others, group by group."""
    groups = {
        key: _over(base[key], value)
        for key, value in values.items()
        if isinstance(value, Mapping) and isinstance(base.get(key), Mapping)
    }
    return {**base, **values, **groups}


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise UsageError(f"{path} does not exist") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not TOML: {error}") from None


def override(values: Mapping[str, Any], assignments: Iterable[str]) -> dict[str, Any]:
    """Values with `a.b=value` assignments applied; a value is TOML, or else taken as text.

    >>> override({"student": {"embedding_dim": 8}}, ["student.embedding_dim=4", "data.root=some/folder"])
    {'student': {'embedding_dim': 4}, 'data': {'root': 'some/folder'}}

    Raises:
        UsageError: an assignment has no `=`, or goes through a key that is no group.
    """
    changed = dict(values)
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        if not equals or not path.strip():
            raise UsageError(f"--set must be key=value, got {assignment!r}")
        *groups, key = path.strip().split(".")
        place = changed
        for group in groups:
            inner = place.get(group, {})
            if not isinstance(inner, Mapping):
                raise UsageError(f"--set {assignment!r}: {group!r} is a value, not a group of settings")
            place[group] = dict(inner)
            place = place[group]
        place[key] = _parsed(text.strip())
    return changed


def fill(kind: type[S], values: Mapping[str, Any]) -> S:
    """Settings of a kind from plain values.

    Raises:
        UsageError: a key is not known (the nearest is named) or a value breaks a rule.
    """
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise _told(kind, error) from None


def of_kind(kind: type[S], given: Any, what: str) -> S:
    """Settings that were given, or the kind's defaults for None; `what` they are called where they are asked for.

    Raises:
        UsageError: they are something else.
    """
    if given is not None and not isinstance(given, kind):
        raise UsageError(f"{what} must be {kind.__name__}, got {type(given).__name__}")
    return kind() if given is None else given


def plain(settings: Settings) -> dict[str, Any]:
    """A group's values as they stand in TOML; what is None is left out."""
    return _without_none(settings.model_dump(mode="json"))


def differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """A line for each setting that differs, with both values.

    >>> differences({"seeds": 1, "data": {"root": "a"}}, {"seeds": 2, "data": {}})
    ["data.root is 'a' there and not set here", 'seeds is 1 there and 2 here']
    """
    values = [dict(_flat(there)), dict(_flat(here))]
    lines = []
    for path in sorted(values[0].keys() | values[1].keys()):
        old, new = (repr(side[path]) if path in side else "not set" for side in values)
        if old != new:
            lines.append(f"{path} is {old} there and {new} here")
    return lines


def require_known(what: str, name: str, known: Mapping[str, Any], arguments: Iterable[str], *, given: str) -> None:
    """Refuse a name, or an argument of what it names, that there is not.

    Args:
        what: it is, for the message.
        name: of an entry of `known`.
        known: callables by name.
        arguments: the keyword arguments it is to be called with.
        given: its one parameter that is passed apart.

    Raises:
        UsageError: names the nearest.
    """
    if name not in known:
        raise UsageError(f"unknown {what} {name!r}, {nearest(name, known)}")
    parameters = [parameter for parameter in inspect.signature(known[name]).parameters if parameter != given]
    for key in arguments:
        if key not in parameters:
            raise UsageError(f"unknown argument {key!r} of {what} {name!r}, {nearest(key, parameters)}")


def _flat(values: Mapping[str, Any], group: str = "") -> Iterator[tuple[str, Any]]:
    """Every setting with its path."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{group}{key}.")
        else:
            yield f"{group}{key}", value


def _parsed(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _told(kind: type[Settings], error: ValidationError) -> UsageError:
    problems = error.errors()
    inner = {problem["loc"][:depth] for problem in problems for depth in range(len(problem["loc"]))}
    # Of a list with a wrong item pydantic also says that it is too short.
    told = [problem for problem in problems if problem["loc"] not in inner]
    return UsageError("\n".join(_explain(kind, problem) for problem in told))


def _explain(kind: type[Settings], problem: Any) -> str:
    path = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        group = group_of(kind, problem["loc"][:-1])
        *groups, key = map(str, problem["loc"])
        known = nearest(key, group.model_fields)
        if "arguments" in group.model_fields and known.startswith("known"):
            known += f" (its own arguments are set like {'.'.join([*groups, 'arguments', key])!r})"
        return f"unknown setting {path!r}, {known}"
    rule, got = problem["msg"].removeprefix("Value error, "), problem["input"]
    if problem["type"] == "tuple_type":
        rule = f"must be a list, e.g. --set {shlex.quote(f'{path}={_as_list(got)}')}"
    said = f"setting {path!r}: {rule}" if path else rule  # of the whole group
    if isinstance(problem.get("ctx", {}).get("error"), UsageError):  # which says itself what arrived
        return said
    choices = re.findall("'([^']*)'", problem["ctx"]["expected"]) if problem["type"] == "literal_error" else []
    near = nearest(str(got), choices)
    return f"{said}, got {got!r}{f', {near}' if near.startswith('did') else ''}"


def _as_list(got: Any) -> str:
    """What was given as a TOML list; a shell leaves of a list of texts the bare words."""
    words = got.strip("[] ").split(",") if isinstance(got, str) else [got]
    return json.dumps([word.strip() if isinstance(word, str) else word for word in words], default=str)


def _without_none(values: Mapping[str, Any]) -> dict[str, Any]:
    kept = {k: v for k, v in values.items() if v is not None}
    return {k: _without_none(v) if isinstance(v, Mapping) else v for k, v in kept.items()}


def group_of(kind: type[Settings], path: Iterable[Any]) -> type[Settings]:
    """The kind of settings that a path of keys leads to; keys within a value lead no further."""
    for key in path:
        if key in kind.model_fields:
            inner = kind.model_fields[key].annotation
            options = [inner, *get_args(inner)]
            kind = next((o for o in options if isinstance(o, type) and issubclass(o, Settings)), kind)
    return kind
