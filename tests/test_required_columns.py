"""A file without a column that the schema names is refused alike, whether it is read whole or prepared in chunks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import clicks
import pytest

from recdistill.datasets import files
from recdistill.errors import UsageError
from recdistill.preparation import prepare
from recdistill.preparation.told import told
from recdistill.readers import TARGETS_OWN, CsvSettings, of_source
from recdistill.schema import Schema

PLAIN = {"label": "click", "categorical": ["user", "country"], "number": ["price"]}
NO_COLUMN = r"clicks\.csv has no column "

WRONG: dict[str, tuple[dict[str, Any], dict[str, str], str]] = {
    "a feature": ({"number": ["prise"]}, {}, NO_COLUMN + r"'prise', did you mean 'price'\? \(if "),
    "the label": ({"label": "clik"}, {}, NO_COLUMN + r"'clik', did you mean 'click'\?"),
    "one of a list": ({"multi": ["tag"]}, {}, NO_COLUMN + r"'tag', did you mean 'tags'\?"),
    "a renamed one": ({}, {"pryce": "price"}, r"columns: .*clicks\.csv has no column 'pryce', did you mean 'price'\?"),
    "two of a name": ({}, {"country": "user"}, r"columns: each name may stand for one column of .*, got \['user'\]"),
    "the old name": (
        {"number": ["age"], "user": "customer"},
        {"age": "customer"},
        "'age' is renamed to 'customer' under columns; the schema must name it so",
    ),
}


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    head, *lines = clicks.write(tmp_path / "other.csv", seed=1).read_text("utf-8").splitlines()
    more = [f"{head},customer", *(f"{line},{place % 7}" for place, line in enumerate(lines))]
    (tmp_path / "other.csv").write_text("\n".join(more) + "\n", "utf-8")
    return clicks.write(tmp_path / "clicks.csv")


def prepared(raw: Path, schema: dict[str, Any] | Schema, **changes: Any) -> None:
    roles = schema if isinstance(schema, Schema) else Schema.from_dict(schema)
    plain = {"encoder": {}, "split": {"by": "position"}}
    prepare(raw, raw.parent / "out", schema=roles, settings=clicks.settings(**plain, **changes))


@pytest.mark.parametrize("name", WRONG)
def test_what_a_file_lacks_is_named(name: str, raw: Path) -> None:
    changed, columns, message = WRONG[name]
    with pytest.raises(UsageError, match=message):
        prepared(raw, PLAIN | changed, columns=columns)
    with pytest.raises(UsageError, match=message):
        files.load(raw.parent, source=raw.name, target="other.csv", schema=PLAIN | changed, columns=columns)
    assert not (raw.parent / "out").exists()


@pytest.mark.parametrize("role", ["user", "item", "time", "score"])
def test_a_target_has_every_role(role: str, raw: Path) -> None:
    message = NO_COLUMN + "'when'"
    with pytest.raises(UsageError, match=message):
        prepared(raw, PLAIN | {role: "when"})
    with pytest.raises(UsageError, match=message):
        files.load(raw.parent, source="other.csv", target=raw.name, schema=PLAIN | {role: "when"})


def test_what_is_privileged_may_be_missing(raw: Path) -> None:
    schema = replace(clicks.SCHEMA, number=("price", "dwell"), privileged=("dwell",))
    prepared(raw, schema)


def test_separators_are_for_lists(raw: Path) -> None:
    message = "csv.separators are for the schema's multi and vector columns, got 'tag', did you mean 'tags'?"
    with pytest.raises(UsageError) as found:
        prepared(raw, clicks.SCHEMA, csv=CsvSettings(separators={"tag": ";"}))
    assert str(found.value) == message


def test_a_source_may_lack_what_is_the_targets_own() -> None:
    roles = {role: f"the {role}" for role in TARGETS_OWN}
    schema = Schema(label="click", categorical=("user",), number=("price",), **roles)
    own = of_source(Path("old.csv"), ["click", "user", "price", "the time"], schema, {})
    assert own == Schema(label="click", categorical=("user",), number=("price",), time="the time")
    graded = Schema(rating="stars", grades=(1, 2), categorical=("user",))
    with pytest.raises(UsageError, match=r"old.csv has no column 'stars', known: user \(if it has another name there"):
        of_source(Path("old.csv"), ["user"], graded, {})


EXPERIMENT = """
[data]
name = "files"
[data.arguments]
source = "old.csv"
target = "new.csv"
columns = {customer = "user"}
schema = {label = "click", user = "user", time = "at", categorical = ["user", "country"], number = ["price"]}
"""


def test_an_experiments_source_is_prepared_without_what_it_lacks(raw: Path) -> None:
    lines = [line.split(",") for line in raw.read_text("utf-8").replace("user", "customer", 1).splitlines()]
    old, toml = raw.with_name("old.csv"), raw.with_name("experiment.toml")
    old.write_text("\n".join(",".join(line[:-1]) for line in lines) + "\n", "utf-8")  # without the time
    toml.write_text(EXPERIMENT)
    schema, settings = told(toml, [old], "source")
    assert (schema.time, schema.user, settings.columns) == (None, "user", {"customer": "user"})
    prepared(old, schema, columns=settings.columns)
    assert told(toml, [raw], "target")[0].time == "at"
    toml.write_text(EXPERIMENT.replace('"price"', '"cost"'))
    with pytest.raises(
        UsageError, match=r"old.csv has no column 'cost', known: .* say columns = {\"its name\" = \"cost\"}"
    ):
        told(toml, [old], "source")
    with pytest.raises(UsageError, match=r"old\.csv is the experiment's source, got no side: add --side source"):
        told(toml, [old], None)
    toml.write_text('schema = {label = "click", number = ["price"]}')
    message = r"are the sides of an experiment, got side 'source' and none in .*experiment\.toml"
    with pytest.raises(UsageError, match=message):
        told(toml, [old], "source")
