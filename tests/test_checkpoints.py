"""Checkpoints: the last two are kept, the newest that is as it was written is continued, no other file is touched."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import prepared
import pytest
import torch
from torch import nn

from recdistill.artefacts import manifest, verify
from recdistill.checkpoints import Checkpoints, State, WholeState, folder
from recdistill.encoder import Encoder
from recdistill.errors import DataError, UsageError
from recdistill.fit_settings import FitSettings
from recdistill.models import build
from recdistill.models.embeddings import unplaced
from recdistill.optimisers import Optimisers
from recdistill.prepared_table import PreparedTable
from recdistill.ranker import Ranker
from recdistill.schema import Schema
from recdistill.training import Fitted, fit

FIT = FitSettings(epochs=4, batch_size=64, learning_rate=5e-3, patience=4, checkpoint_seconds=0)
NEVER = 1e9  # seconds


def names(where: Path) -> list[str]:
    return sorted(path.name for path in where.iterdir())


def flip(path: Path, bit: int) -> None:
    data = bytearray(path.read_bytes())
    data[bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)


class Fit:
    """A network and its optimiser, stepped by hand: its one weight is the step."""

    def __init__(self) -> None:
        self.network = nn.Linear(1, 1)
        self.stored = WholeState(self.network, Optimisers([torch.optim.SGD(self.network.parameters())]))

    def checkpoints(self, where: Path, identity: str = "mine") -> Checkpoints:
        return Checkpoints(where, self.stored, identity, seconds=0)

    def save(self, checkpoints: Checkpoints, step: int) -> None:
        nn.init.constant_(self.network.weight, step)
        checkpoints.save(State(step=step))

    def load(self, where: Path, identity: str = "mine") -> int | None:
        """The step of the state that is continued."""
        state = self.checkpoints(where, identity).load()
        assert state is None or state.step == self.network.weight.item()
        return None if state is None else state.step


@pytest.fixture
def two(tmp_path: Path) -> Path:
    """A folder with the states of steps 4 and 5."""
    checkpoints = (made := Fit()).checkpoints(tmp_path / "state")
    for step in range(1, 6):
        made.save(checkpoints, step)
    return tmp_path / "state"


def test_the_last_two_are_kept_and_the_newest_is_continued(two: Path) -> None:
    assert names(two) == ["state-000004", "state-000005"]
    assert Fit().load(two) == 5


def test_a_flipped_bit_costs_one_checkpoint_and_is_said(two: Path, caplog: pytest.LogCaptureFixture) -> None:
    flip(two / "state-000005" / "state.safetensors", 77)
    checkpoints = (made := Fit()).checkpoints(two)
    state = checkpoints.load()
    assert state is not None
    assert (state.step, made.network.weight.item()) == (4, 4)
    assert len(caplog.messages) == 1
    assert "a checkpoint is damaged, the one before it is continued: " in caplog.messages[0]
    assert "state-000005/state.safetensors was changed after it was written" in caplog.messages[0]
    made.save(checkpoints, 5)
    assert names(two) == ["state-000004", "state-000005"]
    assert [verify(path) for path in two.iterdir()] == [2, 2]


def test_no_flipped_bit_is_taken_for_a_state(two: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Bits of each file, the manifest too, where some say nothing of the state."""
    draw, made = random.Random(0), Fit()
    for name in ("state.safetensors", "state.json", "manifest.json"):
        path = two / "state-000005" / name
        before = path.read_bytes()
        for bit in draw.sample(range(8 * len(before)), 200):
            flip(path, bit)
            caplog.clear()
            step = made.load(two)
            assert step == 4 or (step == 5 and name == "manifest.json")
            assert len(caplog.messages) == (step == 4)
            path.write_bytes(before)
    assert made.load(two) == 5


