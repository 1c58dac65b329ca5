"""How columns become ids and numbers, as it stands in a TOML file."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from recdistill.encoder import Encoder
from recdistill.errors import UsageError, nearest
from recdistill.schema import Schema
from recdistill.settings import Settings
from recdistill.tables import Table
from recdistill.transforms import Hashing, LogBuckets, Quantiles, Scaled, Transform, Vocabulary

NUMBERS: dict[str, Transform] = {
    "standardise": Scaled(),
    "log": Scaled(log=True),
    "quantiles": Quantiles(),
    "log_buckets": LogBuckets(),
}


class EncoderSettings(Settings):
    """How columns become ids and numbers.

    Args:
        min_count: a value needs this many rows for an id of its own.
        max_vocabulary: a column of more such values than this is hashed to as many buckets instead.
        hashing: columns to hash anyway, with their number of buckets.
        numbers: the transform of number columns.
        drop: feature columns to leave out.
    """

    min_count: int = Field(1, ge=1)
    max_vocabulary: int = Field(4_000_000, ge=1)
    hashing: dict[str, Annotated[int, Field(ge=1)]] = {}
    numbers: Literal["standardise", "log", "quantiles", "log_buckets"] = "standardise"
    drop: tuple[str, ...] = ()

    def transforms(self, schema: Schema, *, privileged: bool = False) -> dict[str, tuple[str, Transform]]:
        """Per feature column its kind and the transform to fit.

        Args:
            schema: of the rows.
            privileged: whether privileged columns are features too: for a teacher.

        Raises:
            UsageError: a column to drop or to hash is no feature.
        """
        known = schema.features + (schema.privileged_features if privileged else ())
        for name in (*self.drop, *self.hashing):
            if name not in known:
                raise UsageError(f"no feature column {name!r} to drop or hash, {nearest(name, known)}")
        ids = Vocabulary(self.min_count, self.max_vocabulary)
        by_kind = {"number": NUMBERS[self.numbers], "categorical": ids, "multi": ids, "vector": Scaled()}
        hashed = {name: Hashing(buckets) for name, buckets in self.hashing.items()}
        kinds = {name: schema.kind(name) for name in known if name not in self.drop}
        return {name: (kind, hashed.get(name, by_kind[kind])) for name, kind in kinds.items()}

    def fit(self, rows: Table, *, privileged: bool = False) -> Encoder:
        """An encoder fitted on training rows; see `transforms`."""
        chosen = self.transforms(rows.schema, privileged=privileged)
        schema = rows.schema.without(*self.drop)
        by_name = {name: transform for name, (_, transform) in chosen.items()}
        return Encoder.fit(rows.with_schema(schema), by_name, privileged=privileged)
