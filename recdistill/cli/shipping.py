"""The verbs that ship a student: `export` for serving, and `score` for files of rows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from recdistill.cli.app import app
from recdistill.cli.options import Run, a_file
from recdistill.cli.words import board, done
from recdistill.errors import UsageError, nearest

if TYPE_CHECKING:
    from recdistill.exporting import Dense, Tables
    from recdistill.label_budget import Cell
    from recdistill.run_folder import RunFolder

Share = Annotated[
    float | None, typer.Option("--labels", help="The share of labels it was trained with. Default: the largest.")
]
Seed = Annotated[int, typer.Option(help="Of which seed.", min=0)]
ArmName = Annotated[str | None, typer.Option("--arm", help="Which arm's student. Default: what the run ships.")]
Out = Annotated[Path, typer.Option(help="The folder to write.")]
Kept = Annotated[
    str,
    typer.Option("--tables", help="What the embedding tables are kept as.", metavar="float32|int8|int4"),
]
KeptLayers = Annotated[
    str,
    typer.Option("--dense", help="What the weights of linear layers are kept as.", metavar="float32|int8"),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what is in --out.")]
Student = Annotated[Path, typer.Argument(help="A folder that `export` wrote.", callback=a_file)]
Rows = Annotated[Path, typer.Argument(help="A Parquet, CSV or TSV file of rows.", callback=a_file)]
Scores = Annotated[Path, typer.Option("--out", help="The file to write: NAME.parquet.")]
Keep = Annotated[
    list[str] | None,
    typer.Option(help="A column to copy beside the score. May be repeated. Default: ids and what is no feature."),
]
Top = Annotated[int, typer.Option(help="Keep only so many rows of each value of --by, the best first.", min=0)]
Grouped = Annotated[str | None, typer.Option("--by", help="The column of the user, for --top.")]
Threads = Annotated[int, typer.Option(help="Of ONNX Runtime; 0 takes one for each core.", min=0)]


@app.command()
def export(
    run_folder: Run,
    out: Out,
    labels: Share = None,
    seed: Seed = 0,
    arm: ArmName = None,
    tables: Kept = "float32",
    dense: KeptLayers = "float32",
    overwrite: Overwrite = False,
) -> None:
    """Write a run's student for serving: ONNX and its encoder, which score raw rows without torch.

    It is proved on all of the run's test rows: a student whose scores differ from torch's is not written.
    """
    from recdistill.exporting import export as write
    from recdistill.label_budget import cell_of
    from recdistill.ranker import Ranker
    from recdistill.run_folder import RunFolder

    run = RunFolder(run_folder)
    cell = cell_of(run.config, labels, seed, where=run.path)
    place = _student(run, cell, arm)
    bits = cast("Tables", tables), cast("Dense", dense)  # which are checked there
    ranker, rows = Ranker.load(place), run.tables()["test"]
    done_so = write(ranker, out, rows=rows, tables=bits[0], dense=bits[1], overwrite=overwrite)
    found = done_so.parity
    words = (
        f"{place.relative_to(run_folder)} as ONNX: {found.rows:,} test rows score within {found.largest:.1g} of torch"
    )
    areas = "" if found.auc_difference is None else f", AUC {found.auc_difference:+.1g}"
    board().say(f"{words}{areas}; {done_so.bytes:,} bytes")
    if (cost := done_so.compressed) is not None:
        areas = "" if cost.auc_difference is None else f", AUC {cost.auc_difference:+.2g}"
        what = [f"{tables} tables"] * (tables != "float32") + [f"{dense} layers"] * (dense != "float32")
        board().say(f"{' and '.join(what)} move a logit by at most {cost.largest:.2g}{areas}")
    done(f"{out} is written", ["recdistill", "score", str(out), "ROWS.parquet", "--out", "scores.parquet"])


@app.command()
def score(
    student: Student,
    rows: Rows,
    out: Scores,
    keep: Keep = None,
    top: Top = 0,
    by: Grouped = None,
    threads: Threads = 1,
    overwrite: Overwrite = False,
) -> None:
    """Score a file of raw rows with an exported student, part by part; the score is a probability or a rating.

    With --top 10 --by user_id only each user's ten best rows are kept.
    """
    from recdistill.serving import Scorer, rows_in, score_file

    if bool(top) != (by is not None):
        raise UsageError(f"--top and --by go together, got only {'--top' if top else '--by'}")
    shown, scorer = board(), Scorer.load(student, threads=threads)
    if total := rows_in(rows):
        shown.track(f"scoring {rows.name}", total, "rows")
    try:
        found = score_file(scorer, rows, out, keep=keep or (), top=top, by=by, overwrite=overwrite, told=shown.advance)
    finally:
        shown.end()
    kept = f", {found.kept:,} of them kept" if top else ""
    shown.say(f"{found.rows:,} rows are scored{kept} in {out}")
    for name, count in found.unknown.items():
        if 2 * count > found.rows:
            share = f"{100 * count / found.rows:.0f} % of {name}"
            shown.say(f"Caution: {share} are missing or unknown to the student; are they written as in training?")


def _student(run: RunFolder, cell: Cell, arm: str | None) -> Path:
    from recdistill.artefacts import is_whole

    arm = arm or run.config.strategy
    place = run.student(arm, cell)
    if not is_whole(place):
        there = sorted(one.parent.name for one in run.path.glob(f"students/*/{cell}"))
        if there and arm not in there:
            raise UsageError(f"{run.path} has no student of the arm {arm!r}, {nearest(arm, there)}")
        raise UsageError(f"{place} is not there yet; run `recdistill distill {run.path}` first")
    return place
