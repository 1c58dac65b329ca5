"""Downloads: whole and checked, or not there at all; and archives that would harm are refused untouched."""

from __future__ import annotations

import errno
import hashlib
import io
import stat
import sys
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from recdistill.artefacts import is_whole, verify
from recdistill.cli import app
from recdistill.datasets import unpacking
from recdistill.datasets.download import ARCHIVES, Archive, fetch
from recdistill.datasets.unpacking import unpack
from recdistill.errors import DataError, EnvironmentFault, UsageError

Entries = list[tuple[str | zipfile.ZipInfo, bytes]]
GOOD: Entries = [("ml-tiny/u.data", b"1\t7\t5\t1\n" * 100), ("ml-tiny/README", b"terms")]


def zipped(entries: Entries) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in entries:
            entry = zipfile.ZipInfo(name) if isinstance(name, str) else name
            archive.writestr(entry, content, zipfile.ZIP_DEFLATED)
    return stream.getvalue()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Serves bytes as the archive `ml-tiny`, on this machine only; `cut` leaves out the end, `status` refuses."""
    answer: dict[str, Any] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(answer["status"])
            self.send_header("Content-Length", str(len(answer["content"])))
            self.end_headers()
            self.wfile.write(answer["content"][: answer["cut"]])

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()

    def serve(content: bytes, *, sha256: str | None, cut: int | None = None, status: int = 200) -> None:
        answer.update(content=content, cut=cut, status=status)
        address = f"http://127.0.0.1:{server.server_port}/ml-tiny.zip"
        monkeypatch.setitem(ARCHIVES, "ml-tiny", Archive(address, "u.data", sha256))

    yield serve
    server.shutdown()
    thread.join()
    server.server_close()


def test_an_archive_is_fetched_checked_and_unpacked_once(served: Callable[..., None], tmp_path: Path) -> None:
    content = zipped(GOOD)
    served(content, sha256=sha256(content))
    place = fetch("ml-tiny", tmp_path / "data")
    assert place == tmp_path / "data" / "ml-tiny"
    assert (place / "u.data").read_bytes() == GOOD[0][1]
    assert verify(place) == 2
    assert [path.name for path in place.parent.iterdir()] == ["ml-tiny"]
    served(b"", sha256=None, status=500)
    assert fetch("ml-tiny", tmp_path / "data") == place, "what is there is not fetched again"


@pytest.mark.parametrize(
    ("answer", "error", "rule"),
    [
        ({"cut": 100}, EnvironmentFault, r"could not be fetched; .* so that .*ml-tiny/u\.data is there"),
        ({"status": 404}, EnvironmentFault, r"http://127.0.0.1:\d+/ml-tiny.zip could not be fetched.*404"),
        ({"sha256": "0" * 64}, DataError, rf"sha256 of ml-tiny.zip must be 0{{64}}, got {sha256(zipped(GOOD))}"),
        ({"content": b"no zip", "sha256": sha256(b"no zip")}, DataError, "must be a zip or tar archive"),
        (
            {"content": (other := zipped([("ml-tiny/other", b"x")])), "sha256": sha256(other)},
            DataError,
            r"must hold u.data, got \['ml-tiny'\]",
        ),
    ],
)
def test_what_went_wrong_leaves_nothing_behind(
    answer: dict[str, Any], error: type[Exception], rule: str, served: Callable[..., None], tmp_path: Path
) -> None:
    content = zipped(GOOD)
    served(**{"content": content, "sha256": sha256(content), **answer})
    with pytest.raises(error, match=rule):
        fetch("ml-tiny", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_without_a_network_the_address_and_the_file_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    address = "http://127.0.0.1:9/ml-tiny.zip"  # nobody listens on the discard port
    monkeypatch.setitem(ARCHIVES, "ml-tiny", Archive(address, "u.data", "0" * 64))
    with pytest.raises(EnvironmentFault, match=rf"{address} could not be fetched; .*/ml-tiny/u.data is there"):
        fetch("ml-tiny", tmp_path)


def test_without_pooch_the_command_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(EnvironmentFault, match=r"pip install 'recdistill\[data\]'"):
        fetch("ml-100k", tmp_path)


def test_an_archive_at_hand_needs_no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "pooch", None)
    packed = tmp_path / "mine.tar.gz"
    with tarfile.open(packed, "w:gz") as archive:
        for name in ("readme.txt", "train.txt"):
            entry = tarfile.TarInfo(name)
            entry.size = 5
            archive.addfile(entry, io.BytesIO(b"hello"))
    place = fetch("criteo", tmp_path / "data", archive=packed)
    assert sorted(path.name for path in place.iterdir()) == ["manifest.json", "readme.txt", "train.txt"]
    with pytest.raises(DataError, match=r"sha256 of mine.tar.gz must be 50d2a98"):
        fetch("ml-100k", tmp_path / "data", archive=packed)
    with pytest.raises(DataError, match="must be abc, got"):
        fetch("amazon", tmp_path / "data", archive=packed, sha256="abc")
    with pytest.raises(DataError, match=r"nowhere\.zip does not exist"):
        fetch("ml-1m", tmp_path / "data", archive=tmp_path / "nowhere.zip")


def test_files_of_the_users_own_are_left_alone(tmp_path: Path) -> None:
    own = tmp_path / "ml-100k"
    own.mkdir()
    (own / "thesis.txt").write_text("precious")
    with pytest.raises(DataError, match=r"is there, but without u\.data"):
        fetch("ml-100k", tmp_path)
    (own / "u.data").write_text("unpacked by hand")
    assert fetch("ml-100k", tmp_path) == own
    assert sorted(path.name for path in own.iterdir()) == ["thesis.txt", "u.data"]
    assert not is_whole(own)


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("ml-10k", "did you mean 'ml-100k'"),
        ("criteo", "comes with terms to accept: fetch it from https://www.kaggle.com/c/.*criteo/train.txt is there"),
        ("amazon", "comes with terms to accept: .*amazon/sport_cloth/train.txt is there"),
        ("ml-latest", "no sha256 is stored for ml-latest, .* give one with --sha256"),
    ],
)
def test_what_cannot_be_fetched_says_why(name: str, rule: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=rule):
        fetch(name, tmp_path)


def test_the_command_says_where_the_files_are(served: Callable[..., None], tmp_path: Path) -> None:
    content = zipped(GOOD)
    served(content, sha256=None)
    arguments = ["download", "ml-tiny", "--to", str(tmp_path)]
    assert "no sha256 is stored" in CliRunner().invoke(app, arguments).output
    done = CliRunner().invoke(app, [*arguments, "--sha256", sha256(content)])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "ml-tiny" / "u.data").is_file()
    assert "--set data.root=" in done.output


# ----------------------------------------------------------------------------------------- unpacking


def link(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name)
    entry.create_system = 3
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    return entry


@pytest.mark.parametrize(
    ("entry", "rule"),
    [
        ("../evil", r"must land inside its folder, got '../evil'"),
        ("a/../../evil", "must land inside its folder"),
        ("/srv/evil", "must land inside its folder, got '/srv/evil'"),
        ("..\\evil", "must land inside its folder"),
        ("C:\\evil", "must land inside its folder"),
        (link("passwords"), "got a link or device 'passwords'"),
    ],
)
def test_zip_entries_that_leave_the_folder_are_refused(entry: str | zipfile.ZipInfo, rule: str, tmp_path: Path) -> None:
    packed = tmp_path / "bad.zip"
    packed.write_bytes(zipped([("good", b"x"), (entry, b"/etc/passwd")]))
    with pytest.raises(DataError, match=rule):
        unpack(packed, tmp_path / "in" / "files")
    assert list(tmp_path.iterdir()) == [packed], "not even the good entry is written"


@pytest.mark.parametrize(
    ("name", "kind", "rule"),
    [
        ("../evil", tarfile.REGTYPE, "must land inside its folder"),
        ("/srv/evil", tarfile.REGTYPE, "must land inside its folder"),
        ("passwords", tarfile.SYMTYPE, "got a link or device 'passwords'"),
        ("passwords", tarfile.LNKTYPE, "got a link or device"),
        ("pipe", tarfile.FIFOTYPE, "got a link or device"),
    ],
)
def test_tar_entries_that_leave_the_folder_are_refused(name: str, kind: bytes, rule: str, tmp_path: Path) -> None:
    packed = tmp_path / "bad.tar"
    with tarfile.open(packed, "w") as archive:
        archive.addfile(tarfile.TarInfo("good"))
        entry = tarfile.TarInfo(name)
        entry.type, entry.linkname = kind, "/etc/passwd"
        archive.addfile(entry)
    with pytest.raises(DataError, match=rule):
        unpack(packed, tmp_path / "in" / "files")
    assert list(tmp_path.iterdir()) == [packed]


def test_bombs_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    packed = tmp_path / "bomb.zip"
    packed.write_bytes(zipped([("zeros", bytes(2_000_000))]))
    with pytest.raises(DataError, match=r"must unpack to at most [\d,]+ bytes, got 2,000,000 or more"):
        unpack(packed, tmp_path / "files")
    monkeypatch.setattr(unpacking, "MOST_ENTRIES", 2)
    packed.write_bytes(zipped([(str(number), b"x") for number in range(3)]))
    with pytest.raises(DataError, match="must have at most 2 entries, got 3"):
        unpack(packed, tmp_path / "files")
    assert not (tmp_path / "files").exists()


def test_an_entry_larger_than_it_says_is_not_written_out(tmp_path: Path) -> None:
    packed = tmp_path / "liar.zip"
    content = bytearray(zipped([("zeros", bytes(50_000))]))
    for size in (content.index((50_000).to_bytes(4, "little")), content.rindex((50_000).to_bytes(4, "little"))):
        content[size : size + 4] = (10).to_bytes(4, "little")
    packed.write_bytes(content)
    with pytest.raises(DataError, match=r"cannot be unpacked: .*CRC"):
        unpack(packed, tmp_path / "files")
    assert (tmp_path / "files" / "zeros").stat().st_size <= 10


NOISE = b"".join(hashlib.sha256(bytes([number])).digest() for number in range(256))


def tarred(compression: str, *names: str) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=f"w:{compression}") as archive:  # type: ignore[call-overload]
        for name in names:
            entry = tarfile.TarInfo(name)
            entry.size = len(NOISE)
            archive.addfile(entry, io.BytesIO(NOISE))
    return stream.getvalue()


def flipped(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


@pytest.mark.parametrize("compression", ["gz", "bz2", "xz"])
@pytest.mark.parametrize("damage", ["cut", "a bit", "a bit of the checksum"])
def test_damaged_archives_are_named(compression: str, damage: str, tmp_path: Path) -> None:
    whole = tarred(compression, "noise")
    damaged = {
        "cut": whole[:4000],
        "a bit": flipped(whole, 4000),
        # Of gzip's trailer the first half, of the others whatever stands before their end.
        "a bit of the checksum": flipped(whole, len(whole) - 7),
    }[damage]
    packed = tmp_path / f"broken.tar.{compression}"
    packed.write_bytes(damaged)
    with pytest.raises(DataError, match=rf"broken\.tar\.{compression} (cannot be unpacked|must be a zip or tar)"):
        unpack(packed, tmp_path / "files")


@pytest.mark.parametrize(
    "names", [("a", "a/b"), ("a/b", "a"), ("n" * 300,)], ids=["file first", "folder first", "long"]
)
def test_entries_that_cannot_be_written_are_named(names: tuple[str, ...], tmp_path: Path) -> None:
    for packed, content in (
        (tmp_path / "odd.zip", zipped([(name, NOISE) for name in names])),
        (tmp_path / "odd.tar", tarred("", *names)),
    ):
        packed.write_bytes(content)
        with pytest.raises(DataError, match=rf"{packed.name} cannot be unpacked"):
            unpack(packed, tmp_path / f"from {packed.name}")


def test_a_full_disk_is_no_fault_of_the_archive(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    packed = tmp_path / "good.zip"
    packed.write_bytes(zipped(GOOD))
    monkeypatch.setattr(zipfile.ZipFile, "extractall", full)
    with pytest.raises(OSError, match="No space left"):
        unpack(packed, tmp_path / "files")


def test_a_folder_that_is_there_is_checked_against_the_archive_that_is_given(tmp_path: Path) -> None:
    packed, other = tmp_path / "mine.zip", tmp_path / "other.zip"
    packed.write_bytes(zipped([("train.txt", b"x")]))
    other.write_bytes(zipped([("train.txt", b"y")]))
    digest = sha256(packed.read_bytes())
    place = fetch("criteo", tmp_path / "data", archive=packed)
    assert fetch("criteo", tmp_path / "data", archive=packed, sha256=digest.upper()) == place
    for given in ({"archive": other}, {"sha256": "0" * 64}):
        with pytest.raises(DataError, match=rf"is there, and must come from the archive .*, got one of {digest}"):
            fetch("criteo", tmp_path / "data", **given)  # type: ignore[arg-type]
    (place / "manifest.json").unlink()
    with pytest.raises(DataError, match="got one whose sha256 is not known: remove it"):
        fetch("criteo", tmp_path / "data", archive=packed)
