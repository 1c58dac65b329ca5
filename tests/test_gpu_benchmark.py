"""The benchmark on a GPU, rehearsed on the CPU: its formulas, what it leaves out and says so, and what never ran."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pytest
import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "benchmarks"))

import gpu_throughput  # noqa: E402
from on_gpu import cases, cost, never_run, page, steps, timing  # noqa: E402
from throughput import rows  # noqa: E402

from recdistill.fit_settings import FitSettings  # noqa: E402
from recdistill.models.embeddings import PlainTables, embeddings_of  # noqa: E402
from recdistill.models.embeddings.fused import FusedOptimiser, fused_weights  # noqa: E402
from recdistill.steps import Steps, hard_labels  # noqa: E402
from recdistill.trainees import Alone  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results" / "gpu"
SHORT = ["--seconds", "0.001", "--turns", "2"]
TORCHREC = find_spec("torchrec") is not None


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["gpu_throughput.py", *arguments])
    try:
        gpu_throughput.main()
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


@pytest.fixture(scope="module")
def rehearsed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gpu")
    with pytest.MonkeyPatch.context() as patch:
        assert run(patch, "--device", "cpu", "--tiny", "--out", str(folder), *SHORT) == 0
    return folder


def read(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "results.json").read_text())


def measuring(**changed: Any) -> steps.Measuring:
    told = {"sizes": cases.TINY, "device": "cpu", "memory": cases.TINY_MEMORY, "host_memory": 1 << 40}
    return steps.Measuring(**{**told, "count": 2, "seconds": 0.001, "over": lambda: False, **changed})


# ------------------------------------------------------------------------------------------ a rehearsal


def test_a_rehearsal_measures_every_case_and_says_that_it_is_none(rehearsed: Path) -> None:
    result, text = read(rehearsed), (rehearsed / "README.md").read_text()
    assert text == page.page(result)
    assert "A rehearsal on a CPU, at sizes of no meaning: no result, and nothing of it ran on a GPU." in text
    assert [case["subject"] for case in result["cases"] if case["subject"] == cases.FLOOR] == [cases.FLOOR] * 4
    for name, subject in cases.SUBJECTS.items():
        found = [case for case in result["cases"] if case["subject"] == name]
        assert len(found) == 2 * 2 * 2, "ids, batches, precisions"
        assert len({case["ids"] for case in found}) == 2
        for case in found:
            if subject.location is None or TORCHREC:
                assert len(case["seconds"]) == 2
                assert min(case["seconds"]) > 0
            else:
                assert case["not_run"].startswith("tables of torchrec need torchrec and fbgemm-gpu")
        assert f"- {name}: all" in text, "nothing of a rehearsal has run on a GPU"
    assert set(result["rates"]) == {"copy", "host", "float32", "bfloat16"}
    assert min(result["rates"].values()) > 0


def test_a_line_of_the_page_is_its_case_worked_out(rehearsed: Path) -> None:
    result = read(rehearsed)
    name, told = "plain, lazy Adam", {"batch": 32, "precision": "float32"}
    floor, case = (
        next(c for c in result["cases"] if c["subject"] == s and c.items() >= told.items()) for s in (cases.FLOOR, name)
    )
    line = next(
        line
        for part in page.tables(result)
        if part[0].endswith("batches of 32, float32")
        for line in part
        if name in line and f"| {case['ids']:,} |" in line
    )
    seconds = median(case["seconds"])
    assert f"| {32 / seconds:,.0f} (" in line or f"| {median(32 / s for s in case['seconds']):,.0f} (" in line
    assert f"| {median(floor['seconds']) / seconds:.0%} |" in line
    assert f", {case['bytes']['device'] / result['rates']['copy'] / seconds:.1%} |" in line
    assert f"| {6 * 32 * (39 * 8 * 8 + 8 * 8 + 8) / result['rates']['float32'] / seconds:.1%} |" in line


def test_without_torchrec_its_tables_are_left_out_and_that_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("torchrec", "fbgemm_gpu"):
        monkeypatch.setitem(sys.modules, name, None)
    chosen = ["plain, lazy Adam", "torchrec, rowwise Adagrad, managed"]
    assert run(monkeypatch, "--device", "cpu", "--tiny", "--out", str(tmp_path), *SHORT, "--subjects", *chosen) == 0
    assert capsys.readouterr().out.startswith("Not installed: torchrec, fbgemm_gpu.\n")
    found = {case["subject"]: case for case in read(tmp_path)["cases"]}
    assert list(found) == [cases.FLOOR, *chosen]
    assert "not_run" not in found["plain, lazy Adam"]
    assert "need torchrec and fbgemm-gpu" in found["torchrec, rowwise Adagrad, managed"]["not_run"]
    assert "not run: tables of torchrec need torchrec" in (tmp_path / "README.md").read_text()


def test_what_takes_too_much_memory_or_time_is_left_out_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "plain, rowwise Adagrad"
    over = list(measuring(over=lambda: True).of(name))
    assert {case["not_run"] for case in over} == {"the time for all cases was over"}
    large = list(measuring(memory=10 * 10**9, sizes=cases.Sizes(ids=(), share=2.0)).of(name))
    assert {case["not_run"] for case in large} == {"tables and state take 20 GB, the device has 10"}
    managed = measuring(memory=10 * 10**9, host_memory=15 * 10**9, sizes=cases.Sizes(ids=(), beyond=1.5))
    monkeypatch.setattr(steps, "torchrec", lambda: None)
    monkeypatch.setattr(steps.Measuring, "measured", lambda *_: iter([{"measured": True}]))
    found = list(managed.of("torchrec, rowwise Adagrad, managed"))
    assert {case.get("not_run") for case in found} == {None, "tables and state take 15 GB, the host has 15"}


def test_a_case_that_fails_does_not_end_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    made, real = [], steps.network_of

    def network_of(*arguments: Any) -> torch.nn.Module:
        made.append(arguments)
        if len(made) == 1:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.\nMore.")
        return real(*arguments)

    monkeypatch.setattr(steps, "network_of", network_of)
    found = list(measuring().of("plain, rowwise Adagrad"))
    words = "OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 GiB."
    assert [case.get("not_run") for case in found] == [words] * 4 + [None] * 4


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_without_a_gpu_it_ends_at_once(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "--out", "/nowhere") == 4
    assert re.match(r"Error: device 'cuda' needs a GPU that torch .* can use, got none\n", capsys.readouterr().err)


def test_a_rehearsal_is_never_in_the_place_of_results(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "--device", "cpu") == 2
    assert "a rehearsal on the CPU needs --tiny" in capsys.readouterr().err
    assert run(monkeypatch, "--device", "cpu", "--tiny") == 2
    assert "--tiny is no result: give another folder" in capsys.readouterr().err


# --------------------------------------------------------------------------------------------- formulas


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.torchrec] if subject.location else [])
        for name, subject in cases.SUBJECTS.items()
    ],
)
def test_bytes_of_tables_are_those_that_they_take(name: str) -> None:
    subject, ids, dim = cases.SUBJECTS[name], 300, 8
    spec = cases.spec_of(ids)
    network = cases.network_of(subject, spec, dim, (8,), "cpu").train()
    settings = FitSettings(device="cpu", embedding_optimiser=subject.optimiser)
    trainee = Alone(network, settings)
    Steps(trainee, hard_labels, settings, spec).step(measuring().drawn(ids), 0, 0)
    tables = [module.table for _, module in embeddings_of(network)]
    held = [[t.weight] if isinstance(t, PlainTables) else fused_weights(t) for t in tables]  # type: ignore[arg-type]
    plain = subject.location is None
    state = (trainee.optimiser.parts[-1] if plain else FusedOptimiser(network, subject.optimiser)).state_dict()["state"]
    kept = [values for entries in state.values() for key, values in entries.items() if key != "step"]
    numbers = sum(t.numel() for t in [*(w for weights in held for w in weights), *kept])
    assert subject.bytes_of(ids, dim) == 4 * numbers
    assert {bool(w.any()) for weights in held for w in weights} == {True}, "rows are not all zero"


def test_what_a_step_moves_at_least_is_the_formula() -> None:
    step, width, dense = cost.Step(10, 4, (6, 5), "float32"), 39 * 4, (39 * 4) * 6 + 6 * 5 + 5
    assert step.products == dense
    assert step.operations == 6 * 10 * dense
    lazy, managed, cached = (
        cases.Subject(*told) for told in (("lazy_adam",), ("r", "managed"), ("r", "managed_caching"))
    )
    rest = 10 * 26 + 4 * 10 * 39 * 5 + 5 * 10 * 11 + 10 * dense
    assert step.bytes_moved(lazy, 7.0) == {"device": 4 * (rest + 7 * (3 * 5 + 2 * 10)), "bus": 0.0}
    assert step.bytes_moved(managed, 7.0) == {"device": 4 * rest, "bus": 4 * 7 * (3 * 5 + 2 * 5)}
    assert step.bytes_moved(cached, 7.0) == {"device": 4 * rest, "bus": 0.0}
    assert step.bytes_moved(None, 0.0) == {"device": 4 * (5 * 10 * 11 + 10 * dense + 2 * 10 * width), "bus": 0.0}
    half = cost.Step(10, 4, (6, 5), "bfloat16")
    assert step.bytes_moved(lazy, 7.0)["device"] - half.bytes_moved(lazy, 7.0)["device"] == 2 * 5 * 10 * 11


def test_the_largest_tables_take_their_share_of_the_memory() -> None:
    sizes, memory = cases.Sizes(beyond=1.3), 80 * 10**9
    for subject in cases.SUBJECTS.values():
        for dim in sizes.dims:
            found = sizes.ids_of(subject, dim, memory)
            assert found == sorted(found)
            largest = [ids for ids in found if ids not in sizes.ids]
            shares = [subject.bytes_of(ids, dim) / memory for ids in largest]
            assert shares == pytest.approx([0.6, 1.3] if subject.in_host_memory else [0.6], abs=0.02)
            assert all(ids < largest[0] for ids in found if ids in sizes.ids)
    assert cases.Sizes().ids_of(cases.SUBJECTS["torchrec, rowwise Adagrad, managed"], 16, memory)[-1] < 10**9


def test_turns_are_bounded() -> None:
    numbers: list[int] = []
    found = timing.turns(numbers.append, "cpu", count=3, seconds=1e9)
    assert len(found) == 3
    assert numbers == list(range(timing.WARM_UP + 3 * timing.MOST_STEPS))
    numbers.clear()
    assert len(timing.turns(numbers.append, "cpu", count=3, seconds=0.0)) == 3
    assert len(numbers) == 1 + 3, "a step that is longer than a turn"


def test_rows_are_those_of_the_other_benchmark_of_training(tmp_path: Path) -> None:
    made = measuring().drawn(200)
    rows.write(tmp_path / "rows.npz", 200, len(made))
    with np.load(tmp_path / "rows.npz") as stored:
        assert (made.features.ids.numpy() == stored["ids"]).all()
    parts = steps.cut(made, 16)
    assert [len(part) for part in parts] == [16] * steps.BATCHES
    assert steps.distinct_ids(parts[0]) == sum(len(set(c.tolist())) for c in parts[0].features.ids.t())


# --------------------------------------------------------------------------------------- what never ran


def test_the_committed_page_lists_what_there_is_now() -> None:
    result = read(RESULTS)
    assert (RESULTS / "README.md").read_text() == page.page(result)
    assert not result["rehearsal"]
    assert result["tests"]["marked"] == never_run.marked(), "run `python benchmarks/gpu_throughput.py --list`"
    assert result["subjects"] == [cases.FLOOR, *cases.SUBJECTS]
    assert result["elsewhere"] == never_run.ELSEWHERE


@pytest.mark.slow
def test_the_tests_that_are_listed_are_those_that_pytest_finds() -> None:
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-m", "gpu", "tests"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    lines = [line for line in done.stdout.splitlines() if "::" in line]
    found = dict.fromkeys(line.removeprefix("tests/").partition("[")[0] for line in lines)
    assert sorted(found) == sorted(never_run.marked())


def test_a_mark_is_seen_wherever_it_stands(tmp_path: Path) -> None:
    (tmp_path / "test_a.py").write_text(
        "import pytest\npytestmark = [pytest.mark.gpu]\ndef test_x(): ...\ndef y(): ...\n"
    )
    (tmp_path / "test_b.py").write_text(
        "import pytest\n@pytest.mark.slow\n@pytest.mark.gpu\ndef test_y(): ...\n@pytest.mark.slow\ndef test_z(): ...\n"
    )
    assert never_run.marked(tmp_path) == ["test_a.py::test_x", "test_b.py::test_y"]


def test_tests_that_passed_are_no_longer_listed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    report, out = tmp_path / "gpu.xml", tmp_path / "out"
    names = ["test_a_fit_in_bfloat16_learns", "test_logits_are_those_of_the_cpu", "test_one_rank_speaks_by_nccl"]
    inner = {1: "<failure/>", 4: "<skipped/>"}
    lines = [
        f'<testcase classname="tests.test_gpu_networks" name="{names[k // 2]}[{k}]">{inner.get(k, "")}</testcase>'
        for k in range(6)
    ]
    report.write_text(f"<testsuites><testsuite>{''.join(lines)}</testsuite></testsuites>")
    assert run(monkeypatch, "--list", "--tests", str(report), "--out", str(out)) == 0
    for _ in range(2):  # listed anew, it is still known
        text = (out / "README.md").read_text()
        assert f"::{names[1]}`" not in text
        assert all(f"- `tests/test_gpu_networks.py::{name}`" in text for name in (names[0], names[2]))
        assert "No case of this benchmark has run on a GPU yet" in text
        assert run(monkeypatch, "--list", "--out", str(out)) == 0
    assert read(out)["tests"]["passed"] == [f"test_gpu_networks.py::{names[1]}"]
