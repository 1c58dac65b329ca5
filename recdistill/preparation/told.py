"""What a TOML file says of the files to prepare: an experiment's, which `recdistill init` writes, or their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from recdistill.errors import UsageError
from recdistill.preparation.settings import PrepareSettings
from recdistill.readers import files_of, names_of, new_names, of_source
from recdistill.schema import Schema
from recdistill.settings import fill, override, read_toml

Side = Literal["source", "target"]
OF_SOURCE = {"by": "random", "valid": 0.1, "test": 0.05}


def told(
    path: Path, files: Sequence[Path], side: Side | None, assignments: Sequence[str] = ()
) -> tuple[Schema, PrepareSettings]:
    """The roles of the columns, and how to prepare them.

    Of an experiment's TOML the source takes `columns` and the teacher's encoder, with privileged columns, and a random
    split, and may lack roles that are the target's; the target takes the student's encoder and the experiment's split.

    Args:
        path: an experiment's TOML with `[data.arguments]`, or one with a `[schema]` and the keys of `PrepareSettings`.
        files: to prepare; a folder or a pattern stands for its files.
        side: which of an experiment's tables they are, by default the target.
        assignments: `key=value` changes of `PrepareSettings`.

    Raises:
        UsageError: the TOML has no schema or a key that is not known, there is a side but no experiment, or the source
            lacks a column.
        DataError: the files are not there.
    """
    values = read_toml(path)
    if "data" in values:
        if side is None:
            _require_no_source(values, files)
        values = _of_experiment(values, side or "target")
    elif side is not None:
        raise UsageError(f"source and target are the sides of an experiment, got side {side!r} and none in {path}")
    schema = values.pop("schema", None)
    if not isinstance(schema, Mapping):
        where = "[schema], or [data.arguments.schema] as `recdistill init` writes it"
        raise UsageError(f"{path} must say what the columns mean under {where}")
    roles, settings = Schema.from_dict(schema), fill(PrepareSettings, override(values, assignments))
    if side == "source":
        first = files_of(files, settings.csv)[0]
        names = new_names(first, names_of(first, settings.csv), settings.columns)
        roles = of_source(first, names, roles, settings.columns)
    return roles, settings


def _require_no_source(values: Mapping[str, Any], files: Sequence[Path]) -> None:
    """Refuse the experiment's source where nobody said so: it would be taken for the target."""
    arguments = values["data"].get("arguments", {})
    source, target = (Path(str(arguments.get(side, ""))).name for side in ("source", "target"))
    if source != target and source in [file.name for file in files]:
        raise UsageError(f"{source} is the experiment's source, got no side: add --side source")


def _of_experiment(values: Mapping[str, Any], side: Side) -> dict[str, Any]:
    arguments = values["data"].get("arguments", {})
    if "domain" in arguments:
        rule = "a domain tells the rows of one file apart in memory; to prepare a large file choose its rows"
        raise UsageError(f"{rule} with --set 'only.COLUMN=[\"VALUE\"]' or without.COLUMN, and a TOML with a [schema]")
    source = side == "source"
    if not source and values.get("split", {}).get("by") == "last":
        rule = "split.by = last is for runs"
        raise UsageError(f"{rule}: prepare files with --set split.by=time (or position, random, user, none)")
    ranker = values.get("teacher" if source else "student", {})
    found = {
        "schema": arguments.get("schema"),
        "csv": arguments.get("csv", {}),
        "columns": arguments.get("columns", {}) if source else {},
        "encoder": ranker.get("encoder", {}),
        "split": OF_SOURCE if source else {"by": "random", **values.get("split", {})},
        "privileged": source,
        "on_bad_row": values["data"].get("on_bad_row", "strict"),
    }
    return found
