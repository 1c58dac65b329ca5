"""How a student is compressed."""

from __future__ import annotations

from pydantic import Field

from recdistill.exporting import Dense, Tables
from recdistill.settings import Settings


class Compression(Settings):
    """What of a trained student is kept: `reduced` has fewer ids, units and ranks, `export` writes fewer bits.

    Args:
        tables: what embedding tables are kept as when it ships.
        dense: what the weights of linear layers are kept as when it ships.
        prune: the share of each hidden layer's units that is removed, in [0, 1).
        rank: of hidden layers' matrices, as a share of their smaller side, in (0, 1]; a layer where that saves nothing
            stays whole.
        min_count: ids that occur less often in the training rows share the unseen id's row, >= 1.
    """

    tables: Tables = "float32"
    dense: Dense = "float32"
    prune: float = Field(0.0, ge=0, lt=1)
    rank: float = Field(1.0, gt=0, le=1)
    min_count: int = Field(1, ge=1)

    @property
    def reduces(self) -> bool:
        """Whether `reduced` makes another network of a student, which can learn on."""
        return self.prune > 0 or self.rank < 1 or self.min_count > 1

    @property
    def words(self) -> str:
        """For people, e.g. "int8 tables, 50% of units removed"; "as trained" where nothing is compressed."""
        parts = {
            f"{self.tables} tables": self.tables != "float32",
            f"{self.dense} layers": self.dense != "float32",
            f"{100 * self.prune:.3g}% of units removed": self.prune > 0,
            f"rank {100 * self.rank:.3g}%": self.rank < 1,
            f"ids of {self.min_count:,} rows or more": self.min_count > 1,
        }
        return ", ".join(part for part, said in parts.items() if said) or "as trained"

    @property
    def name(self) -> str:
        """For folders, e.g. "tables-int8-prune-0.5"; "as-trained" where nothing is compressed."""
        values = self.model_dump(exclude_defaults=True)
        return "-".join(f"{key.replace('_', '-')}-{value}" for key, value in values.items()) or "as-trained"
