"""How fast is full ranking, and what would scoring the written-out candidate table cost? On MovieLens-1M's women.

    python benchmarks/full_ranking.py $RECDISTILL_DATA/ml-1m

Both ways rank the same users with the same rankers in one process, taking turns. The page also shows what drawing
100 negatives for each user would have made of the same rankings. Writes `benchmarks/results/full_ranking/`.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from recdistill.artefacts import write_json, write_text
from recdistill.candidates import Candidates
from recdistill.datasets import movielens
from recdistill.encoder import Encoder
from recdistill.fit_settings import FitSettings
from recdistill.full_ranking import compare_ranked, rank
from recdistill.metrics import mrr, ndcg_at_k, recall_at_k
from recdistill.models import build
from recdistill.ranker import Ranker
from recdistill.splits import split
from recdistill.tables import Table
from recdistill.training import fit

FOLDER = Path(__file__).parent / "results" / "full_ranking"
RANKERS: dict[str, dict[str, Any]] = {
    "compact": {"embedding_dim": 4, "hidden": [32]},
    "large": {"embedding_dim": 32, "hidden": [256, 128]},
}
TIMED_USERS, TURNS = 200, 3


def main() -> None:
    """Train, time both ways, rank everyone, write the page."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("root", type=Path, help="the folder of MovieLens-1M")
    arguments.add_argument("--threads", type=int, default=1, help="of torch (default 1)")
    asked = arguments.parse_args()
    torch.set_num_threads(asked.threads)
    _, target = movielens.load(asked.root)
    train, valid, test = split(target)
    seen = (train, valid)
    timed = Candidates.of(test, seen=seen, users=TIMED_USERS)
    full, sampled = Candidates.of(test, seen=seen), Candidates.of(test, seen=seen, sampled=100)
    entries, ranked = {}, {}
    for name, model in RANKERS.items():
        encoder = Encoder.fit(train)
        ranker = Ranker(encoder, build("deepfm", encoder.spec, arguments=model))
        fit(ranker, train, valid=valid, settings=FitSettings(epochs=4, batch_size=2048))
        ranked[name] = {candidates.protocol: rank(ranker, candidates) for candidates in (full, sampled)}
        speed = timings(ranker, timed)
        entries[name] = {"model": model, **speed, "ranked": [found.to_dict() for found in ranked[name].values()]}
        print(name, entries[name], flush=True)
    compared = [compare_ranked(ranked["large"][p], ranked["compact"][p], "ndcg@10") for p in ranked["large"]]
    facts = {"torch": torch.__version__, "python": platform.python_version(), "threads": asked.threads}
    head = {"users": TIMED_USERS, "turns": TURNS, "test_rows": len(test), **facts}
    result = {**head, "rankers": entries, "comparisons": compared}
    write_json(FOLDER / "results.json", result)
    write_text(FOLDER / "README.md", page(result))


def timings(ranker: Ranker, candidates: Candidates) -> dict[str, Any]:
    """Candidates per second of processor time of both ways: medians over turns, and the ratio of each turn's times."""
    seconds: dict[str, list[float]] = {"together": [], "written_out": []}
    for _ in range(TURNS):
        seconds["together"].append(_seconds(lambda: rank(ranker, candidates)))
        seconds["written_out"].append(_seconds(lambda: written_out(ranker, candidates)))
    slow = written_out(ranker, candidates)
    fast = {name: found.mean for name, found in rank(ranker, candidates).values.items()}
    count = sum(int(block.candidate.sum()) for block in candidates.blocks(10**6))
    ratios = [slow_ / fast_ for slow_, fast_ in zip(seconds["written_out"], seconds["together"], strict=True)]
    return {
        "candidates": count,
        "per_second": {way: count / median(times) for way, times in seconds.items()},
        "ratios": ratios,
        "largest_difference": max(abs(slow[name] - fast[name]) for name in fast),
    }


def written_out(ranker: Ranker, candidates: Candidates) -> dict[str, float]:
    """The same metrics from a table with a row for each candidate, made for some users at a time."""
    scores, labels, lists = [], [], []
    of_item = [name for name, side in candidates.sides.items() if side == "item"]
    for block in candidates.blocks(10**6):
        user, item = block.candidate.nonzero()
        rows = candidates.users.arrow.take(pa.array(block.start + user)).drop_columns(candidates.users.schema.row_id)
        items = candidates.items.arrow.take(pa.array(item))
        for name in of_item:
            rows = rows.set_column(rows.column_names.index(name), name, items[name])
        scores.append(ranker.score(Table(rows, candidates.users.schema)))
        labels.append(block.relevant[user, item])
        lists.append(block.start + user)
    flat = np.concatenate(scores), np.concatenate(labels), np.concatenate(lists)
    return {"recall@10": recall_at_k(*flat).mean, "ndcg@10": ndcg_at_k(*flat).mean, "mrr": mrr(*flat).mean}


def page(result: dict[str, Any]) -> str:
    """The result as Markdown."""
    lines = ["# Full ranking", "", "Made by `python benchmarks/full_ranking.py $RECDISTILL_DATA/ml-1m`."]
    lines += [f"Two DeepFMs on MovieLens-1M's women, 80/10/10 at random, {result['threads']} thread(s) on the CPU."]
    lines += ["", "## Speed", "", f"{result['users']} users, all unseen movies, median of {result['turns']} turns, per"]
    lines += [
        "second of processor time. The written-out table has a row for each user and candidate; it gives the same"
    ]
    lines += ["metrics.", ""]
    lines += ["| ranker | candidates | put together, per second | written out, per second | times faster |"]
    lines += ["|---|---|---|---|---|"]
    for name, entry in result["rankers"].items():
        speed, ratios = entry["per_second"], sorted(entry["ratios"])
        cells = [name, f"{entry['candidates']:,}", f"{speed['together']:,.0f}", f"{speed['written_out']:,.0f}"]
        lines += ["| " + " | ".join([*cells, f"{median(ratios):.1f} ({ratios[0]:.1f} to {ratios[-1]:.1f})"]) + " |"]
    lines += [
        "",
        "## What sampling does",
        "",
        "Sampled metrics are biased (Krichene & Rendle 2020): compare neither the",
    ]
    lines += [
        "numbers nor the order of rankers with those of the full ranking. The rankers learnt from rated movies only,"
    ]
    lines += ["never from a movie that was not watched, so that low values are to be expected.", ""]
    lines += ["| ranker | protocol | users | candidates | recall@10 | NDCG@10 | MRR |", "|---|---|---|---|---|---|---|"]
    for name, entry in result["rankers"].items():
        for found in entry["ranked"]:
            means = [f"{value:.4f}" for value in found["metrics"].values()]
            biased = f"{found['protocol']} (biased)" if found["biased"] else found["protocol"]
            counts = [f"{found['users']:,}", f"{found['candidates']:,.1f}"]
            lines += ["| " + " | ".join([name, biased, *counts, *means]) + " |"]
    lines += ["", "Large minus compact, paired over users:", ""]
    for c in result["comparisons"]:
        lines += [f"- {c['metric']}: {c['delta']:+.4f} [{c['low']:+.4f}, {c['high']:+.4f}]"]
    return "\n".join([*lines, ""])


def _seconds(work: Callable[[], Any]) -> float:
    """Of the processor, which other work on the machine does not lengthen as it does the clock's."""
    started = time.process_time()
    work()
    return time.process_time() - started


if __name__ == "__main__":
    main()
