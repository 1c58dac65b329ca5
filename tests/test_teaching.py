"""A teacher on a prepared table: trained, found again, continued, refused; in Python and on the command line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import prepared
import pytest
from tiny import Call

from recdistill import teaching
from recdistill.artefacts import manifest
from recdistill.checkpoints import held
from recdistill.errors import DataError, UsageError
from recdistill.fit_settings import FitSettings
from recdistill.prepared_table import PreparedTable
from recdistill.ranker import Ranker
from recdistill.settings import fill, override
from recdistill.soft_labels import SoftLabels
from recdistill.teaching import TeachSettings, teach

SETTINGS = TeachSettings(
    arguments={"embedding_dim": 4, "hidden": [8]},
    fit=FitSettings(epochs=2, batch_size=64, embedding_optimiser="rowwise_adagrad"),
)
SAME = {"arguments.embedding_dim": "4", "arguments.hidden": "[8]", "fit.batch_size": "64"}


class Told:
    """A board that remembers."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.steps = self.total = 0

    def say(self, text: str) -> None:
        self.said.append(text)

    def track(self, stage: str, total: int, unit: str) -> None:
        self.total = total

    def advance(self, amount: int) -> None:
        self.steps += amount

    def end(self) -> None:
        pass

    def begin(self, stage: str, units: int, done: int) -> None:
        pass

    def moved(self, unit: str, share: float) -> None:
        pass

    def finished(self, unit: str, words: str) -> None:
        pass


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> PreparedTable:
    rows = [prepared.made(n, seed=n, first=1000 * n) for n in (150, 80, 60)]
    splits = {"train": rows[:2], "valid": [None, None, rows[2]]}
    folder = tmp_path_factory.mktemp("teaching") / "table"
    return PreparedTable.read(prepared.write(folder, splits, prepared.fitted(rows[0])))


def weights(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


def test_a_teacher_is_trained_and_found_again(table: PreparedTable, tmp_path: Path) -> None:
    told, out = Told(), tmp_path / "teacher"
    assert teach(table, out, settings=SETTINGS, board=told) == out
    assert (told.steps, told.total) == (8, 8)
    assert told.said[0].startswith("best after epoch ")
    assert not (tmp_path / "teacher.unfinished").exists()
    made = Ranker.load(out)
    assert made.encoder.fingerprint == table.encoder.fingerprint
    assert len(manifest(out)["facts"]["history"]) == 3
    before = weights(out)
    again = Told()
    teach(table, out, settings=SETTINGS.model_copy(update={"fit": _fit(checkpoint_seconds=5.0)}), board=again)
    assert again.said == [f"{out} was trained before on the same rows with the same settings: nothing to do"]
    assert weights(out) == before


def _fit(**changes: object) -> FitSettings:
    return SETTINGS.fit.model_copy(update=changes)


def test_a_teacher_of_other_settings_is_replaced_only_when_asked(table: PreparedTable, tmp_path: Path) -> None:
    out = teach(table, tmp_path / "teacher", settings=SETTINGS)
    other = SETTINGS.model_copy(update={"fit": _fit(seed=1)})
    with pytest.raises(UsageError, match=r"trained otherwise: told\.fit\.seed is 0 there and 1 here; choose another"):
        teach(table, out, settings=other)
    before = weights(out)
    teach(table, out, settings=other, overwrite=True)
    assert weights(out) != before
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="holds something else than a ranker"):
        teach(table, tmp_path / "mine", settings=SETTINGS, overwrite=True)


