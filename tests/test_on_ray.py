"""RayData does what Threads does, byte for byte, and its errors are the same errors."""

from __future__ import annotations

import gzip
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import clicks
import pyarrow.csv as pc
import pyarrow.parquet as pq
import pytest
from labels import saved, teacher_of

from recdistill.errors import DataError, EnvironmentFault, UsageError
from recdistill.labelling import label_prepared
from recdistill.on_ray import ITEMS_PER_WORKER, RayData
from recdistill.preparation import Threads, prepare
from recdistill.prepared_table import PreparedTable

ray = pytest.importorskip("ray", reason="needs pip install 'recdistill[ray]'")
BROKEN = "2024-01-28"
FEW = 3  # parts that are there when it is killed
SCRIPT = """
import sys, clicks
from recdistill.on_ray import RayData
from recdistill.preparation import prepare
prepare(sys.argv[1], sys.argv[2], schema=clicks.SCHEMA, settings=clicks.settings(), engine=RayData(1))
"""
pytestmark = pytest.mark.slow  # starting Ray, and its first call, take half of the time


@pytest.fixture(scope="module", autouse=True)
def two_workers() -> Iterator[None]:
    """Ray on this machine, started once."""
    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    yield
    ray.shutdown()


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clicks.write(tmp_path_factory.mktemp("raw") / "clicks.csv")


def plain(raw: Path, folder: Path) -> Path:
    return raw


def packed(raw: Path, folder: Path) -> Path:
    (folder / "clicks.csv.gz").write_bytes(gzip.compress(raw.read_bytes()))
    return folder / "clicks.csv.gz"


def parquet(raw: Path, folder: Path) -> Path:
    pq.write_table(pc.read_csv(raw), folder / "clicks.parquet", row_group_size=150)
    return folder / "clicks.parquet"


def days_with_bad_rows(raw: Path, folder: Path) -> Path:
    lines = raw.read_text("utf-8").replace("12:13:00", "noon").splitlines(keepends=True)
    (folder / "days").mkdir()
    (folder / "days" / "day_1.csv").write_text("".join(lines[:301]), encoding="utf-8")
    (folder / "days" / "day_2.csv").write_text("".join(lines[:1] + lines[301:]), encoding="utf-8")
    return folder / "days"


@pytest.mark.parametrize("files", [plain, packed, parquet, days_with_bad_rows])
def test_a_table_is_prepared_as_by_threads(files: Callable[[Path, Path], Path], raw: Path, tmp_path: Path) -> None:
    given = files(raw, tmp_path)
    how = {"schema": clicks.SCHEMA, "settings": clicks.settings(on_bad_row="quarantine")}
    expected = prepare(given, tmp_path / "threads", **how)
    assert (expected.path / "quarantine.jsonl").exists() == (files is days_with_bad_rows)
    made = prepare(given, tmp_path / "ray", engine=RayData(), **how)
    assert clicks.content(made.path) == clicks.content(expected.path)


