"""What is planned: a model, its fit, the sizes of the features, and the devices."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, field_validator, model_validator

from recdistill.features import FeatureSpec
from recdistill.fit_settings import FitSettings
from recdistill.models.embeddings.plain import MOST_ROWS
from recdistill.plan.amounts import bytes_of
from recdistill.settings import Settings
from recdistill.teaching import TeachSettings

TEACHER = TeachSettings()
Amount = Annotated[int, BeforeValidator(bytes_of)]
Share = Annotated[float, Field(gt=0, le=1)]
TableRows = Annotated[int, Field(ge=1, le=MOST_ROWS)]  # ids are int32


class ListSize(Settings):
    """A list feature.

    Args:
        rows: of its table.
        length: mean length of its lists.
    """

    rows: TableRows
    length: float = Field(1.0, gt=0)


class FeatureSizes(Settings):
    """The encoded features, as an encoder would give them.

    Args:
        categorical: per one-id feature the rows of its table; id 0 (unseen or missing) is one of them.
        multi: per list feature the rows of its table, or those and the mean length of its lists.
        number: names of numbers, or how many there are.
        vector: per vector feature its length.
        classes: logits of a row: 1 for clicks, one per grade for ratings.
        rows: to train on, for the time of an epoch; 0 if that is not asked.
    """

    categorical: dict[str, TableRows] = {}
    multi: dict[str, ListSize] = {}
    number: tuple[str, ...] = ()
    vector: dict[str, Annotated[int, Field(ge=1)]] = {}
    classes: int = Field(1, ge=1)
    rows: int = Field(0, ge=0)

    @field_validator("multi", mode="before")
    @classmethod
    def _rows_alone(cls, lists: Any) -> Any:
        if not isinstance(lists, dict):
            return lists
        return {name: {"rows": size} if isinstance(size, int) else size for name, size in lists.items()}

    @field_validator("number", mode="before")
    @classmethod
    def _counted(cls, number: Any) -> Any:
        return tuple(f"number {k + 1}" for k in range(number)) if type(number) is int else number

    @property
    def spec(self) -> FeatureSpec:
        """What models are built for."""
        return FeatureSpec(
            categorical=tuple(self.categorical.items()),
            multi=tuple((name, size.rows) for name, size in self.multi.items()),
            number=self.number,
            vector=tuple(self.vector.items()),
        )

    @property
    def lengths(self) -> dict[str, float]:
        """Per list feature the mean length of its lists."""
        return {name: size.length for name, size in self.multi.items()}


class DeviceSettings(Settings):
    """The devices, and what of their rates a training step is assumed to reach.

    A rate of None is that of the kind of device, see `recdistill.plan.devices`.

    Args:
        memory: bytes of each.
        per_machine: how many a machine has.
        flops: floating-point operations a second of matrix products, at their peak.
        memory_bandwidth: bytes a second to and from a device's memory, at its peak.
        link_bandwidth: bytes a second that a device sends to others of its machine, at the peak.
        network_bandwidth: bytes a second that a device sends to other machines, at the peak.
        flops_share, memory_share, link_share: what a step reaches of these peaks; links are those of the network too.
        overhead: seconds of a step that do not grow with its rows: starting kernels, Python, waiting.
    """

    memory: Amount | None = None
    per_machine: int | None = Field(None, ge=1)
    flops: float | None = Field(None, gt=0)
    memory_bandwidth: Amount | None = None
    link_bandwidth: Amount | None = None
    network_bandwidth: Amount | None = None
    flops_share: Share = 0.4
    memory_share: Share = 0.5
    link_share: Share = 0.6
    overhead: float | None = Field(None, ge=0)


class PlanSettings(Settings):
    """What is planned.

    Args:
        model, arguments: a teacher's, as in `TeachSettings`.
        fit: of it the batch size, the optimisers, the sharding and the precision matter.
        features: their sizes, where no prepared table says them.
        device: of each rank.
    """

    model: str = TEACHER.model
    arguments: dict[str, Any] = TEACHER.arguments
    fit: FitSettings = TEACHER.fit.model_copy(update={"embedding_weight_decay": 0.0})  # ranks have none of tables
    features: FeatureSizes | None = None
    device: DeviceSettings = DeviceSettings()

    @model_validator(mode="after")
    def _known(self) -> PlanSettings:
        TeachSettings(model=self.model, arguments=self.arguments, fit=self.fit)
        return self
