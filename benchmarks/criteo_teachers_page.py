"""The page of `criteo_teachers.py`, made from its `results.json` alone."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from statistics import mean
from typing import Any

REFERENCE, FLOOR, METRICS = "lr", 0.750, ("auc", "logloss")
Result = Mapping[str, Any]


def page(result: Result) -> str:
    """The result as Markdown."""
    return "\n".join([*_head(result), *verdict(result), "", *_models(result), "", *_trials(result), ""])


def verdict(result: Result) -> list[str]:
    """What came of it, in words."""
    teacher, other = result["chosen"]["teacher"], result["chosen"]["best_but_reference"]
    scores, rows = result["test"]["models"][teacher]["auc"], result["data"]["train"]["rows"]
    reached = "at least" if mean(scores) >= FLOOR else "below"
    said = [f"- The teacher is `{teacher}`. Its test AUC is {_spread(scores)}: {reached} {FLOOR:.3f}."]
    if teacher == REFERENCE:
        said += [f"- Logistic regression wins: with {rows:,} training rows no larger model did better in validation."]
        said += [f"- The best of the others there, `{other}`, against it on test rows: {_told(result, other)}"]
    else:
        said += [f"- Against logistic regression on test rows: {_told(result, teacher)}"]
    error = result["test"]["sampling_error"]
    return ["## Answer", "", *said, f"- The standard error of one AUC on these test rows is {error:.4f}."]


def compared(result: Result, model: str, metric: str = "auc") -> Mapping[str, float]:
    """A model's paired difference to logistic regression."""
    found = result["test"]["comparisons"]
    return next(c for c in found if (c["a"], c["metric"]) == (model, metric))


def _head(result: Result) -> list[str]:
    rows = ", ".join(f"{part['rows']:,} {name} ({part['clicks']:,} clicks)" for name, part in result["data"].items())
    trials = len({trial["trial"] for trial in result["trials"]})
    seeds = len({entry["seed"] for entry in result["seeds"]})
    lines = ["# Teachers on Criteo", "", f"Made by `{result['command']}`"]
    lines += [f"(Python {result['python']}, torch {result['torch']}).", "", f"Rows, split by position: {rows}.", ""]
    text = f"""Each model had {trials} trials, logistic regression (`lr`) as many; their ranges were set after earlier
        fits, most of them of `lr` and `deepfm`, on the same training and validation rows. Each trial was stopped early
        on the validation rows. Decided beforehand: a model's best trial has the lowest validation log loss with seed 0;
        it is trained with {seeds} seeds; the teacher is the model with the lowest mean validation log loss over them.
        The test rows were scored after that."""
    return [*lines, *_paragraph(text), ""]


def _paragraph(text: str) -> list[str]:
    return textwrap.wrap(" ".join(text.split()), 110)


def _told(result: Result, model: str) -> str:
    found = compared(result, model)
    shown = "the interval holds 0, no difference is shown."
    if found["low"] > 0:
        shown = f"`{model}` is better."
    elif found["high"] < 0:
        shown = f"`{model}` is worse."
    return f"AUC {_difference(found)}, p = {found['p']:.2g}: {shown}"


def _models(result: Result) -> list[str]:
    text = """Mean over seeds (lowest to highest). Differences are paired by rows, with 95 % intervals that hold the
        variance between seeds and are not corrected for their number: AUC by DeLong, log loss by bootstrap. Only the
        lines of the teacher and of logistic regression answer a question asked beforehand; the other test scores are
        for information. Seconds are of the processor, one thread, mean of the seeds."""
    lines = ["## Models", "", *_paragraph(text), ""]
    lines += ["| model | trial | parameters | validation log loss | validation AUC | test AUC | test log loss |"]
    lines[-1] += " test AUC minus `lr` | test log loss minus `lr` | seconds |"
    lines += ["|" + "---|" * 10]
    models = dict.fromkeys(entry["model"] for entry in result["seeds"])
    of = {m: [entry for entry in result["seeds"] if entry["model"] == m] for m in models}
    for model in sorted(models, key=lambda m: mean(entry["logloss"] for entry in of[m])):
        found, tested = of[model], result["test"]["models"][model]
        name = f"`{model}`, the teacher" if model == result["chosen"]["teacher"] else f"`{model}`"
        cells = [name, str(found[0]["trial"]), f"{found[0]['parameters']:,}"]
        cells += [_spread([e[metric] for e in found]) for metric in ("logloss", "auc")]
        cells += [_spread(tested[metric]) for metric in METRICS]
        cells += ["" if model == REFERENCE else _difference(compared(result, model, metric)) for metric in METRICS]
        lines.append("| " + " | ".join([*cells, f"{mean(e['seconds'] for e in found):.1f}"]) + " |")
    return lines


def _trials(result: Result) -> list[str]:
    text = """`lr` has no embeddings' length, hidden layers or dropout, `fm` only the first. `dlrm`: the bottom network
        has the first of the hidden layers, the top network all; `finalmlp`: both streams have them; `dcnv2`: two cross
        layers beside them. All were fitted with"""
    numbers = sorted({trial["trial"] for trial in result["trials"]})
    by_place = {(trial["model"], trial["trial"]): trial for trial in result["trials"]}
    fits = [trial["fit"] for trial in result["trials"]]
    common = {key: value for key, value in fits[0].items() if all(fit.get(key) == value for fit in fits)}
    lines = ["## Trials", "", *_paragraph(f"{text} {_listed(common)}."), ""]
    lines += ["| trial | numbers | min_count | embedding_dim | hidden | dropout | fit |", "|" + "---|" * 7]
    for number in numbers:
        mlp = by_place["mlp", number]
        encoder, arguments = mlp["encoder"], mlp["arguments"]
        hidden = "-".join(map(str, arguments["hidden"]))
        cells = [str(number), encoder["numbers"], str(encoder["min_count"]), str(arguments["embedding_dim"]), hidden]
        how = _listed({key: value for key, value in mlp["fit"].items() if key not in common})
        lines.append("| " + " | ".join([*cells, f"{arguments['dropout']:g}", how]) + " |")
    lines += ["", "Validation log loss with seed 0, and the epoch it was reached in:", ""]
    lines += ["| model | " + " | ".join(map(str, numbers)) + " |", "|" + "---|" * (1 + len(numbers))]
    for model in dict.fromkeys(trial["model"] for trial in result["trials"]):
        found = [by_place[model, number] for number in numbers]
        cells = [f"{trial['logloss']:.4f} ({trial['best_epoch']})" for trial in found]
        lines.append(f"| `{model}` | " + " | ".join(cells) + " |")
    return lines


def _listed(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in settings.items())


def _spread(values: Sequence[float]) -> str:
    return f"{mean(values):.4f} ({min(values):.4f} to {max(values):.4f})"


def _difference(found: Mapping[str, float]) -> str:
    return f"{found['delta']:+z.4f} [{found['low']:+z.4f}, {found['high']:+z.4f}]"
