"""What a plan is told: a TOML of a teacher or of an experiment, and where the sizes of the features come from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from recdistill.configuration import Config
from recdistill.errors import UsageError
from recdistill.plan.plan_settings import DeviceSettings, FeatureSizes, PlanSettings
from recdistill.prepared_table import PreparedTable
from recdistill.settings import Settings, fill, override, read_toml

NO_SIZES = """{} must say how large the features are, got nothing of them: give --prepared, the folder that
`recdistill prepare FILES` makes, or --features, a TOML such as
  [features]
  categorical = {{ user = 1_000_000_000, item = 5_000_000 }}  # rows of each
  number = ["price"]"""


class SizesFile(Settings):
    """A TOML file that says how large features are, and perhaps on which devices."""

    features: FeatureSizes
    device: DeviceSettings = DeviceSettings()


def told(config: Path | None, sizes: Path | None, assignments: Sequence[str]) -> tuple[PlanSettings, FeatureSizes]:
    """The settings of a plan, and the sizes of the features.

    Args:
        config: a TOML with the keys of `PlanSettings`, or an experiment's, of which the teacher is planned.
        sizes: a prepared table, or a TOML with `[features]`, and `[device]` perhaps; they go before what `config` says.
        assignments: `key=value` changes.

    Raises:
        UsageError: nobody says how large the features are, a key is not known, or no model is trained.
        DataError: the prepared table is not whole.
    """
    values = {} if config is None else read_toml(config)
    changes = [one for one in assignments if sizes is None or _group(one) != "features"]
    own = values.keys() & PlanSettings.model_fields.keys()
    if not own and values.keys() & Config.model_fields.keys():
        settings = _of_experiment(values, changes)
    else:
        settings = fill(PlanSettings, override(values, changes))
    if sizes is None:
        features = settings.features
    elif sizes.is_dir():
        features = of_table(PreparedTable.read(sizes, verify=False), assignments)
    else:
        said = fill(SizesFile, override(read_toml(sizes), _of_groups(assignments, SizesFile)))
        features = said.features
        device = said.device.model_dump(exclude_unset=True) | settings.device.model_dump(exclude_unset=True)
        settings = settings.model_copy(update={"device": fill(DeviceSettings, device)})
    if features is None or not features.spec.fields:
        raise UsageError(NO_SIZES.format(config or "a plan"))
    return settings, features


def of_table(table: PreparedTable, assignments: Sequence[str] = ()) -> FeatureSizes:
    """The sizes of a prepared table's features; lists count as one id long, for it does not say how long they are."""
    spec = table.encoder.spec
    values: dict[str, Any] = {
        "categorical": dict(spec.categorical),
        "multi": {name: {"rows": rows} for name, rows in spec.multi},
        "number": spec.number,
        "vector": dict(spec.vector),
        "classes": table.classes,
        "rows": table.rows["train"],
    }
    own = [one for one in assignments if _group(one) == "features"]
    return fill(FeatureSizes, override({"features": values}, own)["features"])


def _of_experiment(values: dict[str, Any], assignments: Sequence[str]) -> PlanSettings:
    """The teacher of an experiment, trained on the source."""
    teacher = fill(Config, override(values, _of_groups(assignments, Config))).teacher
    if teacher.scores is not None:
        raise UsageError(f"no teacher is trained where scores teach, got teacher.scores={teacher.scores!r}")
    planned = {"model": teacher.model, "arguments": teacher.arguments, "fit": teacher.fit.model_dump()}
    others = [one for one in assignments if _group(one) not in Config.model_fields]
    return fill(PlanSettings, override(planned, others))


def _of_groups(assignments: Sequence[str], kind: type[Settings]) -> list[str]:
    """The assignments of some settings."""
    return [one for one in assignments if _group(one) in kind.model_fields]


def _group(assignment: str) -> str:
    return assignment.partition("=")[0].strip().split(".")[0]
