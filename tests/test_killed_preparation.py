"""A preparation that is killed is continued by the same call, and gives the same bytes."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from pathlib import Path

import clicks
import pytest

from recdistill.errors import DataError
from recdistill.preparation import prepare
from recdistill.prepared_table import PreparedTable

KILLS, AT_RANDOM, FEW = 20, 10, 2
SCRIPT = Path(__file__).with_name("kill.py")


def run(raw: Path, out: Path, *at: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), str(raw), str(out), *map(str, at)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, bytes], int]:
    """The raw file, what an uninterrupted preparation makes of it, and how many write boundaries it passes."""
    folder = tmp_path_factory.mktemp("whole")
    raw = clicks.write(folder / "clicks.csv", rows=300)
    done = run(raw, folder / "out")
    assert done.returncode == 0, done.stderr
    return raw, clicks.content(folder / "out"), int(done.stdout)


def killed_and_continued(raw: Path, expected: dict[str, bytes], out: Path, at: int) -> None:
    assert run(raw, out, at).returncode == -signal.SIGKILL
    if not out.exists():
        with pytest.raises(DataError, match=r"there is no prepared table|is not finished"):
            PreparedTable.read(out)
    prepare(raw, out, schema=clicks.SCHEMA, settings=clicks.settings())
    assert clicks.content(out) == expected
    PreparedTable.read(out)
    assert not out.with_name("out.unfinished").exists()


def boundaries(count: int, kills: int) -> list[int]:
    """Seeded, spread over the whole preparation."""
    return sorted(random.Random(4).sample(range(1, count + 1), kills))


def test_killed_at_a_few_write_boundaries(whole: tuple[Path, dict[str, bytes], int], tmp_path: Path) -> None:
    """A few, the first, where the plan is written, and the last ones, before and after the table gets its name."""
    raw, expected, count = whole
    for at in [1, *boundaries(count, FEW), count - 1, count]:
        killed_and_continued(raw, expected, tmp_path / str(at) / "out", at)


@pytest.mark.slow
def test_killed_at_twenty_write_boundaries(whole: tuple[Path, dict[str, bytes], int], tmp_path: Path) -> None:
    raw, expected, count = whole
    for at in boundaries(count, KILLS):
        killed_and_continued(raw, expected, tmp_path / str(at) / "out", at)


@pytest.mark.slow
def test_killed_again_and_again_at_random_moments(whole: tuple[Path, dict[str, bytes], int], tmp_path: Path) -> None:
    raw, expected, _ = whole
    draw, out = random.Random(5), tmp_path / "out"
    command = [sys.executable, str(SCRIPT), str(raw), str(out)]
    for _ in range(AT_RANDOM):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            process.wait(timeout=draw.uniform(1.0, 5.0))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        assert process.returncode in (0, -signal.SIGKILL)
    prepare(raw, out, schema=clicks.SCHEMA, settings=clicks.settings())
    assert clicks.content(out) == expected
