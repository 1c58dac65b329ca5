"""A small pair whose target is split, and what the tests of its inspection ask of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from recdistill.datasets import synthetic
from recdistill.errors import DataError
from recdistill.inspection import Finding, Inspection, refuse
from recdistill.splits import split
from recdistill.tables import Table

Parts = dict[str, Table]


def world(by: Any = "random", **sizes: int) -> tuple[Table, Parts]:
    sizes = {"source_rows": 3000, "target_rows": 2000, "source_users": 100, "target_users": 60} | sizes
    source, target = synthetic.load(**sizes)
    return source, dict(zip(("train", "valid", "test"), split(target, by=by), strict=True))


def renumbered(rows: Table, first: int) -> Table:
    place = rows.arrow.column_names.index(rows.schema.row_id)
    own = pa.array(first + np.arange(len(rows)))
    return Table(rows.arrow.set_column(place, rows.schema.row_id, own), rows.schema)


def levels(found: Inspection, about: str = "leakage") -> list[str]:
    return [finding.level for finding in found.findings if finding.about == about]


def errors(found: Inspection | list[Finding]) -> str:
    findings = found.findings if isinstance(found, Inspection) else found
    with pytest.raises(DataError) as caught:
        refuse(findings)
    return str(caught.value)