def test_a_fitted_encoder_and_paths_from_here_are_followed(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    teacher = prepare(raw, tmp_path / "teacher", schema=clicks.SCHEMA, settings=clicks.settings())
    clicks.write(tmp_path / "other.csv", rows=200, seed=3)
    monkeypatch.chdir(tmp_path)
    how = {"schema": clicks.SCHEMA, "settings": clicks.settings(), "encoder": teacher.encoder}
    made = prepare("other.csv", "ray", engine=RayData(1), **how)
    assert clicks.content(made.path) == clicks.content(prepare("other.csv", "threads", **how).path)


def test_labels_are_those_of_one_machine(raw: Path, tmp_path: Path) -> None:
    table = prepare(raw, tmp_path / "made", schema=clicks.SCHEMA, settings=clicks.settings())
    teacher = teacher_of(table)
    found = label_prepared(teacher, table, tmp_path / "ray", engine=RayData())
    assert clicks.content(found) == clicks.content(
        label_prepared(teacher, table, tmp_path / "threads", engine=Threads())
    )
    assert saved(found) == saved(tmp_path / "threads")


def test_errors_of_workers_arrive_as_they_are_and_nothing_is_left(raw: Path, tmp_path: Path) -> None:
    lines = raw.read_text("utf-8").replace(BROKEN, "someday").splitlines(keepends=True)
    bad = tmp_path / "clicks.csv"
    bad.write_text("".join(lines), encoding="utf-8")
    told = []
    for engine in (Threads(1), RayData()):
        with pytest.raises(DataError, match=r"line \d+, column 'at': times must .* got 'someday") as error:
            prepare(bad, tmp_path / "out", schema=clicks.SCHEMA, settings=clicks.settings(), engine=engine)
        told.append(str(error.value))
        with pytest.raises(DataError, match=r"there is no prepared table"):
            PreparedTable.read(tmp_path / "out")
    assert told[0] == told[1]
    bad.write_bytes(raw.read_bytes())  # mended, it is begun anew
    made = prepare(bad, tmp_path / "out", schema=clicks.SCHEMA, settings=clicks.settings(), engine=RayData())
    expected = prepare(bad, tmp_path / "threads", schema=clicks.SCHEMA, settings=clicks.settings())
    assert clicks.content(made.path) == clicks.content(expected.path)


def test_what_was_begun_by_threads_is_continued(raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    how = {"schema": clicks.SCHEMA, "settings": clicks.settings()}
    monkeypatch.setattr("recdistill.preparation.preparing.measured", lambda *_: pytest.fail("stopped"))
    with pytest.raises(pytest.fail.Exception):
        prepare(raw, tmp_path / "out", **how)
    monkeypatch.undo()
    begun = sorted((tmp_path / "out.unfinished" / "rows").iterdir())
    begun[1].unlink()
    begun[-1].unlink()
    (tmp_path / "out.unfinished" / "read.json").unlink(missing_ok=True)
    made = prepare(raw, tmp_path / "out", engine=RayData(), **how)
    assert clicks.content(made.path) == clicks.content(prepare(raw, tmp_path / "whole", **how).path)


def test_what_was_killed_is_continued(tmp_path: Path) -> None:
    raw, out = clicks.write(tmp_path / "clicks.csv", rows=3000), tmp_path / "out"
    killed = subprocess.Popen([sys.executable, "-c", SCRIPT, str(raw), str(out)], cwd=Path(__file__).parent)
    while len(list((tmp_path / "out.unfinished" / "rows").glob("part-*.columns"))) < FEW:
        with pytest.raises(subprocess.TimeoutExpired):  # it has not ended before
            killed.wait(timeout=0.05)
    killed.kill()
    killed.wait()
    assert not out.exists()
    how = {"schema": clicks.SCHEMA, "settings": clicks.settings()}
    made = prepare(raw, out, engine=RayData(), **how)
    assert clicks.content(made.path) == clicks.content(prepare(raw, tmp_path / "whole", **how).path)


def test_items_are_taken_wave_by_wave_and_the_first_error_ends_them() -> None:
    def refuse(item: int) -> int:  # in here, so that Ray sends the function itself
        if item >= 3:
            raise UsageError(f"at most 2, got {item}")
        return 10 * item

    taken: list[int] = []
    endless = (taken.append(n) or n for n in range(1_000_000))
    results = RayData(2).run(refuse, endless)
    assert [next(results) for _ in range(3)] == [0, 10, 20]
    with pytest.raises(UsageError, match=r"^at most 2, got 3\n") as error:
        next(results)
    assert str(error.value) == "at most 2, got 3"
    assert "in refuse" in error.value.__notes__[0]  # the worker's own traceback
    assert len(taken) == 2 * ITEMS_PER_WORKER
    assert list(RayData().run(refuse, [])) == []


def test_work_that_the_workers_cannot_import_is_a_fault_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("only_here")
    module.work = lambda item: item  # type: ignore[attr-defined]
    module.work.__module__, module.work.__qualname__ = "only_here", "work"
    monkeypatch.setitem(sys.modules, "only_here", module)
    with pytest.raises(EnvironmentFault, match=r"^Ray could not do the work: .*No module named 'only_here'"):
        list(RayData().run(module.work, [1]))


def test_what_a_lost_worker_had_is_done_by_another(tmp_path: Path) -> None:
    def once(item: int) -> int:
        if item == 2 and not (tmp_path / "lost").exists():
            (tmp_path / "lost").touch()
            os._exit(1)
        return item

    assert list(RayData().run(once, range(5))) == list(range(5))
    assert (tmp_path / "lost").exists()


def test_bad_engines_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="at least one worker, got workers=0"):
        RayData(0)
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(EnvironmentFault, match=r"pip install 'recdistill\[ray\]'"):
        RayData()
