"""How fast are metrics per user and intervals, and do scikit-learn and pytrec_eval give the same? On drawn rows.

    OMP_NUM_THREADS=1 python benchmarks/metrics.py

Ours run over all rows; scikit-learn's loop and pytrec_eval run over samples of the users, and their seconds are raised
in proportion. Writes `benchmarks/results/metrics/`.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pytrec_eval
from sklearn.metrics import ndcg_score, recall_score, roc_auc_score

from recdistill.artefacts import write_json, write_text
from recdistill.metrics import PerList, auc_difference, grouped_auc, ndcg_at_k, recall_at_k

FOLDER = Path(__file__).parent / "results" / "metrics"
Array = np.ndarray[Any, Any]
K, CLOSE = 10, 1e-9
OURS: dict[str, Callable[..., PerList]] = {
    "grouped AUC": grouped_auc,
    f"NDCG@{K}": ndcg_at_k,
    f"recall@{K}": recall_at_k,
}
TREC = {f"NDCG@{K}": ("ndcg_cut", f"ndcg_cut_{K}"), f"recall@{K}": ("recall", f"recall_{K}")}
LOOP_BAR, TREC_BAR = 50, 10
INTERVAL_BARS = {"paired DeLong": 3, "clustered DeLong": 4}


@dataclass(frozen=True)
class Drawn:
    """Rows of users.

    Args:
        users, labels: (rows,).
        untied, rival: (rows,) float32 scores of two rankers, no two of one ranker equal.
        tied: (rows,) the first ranker's in steps of 0.1.
    """

    users: Array
    labels: Array
    untied: Array
    rival: Array
    tied: Array

    @staticmethod
    def of(rows: int, users: int) -> Drawn:
        """As many rows a user as chance gives; three in ten are clicks. Ranks as scores do not tie."""
        rng = np.random.default_rng(0)
        user = rng.integers(0, users, rows)
        labels = (rng.random(rows) < 0.3).astype(np.int8)
        first = labels + rng.normal(size=rows)
        second = first + rng.normal(size=rows)
        return Drawn(user, labels, _ranks(first), _ranks(second), first.round(1).astype(np.float32))

    def lists(self, users: Array) -> list[Array]:
        """Where the rows of each of some users are; `users` rising."""
        mine = np.flatnonzero(np.isin(self.users, users))
        mine = mine[np.argsort(self.users[mine], kind="stable")]
        return np.split(mine, np.flatnonzero(np.diff(self.users[mine])) + 1)


def main() -> None:
    """Draw, measure, write the page."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--rows", type=int, default=10_000_000, help="(default 10,000,000)")
    arguments.add_argument("--users", type=int, default=1_000_000, help="(default 1,000,000)")
    arguments.add_argument("--loop-users", type=int, default=3_000, help="of scikit-learn's loop (default 3,000)")
    arguments.add_argument("--trec-users", type=int, default=100_000, help="of pytrec_eval (default 100,000)")
    arguments.add_argument("--turns", type=int, default=3, help="how often each is measured (default 3)")
    arguments.add_argument("--out", type=Path, default=FOLDER, help="folder of the page")
    asked = arguments.parse_args()
    drawn = Drawn.of(asked.rows, asked.users)
    packages = ("numpy", "scikit-learn", "pytrec-eval-terrier")
    result = {
        "rows": asked.rows,
        "users": asked.users,
        "turns": asked.turns,
        "cores": os.cpu_count(),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in packages}},
        "loop": against_loop(drawn, asked.loop_users, asked.turns),
        "trec": against_trec(drawn, asked.trec_users, asked.turns),
        "intervals": intervals(drawn, asked.turns),
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }
    write_json(asked.out / "results.json", result)
    write_text(asked.out / "README.md", page(result))
    print(page(result))


