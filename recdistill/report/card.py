"""The model card of the student that a run ships, in the form that model hubs read: YAML, then Markdown."""

from __future__ import annotations

import json
import re
from typing import Any

from recdistill.arms import ARMS
from recdistill.report.cautions import cautions
from recdistill.report.markdown_table import escaped, markdown_table
from recdistill.report.words import NAMES, counted_names, percent, signed

# The hubs' names of our metrics, where they have one.
HUB = {"auc": "roc_auc"}
TASKS = {
    "auc": ("tabular-classification", "click prediction", "the probability of a click"),
    "rmse": ("tabular-regression", "rating prediction", "the probability of each rating"),
}
# Characters that JSON leaves as they are and YAML does not take.
UNPRINTABLE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


def card(result: dict[str, Any]) -> str:
    """`MODEL_CARD.md`: the README of a model's page, for the student that is shipped with the most labels.

    Args:
        result: as in `report.json`.
    """
    pooled = max(result["pooled"], key=lambda one: one["labels"])
    lines = ["---", *_yaml(_front(result, pooled)), "---", "", f"# {escaped(_title(result))}", ""]
    lines += [
        *_what(result, pooled),
        *_training(result, pooled),
        *_evaluation(result, pooled),
        *_warnings(result),
        *_loading(pooled),
        *_versions(result),
    ]
    return "\n".join(lines)


def _front(result: dict[str, Any], pooled: dict[str, Any]) -> dict[str, Any]:
    """The front matter, with the results as the hubs' specification of a model index has them."""
    data, metrics = result["config"]["data"]["name"], _shipped(pooled)["metrics"]
    kind, task, _ = TASKS[pooled["headline"]]
    seeds = len(pooled["seeds"])
    mean = f" (mean of {seeds} seeds)" if seeds > 1 else ""
    measured = [
        {"type": HUB.get(name, name), "value": round(value, 6), "name": f"{NAMES.get(name, name)}{mean}"}
        for name, value in metrics.items()
    ]
    dataset = {"type": data, "name": f"{data}, target test rows", "split": "test"}
    found = {"task": {"type": kind, "name": task}, "dataset": dataset, "metrics": measured}
    return {
        "license": "unknown",
        "library_name": "recdistill",
        "pipeline_tag": kind,
        "tags": ["recommendation", "knowledge-distillation", "transfer-learning", "tabular"],
        "datasets": [data],
        "metrics": [metric["type"] for metric in measured],
        "model-index": [{"name": _title(result), "results": [found]}],
    }


def _what(result: dict[str, Any], pooled: dict[str, Any]) -> list[str]:
    config, size, gives = result["config"], _shipped(pooled), TASKS[pooled["headline"]][2]
    model, data = escaped(config["student"]["model"]), escaped(config["data"]["name"])
    return [
        f"A compact ranker ({model}, {size['params']:,} weights, {size['bytes']:,} bytes) that gives a row of user, "
        f"item and context {gives}, as logits. It is what the run ships with {percent(pooled['labels'])} of the "
        f"target's labels: {counted_names(pooled['shipped'])}.",
        "",
        "## Intended use",
        "",
        f"To order or to estimate candidates on the target domain of the data set {data}, with the columns that it was "
        "trained on. It was not tested on other domains, populations or times, nor for decisions about people. Its "
        "licence is not stated here: set `license` above, as the data's terms allow, before you publish it.",
        "",
    ]


def _training(result: dict[str, Any], pooled: dict[str, Any]) -> list[str]:
    teacher = result["config"]["teacher"]
    own = "a column of scores from a system of the user's own" if teacher.get("scores") else f"{teacher['model']}"
    kept = pooled["labelled"][0]
    lines = [
        "## How it was trained",
        "",
        f"- Labels: {percent(pooled['labels'])} of the target's, {kept['train']['labelled']:,.0f} training and "
        f"{kept['valid']['labelled']:,.0f} validation rows; seeds {', '.join(map(str, pooled['seeds']))}.",
        f"- Teacher of the run: {escaped(own)}.",
    ]
    choices = _shipped(pooled).get("choices") or [None] * len(pooled["shipped"])
    for seed, arm, choice in zip(pooled["seeds"], pooled["shipped"], choices, strict=True):
        lines.append(f"- Seed {seed}: {arm}, {_heard(arm, choice or {})}.")
    return [*lines, ""]


