"""What every test may use: the real data where there is some, one torch thread, repeatable property tests."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import settings

ROOT = Path(__file__).resolve().parent.parent

torch.set_num_threads(1)
settings.register_profile("repeatable", deadline=None, derandomize=True, database=None)
settings.load_profile("repeatable")


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
