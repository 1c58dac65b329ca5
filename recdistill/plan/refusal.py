"""Why tables do not fit, and what would help: each remedy is tried on the same planner, or calculated."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from recdistill.errors import EnvironmentFault, UsageError
from recdistill.models.embeddings.plain import MOST_ROWS
from recdistill.models.embeddings.sharding import LEAST_COLUMNS, Dealing
from recdistill.plan.amounts import in_bytes
from recdistill.plan.devices import Devices
from recdistill.plan.network_size import TableSize
from recdistill.plan.plan_settings import FeatureSizes
from recdistill.plan.planning import Plan, shards_for, sized

MOST_RANKS = 1024
SHORTEST = 4  # numbers in a row
FEWEST = 1000  # rows of a table that are worth naming
ROW_WISE = {"sharding": "row_wise", "sharding_of": {}}


def does_not_fit(plan: Plan) -> str:
    """Lines: which tables do not fit where, and what would help."""
    devices, fit = plan.devices, plan.settings.fit
    total, room = sum(table.bytes for table in plan.tables), devices.for_tables
    found = [f"{len(plan.tables)} tables take {in_bytes(total)} with what their optimiser keeps"]
    found[0] += f"; {_ranks(devices)} can hold {in_bytes(devices.world * room)} of tables"
    for table in plan.tables:
        kind, least = least_on_a_rank(table, plan)
        if least > room:
            split = "whole" if kind in ("whole", "table_wise") else f"split over the ranks ({kind})"
            where = f"{in_bytes(least)} on a {devices.name} that has room for {in_bytes(room)}"
            found.append(f"  {table.owner}/{table.feature} does not fit {split}: {where}")
    if len(found) == 1 and total <= devices.world * room:
        found.append("  each of them fits, but torchrec's planner found no way to put all of them where there is room")
    if fit.embedding_optimiser == "dense":
        more = "gradients and states of every row; fit.embedding_optimiser=rowwise_adagrad keeps one number a row"
        found.append(f"  fit.embedding_optimiser='dense' keeps {more}")
    return "\n".join([*found, "what would help:", *(f"  - {remedy}" for remedy in remedies(plan))])


def least_on_a_rank(table: TableSize, plan: Plan) -> tuple[str, int]:
    """The kind of sharding, of those allowed, that asks least of a rank, and how many bytes."""
    devices, fit = plan.devices, plan.settings.fit
    if devices.world == 1:
        return "whole", table.bytes
    dealing = Dealing(fit.embedding_optimiser, lr=1, weight_decay=0, sharding=fit.sharding, of=fit.sharding_of)
    pieces = max(1, table.stored // LEAST_COLUMNS)
    parts = {
        "table_wise": 1,
        "row_wise": devices.world,
        "table_row_wise": devices.local,
        "column_wise": min(devices.world, pieces),
        "table_column_wise": min(devices.local, pieces),
    }
    kind = max(dealing.kinds(table.feature), key=lambda name: parts[name])
    if kind.endswith("row_wise"):
        return kind, -(-table.rows // parts[kind]) * table.row_bytes
    return kind, table.bytes // parts[kind]


def remedies(plan: Plan) -> Iterator[str]:
    """What would help, one line each."""
    fit, devices = plan.settings.fit, plan.devices
    yield _more_ranks(plan)
    if any(least_on_a_rank(table, plan)[0] == "table_wise" for table in plan.tables):
        split = plan.settings.model_copy(update={"fit": fit.model_copy(update=ROW_WISE)})
        if _fits(replace(plan, settings=split)):
            yield "fit.sharding=row_wise, without fit.sharding_of: tables that now stay whole are split, and fit"
    if "embedding_dim" in plan.settings.arguments:
        yield _shorter_rows(plan)
    yield _fewer_rows(plan)
    if devices.kind == "cuda" and devices.world == 1 and fit.embedding_optimiser != "dense":
        managed = "fit.embedding_backend=torchrec with fit.embedding_location=managed_caching"
        yield f"tables in the host's memory, with the rows in use cached on the GPU: {managed}"
    if devices.kind == "cuda" and devices.world > 1:
        yield (
            "tables in the host's memory, by torchrec's kernel fused_uvm_caching: ranks together have no setting for "
            "it yet, one process has (fit.embedding_location=managed_caching)"
        )


def _more_ranks(plan: Plan) -> str:
    """The first number of ranks, doubled each time, that the planner can deal the tables to."""
    devices = plan.devices
    if devices.world == 1 and plan.settings.fit.embedding_optimiser == "dense":
        return f"several {devices.name}s, which need fit.embedding_optimiser=rowwise_adagrad, adagrad or sgd"
    world = devices.world
    while (world := 2 * world) <= MOST_RANKS:
        if world > devices.per_machine:
            world = -(-world // devices.per_machine) * devices.per_machine
        try:
            if _fits(replace(plan, devices=replace(devices, world=world))):
                return f"more {devices.name}s: torchrec's planner has a plan for {world:,} of them"
        except (UsageError, EnvironmentFault) as error:
            return f"more {devices.name}s, but {error}"
    return f"more {devices.name}s alone do not help: there is no plan for up to {MOST_RANKS:,}"


def _shorter_rows(plan: Plan) -> str:
    settings = plan.settings
    dim = int(settings.arguments["embedding_dim"])
    while (dim := dim // 2 // SHORTEST * SHORTEST) >= SHORTEST:
        shorter = settings.model_copy(update={"arguments": {**settings.arguments, "embedding_dim": dim}})
        if _fits(sized(shorter, plan.features, plan.devices)):
            return f"shorter rows: arguments.embedding_dim={dim} fits"
    return f"shorter rows alone do not help: not even arguments.embedding_dim={SHORTEST} fits"


def _fewer_rows(plan: Plan) -> str:
    """Rows that the feature with the most bytes could have beside all others, to two digits."""
    sums = {t.feature: sum(o.bytes for o in plan.tables if o.feature == t.feature) for t in plan.tables}
    largest = max(sums, key=lambda feature: sums[feature])
    per_row = sum(table.row_bytes for table in plan.tables if table.feature == largest)
    left = plan.devices.world * plan.devices.for_tables - (sum(sums.values()) - sums[largest])
    rows = min(left // per_row, MOST_ROWS)
    how = "encoder.max_vocabulary or encoder.hashing, when a table is prepared"
    while rows >= FEWEST:
        rows -= rows % 10 ** (len(str(rows)) - 2)
        if _fits(sized(plan.settings, _with_rows(plan.features, largest, rows), plan.devices)):
            return f"fewer rows: {largest!r} fits with {rows:,} ({how})"
        rows = 4 * rows // 5
    return f"fewer rows ({how}), but of more features than {largest!r}"


def _with_rows(features: FeatureSizes, feature: str, rows: int) -> FeatureSizes:
    """The features, of which one has so many rows."""
    if feature in features.categorical:
        return features.model_copy(update={"categorical": features.categorical | {feature: rows}})
    size = features.multi[feature].model_copy(update={"rows": rows})
    return features.model_copy(update={"multi": features.multi | {feature: size}})


def _fits(plan: Plan) -> bool:
    """Whether the planner has a plan, which it is asked only where that may be."""
    room = plan.devices.for_tables
    together = sum(table.bytes for table in plan.tables) <= plan.devices.world * room
    each = all(least_on_a_rank(table, plan)[1] <= room for table in plan.tables)
    return together and each and shards_for(plan) is not None


def _ranks(devices: Devices) -> str:
    return f"{devices.world} {devices.name}{'s' if devices.world > 1 else ''} of {in_bytes(devices.memory)}"
