"""What was found in a run's rows: looked for when they are prepared, kept beside them, told in the report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from recdistill.artefacts import is_made_from, new_folder, read_json, verify, write_json
from recdistill.configuration import Config
from recdistill.inspection import Finding, Inspection, inspect, refuse
from recdistill.readers import Quarantine, set_aside_words
from recdistill.run_folder import RunFolder
from recdistill.tables import Table

FILE, ASIDE = "inspection.json", "quarantine.jsonl"


def inspected(config: Config, source: Table | None, parts: Mapping[str, Table]) -> Inspection:
    """Look at the rows of a run.

    Args:
        config: of the run.
        source: its source rows, where there are any.
        parts: the target's "train", "valid" and "test".

    Raises:
        DataError: a line for each thing that can never be right.
    """
    scores = config.teacher.scores is not None
    without = {
        # The teacher's encoder is fitted on the source, the students' on the target; one student's on the source too,
        # but that control is not worth a run.
        "source": set(parts["train"].schema.features if scores else config.teacher.encoder.drop),
        "train": set(config.student.encoder.drop),
    }
    found = inspect(
        source,
        parts,
        by=config.split.by,
        unused=without["source"] & without["train"],
        optional=without,
        unshared_ids="none" if scores else config.teacher.unshared,
    )
    refuse(found.findings)
    return found


def write(run: RunFolder, found: Inspection, aside: Quarantine | None = None) -> None:
    """Keep it beside the rows that it speaks of, which are prepared already.

    Args:
        run: of the rows.
        found: in them.
        aside: the rows that were wrong; they are kept too, and told first.
    """
    counts = aside.counts() if aside else {}
    if aside:
        words = set_aside_words(counts, f"prepared/inspection/{ASIDE}")
        found = replace(found, findings=(Finding("warning", "rows", words), *found.findings))
    with new_folder(run.prepared("inspection"), kind="inspection", prepared=run.identity) as temporary:
        write_json(temporary / FILE, found.to_dict() | {"set_aside": counts})
        if aside:
            aside.write(temporary / ASIDE)


def read(run: RunFolder) -> dict[str, Any] | None:
    """What was found in the prepared rows; None where they were not looked at, or are others now.

    Raises:
        DataError: it was changed.
    """
    place = run.prepared("inspection")
    if not is_made_from(place, run.identity):
        return None
    verify(place)
    found: dict[str, Any] = read_json(place / FILE)
    return found


def of_report(run: RunFolder) -> dict[str, Any] | None:
    """What the report repeats of it: all but the columns' own statistics."""
    found = read(run)
    return None if found is None else {key: value for key, value in found.items() if key not in ("columns", "aucs")}
