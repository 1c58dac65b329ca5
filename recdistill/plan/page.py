"""A plan as a page for people, and as one value for machines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from recdistill.models.embeddings.planner import RESERVED
from recdistill.plan.amounts import in_bytes, in_ranks, in_time, in_units
from recdistill.plan.network_size import FLOAT, TableSize
from recdistill.plan.planning import Plan, Use, cautions
from recdistill.settings import plain

MOST_TABLES = 40  # that a page shows
KINDS = {
    "table_wise": "one rank has the whole table",
    "row_wise": "every rank has some of the rows",
    "table_row_wise": "the ranks of one machine have some of the rows each",
    "column_wise": "ranks have some of the columns each",
    "table_column_wise": "ranks of one machine have some of the columns each",
}
SENT = {
    "ids": "ids, to the ranks that have their rows",
    "vectors": "vectors, back to the ranks that asked",
    "gradients": "their gradients, the other way",
    "dense": "gradients of the dense part, averaged",
}
PARTS = {
    "products": "matrix products",
    "memory": "device memory",
    "links": "links within a machine",
    "network": "network between machines",
    "overhead": "overhead of a step",
}
SETTINGS = {
    "products": "flops",
    "memory": "memory_bandwidth",
    "links": "link_bandwidth",
    "network": "network_bandwidth",
    "overhead": "overhead",
}


@dataclass(frozen=True)
class Section:
    """A table of a page.

    Args:
        title: above it.
        lines: the header, then the rows.
        notes: sentences below it.
    """

    title: str
    lines: list[list[str]]
    notes: tuple[str, ...] = ()


def opening(plan: Plan) -> list[str]:
    """What is planned, in sentences."""
    devices, fit = plan.devices, plan.settings.fit
    in_tables = sum(table.parameters for table in plan.tables)
    ranks = f", {plan.rows:,} on each rank" if devices.world > 1 else ""
    ranks += "" if fit.batch_size else " (fit.batch_size is not set)"
    machines = f" in {devices.machines} machines" if devices.machines > 1 else ""
    many = f"{devices.world:,} {devices.name}{'s' if devices.world > 1 else ''}"
    memory = in_bytes(devices.memory) + (" (assumed)" if "memory" in devices.assumed else "")
    by = fit.optimiser if fit.embedding_optimiser == "dense" else fit.embedding_optimiser
    return [
        f"{plan.settings.model} on {many} of {memory}{machines}; {plan.batch:,} rows a step{ranks}",
        f"{in_tables + plan.dense.parameters:,} parameters: {in_tables:,} in {len(plan.tables)} embedding tables "
        f"(updated by {by}), {plan.dense.parameters:,} in the dense part ({fit.optimiser}), which every rank holds",
    ]


def sections(plan: Plan) -> Iterator[Section]:
    """The tables of the page."""
    if plan.tables:
        yield _tables(plan)
    if not plan.uses:
        return
    yield _memory(plan)
    if plan.devices.world > 1:
        yield _sent(plan)
    yield _estimate(plan)


def _tables(plan: Plan) -> Section:
    graded, dealt = any(table.gradient for table in plan.tables), plan.shards and plan.devices.world > 1
    header = ["table", "rows", "dim", "weights", "optimiser state", *(["gradient"] if graded else [])]
    lines = [[*header, *(["sharding", "ranks"] if dealt else [])]]
    for table in plan.tables[:MOST_TABLES]:
        gradient = [in_bytes(table.rows * table.gradient)] if graded else []
        amounts = [in_bytes(table.weight_bytes), in_bytes(table.state_bytes), *gradient]
        dim = str(table.dim) if table.dim == table.stored else f"{table.dim} (stored as {table.stored})"
        lines.append([f"{table.owner}/{table.feature}", f"{table.rows:,}", dim, *amounts])
        lines[-1] += _whereabouts(plan, table) if dealt else []
    if rest := plan.tables[MOST_TABLES:]:
        size = in_bytes(sum(table.bytes for table in rest))
        lines.append([f"and {len(rest)} smaller", "", "", size, *[""] * (len(lines[0]) - 4)])
    total = [sum(table.weight_bytes for table in plan.tables), sum(table.state_bytes for table in plan.tables)]
    total += [sum(table.rows * table.gradient for table in plan.tables)] if graded else []
    sums = ["all tables", "", "", *map(in_bytes, total)]
    lines.append([*sums, *[""] * (len(lines[0]) - len(sums))])
    notes = ["a table is named by the part of the model that looks it up, and its feature"]
    notes += [f"{kind}: {KINDS[kind]}" for kind in dict.fromkeys(shard.kind for shard in plan.shards) if kind in KINDS]
    return Section("embedding tables, the largest first", lines, tuple(notes))


def _whereabouts(plan: Plan, table: TableSize) -> list[str]:
    """The kind of sharding, and which ranks have what."""
    own = [shard for shard in plan.shards if (shard.owner, shard.feature) == (table.owner, table.feature)]
    ranks, (rows, columns) = in_ranks([shard.rank for shard in own]), own[0].shape
    each = f": up to {rows:,} rows each" if rows < table.rows else ""
    each += f": up to {columns} columns each" if columns < table.stored else ""
    return [own[0].kind, f"{ranks}{each}"]


def _memory(plan: Plan) -> Section:
    alone = plan.devices.world == 1
    header = ["rank", "tables", "best so far" if alone else "exchange", "dense part", "used", "free"]
    lines, runs = [header], list(_runs(plan.uses))
    for ranks, use in runs:
        second, free = use.best if alone else use.exchange, plan.devices.memory - use.total
        amounts = [use.tables, second, use.dense, use.total, free]
        lines.append([in_ranks(ranks), *map(in_bytes, amounts)])
    dense = plan.dense
    notes = [
        f"tables may take {100 * (1 - RESERVED):.0f} % of a device; the rest is for all else, also for what torch "
        "itself needs, which is not counted",
        f"dense part: {in_bytes(2 * dense.parameters * FLOAT)} of weights and gradients, {in_bytes(dense.state_bytes)} "
        f"of optimiser, {in_bytes(dense.activation_bytes)} of activations",
    ]
    if plan.in_host:
        size = in_bytes(sum(table.bytes for table in plan.tables))
        notes.append(f"the tables, {size}, are in the host's memory; the GPU holds what it caches of them")
    return Section(f"memory of each rank's device, {in_bytes(plan.devices.memory)}", lines, tuple(notes))


def _runs(uses: Sequence[Use]) -> Iterator[tuple[list[int], Use]]:
    """Ranks whose devices hold the same as far as the page shows, in the order of the first of each."""
    groups: dict[tuple[str, ...], list[int]] = {}
    for rank, use in enumerate(uses):
        groups.setdefault(tuple(map(in_bytes, (use.tables, use.exchange, use.total))), []).append(rank)
    return ((ranks, uses[ranks[0]]) for ranks in groups.values())


def _sent(plan: Plan) -> Section:
    sent = {} if plan.traffic is None else plan.traffic.sent()
    total = sum(sent.values())
    lines = [["what", "bytes"], *([SENT[name], in_bytes(size)] for name, size in sent.items())]
    lines.append(["all of it", f"{in_bytes(total)}, {in_bytes(total / plan.batch)} for each row"])
    return Section("what the ranks send each other in a step, all together", lines)


def _estimate(plan: Plan) -> Section:
    lines = [["part of a step", "of the busiest rank", "peak a second", "reached", "time", "setting"]]
    for cost in plan.costs:
        if not cost.seconds:
            continue
        unit = "FLOP" if cost.name == "products" else "B"
        amounts = [in_units(cost.amount, unit), in_units(cost.peak, unit)]
        amounts = [*amounts, f"{100 * cost.share:.0f} %"] if cost.amount else ["", "", ""]
        guessed = "assumed" if SETTINGS[cost.name] in plan.devices.assumed else "as set"
        lines.append([PARTS[cost.name], *amounts, in_time(cost.seconds), f"device.{SETTINGS[cost.name]}, {guessed}"])
    most = max(plan.costs, key=lambda cost: cost.seconds)
    speed, share = plan.batch / plan.seconds, 100 * most.seconds / plan.seconds
    notes = [f"estimate: {in_time(plan.seconds)} a step, about {_rounded(speed)} rows a second; nothing was measured"]
    if plan.features.rows:
        notes.append(f"an epoch of {plan.features.rows:,} rows: about {in_time(plan.epoch_seconds)}, by the estimate")
    origin = "NVIDIA's data sheet of the H100 SXM" if plan.devices.kind == "cuda" else "guesses for a server's cores"
    notes += [
        f"{share:.0f} % of it: {PARTS[most.name]}; parts are added up as if none ran beside another",
        f"assumed peaks are {origin}, the overhead and what is reached of the peaks are guesses",
        "yours: --set device.flops=..., or [device] in the TOML; what is reached: device.flops_share, "
        "device.memory_share, device.link_share",
        "reading rows is not counted",
    ]
    return Section("estimate of a step: work divided by assumed rates, not measured", lines, tuple(notes))


def _rounded(value: float) -> str:
    """Two digits, for an estimate has no more."""
    return f"{float(f'{value:.1e}'):,.0f}"


def to_dict(plan: Plan) -> dict[str, Any]:
    """All of a plan, for JSON: bytes, seconds and rows a second, as numbers."""
    traffic, estimated = plan.traffic, bool(plan.costs)
    names = {(table.owner, table.feature): f"{table.owner}/{table.feature}" for table in plan.tables}
    tables = [
        asdict(table)
        | {"name": names[table.owner, table.feature], "parameters": table.parameters}
        | {"weight_bytes": table.weight_bytes, "state_bytes": table.state_bytes, "bytes": table.bytes}
        for table in plan.tables
    ]
    return {
        "settings": plain(plan.settings),
        "features": plain(plan.features),
        "devices": asdict(plan.devices) | {"assumed": sorted(plan.devices.assumed)},
        "batch": plan.batch,
        "tables": tables,
        "dense": asdict(plan.dense) | {"bytes": plan.dense.bytes},
        "shards": [asdict(shard) | {"table": names[shard.owner, shard.feature]} for shard in plan.shards],
        "ranks": [asdict(use) | {"total": use.total} for use in plan.uses],
        "sent_bytes": None if traffic is None else traffic.sent(),
        "estimate": {
            "measured": False,
            "parts": [asdict(cost) for cost in plan.costs],
            "step_seconds": plan.seconds if estimated else None,
            "rows_per_second": plan.batch / plan.seconds if estimated else None,
            "epoch_seconds": plan.epoch_seconds if estimated and plan.features.rows else None,
        },
        "cautions": cautions(plan),
        "unplanned": plan.unplanned,
        "refusal": plan.refusal,
    }
