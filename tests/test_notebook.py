"""What notebooks show: the facts of an object, escaped."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import reports

import recdistill as rd
from recdistill import notebook, report
from recdistill.errors import DataError, UsageError
from recdistill.transfer import Decision, Gain

ALERT = "<script>alert(1)</script>"


@pytest.fixture
def table() -> rd.Table:
    columns = {"click": [1.0, 0.0, None, 0.0], ALERT: ["a", "b", "a", "c"], "price": [1.0, 2.0, 3.0, 4.0]}
    return rd.Table(pa.table(columns), rd.Schema(label="click", categorical=(ALERT,), number=("price",), user=ALERT))


def test_a_table_shows_its_rows_and_what_its_columns_are(table: rd.Table) -> None:
    shown = table._repr_html_()
    assert "<th>rows</th><td>4</td>" in shown
    assert "<th>clicks</th><td>33.3 % of the labelled</td>" in shown
    assert "<td>&lt;script&gt;alert(1)&lt;/script&gt;</td><td>categorical, user</td>" in shown
    assert "<td>row_id</td><td>row_id</td>" in shown
    assert "<script" not in shown


def test_a_ranker_and_soft_labels_show_what_they_are(table: rd.Table) -> None:
    encoder = rd.Encoder.fit(table)
    ranker = rd.Ranker(encoder, rd.models.MLP(encoder.spec, embedding_dim=2))
    shown = ranker._repr_html_()
    assert f"<th>parameters</th><td>{ranker.parameters:,}</td>" in shown
    assert "<td>price</td><td>number</td>" in shown
    assert "<script" not in shown
    soft = rd.SoftLabels.from_teacher(ranker, table)
    assert "<th>sample</th><td>unseen</td>" in soft._repr_html_()
    assert ranker.fingerprint in soft._repr_html_()


def test_a_decision_shows_its_gains_with_their_bounds() -> None:
    gains = {ALERT: {"logloss": Gain(0.01, -0.002, 0.03)}}
    decision = Decision("labels_alone", ALERT, "labels_alone", gains, 0.95, 1000)
    shown = decision._repr_html_()
    assert "+0.0100 [-0.0020, +0.0300]" in shown
    assert "not sure enough" in shown
    assert "<script" not in shown


def test_a_report_is_read_from_a_run_or_its_own_folder(tmp_path: Path) -> None:
    result = reports.committed("criteo_few_rows")
    report.write(result, tmp_path / "run" / "report")
    for folder in (tmp_path / "run", tmp_path / "run" / "report"):
        found = rd.Report.read(folder)
        assert found.result == result
        assert found.answer == report.answer(result["pooled"][0])
    hostile = rd.Report(reports.renamed(result, lambda name: ALERT if name == "adapted_labelled_warm" else name))
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in hostile._repr_html_()
    assert "<script" not in hostile._repr_html_()
    with pytest.raises(UsageError, match="has no whole report"):
        rd.Report.read(tmp_path)
    file = tmp_path / "run" / "report" / "report.json"
    file.write_text(file.read_text().replace("auc", "uac"))
    with pytest.raises(DataError, match=r"report\.json"):
        rd.Report.read(tmp_path / "run")


def test_long_tables_are_cut() -> None:
    lines = [["column"], *([str(number)] for number in np.arange(50))]
    assert "and 10 more" in notebook.shown("Table", table=lines)
    assert "more" not in notebook.shown("Table", table=lines[:41])
