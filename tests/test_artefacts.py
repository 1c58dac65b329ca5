"""Artefacts are there whole or not at all, and what changed afterwards is noticed."""

from __future__ import annotations

import errno
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from house import ROOT
from hypothesis import given
from hypothesis import strategies as st

from recdistill.artefacts import (
    MANIFEST,
    digest,
    is_whole,
    manifest,
    new_folder,
    read_json,
    verify,
    write_json,
    write_text,
)
from recdistill.artefacts import sha256 as sha256_of
from recdistill.errors import DataError, EnvironmentFault

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


def made(path: Path, text: str = "rows") -> Path:
    """An artefact of two files, one of them in a folder of its own."""
    with new_folder(path, kind="test", text=text) as temporary:
        (temporary / "a.txt").write_text(text)
        (temporary / "inner").mkdir()
        (temporary / "inner" / "b.txt").write_text("")
    return path


def listed(path: Path, files: Any) -> Path:
    """A folder whose manifest lists what it is told to."""
    path.mkdir()
    (path / MANIFEST).write_text(json.dumps({"format": 1, "facts": {}, "files": files}))
    return path


def fail(number: int) -> OSError:
    return OSError(number, os.strerror(number))


def turned(value: Any) -> Any:
    """The same JSON value with the keys of every object in the opposite order."""
    if isinstance(value, dict):
        return {key: turned(inner) for key, inner in reversed(value.items())}
    return [turned(inner) for inner in value] if isinstance(value, list) else value


def test_a_folder_lists_its_files_and_facts(tmp_path: Path) -> None:
    path = made(tmp_path / "deep" / "artefact")
    assert verify(path) == 2
    assert is_whole(path)
    entry = {"bytes": 4, "sha256": sha256_of(path / "a.txt")}
    assert manifest(path)["files"]["a.txt"] == entry
    assert sorted(manifest(path)["files"]) == ["a.txt", os.path.join("inner", "b.txt")]
    assert manifest(path)["facts"] == {"kind": "test", "text": "rows"}
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = made(tmp_path / "artefact", "old")
    with new_folder(path, kind="other") as temporary:
        (temporary / "c.txt").write_text("new")
    assert sorted(p.name for p in path.iterdir()) == ["c.txt", MANIFEST]
    assert verify(path) == 1


@pytest.mark.parametrize("error", [RuntimeError("broken"), KeyboardInterrupt(), fail(errno.EACCES)])
@pytest.mark.parametrize("before", [False, True])
def test_an_error_while_filling_leaves_nothing_behind(tmp_path: Path, error: BaseException, before: bool) -> None:
    path = tmp_path / "artefact"
    if before:
        made(path, "old")

    def broken() -> None:
        with new_folder(path) as temporary:
            (temporary / "a.txt").write_text("half")
            assert temporary.parent == path.parent
            raise error

    with pytest.raises(type(error)) as caught:
        broken()
    assert caught.value is error
    assert list(tmp_path.iterdir()) == ([path] if before else [])
    assert not before or (verify(path), (path / "a.txt").read_text()) == (2, "old")
    assert is_whole(path) is before


def test_an_error_while_renaming_keeps_the_old_artefact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = made(tmp_path / "artefact", "old")
    replace = os.replace

    def faulty(source: Path, target: Path) -> None:
        if target == path and (source / "a.txt").read_text() == "new":
            raise fail(errno.EIO)
        replace(source, target)

    monkeypatch.setattr("os.replace", faulty)
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        made(path, "new")
    assert list(tmp_path.iterdir()) == [path]
    assert (verify(path), (path / "a.txt").read_text()) == (2, "old")


def test_facts_that_are_no_json_leave_the_old_artefact(tmp_path: Path) -> None:
    path = made(tmp_path / "artefact", "old")
    with pytest.raises(ValueError, match="JSON"), new_folder(path, score=math.nan):
        pass
    assert list(tmp_path.iterdir()) == [path]
    assert manifest(path)["facts"]["text"] == "old"


def test_whole_means_every_file_at_its_size(tmp_path: Path) -> None:
    assert not is_whole(tmp_path)
    assert not is_whole(tmp_path / "nothing")
    short, gone, replaced = (made(tmp_path / name) for name in ("short", "gone", "replaced"))
    (short / "a.txt").write_text("row")
    (gone / "inner" / "b.txt").unlink()
    (replaced / "a.txt").unlink()
    (replaced / "a.txt").mkdir()
    assert not any(map(is_whole, (short, gone, replaced)))


