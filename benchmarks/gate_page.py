"""The page of `gate.py`, made from its `results.json` alone."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from statistics import mean
from typing import Any

Result = Mapping[str, Any]
WORDS = {
    "helpful": "a system at home in these rows, calibrated",
    "harmful": "a system of another world, twice as sure of itself",
    "useless": "noise, calibrated",
}


def page(result: Result) -> str:
    """The result as Markdown."""
    return "\n".join([*_head(result), *_answer(result), *_teachers(result), *_worlds(result), ""])


def of(result: Result, teacher: str) -> list[Mapping[str, Any]]:
    """The worlds of a teacher."""
    return [world for world in result["worlds"] if world["teacher"] == teacher]


def accepted(result: Result, teacher: str) -> int:
    """In how many worlds the student that listens was chosen."""
    return sum(world["decision"]["chosen"] == "taught" for world in of(result, teacher))


def alarmed(result: Result, teacher: str) -> int:
    """In how many worlds the student that listens was called harmful."""
    return sum("taught" in world["decision"]["harmful"] for world in of(result, teacher))


def _head(result: Result) -> list[str]:
    sizes, decision = result["sizes"], result["worlds"][0]["decision"]
    lines = ["# Planted teachers", "", f"Made by `{result['command']}`"]
    lines += [f"(Python {result['python']}, torch {result['torch']}).", ""]
    text = f"""{len(of(result, "helpful"))} synthetic worlds, each with a target of {sizes["target_rows"]:,} rows,
        {sizes["target_users"]} users and {sizes["items"]} items. {100 * result["share"]:g} % of the training and
        validation rows keep their labels: {result["labelled"]} training rows in the first world. `rd.choose` has two
        candidates, by cross-validation in {result["folds"]} folds: `hard_only`, labels alone, and `taught`, the same
        student with alpha {result["alpha"]:g} on all training rows, which cannot refuse to listen. It is chosen if its
        gains in log loss and in AUC both have a {100 * decision["confidence"]:g} % lower bound of at least 0, and
        called harmful if one of them has an upper bound below 0. The settings were fixed on worlds with other seeds."""
    return [*lines, *textwrap.wrap(" ".join(text.split()), 110), ""]


def _answer(result: Result) -> list[str]:
    count = len(of(result, "helpful"))
    said = [
        f"- The helpful teacher is accepted in {accepted(result, 'helpful')} of {count} worlds.",
        f"- The harmful teacher is rejected in {count - accepted(result, 'harmful')} of {count}, and called harmful in "
        f"{alarmed(result, 'harmful')}.",
        f"- The useless teacher is accepted in {accepted(result, 'useless')} of {count}: {_when_accepted(result)}.",
    ]
    return ["## Answer", "", *said, ""]


def _when_accepted(result: Result) -> str:
    """What test rows say of the useless teacher's students that were chosen."""
    gains = [w["test_gain"]["logloss"] for w in of(result, "useless") if w["decision"]["chosen"] == "taught"]
    if not gains:
        return "nothing was gained or lost by it"
    better = sum(gain > 0 for gain in gains)
    return f"there its student has the better log loss on test rows in {better} of {len(gains)}"


def _teachers(result: Result) -> list[str]:
    lines = [
        "Gains of `taught` over `hard_only`, mean over worlds (lowest to highest); more is better in both metrics.",
        "Those on test rows tell whether the planting worked: no decision rests on them.",
        "",
        "| teacher | what it is | accepted | called harmful | log loss out of fold | AUC out of fold "
        "| log loss on test rows | AUC on test rows | better log loss on test rows |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for teacher, words in WORDS.items():
        worlds = of(result, teacher)
        found = [_spread([_out_of_fold(w, metric)["mean"] for w in worlds]) for metric in ("logloss", "auc")]
        found += [_spread([w["test_gain"][metric] for w in worlds]) for metric in ("logloss", "auc")]
        counts = [f"{n} of {len(worlds)}" for n in (accepted(result, teacher), alarmed(result, teacher))]
        better = sum(w["test_gain"]["logloss"] > 0 for w in worlds)
        lines.append("| " + " | ".join([teacher, words, *counts, *found, f"{better} of {len(worlds)}"]) + " |")
    return [*lines, ""]


def _worlds(result: Result) -> list[str]:
    lines = [
        "## Worlds",
        "",
        "The gain in log loss out of fold, its bounds, the gain on test rows, and the decision:",
        "",
    ]
    lines += ["| seed | " + " | ".join(WORDS) + " |", "|" + "---|" * (1 + len(WORDS))]
    for seed in dict.fromkeys(world["seed"] for world in result["worlds"]):
        cells = [_cell(world) for world in result["worlds"] if world["seed"] == seed]
        lines.append("| " + " | ".join([str(seed), *cells]) + " |")
    return lines


def _cell(world: Mapping[str, Any]) -> str:
    gain, decision = _out_of_fold(world, "logloss"), world["decision"]
    word = "accepted" if decision["chosen"] == "taught" else "harmful" if decision["harmful"] else "rejected"
    bounds = f"{gain['mean']:+.4f} [{gain['low']:+.4f}, {gain['high']:+.4f}]"
    return f"{bounds}, test {world['test_gain']['logloss']:+.4f}: {word}"


def _out_of_fold(world: Mapping[str, Any], metric: str) -> Mapping[str, float]:
    gains: Mapping[str, Mapping[str, float]] = world["decision"]["gains"]["taught"]
    return gains[metric]


def _spread(values: Sequence[float]) -> str:
    return f"{mean(values):+.4f} ({min(values):+.4f} to {max(values):+.4f})"
