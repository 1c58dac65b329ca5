"""`prepare`: files become a prepared table. Read, split, measure, encode, check; what is done is kept and continued."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa

from recdistill.artefacts import MANIFEST, finish, manifest, write_json
from recdistill.encoder import Encoder
from recdistill.errors import UsageError
from recdistill.inspection import refuse, repeat_findings
from recdistill.part_files import SPLITS
from recdistill.preparation.checking import counted, require_classes, require_rows, unseen_shares
from recdistill.preparation.encoding import Encoding
from recdistill.preparation.engine import Engine, Threads
from recdistill.preparation.inputs import as_read, changed, described, require_as_begun
from recdistill.preparation.inspecting import inspected, of_sample
from recdistill.preparation.measuring import Measurements, features_of, measured
from recdistill.preparation.repeats import KEPT, keep_fingerprints, repeated_rows, require_unique, rows_fingerprint
from recdistill.preparation.settings import PrepareSettings
from recdistill.preparation.staging import contents, set_aside, staged
from recdistill.preparation.workspace import Workspace
from recdistill.prepared_table import KIND, PreparedTable
from recdistill.progress import Board, Silence
from recdistill.readers import files_of
from recdistill.schema import Schema
from recdistill.settings import differences

# Rows that are encoded together look a vocabulary up once; more than one group keeps all workers busy.
GROUPS, LEAST_GROUP, MOST_GROUP = 8, 250_000, 1_000_000
SILENCE = Silence()


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
    settings, engine, out = settings or PrepareSettings(), engine or Threads(), Path(out)
    like = encoder if isinstance(encoder, PreparedTable) else None
    fitted = encoder.encoder if isinstance(encoder, PreparedTable) else encoder
    paths = files_of(files, settings.csv)
    features = features_of(schema, settings, fitted)
    fingerprint = None if fitted is None else fitted.fingerprint
    told = {"schema": schema.to_dict(), "settings": settings.model_dump(mode="json"), "by_encoder": fingerprint}
    if _is_there(out) and not overwrite:
        return _as_before(out, paths, told, board)
    workspace = Workspace.of(out)
    with workspace.held():
        if workspace.begin({**told, "inputs": described(paths), "pyarrow": pa.__version__}):
            board.say(f"{workspace.path} is continued")
        rows = staged(paths, workspace, schema, settings, engine, board)
        splits = settings.split.codes(rows, workspace.column, schema)
        require_rows(splits, settings.split)
        require_unique(workspace, splits, schema)
        with ThreadPoolExecutor(1) as aside:
            inputs = aside.submit(as_read, paths)
            repeats = aside.submit(repeated_rows, workspace, splits, schema, like)
            identity = aside.submit(rows_fingerprint, workspace, splits, schema)
            found = measured(workspace, schema, features, splits, engine, board)
            sampled = aside.submit(of_sample, found, schema, settings.split.by)
            kept = aside.submit(keep_fingerprints, workspace, splits, workspace.prepared / KEPT)
            _encode(Encoding(workspace, schema, features_of(schema, settings, found.encoder), splits), engine, board)
        counts = counted(workspace, len(splits))
        require_classes(counts, schema)
        told_so_far = [*repeat_findings(repeats.result()), *sampled.result()]
        looked = inspected(found, counts, schema, like=like, told=told_so_far)
        refuse(looked.findings)
        require_as_begun(paths, workspace.plan["inputs"])
        kept.result()
        made = {"inputs": inputs.result(), "rows_fingerprint": identity.result(), "contents": list(contents(schema))}
        _finish(workspace, out, found, {**_report(workspace, counts), **looked.to_dict()}, {**told, **made})
    workspace.discard()
    return PreparedTable.read(out, verify=False)


def _is_there(out: Path) -> bool:
    """Whether there is a prepared table; nothing else is replaced, and an empty folder is nothing.

    Raises:
        UsageError: there is something else.
    """
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return False
    if not (out / MANIFEST).is_file() or (manifest(out)["facts"] or {}).get("kind") != KIND:
        raise UsageError(f"{out} holds something else than a prepared table; choose another folder with --out")
    return True


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
    board.track("encoding", sum(rows[part] for part in left), "rows")
    try:
        for done in engine.run(encoding, groups):
            board.advance(done)
    finally:
        board.end()


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