def against_loop(drawn: Drawn, users: int, turns: int) -> list[dict[str, Any]]:
    """Ours beside a Python loop over some users that calls scikit-learn, on scores with ties where it averages them."""
    loops = {"grouped AUC": _auc, f"NDCG@{K}": _ndcg, f"recall@{K}": _recall}
    found = []
    for name, metric in OURS.items():
        scores = drawn.untied if name.startswith("recall") else drawn.tied
        ours = metric(scores, drawn.labels, drawn.users)
        sample = _sample(ours.lists, users)
        rows = [(drawn.labels[of], scores[of]) for of in drawn.lists(ours.lists[sample])]
        values = np.array([loops[name](*row) for row in rows])
        times = {"ours": [], "theirs": []}
        for _ in range(turns):
            times["ours"].append(seconds(lambda m=metric, s=scores: m(s, drawn.labels, drawn.users)))
            share = len(rows) / len(ours.lists)
            times["theirs"].append(seconds(lambda n=name, r=rows: [loops[n](*row) for row in r]) / share)
        found.append(
            {
                "metric": name,
                "ties": scores is drawn.tied,
                "users": len(rows),
                "of": len(ours.lists),
                "furthest": float(np.abs(values - ours.values[sample]).max()),
                "seconds": times,
            }
        )
    return found


def against_trec(drawn: Drawn, users: int, turns: int) -> list[dict[str, Any]]:
    """Ours beside pytrec_eval over some users, on scores without ties, which it breaks by the items' names."""
    found = []
    for name, (measure, key) in TREC.items():
        ours = OURS[name](drawn.untied, drawn.labels, drawn.users)
        sample = _sample(ours.lists, users)
        lists = drawn.lists(ours.lists[sample])
        judged, ranked = _dictionaries(drawn, lists)
        asked = {f"{measure}.{K}"}
        theirs = pytrec_eval.RelevanceEvaluator(judged, asked).evaluate(ranked)
        values = np.array([theirs[str(user)][key] for user in ours.lists[sample]])
        share = len(lists) / len(ours.lists)
        times: dict[str, list[float]] = {"ours": [], "theirs": [], "dictionaries": []}
        for _ in range(turns):
            times["ours"].append(seconds(lambda n=name: OURS[n](drawn.untied, drawn.labels, drawn.users)))
            work = lambda j=judged, a=asked, r=ranked: pytrec_eval.RelevanceEvaluator(j, a).evaluate(r)  # noqa: E731
            times["theirs"].append(seconds(work) / share)
            times["dictionaries"].append(seconds(lambda rows=lists: _dictionaries(drawn, rows)) / share)
        found.append(
            {
                "metric": name,
                "users": len(lists),
                "of": len(ours.lists),
                "furthest": float(np.abs(values - ours.values[sample]).max()),
                "seconds": times,
            }
        )
    return found


def intervals(drawn: Drawn, turns: int) -> dict[str, Any]:
    """Both forms of DeLong beside one AUC of scikit-learn on the same rows, in turns."""
    pair = (drawn.untied, drawn.rival, drawn.labels)
    works: dict[str, Callable[[], Any]] = {
        "roc_auc_score": lambda: roc_auc_score(drawn.labels, drawn.untied),
        "paired DeLong": lambda: auc_difference(*pair),
        "clustered DeLong": lambda: auc_difference(*pair, clusters=drawn.users),
    }
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(turns):
        for name, work in works.items():
            times[name].append(seconds(work))
    delta = roc_auc_score(drawn.labels, drawn.untied) - roc_auc_score(drawn.labels, drawn.rival)
    return {"seconds": times, "furthest": abs(delta - works["clustered DeLong"]().delta)}


