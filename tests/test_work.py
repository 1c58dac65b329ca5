"""Units of work: made once, in this process or in several; errors come through; boards tell how far it is."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest
from rich.console import Console

from recdistill.artefacts import is_whole, new_folder
from recdistill.errors import DataError, EnvironmentFault, Interrupted, UsageError
from recdistill.progress import Watch
from recdistill.terminal import Bar, TerminalBoard, show_table
from recdistill.work import Unit, Workers


def make(folder: Path, words: str, watch: Watch) -> str:
    watch.part(0, 2).step(0, 1, 2, 1, 10)
    with new_folder(folder, prepared="these") as temporary:
        (temporary / "words.txt").write_text(words)
    return words


def fail(folder: Path, words: str, watch: Watch) -> str:
    raise DataError(words)


def die(folder: Path, words: str, watch: Watch) -> str:
    os.kill(os.getpid(), signal.SIGKILL)
    return words


def hang(folder: Path, words: str, watch: Watch) -> str:
    print(words, flush=True)
    threading.Event().wait()
    return words


def stop(folder: Path, words: str, watch: Watch) -> str:
    raise Interrupted(words)


class Told:
    """A Board that remembers."""

    def __init__(self) -> None:
        self.lines: list[tuple[object, ...]] = []

    def say(self, text: str) -> None:
        self.lines.append(("say", text))

    def begin(self, stage: str, units: int, done: int) -> None:
        self.lines.append(("begin", stage, units, done))

    def moved(self, unit: str, share: float) -> None:
        self.lines.append(("moved", unit, share))

    def finished(self, unit: str, words: str) -> None:
        self.lines.append(("finished", unit, words))

    def end(self) -> None:
        self.lines.append(("end",))


def units(root: Path, function=make, count: int = 3) -> list[Unit]:
    return [Unit(f"unit {k}", root / str(k), "these", function, (root / str(k), f"words {k}")) for k in range(count)]


@pytest.mark.parametrize("count", [1, 2])
def test_every_missing_unit_is_made_once(tmp_path: Path, count: int) -> None:
    board = Told()
    wanted = units(tmp_path)
    with Workers(count, board) as workers:
        workers.carry_out("things", wanted[:1])
        first = (tmp_path / "0" / "words.txt").stat().st_mtime_ns
        workers.carry_out("things", wanted)
        workers.carry_out("things", wanted)
    assert all(is_whole(unit.folder) for unit in wanted)
    assert (tmp_path / "0" / "words.txt").stat().st_mtime_ns == first
    assert [line for line in board.lines if line[0] == "begin"] == [
        ("begin", "things", 1, 0),
        ("begin", "things", 3, 1),
    ]
    finished = [line for line in board.lines if line[0] == "finished"]
    assert sorted(finished) == [("finished", f"unit {k}", f"words {k}") for k in range(3)]
    assert {line[2] for line in board.lines if line[0] == "moved"} == {0.25}
    assert board.lines[-1] == ("end",)


@pytest.mark.parametrize("count", [1, 2])
def test_errors_come_through_and_what_is_finished_stays(tmp_path: Path, count: int) -> None:
    with Workers(count) as workers:
        workers.carry_out("things", units(tmp_path, count=1))
        with pytest.raises(DataError, match=r"words [12]"):
            workers.carry_out("things", units(tmp_path, fail))
        assert is_whole(tmp_path / "0")
    with pytest.raises(Interrupted, match="words"), Workers(count) as workers:
        workers.carry_out("other things", units(tmp_path / "other", stop))


def interrupt(folder: Path, words: str, watch: Watch) -> str:
    raise KeyboardInterrupt


def test_an_interrupt_has_its_word_at_once(tmp_path: Path) -> None:
    board = Told()
    with pytest.raises(Interrupted, match="stopped; what is finished is kept"), Workers(2, board) as workers:
        workers.carry_out("things", units(tmp_path, interrupt))
    assert board.lines[-2:] == [("say", "stopping after this step …"), ("end",)]


def test_a_worker_that_dies_is_named(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFault, match="a worker process was killed"), Workers(2) as workers:
        workers.carry_out("things", units(tmp_path, die))


def test_workers_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    """The pipe is at its end when no process has it open any more."""
    code = """
        from pathlib import Path
        from recdistill.work import Unit, Workers
        from test_work import hang
        if __name__ == "__main__":
            units = [Unit(str(n), Path(str(n)), "these", hang, (Path(str(n)), "working")) for n in range(2)]
            with Workers(2) as crew:
                crew.carry_out("stage", units)
    """
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(code))
    told = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, script], cwd=tmp_path, env=told, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        assert [parent.stdout.readline() for _ in range(2)] == [b"working\n"] * 2
        parent.kill()
        assert parent.communicate(timeout=60) == (b"", None)


def test_what_was_made_from_other_rows_is_made_again(tmp_path: Path) -> None:
    (unit,) = units(tmp_path, count=1)
    with new_folder(unit.folder, prepared="others"):
        pass
    assert not unit.is_done
    Workers().carry_out("things", [unit])
    assert unit.is_done


def test_there_must_be_a_worker() -> None:
    with pytest.raises(UsageError, match="at least one worker"):
        Workers(0)


def spoken(terminal: bool) -> str:
    out = io.StringIO()
    board = TerminalBoard(Console(file=out, force_terminal=terminal, width=100))
    board.begin("things", 4, 1)
    board.moved("unit [b]", 0.5)
    board.finished("unit [b]", "AUC [0.5]")
    board.moved("unit [b]", 0.9)
    assert not board.shares, "a late message changes nothing"
    board.end()
    board.say("over")
    return out.getvalue()


def test_off_a_terminal_there_are_plain_lines() -> None:
    text = spoken(terminal=False)
    assert "\x1b" not in text
    first, second, last = text.splitlines()
    assert first == "things: 4 to make, 1 of them kept from before"
    assert second.startswith("  [2/4] unit [b]: AUC [0.5] (about ")
    assert second.endswith("left)")
    assert last == "over"


def test_a_stage_of_which_nothing_is_left_says_so() -> None:
    out = io.StringIO()
    board = TerminalBoard(Console(file=out, width=100))
    board.begin("things", 3, 3)
    board.end()
    assert out.getvalue() == "things: all 3 kept from before\n"


def test_off_a_terminal_the_first_line_comes_soon_and_later_ones_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("recdistill.terminal.time.monotonic", lambda: now[0])
    out = io.StringIO()
    board = TerminalBoard(Console(file=out, width=100))
    spoke = []
    for stage in (0, 100):
        now[0] = stage
        board.begin("things", 1, 0)
        for second in range(stage, stage + 50):
            now[0], before = second, len(out.getvalue())
            board.moved("unit", 0.1)
            spoke += [second] if len(out.getvalue()) > before else []
    assert spoke == [6, 27, 48, 106, 127, 148]


def test_on_a_terminal_there_is_a_bar_with_the_time_left() -> None:
    assert "left:" in spoken(terminal=True)


def test_a_bar_for_one_fit_counts_steps() -> None:
    with Bar("teacher [b]") as bar:
        bar.step(0, 3, 4, 2, 64)
        assert not bar.stopped()
        task = bar.bars.tasks[0]
        assert (task.completed, task.total) == (3, 8)
        bar.step(1, 4, 4, 2, 64)
        assert bar.bars.tasks[0].finished


def test_tables_are_never_cut_off_a_terminal() -> None:
    out = io.StringIO()
    show_table(Console(file=out, width=20, soft_wrap=True), [["ranker", "auc"], ["a" * 60, "0.5"]], "title [b]")
    assert out.getvalue().splitlines() == ["title [b]", f"{'ranker':60}  auc", f"{'a' * 60}  0.5"]
