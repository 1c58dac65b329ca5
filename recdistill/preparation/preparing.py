"""`prepare`: files become a prepared table. Read, split, measure, encode, check; what is done is kept and continued."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa

from recdistill.artefacts import finish, write_json
from recdistill.encoder import Encoder
from recdistill.errors import UsageError
from recdistill.inspection import refuse, repeat_findings
from recdistill.part_files import SPLITS
from recdistill.preparation.checking import counted, require_classes, require_rows, unseen_shares
from recdistill.preparation.encoding import Encoding
from recdistill.preparation.engine import Engine, Threads
from recdistill.preparation.inputs import as_read, changed, described, require_as_begun
from recdistill.preparation.inspecting import inspected, of_sample
from recdistill.preparation.measuring import Measurements, features_of, keep_measured, measured
from recdistill.preparation.repeats import KEPT, keep_fingerprints, repeated_rows, require_unique, rows_fingerprint
from recdistill.preparation.settings import PrepareSettings
from recdistill.preparation.staging import contents, require_readable, set_aside, staged
from recdistill.preparation.workspace import Workspace, is_there
from recdistill.prepared_table import KIND, PreparedTable
from recdistill.progress import SILENCE, Board, tracked
from recdistill.readers import files_of
from recdistill.schema import Schema
from recdistill.settings import differences, of_kind

# Rows that are encoded together look a vocabulary up once; more than one group keeps all workers busy.
GROUPS, LEAST_GROUP, MOST_GROUP = 8, 250_000, 1_000_000


def prepare(
    files: str | Path | Sequence[str | Path],
    out: Path | str,
    *,
    schema: Schema,
    settings: PrepareSettings | None = None,
    encoder: Encoder | PreparedTable | None = None,
    engine: Engine | None = None,
    board: Board = SILENCE,
    overwrite: bool = False,
) -> PreparedTable:
    """Make a prepared table of raw files, in memory that neither rows nor distinct values exceed.

    A call that was stopped is continued by the same call, and gives the same bytes. What was prepared before from the
    same files, schema and settings is left as it is.

    Args:
        files: CSV or TSV (plain, .gz, .zst) or Parquet: a file, several, a folder or a glob.
        out: the folder to make.
        schema: what the columns mean.
        settings: how; the defaults of `PrepareSettings` otherwise.
        encoder: fitted before, e.g. a teacher's, to encode by; of a prepared table, which the rows are then compared
            with. Without it one is fitted on the training rows.
        engine: does the work; threads by default.
        board: told how far it is.
        overwrite: replace a prepared table of other files or settings.

    Raises:
        UsageError: there is something else, or a setting does not fit the schema.
        DataError: a file is broken, a row is not what its columns must hold, or the rows cannot be right as a whole.
        EnvironmentFault: the disk is full.
    """
    settings, engine, out = of_kind(PrepareSettings, settings, "settings"), engine or Threads(), Path(out)
    like = encoder if isinstance(encoder, PreparedTable) else None
    fitted = encoder.encoder if isinstance(encoder, PreparedTable) else encoder
    paths = files_of(files, settings.csv)
    features = features_of(schema, settings, fitted)
    told = _told(schema, settings, fitted, like)
    if is_there(out, KIND, overwrite=overwrite) and not overwrite:
        return _as_before(out, paths, told, board)
    require_readable(paths[0], schema, settings)
    workspace = Workspace.of(out)
    with workspace.held():
        if words := workspace.begin({**told, "inputs": described(paths), "pyarrow": pa.__version__}):
            board.say(f"{workspace.path} {words}")
        rows = staged(paths, workspace, schema, settings, engine, board)
        splits = settings.split.codes(rows, workspace.column, schema)
        require_rows(splits, settings.split)
        require_unique(workspace, splits, schema)
        with _aside() as aside:
            repeats = aside.submit(repeated_rows, workspace, splits, schema, like)
            identity = aside.submit(rows_fingerprint, workspace, splits, schema)
            inputs = aside.submit(as_read, paths)
            found = measured(workspace, schema, features, splits, engine, board)
            saved = aside.submit(keep_measured, workspace, found)
            sampled = aside.submit(of_sample, found, schema, settings.split.by)
            kept = aside.submit(keep_fingerprints, workspace, splits, workspace.prepared / KEPT)
            _encode(Encoding(workspace, schema, features_of(schema, settings, found.encoder), splits), engine, board)
        counts = counted(workspace, len(splits))
        if fitted is None:  # rows for a teacher to label need not have labels
            require_classes(counts, schema)
        told_so_far = [*repeat_findings(repeats.result()), *sampled.result()]
        looked = inspected(found, counts, schema, fitted=fitted is None, like=like, told=told_so_far)
        refuse(looked.findings)
        require_as_begun(paths, workspace.plan["inputs"])
        for written in (saved, kept):
            written.result()
        made = {"inputs": inputs.result(), "rows_fingerprint": identity.result(), "contents": list(contents(schema))}
        _finish(workspace, out, found, {**_report(workspace, counts), **looked.to_dict()}, {**told, **made})
    workspace.discard()
    return PreparedTable.read(out, verify=False)


def _told(
    schema: Schema, settings: PrepareSettings, fitted: Encoder | None, like: PreparedTable | None
) -> dict[str, Any]:
    """What a preparation is told but its files; another is another table."""
    return {
        "schema": schema.to_dict(),
        "settings": settings.model_dump(mode="json"),
        "by_encoder": None if fitted is None else fitted.fingerprint,
        "beside_table": None if like is None else like.rows_fingerprint,
    }


@contextlib.contextmanager
def _aside() -> Iterator[ThreadPoolExecutor]:
    """A thread for what can be done beside the rest; an error of the rest does not wait for it."""
    aside = ThreadPoolExecutor(1)
    try:
        yield aside
    except BaseException:
        aside.shutdown(wait=False, cancel_futures=True)
        raise
    aside.shutdown()


def _as_before(out: Path, files: Sequence[Path], told: dict[str, Any], board: Board) -> PreparedTable:
    """What is there, if it was prepared from the same files in the same way.

    Raises:
        UsageError: it was not; says what differs.
    """
    table = PreparedTable.read(out, verify=False)
    found = differences({name: table.facts.get(name) for name in told}, told) or changed(files, table.facts["inputs"])
    if found:
        words = "; ".join(found[:3])
        raise UsageError(f"{out} was prepared otherwise: {words}; choose another folder or pass --overwrite")
    board.say(f"{out} was prepared before from the same files and settings: nothing to do")
    Workspace.of(out).discard_left(told)
    return table


def _encode(encoding: Encoding, engine: Engine, board: Board) -> None:
    """Encode what is not encoded yet, some parts at a time."""
    rows = [len(codes) for codes in encoding.splits]
    left = [part for part in range(len(rows)) if not encoding.workspace.done(part).is_file()]
    most = min(max(sum(rows) // GROUPS, LEAST_GROUP), MOST_GROUP)
    groups: list[list[int]] = []
    for part in left:
        if not groups or sum(rows[other] for other in groups[-1]) + rows[part] > most:
            groups.append([])
        groups[-1].append(part)
    with tracked(board, "encoding", sum(rows[part] for part in left), "rows"):
        for done in engine.run(encoding, groups):
            board.advance(done)


def _report(workspace: Workspace, counts: dict[str, Any]) -> dict[str, Any]:
    """What is in the rows of each split, and what was set aside."""
    parts = len(counts["train"]["parts"])
    return {
        **{fact: {split: counts[split][fact] for split in SPLITS} for fact in ("rows", "labels", "parts")},
        "unseen": unseen_shares(counts),
        "bad_rows": set_aside(workspace, parts, workspace.prepared / "quarantine.jsonl"),
    }


def _finish(
    workspace: Workspace, out: Path, found: Measurements, report: dict[str, Any], facts: dict[str, Any]
) -> None:
    """Write down what was found, and give the table its name."""
    (workspace.prepared / "encoder").mkdir(exist_ok=True)
    for file in workspace.encoder_files():
        shutil.copyfile(file, workspace.prepared / "encoder" / file.name)
    write_json(workspace.prepared / "statistics.json", found.statistics)
    write_json(workspace.prepared / "report.json", {name: told for name, told in report.items() if name != "parts"})
    own = {"kind": KIND, "rows": report["rows"], "parts": report["parts"], "encoder": found.encoder.fingerprint}
    finish(workspace.prepared, out, {**own, **facts})