def test_verify_says_what_is_wrong(tmp_path: Path) -> None:
    path = made(tmp_path / "artefact")
    (path / "a.txt").write_text("Rows")
    assert is_whole(path)
    with pytest.raises(DataError, match=r"a\.txt was changed after it was written: its sha256 differs"):
        verify(path)
    (path / "a.txt").write_text("longer")
    with pytest.raises(DataError, match=r"a\.txt must have 4 bytes, got 6"):
        verify(path)
    (path / "a.txt").unlink()
    with pytest.raises(DataError, match=r"a\.txt is listed in manifest\.json but missing"):
        verify(path)
    (path / MANIFEST).unlink()
    with pytest.raises(DataError, match=r"manifest\.json does not exist"):
        verify(path)


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/etc/hostname", ".."])
def test_a_manifest_stays_in_its_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "x").write_text("secret")
    path = listed(tmp_path / "artefact", {name: {"bytes": 6, "sha256": sha256_of(tmp_path / "x")}})
    for read in (manifest, verify, is_whole):
        with pytest.raises(DataError, match="lists files outside its folder"):
            read(path)


@pytest.mark.parametrize("text", ["[]", "{}", '{"format": 2, "files": {}}', '{"format": 1, "files": []}', "3"])
def test_a_manifest_of_another_format_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / MANIFEST).write_text(text)
    with pytest.raises(DataError, match="must be a manifest of format 1"):
        verify(tmp_path)


def test_a_file_that_is_no_json_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "values.json"
    for content in (b"{", b"", b"\xff\xfe"):
        file.write_bytes(content)
        with pytest.raises(DataError, match=r"values\.json is not JSON"):
            read_json(file)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_json_has_no_nan(tmp_path: Path, value: float) -> None:
    file = tmp_path / "values.json"
    write_json(file, {"kept": [1.5, "ü"]})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(file, {"score": [value]})
    assert read_json(file) == {"kept": [1.5, "ü"]}
    assert list(tmp_path.iterdir()) == [file]


def run_out(path: Path, way: str) -> None:
    """Write an artefact in one of the ways there are."""
    if way == "text":
        write_text(path, "text")
    elif way == "json":
        write_json(path, {"a": 1})
    else:
        made(path)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("way", ["text", "json", "folder"])
@pytest.mark.parametrize("place", ["os.fsync", "os.replace"])
def test_a_full_disk_is_said_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, way: str, place: str
) -> None:
    def full(*_: Any) -> None:
        raise fail(number)

    monkeypatch.setattr(place, full)
    with pytest.raises(EnvironmentFault, match=r"disk full while writing .*thing.*: [\d,]+ bytes free") as caught:
        run_out(tmp_path / "new" / "thing", way)
    assert isinstance(caught.value.__cause__, OSError)
    assert list((tmp_path / "new").iterdir()) == []


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO, errno.EROFS])
@pytest.mark.parametrize("way", ["text", "json", "folder"])
def test_other_faults_of_the_disk_pass_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, way: str
) -> None:
    error = fail(number)

    def faulty(*_: Any) -> None:
        raise error

    monkeypatch.setattr("os.replace", faulty)
    with pytest.raises(OSError, match=os.strerror(number)) as caught:
        run_out(tmp_path / "thing", way)
    assert caught.value is error
    assert list(tmp_path.iterdir()) == []


@given(json_values, json_values)
def test_a_digest_follows_the_value_alone(value: Any, other: Any) -> None:
    assert digest(value) == digest(turned(value)) == digest(json.loads(json.dumps(value)))
    assert (digest(value) == digest(other)) is (json.dumps(value, sort_keys=True) == json.dumps(other, sort_keys=True))


def test_a_digest_knows_types_and_order_of_lists() -> None:
    values: list[Any] = [[1, 2], [2, 1], ["1", 2], [12], {"a": 1}, {"a": "1"}, None, "null", False, 0]
    assert len({digest(value) for value in values}) == len(values)
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})


def test_what_cannot_be_written_is_named_by_its_own_name(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    with pytest.raises(IsADirectoryError) as caught:
        write_text(tmp_path / "folder", "x")
    assert (caught.value.filename, caught.value.filename2) == (str(tmp_path / "folder"), None)
    with pytest.raises(NotADirectoryError) as caught, new_folder(tmp_path / "file" / "x"):
        pass
    assert caught.value.filename == str(tmp_path / "file" / "x")
    with pytest.raises(FileNotFoundError) as caught, new_folder(tmp_path / "made"):
        (tmp_path / "other").read_text()
    assert caught.value.filename == str(tmp_path / "other")


def test_text_is_utf_8_whatever_the_locale(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_bytes('name = "Zoë 😀"'.encode())
    code = (
        "import sys; from pathlib import Path; from recdistill.artefacts import read_json, write_json, write_text;"
        "from recdistill.settings import read_toml;"
        "folder = Path(sys.argv[1]); given = read_toml(folder / 'a.toml');"
        "write_json(folder / 'a.json', given); assert read_json(folder / 'a.json') == given;"
        "write_text(folder / 'a.md', given['name']);"
        "from recdistill.configuration import Config, DataSettings; from recdistill.run_folder import RunFolder;"
        "config = Config(data=DataSettings(note=given['name'])); run = RunFolder(folder / 'run');"
        "run.begin(config, source=True); assert run.holds(config)"
    )
    ascii_only = os.environ | {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], env=ascii_only, cwd=ROOT, check=True)
    assert (tmp_path / "a.md").read_text("utf-8") == "Zoë 😀"
