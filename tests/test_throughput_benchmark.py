"""The benchmark of training throughput: rows, clocks and the page's arithmetic; subjects run at a tiny size."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"
sys.path.append(str(BENCHMARKS))

import train_throughput  # noqa: E402
from feeding import COUNTS  # noqa: E402
from throughput import environments, floor, machine, matmul, rows, steps, subjects, with_recdistill  # noqa: E402
from throughput.page import page  # noqa: E402

RESULTS = BENCHMARKS / "results" / "train_throughput"


def asked(**changed: Any) -> steps.Asked:
    model = {"batch": 32, "embedding_dim": 4, "hidden": [8, 8]}
    limits = {"warm_up": 2, "steps": 4, "seconds": 60.0, "threads": 1}
    return steps.Asked(**{"rows": "", "way": "step", **model, **limits, "arguments": {}, **changed})


def drawn(folder: Path, total: int = 200, count: int = 32 * 7) -> steps.Rows:
    rows.write(folder / "rows.npz", total, count)
    return steps.load(folder / "rows.npz")


# ------------------------------------------------------------------------------------------------- rows


@pytest.mark.parametrize("total", [52, 200, 10_000, 998_944, 10_000_000])
def test_columns_have_the_shares_of_criteos(total: int) -> None:
    found = rows.counts(total)
    assert sum(found) == total
    assert min(found) >= 2
    if total == sum(COUNTS):
        assert found == list(COUNTS)
    largest = int(np.argmax(COUNTS))
    for k, (got, real) in enumerate(zip(found, COUNTS, strict=True)):
        if k != largest and real * total / sum(COUNTS) >= 2 and total >= 10_000:
            assert got == int(real * total / sum(COUNTS))


def test_too_few_ids_are_refused() -> None:
    with pytest.raises(SystemExit, match=r"26 columns need at least 52 ids, got 51"):
        rows.counts(51)


def test_rows_are_the_seeds_and_ids_fall_as_one_over_their_rank(tmp_path: Path) -> None:
    made = drawn(tmp_path, total=100_000, count=20_000)
    for name, same in zip(made._fields, drawn(tmp_path, total=100_000, count=20_000), strict=True):
        np.testing.assert_array_equal(getattr(made, name), same)
    assert (made.ids.dtype, made.ids.shape, made.numbers.shape) == (np.int32, (20_000, 26), (20_000, 13))
    assert (made.ids.min(0) >= 0).all()
    assert (made.ids.max(0) < np.array(made.counts)).all()
    largest = int(np.argmax(made.counts))
    for rank in (1, 10, 100):  # P(id < k) = log k / log n
        share = (made.ids[:, largest] < rank + 1).mean()
        assert share == pytest.approx(np.log(rank + 1) / np.log(made.counts[largest]), abs=0.02)


# ----------------------------------------------------------------------------------------------- clocks


def test_steps_are_counted_and_bounded_by_time() -> None:
    numbers: list[int] = []

    def step(number: int) -> float:
        numbers.append(number)
        return 0.5

    assert len(steps.timed(step, asked())) == 4
    assert numbers == list(range(2 + 4))
    assert len(steps.timed(step, asked(seconds=0.0))) == steps.LEAST
    assert len(steps.timed(step, asked(seconds=0.0, steps=1))) == 1


def test_a_loss_that_is_not_finite_is_no_training() -> None:
    with pytest.raises(SystemExit, match="the loss must be finite, got nan at step 3"):
        steps.timed(lambda _: float("nan"), asked())


def test_a_fit_is_timed_from_forward_to_forward_and_ended_from_within() -> None:
    network, ran = nn.Linear(1, 1), []

    def fit(limit: int) -> None:
        network.eval()
        network(torch.ones(1, 1))  # a look at the shape is no step
        network.train()
        for number in range(limit):
            network(torch.ones(1, 1))
            ran.append(number)

    assert len(steps.timed_fit(network, lambda: fit(100), asked())) == 4
    assert ran == list(range(2 + 4)), "the forward after the last timed step ends the fit"


def test_a_fit_that_ends_too_soon_is_told() -> None:
    network = nn.Linear(1, 1)
    with pytest.raises(SystemExit, match="the fit ended after 6 steps, 7 are needed"):
        steps.timed_fit(network, lambda: [network(torch.ones(1, 1)) for _ in range(6)], asked())


# --------------------------------------------------------------------------------------------- subjects


@pytest.mark.torchrec
@pytest.mark.parametrize("name", {**subjects.OURS, **subjects.REDUCED})
def test_our_step_and_fit_run_and_are_timed(name: str, tmp_path: Path) -> None:
    made, (_, arguments) = drawn(tmp_path), subjects.ALL[name]
    found = [way(asked(arguments=arguments), made) for way in (with_recdistill.step, with_recdistill.fitted)]
    # Tables of width 4 and 1 and as many for numbers, a dense network, a bias.
    dense = 39 * 4 * 8 + 8 + 8 * 8 + 8 + 8 + 1
    for one in found:
        assert len(one["seconds"]) == 4
        assert min(one["seconds"]) > 0
        assert one["weights"] == (4 + 1) * (200 + 13) + dense + 1
        assert one["settings"]["weight_decay"] == 0
        assert {key: one["settings"][key] for key in arguments} == arguments
        assert one["settings"]["batch_size"] == 32


def test_the_dense_network_alone_is_as_wide_as_ours_or_as_the_peers(tmp_path: Path) -> None:
    made = drawn(tmp_path)
    for embedded, inputs, wide in ((True, True, 39 * 4), (True, False, 39 * 4), (False, True, 26 * 4 + 13)):
        found = floor.step(asked(arguments={"numbers_embedded": embedded, "to_inputs": inputs}), made)
        products = wide * 8 + 8 * 8 + 8
        assert found["weights"] == products + 8 + 8 + 1
        assert found["operations"] == (3 * 2 * products - (0 if inputs else 2 * wide * 8)) * 32
        assert len(found["seconds"]) == 4
    found = matmul.step(asked(), made)
    assert found["operations"] == 2 * 32 * 39 * 4 * 8
    assert len(found["seconds"]) == matmul.REPEATS * 4


def test_every_subject_has_a_module_and_every_peer_an_environment() -> None:
    for name, (module, _) in subjects.ALL.items():
        assert (BENCHMARKS / (module.replace(".", "/") + ".py")).is_file(), name
    assert subjects.REQUIREMENTS.keys() == subjects.PEERS.keys()
    assert {subjects.ways(name) for name in subjects.FLOORS} == {("step",)}
    assert {subjects.ways(name) for name in (*subjects.OURS, *subjects.REDUCED, *subjects.PEERS)} == {("step", "fit")}


def test_a_subject_that_fails_is_told_with_its_own_words() -> None:
    with pytest.raises(SystemExit, match=r"(?s)throughput.nothing \(step\) failed with 1:.*No module named"):
        train_throughput.measured(Path(sys.executable), "throughput.nothing", {"way": "step", "threads": 1})


def test_memory_is_of_this_process() -> None:
    before = steps.peak_bytes()
    held = np.ones(before + 100_000_000, np.uint8)
    assert steps.peak_bytes() >= held.nbytes
    told = machine.machine()
    assert told["memory_bytes"] > held.nbytes
    assert told["cores"] >= 1
    assert told["processor"]


# ----------------------------------------------------------------------------------------- environments


def test_an_environment_is_made_once_and_nothing_else_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[list[str]] = []
    code = 0

    def run(command: list[Any], *, check: bool) -> subprocess.CompletedProcess[str]:
        ran.append([str(word) for word in command])
        return subprocess.CompletedProcess(command, code)

    monkeypatch.setattr(environments.subprocess, "run", run)
    wanted = environments.requirements_of(["a-peer==1"])
    assert wanted == [f"torch=={torch.__version__.partition('+')[0]}", "a-peer==1"]
    place = tmp_path / "peer"
    assert environments.environment(place, wanted) == place / "bin" / "python"
    assert [command[1:3] for command in ran] == [["-m", "venv"], ["-m", "pip"]]
    assert ran[1][-2:] == wanted
    environments.environment(place, wanted)
    assert len(ran) == 2, "it is taken again"
    code = 1
    with pytest.raises(SystemExit, match=r"pip could not install torch==\S+ a-peer==2"):
        environments.environment(place, [wanted[0], "a-peer==2"])
    assert len(ran) == 4
    code = 0
    environments.environment(place, [wanted[0], "a-peer==2"])
    assert len(ran) == 6, "what was not made to the end is made anew"
    other = tmp_path / "other"
    other.mkdir()
    (other / "mine").touch()
    with pytest.raises(SystemExit, match="must be absent, empty or made by this script"):
        environments.environment(other, wanted)
    assert (other / "mine").is_file()


# ------------------------------------------------------------------------------------------------- page


def turn(seconds: list[float], gigabytes: float, **more: Any) -> dict[str, Any]:
    versions = {"torch": "2.13.0", "numpy": "2.0", "peer": "0.3.0"}
    return {"seconds": seconds, "peak_bytes": gigabytes * 1e9, "weights": 1_000, "versions": versions, **more}


def figures() -> dict[str, Any]:
    """Batches of 1,000 rows in three turns, the second of which ran on a machine half as fast."""

    def turns(seconds: float, gigabytes: float, **more: Any) -> list[dict[str, Any]]:
        return [turn([k * seconds, k * seconds, 9.0], gigabytes, **more) for k in (1, 2, 1)]

    found = {
        "product": {"step": turns(0.1, 0.1, operations=1e9)},
        "floor": {"step": turns(0.1, 0.2, operations=5e8)},
        "strict": {"step": turns(0.0625, 0.2, operations=5e8)},
        "ours": {"step": turns(0.125, 0.5), "fit": turns(0.2, 0.6)},
        "slow peer": {"step": turns(1.0, 0.7), "fit": turns(1.25, 0.8)},
        "fast peer": {"step": turns(0.5, 0.9), "fit": turns(2.0, 1.0)},
    }
    found["fast peer"]["step"][0] = turn([0.4, 0.4], 1.5)
    names = {
        "matmul": ["product"],
        "floors": ["floor", "strict"],
        "ours": ["ours"],
        "reduced": [],
        "peers": ["slow peer", "fast peer"],
    }
    model = {"columns": 26, "numbers": 13, "batch": 1_000, "embedding_dim": 16, "hidden": [400, 400]}
    told = {"processor": "A processor", "bf16": [], "cores": 2, "memory_bytes": 25e9}
    return {
        **{"command": "python benchmarks/train_throughput.py --ids 5_000", "python": "3.11.7", "torch": "2.13.0"},
        **{"machine": told, "model": model, "threads": 2, "names": names},
        "measuring": {"turns": 3, "warm_up": 3, "steps": 3, "seconds": 20.0},
        "environments": {"slow peer": ["torch==2.13.0", "peer"], "fast peer": ["torch==2.13.0", "peer==0.3.0"]},
        "sizes": [{"ids": 5_000, "subjects": found}],
    }


def test_the_page_says_what_the_figures_say() -> None:
    text = page(figures())
    assert "Made by `python benchmarks/train_throughput.py --ids 5_000`." in text
    assert "reached 10 GFLOP/s at best, the MLP alone\n5 (50%)." in text
    assert "bf16 instructions: none; threads: 2;" in text
    assert "at the fewest 2 (fast peer, step, 5,000 ids)." in text
    # 1,000 rows in 0.1 s and, slowed, in 0.2 s; the fast peer's steps took 0.4, 1.0 and 0.5 s.
    lines = [
        "| floor | 10,000 (5,000 to 10,000) | 5.00 (4.00 to 5.00) | 100% (100% to 100%) |  |  | 0.20 GB |  | 1,000 |",
        "| ours | 8,000 (4,000 to 8,000) | 4.00 (3.20 to 4.00) | 80% (80% to 80%) | 5,000 (2,500 to 5,000)"
        " | 6.25 (6.25 to 6.25) | 0.50 GB | 0.60 GB | 1,000 |",
        "| fast peer | 2,000 (1,000 to 2,500) | 1.00 (1.00 to 1.00) | 20% (20% to 25%) | 500 (250 to 500)"
        " | 0.62 (0.62 to 0.62) | 1.50 GB | 1.00 GB | 1,000 |",
        "| 5,000 | 8,000, ours | 2,000, fast peer | 4.00 | 80% | 50% | 5.00 | 6.25, ours over slow peer |",
        "Cap, the MLP alone over the fastest peer's step (fast peer): 5.00 (4.00 to 5.00).",
        "fast peer: `pip install torch==2.13.0 peer==0.3.0` gave torch 2.13.0, numpy 2.0, peer 0.3.0.",
    ]
    for line in lines:
        assert line in text.splitlines()


def test_a_page_without_peers_has_no_ratios_to_them() -> None:
    result = figures()
    result["names"]["peers"], result["environments"] = [], {}
    text = page(result)
    assert "Cap" not in text
    assert "| ours | 8,000 (4,000 to 8,000) |  | 80% (80% to 80%) | 5,000 (2,500 to 5,000) |  |" in text


@pytest.mark.slow
def test_a_run_without_peers_from_rows_to_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = next(iter(subjects.OURS))
    command = ["--ids", "300", "--turns", "1", "--steps", "1", "--threads", "1", "--subjects", name]
    places = ["--folder", str(tmp_path), "--out", str(tmp_path / "page")]
    monkeypatch.setattr(sys, "argv", ["train_throughput.py", *command, *places])
    train_throughput.main()
    assert [path.name for path in tmp_path.iterdir()] == ["page"], "the temporary files are gone"
    result = json.loads((tmp_path / "page" / "results.json").read_text())
    assert (tmp_path / "page" / "README.md").read_text() == page(result)
    (entry,) = result["sizes"]
    assert {name: list(ways) for name, ways in entry["subjects"].items()} == {
        **{name: ["step"] for name in (*subjects.MATMUL, *subjects.FLOORS)},
        name: ["step", "fit"],
    }
    assert entry["subjects"][name]["fit"][0]["peak_bytes"] > 1e8


@pytest.mark.skipif(not RESULTS.is_dir(), reason="the benchmark was not run yet")
def test_the_committed_page_is_its_figures_in_words() -> None:
    result = json.loads((RESULTS / "results.json").read_text())
    assert (RESULTS / "README.md").read_text() == page(result)
