"""A leaderboard over several runs in sentences, in a table, and as a page."""

from __future__ import annotations

from typing import Any

from recdistill.report.cautions import few_to_test
from recdistill.report.comparisons import LEVEL, method_words
from recdistill.report.markdown_table import escaped, markdown_table
from recdistill.report.summary import share_title
from recdistill.report.words import LOWER_IS_BETTER, NAMES, counted_names, percent, signed

SHOWN = 12  # digits of a configuration's digest


def leader_lines(result: dict[str, Any]) -> list[str]:
    """For each share of labels which ranker is best, and whether it is shown to be better than the reference.

    Where a teacher leads, the best student too, which is what can be shipped.
    """
    return [line for share in result["shares"] for line in _leaders(share, result["metric"])]


def leader_table(share: dict[str, Any], metric: str) -> list[list[str]]:
    """Header and one line per ranker, best first: what it is, two metrics, bytes, and its difference to the reference.

    Args:
        share: of the leaderboard's "shares".
        metric: the headline.
    """
    against, by_name = share["against"], {c["a"]: c for c in share["comparisons"]}
    gain = [f"{NAMES[metric]} minus {against}'s [95 %]", "p, Holm", "interval by"] if against else []
    lines = [["ranker", "what it is", NAMES[metric], "logloss", "bytes", *gain]]
    for name, entry in share["rankers"].items():
        size = f"{entry['bytes']:,}" if entry["bytes"] else ""
        line = [name, _kind(entry), *(f"{entry['metrics'][m]:.4f}" for m in (metric, "logloss")), size]
        if comparison := by_name.get(name):
            line += [signed(comparison), f"{comparison['p_holm']:.2g}", method_words(comparison)]
        elif against:
            line += ["the reference", "", ""]
        lines.append(line)
    return lines


def leader_page(result: dict[str, Any]) -> str:
    """`leaderboard.md`."""
    metric, test = result["metric"], result["test"]
    lines = ["# Leaderboard", "", *(f"- {escaped(line)}" for line in leader_lines(result)), ""]
    lines += [line for caution in leader_cautions(result) for line in (f"**Caution:** {escaped(caution)}", "")]
    for share in result["shares"]:
        lines += [f"## {share_title(share)}", "", *markdown_table(leader_table(share, metric)), ""]
    lines += ["## Runs", "", *markdown_table(_runs(result)), ""]
    lines += [f"All are tested on the same {test['rows']:,} rows (fingerprint `{test['fingerprint']}`).", ""]
    lines += ["## How to read this", "", *(f"- {line}" for line in _reading(result)), ""]
    if result["command"]:
        lines += ["## Made by", "", f"    {' '.join(result['command'].split())}", ""]
    return "\n".join(lines)


def leader_cautions(result: dict[str, Any]) -> list[str]:
    """What makes the leaderboard's intervals weaker than they look."""
    found = [few] if (few := few_to_test(result["test"])) else []
    if any(len(share["seeds"]) == 1 for share in result["shares"]):
        found.append("one seed: how much another draw of labels and weights would change is not in the intervals.")
    return found


def _leaders(share: dict[str, Any], metric: str) -> list[str]:
    rankers = share["rankers"]
    best = next(iter(rankers))
    lines = [
        f"{percent(share['labels'])} of the labels: best of {len(rankers)} rankers is {_reached(share, best, metric)}."
    ]
    student = next((name for name, entry in rankers.items() if entry["role"] != "teacher"), best)
    return lines if student == best else [*lines, f"Best student: {_reached(share, student, metric)}."]


def _reached(share: dict[str, Any], name: str, metric: str) -> str:
    """A ranker, its headline metric, and what is known of its difference to the reference."""
    entry, against = share["rankers"][name], share["against"]
    better = " (lower is better)" if metric in LOWER_IS_BETTER else ""
    reached = f"{name} ({_kind(entry)}) with {NAMES[metric]} {entry['metrics'][metric]:.4f}{better}"
    if name == against:
        return f"{reached}, the reference itself"
    comparison = next((c for c in share["comparisons"] if c["a"] == name), None)
    if comparison is None:
        return f"{reached}; there is no reference to compare it with"
    gained = comparison["delta"] < 0 if metric in LOWER_IS_BETTER else comparison["delta"] > 0
    shown = (
        "not shown to be better than" if comparison["p_holm"] >= LEVEL or not gained else "significantly better than"
    )
    return f"{reached}, {shown} {against}: {signed(comparison)}, p {comparison['p_holm']:.2g} after Holm"


def _kind(entry: dict[str, Any]) -> str:
    """What a ranker is, and where it is shipped which arm's student."""
    if not entry["shipped"]:
        return str(entry["role"])
    arms = counted_names(entry["shipped"])
    return "student, shipped" if arms == entry["ranker"] else f"student, shipped: {arms}"


def _runs(result: dict[str, Any]) -> list[list[str]]:
    lines = [["run", "folder", "shares of labels", "seeds", "configuration"]]
    for run in result["runs"]:
        shares = ", ".join(map(percent, run["labels"]))
        lines.append([run["name"], run["path"], shares, str(run["seeds"]), run["config"][:SHOWN]])
    return lines


def _reading(result: dict[str, Any]) -> list[str]:
    comparisons = [comparison for share in result["shares"] for comparison in share["comparisons"]]
    lower = "A negative difference is a gain. " if result["metric"] in LOWER_IS_BETTER else ""
    how = "; ".join(sorted({method_words(comparison) for comparison in comparisons}))
    lines = [
        f"{lower}Differences are paired on the same rows, with 95 % intervals ({how}). Those of several seeds include "
        "their spread.",
        f"p is corrected by Holm over the {len(comparisons)} differences of all shares; below {LEVEL:g} one is called "
        "significant. Intervals are not corrected. Only the reference is compared with the others.",
        "The best was picked by its test figures, so its own figure promises a little too much.",
        "hard_only is a run's student of the target's labels alone, source_finetuned the same student trained on the "
        "source and fine-tuned; neither hears a teacher. auto is what a run's strategy chose on the labelled rows.",
    ]
    if len({run["seeds"] for run in result["runs"]}) > 1:
        lines.append("In a share only the seeds count that all runs with this share have.")
    return lines
