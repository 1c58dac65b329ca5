"""The doctor: every finding, from facts alone, and that a broken package cannot break it."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from recdistill import doctor
from recdistill.doctor import GIB, Facts, Finding, findings, gather
from recdistill.memory import free_memory

WELL = Facts(
    python=(3, 11, 7),
    torch="2.13.0+cpu",
    torchrec="1.8.0",
    fbgemm="1.8.0+cpu",
    optuna="5.0.0",
    gpus=("H100",),
    cores=2,
    memory=8 * GIB,
    disk=50 * GIB,
    out=Path("runs"),
)
AWAY = "pip uninstall -y torchrec fbgemm-gpu fbgemm-gpu-cpu && pip install "
CPU = AWAY + "--no-deps torchrec==1.8.0 fbgemm-gpu-cpu==1.8.0"
CUDA = "OSError: libtorch_cuda.so: cannot open shared object file"


def test_a_machine_that_is_well_has_only_good_lines() -> None:
    found = findings(WELL)
    assert {finding.level for finding in found} == {"ok"}
    assert [finding.words for finding in found] == [
        "Python 3.11.7",
        "torch 2.13.0+cpu",
        "torchrec 1.8.0, fbgemm-gpu 1.8.0+cpu",
        "optuna 5.0.0",
        "1 GPU: H100",
        "2 cores",
        "8.0 GiB of memory free",
        "50.0 GiB of disk free for runs",
    ]


CASES: list[tuple[dict[str, Any], str, str, str]] = [
    ({"python": (3, 10, 1)}, "problem", "Python 3.10.1, 3.11 or later is needed", "make PYTHON=python3.11 run"),
    ({"torch": None}, "problem", "torch is not installed", "pip install torch --index-url https"),
    ({"torch": "2.5.1"}, "problem", "torch 2.5.1, 2.6 or later is needed", "--upgrade"),
    ({"torch_error": "OSError: libgomp"}, "problem", "cannot be imported: OSError: libgomp", "--force-reinstall"),
    (
        {"torch_error": "OSError: libgomp"},
        "note",
        "fbgemm-gpu 1.8.0+cpu: not tried, since torch cannot be imported",
        "",
    ),
    ({"torchrec": None}, "note", "torchrec is not installed; nothing here needs it", ""),
    ({"optuna": None}, "note", "only `recdistill tune` needs it: pip install 'recdistill[tune]'", ""),
    ({"torch": "2.10.0"}, "note", "no known pair for torch 2.10.0 (known: 2.13 with 1.8.0", ""),
    ({"torchrec": "1.7.0"}, "problem", "needs 1.8.0 of both", CPU),
    ({"torch": "2.12.1"}, "problem", "needs 1.7.0 of both", AWAY + "torchrec==1.7.0 fbgemm-gpu==1.7.0"),
    ({"torch": "2.11.0"}, "problem", "needs 1.6.0 of both", AWAY + "torchrec==1.6.0 fbgemm-gpu==1.6.0"),
    ({"fbgemm": None}, "problem", "fbgemm-gpu not installed: torch 2.13.0+cpu needs 1.8.0", CPU),
    (
        {"torchrec_error": CUDA},
        "problem",
        "the CUDA build, on a machine without (OSError: libtorch_cuda.so",
        CPU,
    ),
    ({"torchrec_error": CUDA, "fbgemm": "1.7.0"}, "problem", "the CUDA build, on a machine without", CPU),
    ({"torchrec_error": CUDA, "torch": "2.99.0"}, "problem", "the CUDA build, on a machine without", CPU),
    (
        {"torchrec_error": "ModuleNotFoundError: No module named 'fbgemm_gpu'"},
        "problem",
        "cannot be imported: ModuleNotFoundError",
        CPU,
    ),
    (
        {"torchrec_error": "the process ended with -11", "torch": "2.13.0", "fbgemm": "1.8.0"},
        "problem",
        "cannot be imported: the process ended with -11",
        AWAY + "torchrec==1.8.0 fbgemm-gpu==1.8.0",
    ),
    ({"gpus": ()}, "note", "no GPU; everything runs on the CPU", ""),
    ({"cores": 1}, "note", "1 core", ""),
    ({"memory": None}, "note", "how much memory is free cannot be known here", ""),
    ({"memory": GIB // 2}, "problem", "0.5 GiB of memory free, a process needs about 1", "end other programs"),
    ({"cores": 16}, "note", "8.0 GiB of memory free: run with --workers 8", ""),
    ({"disk": GIB // 4}, "problem", "0.2 GiB of disk free for runs, a run needs about 1", "--out"),
    ({"writable": False}, "problem", "runs cannot be written to", "--out"),
]


@pytest.mark.parametrize(("changed", "level", "words", "fix"), CASES)
def test_what_is_not_well_is_said_with_its_fix(changed: dict[str, Any], level: str, words: str, fix: str) -> None:
    worse = [finding for finding in findings(replace(WELL, **changed)) if finding.level == level]
    assert len(worse) == 1, worse
    assert words in worse[0].words
    assert fix in worse[0].fix
    assert bool(worse[0].fix) == (level == "problem")


@pytest.mark.torchrec
def test_the_installed_releases_belong_together() -> None:
    torch, torchrec = doctor._version("torch"), doctor._version("torchrec")
    fbgemm = doctor._version("fbgemm-gpu") or doctor._version("fbgemm-gpu-cpu")
    found = findings(replace(WELL, torch=torch, torchrec=torchrec, fbgemm=fbgemm))
    assert [f"torchrec {torchrec}, fbgemm-gpu {fbgemm}" in finding.words for finding in found].count(True) == 1
    assert not [finding for finding in found if finding.level == "problem"]


def test_this_machine_is_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_version", lambda name: None)  # the imports have tests of their own
    facts = gather(tmp_path / "not" / "there" / "yet")
    assert facts.python >= (3, 11)
    assert facts.cores >= 1
    assert facts.disk > 0
    assert facts.writable
    assert (facts.torch, facts.torchrec) == (None, None)
    assert facts.memory is None or facts.memory > 0
    (tmp_path / "file").write_text("")
    assert not gather(tmp_path / "file" / "runs").writable


def test_packages_are_tried_in_a_process_of_their_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(doctor, "_version", lambda name: "2.13.0" if name == "torch" else "1.8.0")
    monkeypatch.setattr(doctor, "LOOK_AT_TORCH", "print('GPU one\\nGPU two')")
    monkeypatch.setattr(doctor, "TRY_TORCHREC", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    facts = gather(tmp_path)
    assert facts.gpus == ("GPU one", "GPU two")
    assert facts.torchrec_error == "the process ended with -9"
    monkeypatch.setattr(doctor, "LOOK_AT_TORCH", "raise OSError('libgomp.so.1: cannot open')")
    facts = gather(tmp_path)
    assert (facts.torch_error, facts.torchrec_error) == ("OSError: libgomp.so.1: cannot open", "")


def test_an_import_that_hangs_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(*_: object, **__: object) -> None:
        raise subprocess.TimeoutExpired("python", 120)

    monkeypatch.setattr(subprocess, "run", hang)
    assert doctor._try("import torch") == ("", "it took more than 120 s")


def test_a_control_group_bounds_the_memory(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: 99 kB\nMemAvailable:   8 kB\n")
    assert free_memory(tmp_path / "meminfo", tmp_path) == 8 * 1024
    (tmp_path / "memory.max").write_text("max\n")
    assert free_memory(tmp_path / "meminfo", tmp_path) == 8 * 1024
    (tmp_path / "memory.max").write_text("5000\n")
    (tmp_path / "memory.current").write_text("2000\n")
    assert free_memory(tmp_path / "meminfo", tmp_path) == 3000
    (tmp_path / "memory.stat").write_text("active_file 700\ninactive_file 1500\n")
    assert free_memory(tmp_path / "meminfo", tmp_path) == 4500
    assert free_memory(tmp_path / "none", tmp_path / "none") is None


@pytest.mark.parametrize("changed", [{}, *(case[0] for case in CASES)])
def test_a_finding_is_one_line(changed: dict[str, Any]) -> None:
    for finding in (*findings(replace(WELL, **changed)), *findings(replace(Facts(), **changed))):
        assert isinstance(finding, Finding)
        assert "\n" not in finding.words + finding.fix
        assert "./" not in finding.fix, "who installed the package has no repository"


@pytest.mark.parametrize(
    ("text", "release"), [("2.13.0+cpu", (2, 13)), ("1.8rc1", (1, 8)), ("2", (2, 0)), ("unknown", (0, 0))]
)
def test_any_version_has_a_release(text: str, release: tuple[int, int]) -> None:
    assert doctor._release(text) == release
