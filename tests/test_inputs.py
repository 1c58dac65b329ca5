"""The raw files of a run: written down with their hash, and noticed when they are others."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st
from tiny import Call

from recdistill import datasets
from recdistill.datasets import synthetic
from recdistill.errors import UsageError
from recdistill.inputs import CHUNK, Input, content_hash, require_unchanged
from recdistill.run_folder import RunFolder

NOTHING_TO_DO = "prepared before from the same files and settings: nothing to do"


@given(content=st.binary(max_size=200), times=st.sampled_from([1, CHUNK // 100]))
def test_the_hash_is_that_of_the_whole_content(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, times: int
) -> None:
    path = tmp_path_factory.mktemp("files") / "rows"
    path.write_bytes(content * times)
    assert content_hash(path) == xxhash.xxh3_128_hexdigest(content * times)


def test_a_file_is_the_same_by_size_and_time_or_by_content(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("a,b\n")
    read = Input.of(str(path))
    assert Input.from_dict(json.loads(json.dumps(read.to_dict()))) == read
    assert read.change() == ""
    os.utime(path, ns=(1, 1))
    assert read.change() == "", "touched, and of the same content"
    path.write_text("a,c\n")
    assert read.change() == "4 bytes as then, but others"
    path.write_text("a,b\n1,2\n")
    assert read.change() == "8 bytes, then 4"
    with pytest.raises(UsageError, match=r"rows\.csv \(8 bytes, then 4\); --overwrite reads the data again"):
        require_unchanged([read])
    path.unlink()
    assert require_unchanged([read]) == [str(path)]


def test_of_equal_size_and_time_the_content_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("a,b\n")
    read = Input.of(str(path))
    monkeypatch.setattr("recdistill.inputs.content_hash", lambda _: pytest.fail("it was read"))
    assert require_unchanged([read]) == []


@pytest.mark.parametrize(
    ("name", "folder", "files"),
    [
        ("criteo", "criteo-kaggle-137k", ["train.txt.gz"]),
        ("movielens", "ml-1m", ["users.dat", "movies.dat", "ratings.parquet"]),
        ("movielens", "ml-100k", ["u.user", "u.item", "u.data"]),
        ("movielens", "ml-latest-small", ["ratings.csv", "movies.csv"]),
        (
            "amazon",
            "amazon-sport-cloth",
            [f"{pair}/{part}.txt" for pair in ("sport_cloth", "cloth_sport") for part in ("train", "test")],
        ),
    ],
)
def test_data_sets_say_what_they_read(
    shared_data: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, name: str, folder: str, files: list[str]
) -> None:
    monkeypatch.setenv("SOME_FOLDER", str(shared_data(folder)))
    assert datasets.inputs(name, "$SOME_FOLDER", {}) == [f"$SOME_FOLDER/{file}" for file in files]
    assert all(Path(path).is_file() for path in datasets.inputs(name, shared_data(folder)))


def test_files_are_below_the_root_and_a_world_that_is_made_has_none() -> None:
    arguments = {"source": "a.csv", "target": "more/b.csv", "schema": {}}
    assert datasets.inputs("files", "data", arguments) == ["data/a.csv", "data/more/b.csv"]
    assert datasets.inputs("files", "data", {"target": "b.csv"}) == ["data/b.csv"]
    assert datasets.inputs("synthetic") == []
    with pytest.raises(UsageError, match="needs the folder of its files"):
        datasets.inputs("files", None, arguments)
    with pytest.raises(UsageError, match="cannot take"):
        datasets.inputs("files", "data", {"schema": {}})


def pair(tmp_path: Path) -> list[str]:
    """Two files, and what a run is told of them."""
    (tmp_path / "data").mkdir()
    schema = '{label = "click", categorical = ["item_id", "region"], number = ["price"]}'
    for name, table in zip(("source", "target"), synthetic.load(source_rows=1500, target_rows=1000), strict=True):
        frame = table.arrow.select(["click", "item_id", "region", "price"]).to_pandas()
        frame.to_csv(tmp_path / "data" / f"{name}.csv", index=False)
    arguments = f'{{source = "source.csv", target = "target.csv", schema = {schema}}}'
    given = ["data.name=files", "data.root=$HERE/data", f"data.arguments={arguments}"]
    return [word for one in given for word in ("--set", one)]


def test_a_changed_raw_file_is_noticed(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HERE", str(tmp_path))
    prepare = ["prepare", "tiny.toml", "--out", "r", *pair(tmp_path)]
    assert call(*prepare)[0] == 0
    inputs = RunFolder(tmp_path / "r").inputs
    assert inputs is not None
    assert [one.path for one in inputs] == ["$HERE/data/source.csv", "$HERE/data/target.csv"]
    identity = RunFolder(tmp_path / "r").identity
    assert NOTHING_TO_DO in call(*prepare)[1]
    target = tmp_path / "data" / "target.csv"
    os.utime(target, ns=(1, 1))
    assert NOTHING_TO_DO in call(*prepare)[1], "another time, the same content"

    text = target.read_text()
    target.write_text(text.replace("\n", "\n1,1,1,1.5\n", 1))
    for verb in ("prepare", "run"):
        code, _, errors = call(verb, *prepare[1:])
        assert code == 2
        assert "the rows were prepared from other files than there are now: $HERE/data/target.csv (" in errors
        assert "--overwrite reads the data again" in errors
    assert RunFolder(tmp_path / "r").identity == identity, "nothing was touched"
    assert call(*prepare, "--overwrite")[0] == 0
    assert NOTHING_TO_DO in call(*prepare)[1]
    assert RunFolder(tmp_path / "r").identity != identity

    target.unlink()
    code, output, _ = call(*prepare)
    assert code == 0
    assert "no longer there to compare: $HERE/data/target.csv: nothing to do" in output


def test_an_earlier_version_wrote_down_no_files(call: Call, tmp_path: Path) -> None:
    assert call("prepare", "tiny.toml", "--out", "r")[0] == 0
    versions = json.loads((tmp_path / "r/versions.json").read_text())
    del versions["run"]["inputs"]
    (tmp_path / "r/versions.json").write_text(json.dumps(versions))
    assert "from which files was not written down then): nothing to do" in call("prepare", "tiny.toml", "--out", "r")[1]