def left_unfinished(
    table: PreparedTable, out: Path, settings: TeachSettings = SETTINGS, *, overwrite: bool = False
) -> Path:
    """The states of a teacher whose process was stopped just before it was saved."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Ranker, "save", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            teach(table, out, settings=settings, overwrite=overwrite)
    return out.with_name(f"{out.name}.unfinished")


def test_what_is_killed_before_the_teacher_is_saved_costs_no_step(
    table: PreparedTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = teach(table, tmp_path / "whole", settings=SETTINGS)
    out = tmp_path / "teacher"
    assert left_unfinished(table, out).is_dir()
    steps: list[int] = []
    monkeypatch.setattr(teaching._Told, "step", lambda self, epoch, step, *rest: steps.append(step))
    teach(table, out, settings=SETTINGS)
    assert steps == []
    assert weights(out) == weights(whole)


def test_a_table_without_rows_to_stop_by_trains_all_epochs(tmp_path: Path) -> None:
    rows = prepared.made(150, seed=1)
    table = PreparedTable.read(prepared.write(tmp_path / "table", {"train": [rows]}, prepared.fitted(rows)))
    told = Told()
    teach(table, tmp_path / "teacher", settings=SETTINGS, board=told)
    assert told.said[0].startswith("best after epoch 2; ")


def test_a_model_or_classes_that_make_no_sense_are_refused() -> None:
    with pytest.raises(UsageError, match="did you mean 'deepfm'"):
        fill(TeachSettings, {"model": "depfm"})
    with pytest.raises(UsageError, match="classes are set by the rows' grades, got 5"):
        fill(TeachSettings, {"arguments": {"classes": 5}})
    assert fill(TeachSettings, override({}, ["fit.epochs=5"])).fit == TeachSettings().fit.model_copy(
        update={"epochs": 5}
    )


@pytest.fixture
def here(table: PreparedTable, tmp_path: Path, call: Call) -> Call:
    """The command line in a folder that holds the table."""
    shutil.copytree(table.path, tmp_path / "p")
    return call


def test_the_verbs_teach_and_label_on_a_table(here: Call, tmp_path: Path) -> None:
    sets = [part for key, value in SAME.items() for part in ("--set", f"{key}={value}")]
    code, output, _ = here("teacher", "p", *sets)
    assert code == 0
    assert "teachers/p is trained; next: recdistill label PREPARED_TARGET --teacher teachers/p\n" in output
    code, output, _ = here("label", "p", "--teacher", "teachers/p", "--out", "soft")
    assert (code, "soft is written; use it with: rd.SoftLabels.load('soft')" in output) == (0, True)
    assert len(SoftLabels.load(tmp_path / "soft").logits) == 230
    (tmp_path / "t.toml").write_text('model = "fm"\narguments = {embedding_dim = 4}\nfit = {epochs = 1}\n')
    code, output, errors = here("teacher", "p", "--config", "t.toml", "--out", "fm")
    assert (code, errors) == (0, "")
    assert json.loads((tmp_path / "fm" / "model.json").read_text())["model"] == "fm"


def test_the_verbs_refuse_what_is_of_the_other_kind(here: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    code, _, errors = here("label", "p")
    assert (code, "name the teacher that scores its rows with --teacher FOLDER" in errors) == (2, True)
    code, _, errors = here("teacher", "p", "--workers", "2")
    assert (code, "trained by torchrun's ranks, got --workers 2" in errors) == (2, True)
    assert here("prepare", "tiny.toml", "--out", "r")[0] == 0
    code, _, errors = here("teacher", "r", "--out", "x")
    assert (code, "r is a run, whose config.toml says how; --out is for prepared tables" in errors) == (2, True)
    monkeypatch.setenv("WORLD_SIZE", "2")
    code, _, errors = here("teacher", "r")
    assert (code, "a run is shared by --workers, got WORLD_SIZE=2" in errors) == (2, True)


OTHER = SETTINGS.model_copy(update={"fit": _fit(seed=1)})


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_an_unfinished_teacher_of_other_settings_is_not_continued(table: PreparedTable, tmp_path: Path) -> None:
    state = left_unfinished(table, tmp_path / "teacher")
    before = files(state)
    with pytest.raises(DataError, match="the state is of another fit"):
        teach(table, tmp_path / "teacher", settings=OTHER)
    assert files(state) == before


def test_an_unfinished_teacher_of_other_settings_is_begun_anew_when_asked(table: PreparedTable, tmp_path: Path) -> None:
    expected = teach(table, tmp_path / "expected", settings=OTHER)
    state = left_unfinished(table, tmp_path / "teacher")
    teach(table, tmp_path / "teacher", settings=OTHER, overwrite=True)
    assert weights(tmp_path / "teacher") == weights(expected)
    assert not state.exists()


def test_a_teacher_that_overwrites_is_continued_too(table: PreparedTable, tmp_path: Path) -> None:
    out = teach(table, tmp_path / "teacher", settings=SETTINGS)
    left_unfinished(table, out, OTHER, overwrite=True)
    steps: list[int] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(teaching._Told, "step", lambda self, epoch, step, *rest: steps.append(step))
        teach(table, out, settings=OTHER, overwrite=True)
    assert steps == []
    assert manifest(out)["facts"]["told"]["fit"]["seed"] == 1


def test_files_that_are_no_states_are_never_removed(table: PreparedTable, tmp_path: Path) -> None:
    out, state = tmp_path / "teacher", left_unfinished(table, tmp_path / "teacher")
    (state / "notes.txt").write_text("mine")
    before = files(state)
    for settings in (SETTINGS, OTHER):
        with pytest.raises(UsageError, match=r"must hold nothing else, got 'notes\.txt'"):
            teach(table, out, settings=settings, overwrite=True)
        assert files(state) == before
    (state / "notes.txt").unlink()
    teach(table, out, settings=SETTINGS)
    state.mkdir()
    (state / "notes.txt").write_text("mine")
    told = Told()
    teach(table, out, settings=SETTINGS, board=told)
    assert told.said[1:] == [f"{state} is of another fit and is left as it is"]
    assert files(state) == {"notes.txt": b"mine"}


def test_states_of_another_fit_beside_a_teacher_are_left_and_told_of(table: PreparedTable, tmp_path: Path) -> None:
    out, told = teach(table, tmp_path / "teacher", settings=SETTINGS), Told()
    state = left_unfinished(table, out, OTHER, overwrite=True)
    before = files(state)
    teach(table, out, settings=SETTINGS, board=told)
    assert told.said[1:] == [f"{state} is of another fit and is left as it is"]
    assert files(state) == before


def test_its_own_states_beside_a_teacher_are_removed(table: PreparedTable, tmp_path: Path) -> None:
    """A process that was killed after the teacher was saved left them."""
    state, told = left_unfinished(table, tmp_path / "teacher"), Told()
    shutil.copytree(state, tmp_path / "left")
    out = teach(table, tmp_path / "teacher", settings=SETTINGS)
    (tmp_path / "left").rename(state)
    teach(table, out, settings=SETTINGS, board=told)
    assert len(told.said) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["teacher"]


def test_what_is_refused_leaves_no_folder(table: PreparedTable, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="device"):
        teach(table, tmp_path / "teacher", settings=SETTINGS.model_copy(update={"fit": _fit(device="no_device")}))
    assert list(tmp_path.iterdir()) == []


def test_a_half_written_copy_is_removed(table: PreparedTable, tmp_path: Path) -> None:
    kept = (".teacher.0123abcg.tmp", ".teacher.0123abcd1.tmp", ".teachers.0123abcd.tmp", ".teacher.0123abcd.tmp2")
    for name in (".teacher.0123abcd.tmp", *kept):
        (tmp_path / name).mkdir()
    teach(table, tmp_path / "teacher", settings=SETTINGS)
    assert {path.name for path in tmp_path.iterdir()} == {"teacher", *kept}


def test_a_teacher_is_trained_by_one_process_at_a_time(table: PreparedTable, tmp_path: Path) -> None:
    out = tmp_path / "teacher"
    (half := tmp_path / ".teacher.0123abcd.tmp").mkdir()  # the other one writes it just now
    with (
        held(tmp_path / ".teacher.lock", out),
        pytest.raises(UsageError, match="teacher is worked on by another process; wait for it"),
    ):
        teach(table, out, settings=SETTINGS)
    assert half.is_dir()
    teach(table, out, settings=SETTINGS)
    assert [path.name for path in tmp_path.iterdir()] == ["teacher"]
