"""How to train: the settings of every fit."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from recdistill.settings import Settings

Sharding = Literal["auto", "table_wise", "row_wise", "column_wise", "table_row_wise", "table_column_wise"]


class FitSettings(Settings):
    """How to train.

    Args:
        epochs: passes over the training rows, at most.
        batch_size: rows a step; 0 chooses by the number of rows (about 50 steps an epoch, 64 to 4,096 rows), or leaves
            `Batches` their own.
        learning_rate: of the optimiser.
        weight_decay: L2 penalty added to the gradient (adam, adagrad, sgd) or decoupled (adamw).
        optimiser: it and its defaults were chosen by measuring, see `benchmarks/results/optimisers/`.
        embedding_optimiser: of the embedding tables: "dense" is `optimiser`, which moves every row at each step; the
            others update the rows of a batch alone (`recdistill.optimisers`).
        embedding_learning_rate, embedding_weight_decay: of an embedding optimiser that is not "dense"; a learning rate
            of 0 takes `learning_rate`.
        patience: stop after this many epochs without a better validation score.
        stop_by: the validation score, "logloss" (lower is better) or, for clicks, "auc".
        unseen_rate: probability with which an id is replaced by 0 in training, so that id 0 (unseen) is trained.
        hidden: per feature the probability with which its value is hidden in training, as if it were missing.
        seed: of the order of rows (`Batches` keep their own), the replaced ids, the hidden values and dropout.
        device: "auto" takes a GPU where there is one.
        precision: of matrix products; with "bfloat16" weights and embeddings stay float32. Processors without bfloat16
            instructions take longer with it.
        embedding_backend: what holds the tables of one process, "torch" or "torchrec" (FBGEMM's kernels); those of
            ranks together are torchrec's.
        embedding_location: of torchrec's tables of one process on a GPU: "device", "managed" (the host's memory) or
            "managed_caching" (with the rows in use on the device).
        sharding: how ranks share the tables: one of `embeddings.planner.KINDS`, or "auto" for torchrec's planner.
        sharding_of: per feature another one.
        checkpoint_seconds: between checkpoints, where a folder for them is given.
        checkpoint_steps: a checkpoint also after so many steps; 0 goes by time alone.
    """

    epochs: int = Field(20, ge=1)
    batch_size: int = Field(0, ge=0)
    learning_rate: float = Field(2e-3, gt=0)
    weight_decay: float = Field(1e-5, ge=0)
    optimiser: Literal["adam", "adamw", "adagrad", "sgd"] = "adam"
    embedding_optimiser: Literal["dense", "rowwise_adagrad", "adagrad", "sgd", "lazy_adam"] = "dense"
    embedding_learning_rate: float = Field(0.0, ge=0)
    embedding_weight_decay: float = Field(0.0, ge=0)
    patience: int = Field(2, ge=1)
    stop_by: Literal["logloss", "auc"] = "logloss"
    unseen_rate: float = Field(0.02, ge=0, lt=1)
    hidden: dict[str, Annotated[float, Field(ge=0, le=1)]] = {}
    seed: int = 0
    device: str = "auto"
    precision: Literal["float32", "bfloat16"] = "float32"
    embedding_backend: Literal["torch", "torchrec"] = "torch"
    embedding_location: Literal["device", "managed", "managed_caching"] = "device"
    sharding: Sharding = "auto"
    sharding_of: dict[str, Sharding] = {}
    checkpoint_seconds: float = Field(60.0, ge=0)
    checkpoint_steps: int = Field(0, ge=0)

    @property
    def table_rate(self) -> float:
        """The learning rate of tables with an optimiser of their own."""
        return self.embedding_learning_rate or self.learning_rate

    @model_validator(mode="after")
    def _apart(self) -> FitSettings:
        own = {
            "embedding_learning_rate": self.embedding_learning_rate,
            "embedding_weight_decay": self.embedding_weight_decay,
        }
        if self.embedding_optimiser == "dense" and any(own.values()):
            got = ", ".join(f"{name}={value:g}" for name, value in own.items() if value)
            raise ValueError(f"with embedding_optimiser='dense' tables have no settings of their own, got {got}")
        return self