def _heard(arm: str, choice: dict[str, Any]) -> str:
    """What a student of an arm learnt from."""
    made = ARMS[arm]
    begun = "from a trained student" if made.warm else "from random weights"
    if made.teacher is None or not choice.get("alpha"):
        return f"{begun}, from labels without soft labels"
    rows = "all training rows" if made.unlabelled else "the labelled rows"
    weight = f"weight {choice['alpha']:g}, temperature {choice.get('temperature', 1.0):g}"
    return f"{begun}, from labels and the soft labels of {made.teacher} on {rows} ({weight})"


def _evaluation(result: dict[str, Any], pooled: dict[str, Any]) -> list[str]:
    """Its metrics, and each paired difference with its interval."""
    seeds, compared = len(pooled["seeds"]), [c for c in pooled["comparisons"] if c["a"] == _name(pooled)]
    mean = f", means over {seeds} seeds" if seeds > 1 else ""
    values = [["metric", "value"]]
    values += [[NAMES.get(name, name), f"{value:.4f}"] for name, value in _shipped(pooled)["metrics"].items()]
    lines = ["## Evaluation", "", f"On {pooled['enough']['test_rows']:,} test rows of the target{mean}.", ""]
    lines += [*markdown_table(values), ""]
    if not compared:
        return lines
    gains = [["metric", "minus", "difference [95 %]", "interval by"]]
    gains += [[NAMES.get(c["metric"], c["metric"]), c["b"], signed(c), c["method"]] for c in compared]
    return [
        *lines,
        "Paired differences on the same rows:",
        "",
        *markdown_table(gains),
        "",
        "hard_only is the same student of the target's labels alone, source_finetuned the same one trained on the "
        "source and fine-tuned, without a teacher.",
        "",
    ]


def _warnings(result: dict[str, Any]) -> list[str]:
    found = [f"- {escaped(caution)}" for caution in cautions(result)]
    return ["## Cautions", "", *found, ""] if found else []


def _loading(pooled: dict[str, Any]) -> list[str]:
    folder = (pooled.get("folders") or [f"students/{_name(pooled)}"])[0]
    others = "; each seed's student has a folder of its own beside it" if len(pooled["seeds"]) > 1 else ""
    return [
        "## How to load it",
        "",
        f"Its files are in `{folder}` of the run's folder{others}.",
        "",
        "```python",
        "import recdistill as rd",
        "",
        f"ranker = rd.Ranker.load({json.dumps(folder, ensure_ascii=False)})",
        "logits = ranker.score(table)  # an rd.Table with the same columns",
        "```",
        "",
    ]


def _versions(result: dict[str, Any]) -> list[str]:
    lines = [f"- {escaped(name)} {escaped(str(version))}" for name, version in (result.get("versions") or {}).items()]
    lines += [f"- made by `{' '.join(result['command'].replace('`', '').split())}`"] if result["command"] else []
    return ["## Versions", "", *lines, ""] if lines else []


def _name(pooled: dict[str, Any]) -> str:
    """The ranker that is shipped: the strategy's choice, or the arm that it was told."""
    return "auto" if "decisions" in pooled else str(pooled["shipped"][0])


def _shipped(pooled: dict[str, Any]) -> dict[str, Any]:
    return dict(pooled["rankers"][_name(pooled)])


def _title(result: dict[str, Any]) -> str:
    return f"recdistill-{result['config']['data']['name']}-{result['config']['student']['model']}"


def _yaml(value: Any, indent: str = "") -> list[str]:
    """A value in block style; scalars are quoted as in JSON, which YAML takes."""
    if isinstance(value, dict):
        return [line for key, of in value.items() for line in _keyed(f"{indent}{key}:", of, f"{indent}  ")]
    if isinstance(value, list):
        return [line for of in value for line in _listed(_yaml(of, f"{indent}  "), indent)]
    return [f"{indent}{_scalar(value)}"]


def _keyed(key: str, value: Any, indent: str) -> list[str]:
    return [key, *_yaml(value, indent)] if isinstance(value, dict | list) else [f"{key} {_scalar(value)}"]


def _listed(lines: list[str], indent: str) -> list[str]:
    """An entry of a list: a dash before its first line."""
    first, *others = lines
    return [f"{indent}- {first.strip()}", *others]


def _scalar(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    return UNPRINTABLE.sub(lambda found: f"\\u{ord(found.group()):04x}", text)