def test_where_no_state_is_whole_it_is_an_error(two: Path) -> None:
    flip(two / "state-000005" / "state.json", 8)
    (two / "state-000004" / "state.safetensors").unlink()
    with pytest.raises(DataError, match=r"holds no state to continue: .*-000005/state.json was .*-000004/state.safet"):
        Fit().load(two)
    assert names(two) == ["state-000004", "state-000005"]


def test_another_fit_is_refused_beside_a_damaged_state_too(two: Path) -> None:
    with pytest.raises(DataError, match=r"continue: the state is of another fit .*; overwrite or remove it to begin"):
        Fit().load(two, "another")
    flip(two / "state-000005" / "state.json", 8)
    with pytest.raises(DataError, match=r"was changed after it was written.*; the state is of another fit"):
        Fit().load(two, "another")


def test_a_folder_of_something_else_is_refused_and_left_alone(two: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    for where, rule in ((tmp_path, "must hold nothing else, got 'mine.txt'"), (tmp_path / "mine.txt", "got the file")):
        with pytest.raises(UsageError, match=rule):
            Fit().load(where)
    assert (tmp_path / "mine.txt").read_text() == "mine"
    (two / "mine.txt").write_text("mine")  # put there while the fit runs
    Fit().checkpoints(two).clear()
    assert names(two) == ["mine.txt"]


def test_a_fit_that_is_done_leaves_nothing(two: Path) -> None:
    (two / ".state-000006.0123abcd.tmp").mkdir()
    assert Fit().load(two) == 5
    assert names(two) == ["state-000004", "state-000005"]
    Fit().checkpoints(two).clear()
    assert not two.exists()
    assert Fit().load(two) is None


@pytest.mark.parametrize(
    ("steps", "seconds", "expected"),
    [(0, 30, [3, 6]), (2, NEVER, [2, 4, 6]), (2, 30, [2, 4, 6]), (4, 30, [3, 6]), (0, NEVER, [])],
)
def test_a_state_is_written_by_time_or_by_steps(
    tmp_path: Path, steps: int, seconds: float, expected: list[int]
) -> None:
    """A step takes 10 s here, and what is between two epochs is no step."""
    now, written = [0.0], list[int]()
    checkpoints = Checkpoints(
        tmp_path / "state", Fit().stored, "mine", seconds=seconds, steps=steps, clock=lambda: now[0]
    )

    def save_if_due(state: State) -> None:
        if checkpoints.due(state):
            checkpoints.save(state)
            written.append(int(now[0] / 10))

    for epoch in range(2):
        for step in (1, 2, 3):
            now[0] += 10
            save_if_due(State(epoch=epoch, step=step))
        save_if_due(State(epoch=epoch + 1))
    assert written == expected


# ---------------------------------------------------------------------------------------------- over ranks


class OneOfTwo:
    """A rank whose turn comes after rank 0's, and which hears what that one said."""

    def __init__(self, rank: int, line: list[str]) -> None:
        self.rank, self.first, self.line = rank, rank == 0, line

    def told(self, text: str) -> str:
        if self.first:
            self.line.append(text)
            return text
        return self.line.pop(0)

    def summed(self, values: Sequence[float]) -> list[float]:
        return list(values)


def in_turn(where: Path) -> list[Checkpoints]:
    line: list[str] = []
    ranks: list[Any] = [OneOfTwo(rank, line) for rank in (0, 1)]
    return [Checkpoints(where, Fit().stored, "mine", seconds=0, ranks=one) for one in ranks]


def cannot(*_: object) -> None:
    raise OSError("stale file handle")


def test_rank_0_alone_chooses_the_state_that_all_continue(two: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rank that cannot read a manifest just now takes no other state."""
    flip(two / "state-000005" / "state.json", 8)
    first, second = in_turn(two)
    assert getattr(first.load(), "step", None) == 4
    monkeypatch.setattr(folder, "verify", cannot)
    monkeypatch.setattr(folder, "manifest", cannot)
    assert getattr(second.load(), "step", None) == 4
    assert first.newest == second.newest == 4


@pytest.mark.parametrize("kind", [DataError, UsageError])
def test_what_rank_0_refuses_all_refuse_alike(
    two: Path, kind: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever they would find themselves."""
    if kind is UsageError:
        (two / "mine.txt").write_text("mine")
    for path in two.glob("state-*/state.json"):
        flip(path, 8)
    said = []
    for checkpoints in in_turn(two):
        with pytest.raises(kind) as raised:
            checkpoints.load()
        said.append(str(raised.value))
        monkeypatch.setattr(folder, "verify", cannot)
        monkeypatch.setattr(folder, "strangers", cannot)
    assert said[0] == said[1]


# -------------------------------------------------------------------------------------- by others meanwhile

HOLD = """
import sys
from pathlib import Path
from recdistill.checkpoints import Checkpoints
with Checkpoints(Path(sys.argv[1]), None, "mine", seconds=0):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_folder_is_one_process_alone(two: Path) -> None:
    (half := two / ".state-000006.0123abcd.tmp").mkdir()  # the other one writes it just now
    command = [sys.executable, "-c", HOLD, str(two)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(UsageError, match="state is worked on by another process; wait for it"):  # noqa: SIM117
            with Fit().checkpoints(two):
                pass
        assert half.is_dir()
        other.kill()
    with Fit().checkpoints(two) as checkpoints:
        assert getattr(checkpoints.load(), "step", None) == 5
        assert names(two) == [".lock", "state-000004", "state-000005"]
    assert names(two) == ["state-000004", "state-000005"]


def test_a_folder_is_let_go_of_however_a_fit_ends(two: Path) -> None:
    for _ in range(2):
        with pytest.raises(MemoryError), Fit().checkpoints(two):
            raise MemoryError
    with Fit().checkpoints(two) as checkpoints:
        checkpoints.clear()
    assert not two.exists()
    with pytest.raises(MemoryError), Fit().checkpoints(two):
        raise MemoryError
    assert not two.exists()


def test_a_folder_of_something_else_is_not_locked(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match=r"must hold nothing else"), Fit().checkpoints(tmp_path):
        pass
    assert names(tmp_path) == ["mine.txt"]


class WrittenByRanks:
    """Stands for what ranks write."""

    format = "ranks"

    def write(self, where: Path, state: State) -> None:
        (where / "position.json").write_text("{}")

    def read(self, where: Path) -> State:
        raise AssertionError


def test_a_state_of_ranks_is_not_read_by_one_process_nor_the_other_way_round(two: Path, tmp_path: Path) -> None:
    assert manifest(two / "state-000005")["facts"]["written_by"] == "one process"
    ranks = WrittenByRanks()
    with pytest.raises(
        DataError, match=r"written by one process, here is ranks: continue without torchrun; overwrite or remove it"
    ):
        Checkpoints(two, ranks, "mine", seconds=0).load()
    Checkpoints(tmp_path / "ranks", ranks, "mine", seconds=0).save(State())
    with pytest.raises(
        DataError, match=r"by ranks, here is one process: .* `torchrun --nproc_per_node=1 ...`; overwrite or remove"
    ):
        Fit().load(tmp_path / "ranks")


# ------------------------------------------------------------------------------------------------ of a fit


class Crash:
    """Ends a fit after so many steps as an error would, without a checkpoint of its own."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def step(self, epoch: int, step: int, steps: int, epochs: int, rows: int) -> None:
        self.left -= 1
        if not self.left:
            raise MemoryError

    def stopped(self) -> bool:
        return False


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> PreparedTable:
    return prepared.with_valid(tmp_path_factory.mktemp("made"), 200, 60)


def fitted(
    table: PreparedTable, settings: FitSettings, state: Path | None = None, crash: int = 0
) -> tuple[Fitted, dict[str, torch.Tensor]]:
    arguments = {"embedding_dim": 4, "hidden": [8]}
    made = Ranker(table.encoder, build("deepfm", table.encoder.spec, seed=0, arguments=arguments))
    progress = Crash(crash) if crash else None
    found = fit(made, table, valid=table, settings=settings, checkpoint=state, progress=progress)
    return found, made.network.state_dict()


def test_a_fit_whose_newest_state_was_damaged_ends_as_if_it_was_not(
    table: PreparedTable, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    expected, weights = fitted(table, FIT)
    with pytest.raises(MemoryError):
        fitted(table, FIT, tmp_path / "state", crash=10)
    newest = max((tmp_path / "state").iterdir())
    flip(newest / "state.safetensors", 8 * (newest / "state.safetensors").stat().st_size - 3)
    found, mine = fitted(table, FIT, tmp_path / "state")
    assert found == expected
    assert weights.keys() == mine.keys()
    assert all(torch.equal(weights[name], mine[name]) for name in weights)
    assert f"the one before it is continued: {newest / 'state.safetensors'} was changed" in caplog.text
    assert not (tmp_path / "state").exists()


def test_a_fit_may_go_on_with_checkpoints_at_other_times(table: PreparedTable, tmp_path: Path) -> None:
    by_steps = FIT.model_copy(update={"checkpoint_seconds": NEVER, "checkpoint_steps": 3})
    expected, weights = fitted(table, FIT)
    with pytest.raises(MemoryError):
        fitted(table, by_steps, tmp_path / "state", crash=10)
    assert names(tmp_path / "state") == ["state-000002", "state-000003"]
    found, mine = fitted(table, FIT, tmp_path / "state")
    assert found == expected
    assert all(torch.equal(weights[name], mine[name]) for name in weights)
    for wrong in ({"checkpoint_steps": -1}, {"checkpoint_steps": 1.5}):
        with pytest.raises(ValueError, match="checkpoint_steps"):
            FitSettings.model_validate(wrong)


@pytest.mark.parametrize("placed", [True, False])
def test_a_fit_of_another_network_is_refused_whether_or_not_its_tables_are_placed(tmp_path: Path, placed: bool) -> None:
    """The sizes of its tables alone differ, which those that are not placed do not print."""
    rows = prepared.made(200, seed=1, schema=Schema(label="click", categorical=("user", "item")))
    table = PreparedTable.read(prepared.write(tmp_path / "table", {"train": [rows]}, Encoder.fit(rows)))

    def made(dim: int) -> Ranker:
        arguments = {"embedding_dim": dim}
        if placed:
            return Ranker(table.encoder, build("fm", table.encoder.spec, arguments=arguments))
        with unplaced():
            return Ranker(table.encoder, build("fm", table.encoder.spec, arguments=arguments))

    with pytest.raises(MemoryError):
        fit(made(8), table, settings=FIT, checkpoint=tmp_path / "state", progress=Crash(3))
    with pytest.raises(DataError, match="the state is of another fit"):
        fit(made(16), table, settings=FIT, checkpoint=tmp_path / "state")
    fit(made(8), table, settings=FIT, checkpoint=tmp_path / "state")


def test_a_fit_that_keeps_its_states_keeps_its_end(table: PreparedTable, tmp_path: Path) -> None:
    """Whatever the time between two states; a second call writes nothing."""
    made = Ranker(table.encoder, build("fm", table.encoder.spec, arguments={"embedding_dim": 4}))
    start, settings = made.copy(), FIT.model_copy(update={"checkpoint_seconds": NEVER})
    expected = fit(made, table, settings=settings, checkpoint=tmp_path / "state", keep_checkpoint=True)
    assert names(tmp_path / "state") == ["state-000001"]
    progress = Crash(1)
    found = fit(start, table, settings=settings, checkpoint=tmp_path / "state", keep_checkpoint=True, progress=progress)
    assert found.history == expected.history
    assert progress.left == 1
    assert names(tmp_path / "state") == ["state-000001"]
    weights = made.network.state_dict()
    assert all(torch.equal(weights[name], other) for name, other in start.network.state_dict().items())
