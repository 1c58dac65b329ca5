"""A fit or a labelling that is killed is continued by the same call, and gives the same bytes."""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import clicks
import prepared
import pytest
from kill_fits import FIT, STEP

from recdistill.errors import DataError
from recdistill.part_files import ROW_ID
from recdistill.prepared_table import PreparedTable
from recdistill.soft_labels import SoftLabels

FEW, MANY = 1, 10
WORKS = ("train", "label")
Made = tuple[dict[str, bytes], list[str]]


class Killer:
    """A process that does works in forks of itself; see `kill_fits.py`."""

    def __init__(self, table: Path) -> None:
        self.table = str(table)
        command = [sys.executable, str(Path(__file__).with_name("kill_fits.py"))]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run(self, work: str, out: Path, at: int = 0) -> Any:
        """The boundaries that were passed, or the exit code."""
        out.mkdir(parents=True, exist_ok=True)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(json.dumps([work, self.table, str(out), at]), file=self.process.stdin, flush=True)
        return json.loads(self.process.stdout.readline())


@pytest.fixture(scope="module")
def killer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Killer]:
    """On a table of three parts that train, in seven row groups, and rows to stop by."""
    rows = [prepared.made(n, seed=n, first=1000 * n) for n in (70, 50, 80, 60)]
    splits = {"train": rows[:3], "valid": [None, rows[3]]}
    folder = tmp_path_factory.mktemp("killed") / "table"
    started = Killer(prepared.write(folder, splits, prepared.fitted(rows[0]), group_rows=32))
    yield started
    started.process.communicate()


@pytest.fixture(scope="module")
def whole(killer: Killer, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Made]:
    """Per work what it gives when it is left alone, and the boundaries that it passes."""
    folder = tmp_path_factory.mktemp("whole")
    done = {work: killer.run(work, folder / work) for work in WORKS}
    return {work: (clicks.content(folder / work), done[work]) for work in WORKS}


def points(passed: list[str], kills: int) -> list[int]:
    """Seeded: so many steps, and so many of the other boundaries."""
    draw, numbers = random.Random(6), range(1, len(passed) + 1)
    steps = [n for n in numbers if passed[n - 1] == STEP]
    writes = [n for n in numbers if passed[n - 1] != STEP]
    return sorted([*draw.sample(steps, kills), *draw.sample(writes, kills)])


def require_as_if_never_killed(work: str, out: Path, expected: dict[str, bytes], table: Path) -> None:
    """The same files with the same bytes, no unfinished work, each row labelled once.

    A file or folder of the caller's that got no name yet when it was killed stays hidden under a temporary one.
    """
    for left in out.glob(".*.tmp"):
        shutil.rmtree(left) if left.is_dir() else left.unlink()
    assert clicks.content(out) == expected
    assert {path.name for path in out.iterdir()} == {name.split("/")[0] for name in expected}
    if work == "label":
        wanted = [n for group in PreparedTable.read(table).groups("train") for n in group.column(ROW_ID).tolist()]
        labelled = Counter(SoftLabels.load(out / "soft").row_ids.tolist())
        assert labelled == dict.fromkeys(wanted, 1)


def killed_and_continued(killer: Killer, work: str, out: Path, expected: dict[str, bytes], at: int) -> None:
    assert killer.run(work, out, at) == -signal.SIGKILL
    if work == "label" and not (out / "soft").exists():
        with pytest.raises(DataError, match="does not exist"):
            SoftLabels.load(out / "soft")
    assert isinstance(killer.run(work, out), list)
    require_as_if_never_killed(work, out, expected, Path(killer.table))


def test_the_fit_has_what_a_checkpoint_must_keep(whole: dict[str, Made]) -> None:
    """Its best weights are neither the first nor the last, and it ends before its last epoch."""
    fitted = json.loads(whole["train"][0]["fitted.json"])
    assert 0 < fitted["best_epoch"] < len(fitted["history"]) - 1 < FIT.epochs


@pytest.mark.parametrize("work", WORKS)
def test_killed_at_a_few_points(killer: Killer, whole: dict[str, Made], tmp_path: Path, work: str) -> None:
    """At a step and a write, and at the last boundary."""
    expected, passed = whole[work]
    for at in sorted({*points(passed, FEW), len(passed)}):
        killed_and_continued(killer, work, tmp_path / str(at), expected, at)


@pytest.mark.slow
@pytest.mark.parametrize("work", WORKS)
def test_killed_at_ten_steps_and_ten_writes(killer: Killer, whole: dict[str, Made], tmp_path: Path, work: str) -> None:
    expected, passed = whole[work]
    for at in points(passed, MANY):
        killed_and_continued(killer, work, tmp_path / str(at), expected, at)


@pytest.mark.parametrize(("work", "least", "most"), [("train", 30, 130), ("label", 6, 25)])
def test_killed_again_and_again(
    killer: Killer, whole: dict[str, Made], tmp_path: Path, work: str, least: int, most: int
) -> None:
    draw, kills = random.Random(7), 0
    while killer.run(work, tmp_path, draw.randint(least, most)) == -signal.SIGKILL:
        kills += 1
    assert kills >= 3
    require_as_if_never_killed(work, tmp_path, whole[work][0], Path(killer.table))
