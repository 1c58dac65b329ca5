"""What every test may use: the real data where there is some, one torch thread, repeatable property tests."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from hypothesis import settings
from tiny import DISTILLING, SCORING, TINY, WHOLE, Call

from recdistill import cli

ROOT = Path(__file__).resolve().parent.parent
# What a test with a marker needs: whether it is there, and what is said where it is not.
NEEDS: dict[str, tuple[Callable[[], object], str]] = {
    "torchrec": (lambda: find_spec("torchrec"), "needs torchrec: pip install 'recdistill[torchrec]'"),
    "gpu": (torch.cuda.is_available, "needs a CUDA device, and a build of torch that can use it"),
}

torch.set_num_threads(1)
settings.register_profile("repeatable", deadline=None, derandomize=True, database=None)
settings.load_profile("repeatable")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose marker names what is not here, before its fixtures are made."""
    for name, (there, reason) in NEEDS.items():
        if item.get_closest_marker(name) is not None and not there():
            pytest.skip(reason)


@pytest.fixture(scope="session")
def shared_data() -> Callable[[str], Path]:
    """The folder of a real data set, e.g. `shared_data("ml-1m")`; the test is skipped where it is absent."""
    data = Path(os.environ.get("RECDISTILL_DATA") or ROOT.parent / "shared" / "data")

    def find(name: str) -> Path:
        folder = data / name
        if not folder.is_dir():
            pytest.skip(f"needs the data set {name} in $RECDISTILL_DATA or ../shared/data")
        return folder

    return find


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Run the command line in an empty folder, in this process: (exit code, output, errors)."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.toml").write_text(TINY)
    (tmp_path / "whole.toml").write_text(WHOLE)
    (tmp_path / "distilling.toml").write_text(DISTILLING)
    (tmp_path / "scoring.toml").write_text(SCORING)

    def run(*arguments: str) -> tuple[int, str, str]:
        on_a_table = any((tmp_path / name / "manifest.json").is_file() for name in arguments[1:2])
        shared = arguments[:1] and arguments[0] in ("run", "teacher", "label", "distill", "pareto") and not on_a_table
        workers = ["--workers", "1"] if shared else []
        monkeypatch.setattr(sys, "argv", ["recdistill", *arguments, *workers])
        code = 0
        try:
            cli.main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        return code, *capsys.readouterr()

    return run