def page(result: dict[str, Any]) -> str:
    """The result as Markdown."""
    lines = ["# Metrics: how fast, and whether the same", ""]
    lines += ["Made by `OMP_NUM_THREADS=1 python benchmarks/metrics.py`.", ""]
    told = ", ".join(f"{name} {number}" for name, number in result["versions"].items())
    lines += [
        f"{result['rows']:,} rows of {result['users']:,} users, {result['cores']} cores; {told}. Seconds are of the",
        f"processor, medians of {result['turns']} turns; peak memory {result['peak_bytes'] / 1e9:.1f} GB. The others",
        "ran over samples of the users, and their seconds are raised in proportion; the furthest is the largest",
        "distance of a user's value from ours in the sample.",
        "",
        "| metric | beside | users | ours, s | theirs, s | times as fast | furthest | at least |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, bar, entries in (("scikit-learn's loop", LOOP_BAR, "loop"), ("pytrec_eval", TREC_BAR, "trec")):
        for entry in result[entries]:
            ties = ", with ties" if entry.get("ties") else ""
            cells = [entry["metric"] + ties, name, f"{entry['users']:,} of {entry['of']:,}"]
            cells += [f"{median(entry['seconds']['ours']):.2f}", f"{median(entry['seconds']['theirs']):.2f}"]
            held = faster(entry) >= bar and entry["furthest"] <= CLOSE
            cells += [f"{faster(entry):.1f}", f"{entry['furthest']:.1g}", f"{bar}: {_holds(held)}"]
            lines += ["| " + " | ".join(cells) + " |"]
    built = median(median(entry["seconds"]["dictionaries"]) for entry in result["trec"])
    lines += [
        "",
        f"pytrec_eval reads dictionaries; making them takes another {built:.1f} s, which is not counted. scikit-learn",
        f"has no recall@{K}: its loop sorts each user's rows and calls `recall_score` on the first {K}.",
        "",
        "| interval | s | times one `roc_auc_score` | at most |",
        "|---|---|---|---|",
    ]
    found = result["intervals"]["seconds"]
    for name, bar in INTERVAL_BARS.items():
        cells = [name, f"{median(found[name]):.2f}", f"{slower(result, name):.2f}"]
        lines += ["| " + " | ".join([*cells, f"{bar}: {_holds(slower(result, name) <= bar)}"]) + " |"]
    lines += [
        "",
        f"One `roc_auc_score` takes {median(found['roc_auc_score']):.2f} s; the difference of two is",
        f"{result['intervals']['furthest']:.1g} from ours.",
    ]
    return "\n".join([*lines, ""])


def faster(entry: dict[str, Any]) -> float:
    """How many times ours is as fast, in the median turn."""
    times = entry["seconds"]
    return median(theirs / ours for theirs, ours in zip(times["theirs"], times["ours"], strict=True))


def slower(result: dict[str, Any], name: str) -> float:
    """How many times an interval takes one AUC's time, in the median turn."""
    times = result["intervals"]["seconds"]
    return median(own / one for own, one in zip(times[name], times["roc_auc_score"], strict=True))


def seconds(work: Callable[[], Any]) -> float:
    """Of the processor, which other work on the machine does not lengthen as the clock's."""
    started = time.process_time()
    work()
    return time.process_time() - started


def _auc(labels: Array, scores: Array) -> float:
    return float(roc_auc_score(labels, scores))


def _ndcg(labels: Array, scores: Array) -> float:
    return float(ndcg_score([labels], [scores], k=K)) if len(labels) > 1 else 1.0


def _recall(labels: Array, scores: Array) -> float:
    shown = np.zeros(len(labels), np.int8)
    shown[np.argsort(-scores)[:K]] = 1
    return float(recall_score(labels, shown))


def _ranks(scores: Array) -> Array:
    ranks = np.empty(len(scores), np.float32)
    ranks[np.argsort(scores)] = np.arange(len(scores))
    return ranks


def _sample(lists: Array, users: int) -> Array:
    """Positions of some lists, rising."""
    return np.sort(np.random.default_rng(1).permutation(len(lists))[:users])


def _dictionaries(drawn: Drawn, lists: list[Array]) -> tuple[dict[str, Any], dict[str, Any]]:
    judged, ranked = {}, {}
    for rows in lists:
        user, items = str(drawn.users[rows[0]]), [str(row) for row in rows.tolist()]
        judged[user] = dict(zip(items, drawn.labels[rows].tolist(), strict=True))
        ranked[user] = dict(zip(items, drawn.untied[rows].tolist(), strict=True))
    return judged, ranked


def _holds(held: bool) -> str:
    return "holds" if held else "does not hold"


if __name__ == "__main__":
    main()
