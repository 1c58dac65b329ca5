"""The model card: front matter that hubs can read, and every value as text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from recdistill.report import card
from recdistill.report.card import _yaml

yaml = pytest.importorskip("yaml", reason="PyYAML comes with the docs' packages")
RESULTS = Path(__file__).resolve().parent.parent / "benchmarks" / "results"
REPORTS = sorted(path.parent.name for path in RESULTS.glob("*/report.json"))


def front_matter(text: str) -> dict[str, Any]:
    """The parsed block between the first two lines of dashes."""
    begin, block, _ = text.split("---\n", 2)
    assert begin == ""
    return dict(yaml.safe_load(block))


@pytest.mark.parametrize("name", REPORTS)
def test_the_front_matter_is_a_model_index(name: str) -> None:
    """As the hubs' specification has it: what is required is there, and of the right type."""
    result = json.loads((RESULTS / name / "report.json").read_text())
    text = card(result)
    front = front_matter(text)
    assert front["library_name"] == "recdistill"
    (model,) = front["model-index"]
    (found,) = model["results"]
    assert isinstance(model["name"], str)
    assert found["task"]["type"] == front["pipeline_tag"]
    assert {"type", "name"} <= found["dataset"].keys()
    assert front["datasets"] == [found["dataset"]["type"]]
    assert front["metrics"] == [metric["type"] for metric in found["metrics"]]
    assert all(isinstance(metric["value"], float) for metric in found["metrics"])
    most = max(result["pooled"], key=lambda pooled: pooled["labels"])
    assert f"with {100 * most['labels']:.4g} % of the target's labels" in text
    assert "rd.Ranker.load(" in text


def test_names_are_text_wherever_they_stand() -> None:
    result = json.loads((RESULTS / REPORTS[0] / "report.json").read_text())
    evil = '<script>alert("1")</script>: [x](y) | \u2028 # -'
    result["config"]["data"]["name"] = evil
    text = card(result)
    front = front_matter(text)
    assert front["datasets"] == [evil]
    assert "\n<script" not in text.split("---\n", 2)[2]
    assert " <script" not in text.split("---\n", 2)[2].replace("\\<", "")


def test_what_is_written_is_what_yaml_reads() -> None:
    value = {"a": [{"b": 1.5, "c": {"d": "x: y"}}, {"b": 2}], "e": ["-", "yes", "\x85 \U0001f600"], "f": None}
    assert yaml.safe_load("\n".join(_yaml(value))) == value
