"""`recdistill plan`: what a model takes, before anything is allocated."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recdistill.cli.app import app
from recdistill.cli.words import board
from recdistill.errors import UsageError, beside

if TYPE_CHECKING:
    from recdistill.plan import Plan

ConfigFile = Annotated[
    Path | None,
    typer.Argument(
        help="A TOML with model, arguments, fit, features and device; or an experiment's, whose teacher is planned."
    ),
]
Gpus = Annotated[int, typer.Option(help="How many GPUs, each a rank; 0 for ranks on CPUs.", min=0)]
Ranks = Annotated[int, typer.Option(help="How many ranks on CPUs, with --gpus 0.", min=0)]
Memory = Annotated[str | None, typer.Option("--gpu-memory", help="Of each GPU, e.g. 80GB or 141GB.", metavar="AMOUNT")]
BatchSize = Annotated[int | None, typer.Option(help="Rows of a step, of all ranks together.", min=1)]
Sizes = Annotated[
    Path | None,
    typer.Option(
        "--prepared",
        "--features",
        help="Where the sizes of the features come from: a prepared table, or a TOML with a table \\[features].",
    ),
]
Assign = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help="Change a setting, e.g. --set fit.sharding=row_wise, --set features.rows=1_000_000_000 for the time of an "
        "epoch, or --set device.flops=150e12. May be repeated.",
        metavar="KEY=VALUE",
    ),
]
Json = Annotated[Path | None, typer.Option("--json", help="A new file for the plan as JSON.")]


@app.command()
def plan(
    config: ConfigFile = None,
    gpus: Gpus = 1,
    ranks: Ranks = 0,
    gpu_memory: Memory = None,
    batch_size: BatchSize = None,
    sizes: Sizes = None,
    assign: Assign = None,
    json: Json = None,
) -> None:
    """Say what a model takes before you pay: parameters, memory, sharding, traffic, an estimate of its speed.

    Nothing is allocated, and no GPU is needed: tables of a billion rows are planned on a laptop.
    """
    from recdistill import plan as planning
    from recdistill.artefacts import write_json
    from recdistill.plan import page

    for path in (config, sizes):
        if path is not None and not path.exists():
            raise UsageError(f"{path} does not exist{beside(path, Path.exists)}")
    if json is not None and json.exists():
        raise UsageError(f"--json writes a new file, and {json} is there already")
    if gpu_memory is not None and not gpus:
        raise UsageError(f"ranks on CPUs have no GPU memory (their own is --set device.memory), got {gpu_memory=}")
    options = [] if gpu_memory is None else [f"device.memory={gpu_memory}"]
    options += [] if batch_size is None else [f"fit.batch_size={batch_size}"]
    settings, features = planning.told(config, sizes, [*(assign or []), *options])
    devices = planning.devices_of(gpus, ranks, settings.device, precision=settings.fit.precision)
    planned = planning.plan(settings, features, devices)
    _show(planned)
    if json is not None:
        write_json(json, page.to_dict(planned))
    if planned.refusal:
        raise UsageError(planned.refusal)


def _show(planned: Plan) -> None:
    """The page."""
    from recdistill.plan import page
    from recdistill.plan.planning import cautions
    from recdistill.terminal import console, show_table

    say = board().say
    for line in page.opening(planned):
        say(line)
    for section in page.sections(planned):
        say("")
        show_table(console(), section.lines, section.title)
        for note in section.notes:
            say(f"  {note}")
    for caution in cautions(planned):
        say(f"Caution: {caution}")
    if planned.unplanned:
        say(planned.unplanned)
