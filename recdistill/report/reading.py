"""How to read a report's page: what was compared, and what its words mean."""

from __future__ import annotations

from typing import Any

from recdistill.report.words import NAMES, deltas


def reading(result: dict[str, Any]) -> list[str]:
    """The lines of the page's last section."""
    pooled = result["pooled"][0]
    methods = sorted({comparison["method"] for p in result["pooled"] for comparison in p["comparisons"]})
    lines = [*_choosing(result, pooled), *_strategy(result, pooled), *_gains(result, pooled), *_placebos(pooled)]
    lines += _metrics(pooled)
    lines += [
        f"A difference of less than {pooled['enough']['smallest_effect']:g} would not matter (smallest_effect). How "
        "many test rows it takes to tell it from 0, 4 times in 5, is estimated from the spread over these.",
        f"Intervals are paired and 95 %: {', '.join(methods)}. Those of several seeds include their spread.",
        *_bounds(result, pooled),
    ]
    skipped = pooled["rankers"]["chosen"]["users_skipped"]
    if skipped:
        words = ", ".join(f"{count:,} for {metric}" for metric, count in skipped.items())
        lines.append(f"Test users without a value (no click, or for gauc_mean one class only) are left out: {words}.")
    return lines


def _choosing(result: dict[str, Any], pooled: dict[str, Any]) -> list[str]:
    arms = sum(
        entry["role"] == "student" and name not in ("chosen", "auto") for name, entry in pooled["rankers"].items()
    )
    tried = len(result["config"]["tune"]["controls"])
    adapted = ", and so did the adapted teacher" if result["config"]["teacher"]["scores"] is None else ""
    return [
        "An arm's name begins with the teacher whose soft labels it hears (source: as it came; adapted: to the "
        "target's labels; scores: the given ones; calibrated: put on the target's scale; in_sample: adapted, and asked "
        "about the rows that it learnt).",
        "In the middle are the rows: labelled ones alone, or all, unlabelled ones too. It ends on _warm where the "
        "student starts from a trained one, otherwise weights are random at first.",
        f"chosen: in each seed the best of the {arms} arms with a teacher on that seed's labelled validation rows, "
        "to tell what distillation gives. A line picked by its test figures would promise too much.",
        f"Every arm tried {tried} candidates on the same validation rows{adapted}. chosen is the best of several arms, "
        "a control is one; an arm's own line is the plain comparison.",
    ]


def _strategy(result: dict[str, Any], pooled: dict[str, Any]) -> list[str]:
    if "decisions" not in pooled:
        return []
    config, decision = result["config"], pooled["decisions"][0]
    rivals, metric = ", ".join(decision["gains"]), NAMES[pooled["headline"]]
    return [
        f"auto is shipped: in each seed {rivals} and {decision['control']} were made anew without the labels of "
        f"each of {config['folds']} folds and scored its rows. The best of them by logloss is shipped if its gain over "
        f"{decision['control']} has a one-sided {100 * config['confidence']:g} % lower bound of at least 0, in logloss "
        f"and in {metric}; otherwise {decision['control']} is. The bound holds how much the folds differ beyond what "
        "their rows explain. auto is that arm's own student, of all labels. An arm "
        "whose gain has an upper bound below 0 in one metric shows signs of negative transfer; over several arms and "
        "metrics the bounds are not corrected, so noise is called so now and then.",
    ]


def _bounds(result: dict[str, Any], pooled: dict[str, Any]) -> list[str]:
    if "decisions" not in pooled:
        return []
    return [
        f"The bounds of auto's gains are one-sided, {100 * result['config']['confidence']:g} % each, since it asks "
        "only whether a gain is below 0; they are of the labelled training rows, the 95 % intervals of the test rows."
    ]


def _placebos(pooled: dict[str, Any]) -> list[str]:
    if "placebo" not in pooled["rankers"]:
        return []
    return [
        "A soft term also smooths labels and adds steps, whatever it says. Placebos have all that an arm has but the "
        "teacher's knowledge: in permuted_labelled each labelled row hears the best teacher's soft label of another, "
        "in base_rate_all every row hears the mean of the labels. placebo is in each seed that of chosen: only what is "
        "gained over it is the teacher's."
    ]


def _gains(result: dict[str, Any], pooled: dict[str, Any]) -> list[str]:
    if len(deltas(pooled)) > 1:
        gains = (
            "transfer is what was gained over the same student trained on the target's labels alone, distillation over "
            "the same student trained on the source and fine-tuned, without a teacher"
        )
        start = "source_finetuned"
    else:
        kind = (result["config"]["teacher"].get("calibration") or "platt").replace("_", " ").capitalize()
        gains = (
            "Without source rows no student can be trained there and fine-tuned, so the scores are all that is "
            "transferred: distillation is what was gained over the same student trained on the target's labels alone. "
            f"calibrated_scores are the given ones fitted to the labelled rows ({kind})"
        )
        start = "hard_only"
    return [
        f"{gains}.",
        "alpha is the weight of the soft labels in each seed; with 0 there was no distillation. Arms named _warm "
        f"start where {start} ended and so train once more: what one gains with alpha 0 is that training's.",
    ]


def _metrics(pooled: dict[str, Any]) -> list[str]:
    seeds = len(pooled["seeds"])
    means = (
        f"Metrics are means over {seeds} seed{'s' if seeds > 1 else ''} (labels kept, weights, order of rows), all on "
    )
    if pooled["headline"] == "rmse":
        return [
            f"{means}the same test rows. RMSE and MAE are of the expected rating, accuracy and macro-F1 of the most "
            "probable one. Lower RMSE, MAE and logloss are better, so there a negative delta is a gain."
        ]
    return [
        f"{means}the same test rows. Accuracy, precision, recall and F1 are at the threshold with the best F1 on the "
        "labelled validation rows.",
        "Tied scores: AUC counts a tied pair as half; ranking metrics are expected values over random orders.",
    ]
