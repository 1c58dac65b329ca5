"""Official archives: fetched, checked against their hash, unpacked, and there under their name only when whole."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from recdistill.artefacts import MANIFEST, is_whole, manifest, new_folder
from recdistill.artefacts import sha256 as sha256_of
from recdistill.datasets.unpacking import unpack
from recdistill.errors import DataError, EnvironmentFault, UsageError, nearest

GROUPLENS = "https://files.grouplens.org/datasets/movielens"
SECONDS = 60
UNPACKED = ".unpacked"


@dataclass(frozen=True)
class Archive:
    """Where a data set's files come from.

    Args:
        address: of the archive; or of the page with the terms to accept, for those that are not fetched.
        file: one that the unpacked folder must have.
        sha256: of the archive, where one is known.
        by_hand: whether a person has to fetch it.
    """

    address: str
    file: str
    sha256: str | None = None
    by_hand: bool = False


# The first four as TensorFlow Datasets has them (url_checksums/movielens.txt), the fifth as several public projects do.
ARCHIVES = {
    "ml-100k": Archive(
        f"{GROUPLENS}/ml-100k.zip", "u.data", "50d2a982c66986937beb9ffb3aa76efe955bf3d5c6b761f4e3a7cd717c6a3229"
    ),
    "ml-1m": Archive(
        f"{GROUPLENS}/ml-1m.zip", "ratings.dat", "a6898adb50b9ca05aa231689da44c217cb524e7ebd39d264c56e2832f2c54e20"
    ),
    "ml-latest-small": Archive(
        f"{GROUPLENS}/ml-latest-small.zip",
        "ratings.csv",
        "696d65a3dfceac7c45750ad32df2c259311949efec81f0f144fdfb91ebc9e436",
    ),
    "ml-25m": Archive(
        f"{GROUPLENS}/ml-25m.zip", "ratings.csv", "8b21cfb7eb1706b4ec0aac894368d90acf26ebdfb6aced3ebd4ad5bd1eb9c6aa"
    ),
    "ml-32m": Archive(
        f"{GROUPLENS}/ml-32m.zip", "ratings.csv", "e4a68655d7386b8f95f2f2424b2ff975dfdd15ffd59e0d864a14dca43e99d6ee"
    ),
    "ml-latest": Archive(f"{GROUPLENS}/ml-latest.zip", "ratings.csv"),
    "criteo": Archive("https://www.kaggle.com/c/criteo-display-ad-challenge", "train.txt", by_hand=True),
    "amazon": Archive("https://github.com/sunshinelium/Bi-TGCF", "sport_cloth/train.txt", by_hand=True),
}


def fetch(name: str, folder: Path | str = "data", *, archive: Path | None = None, sha256: str | None = None) -> Path:
    """The folder of a data set's files; fetched and unpacked where it is not there yet.

    Args:
        name: a key of `ARCHIVES`.
        folder: gets a folder of that name.
        archive: one that was fetched by other means; then nothing is downloaded.
        sha256: of the archive, for those without a stored one, or of another release.

    Returns:
        `folder/name`, with a manifest of every file.

    Raises:
        UsageError: the name is not known, a person has to fetch it, or no hash is known to check the download.
        DataError: the hash is another, the archive is unsafe or lacks the files, or the folder holds something else, or
            what came from another archive than the one given.
        EnvironmentFault: no network, or no pooch.
    """
    if name not in ARCHIVES:
        raise UsageError(f"unknown archive {name!r}, {nearest(name, ARCHIVES)}")
    origin, place = ARCHIVES[name], Path(folder) / name
    if archive is not None and not archive.is_file():
        raise DataError(f"{archive} does not exist")
    if (place / origin.file).is_file() and (not (place / MANIFEST).is_file() or is_whole(place)):
        for given in (sha256, sha256_of(archive) if archive else None):
            _require_made_of(place, given)
        return place
    if place.exists():
        raise DataError(f"{place} is there, but without {origin.file} or not whole: remove it, or take another folder")
    expected = sha256 or origin.sha256
    if archive is None:
        _require_fetchable(name, origin, place, expected)
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".download-", dir=place.parent) as temporary:
        packed = archive or _download(origin, Path(temporary), place)
        digest = sha256_of(packed)
        if expected is not None and digest != expected.lower():
            raise DataError(f"the sha256 of {packed.name} must be {expected}, got {digest}; nothing of it was kept")
        with new_folder(place, dataset=name, address=origin.address, archive_sha256=digest) as made:
            unpack(packed, made / UNPACKED)
            for path in _holding(made / UNPACKED, origin.file).iterdir():
                shutil.move(path, made / path.name)
            shutil.rmtree(made / UNPACKED)
    return place


def _require_made_of(place: Path, given: str | None) -> None:
    """Refuse a folder that is there unless it came from the archive whose sha256 was given, if one was."""
    made = manifest(place)["facts"].get("archive_sha256") if (place / MANIFEST).is_file() else None
    if given is not None and given.lower() != made:
        came = f"one of {made}" if made else "one whose sha256 is not known"
        rule = f"{place} is there, and must come from the archive with the sha256 {given}"
        raise DataError(f"{rule}, got {came}: remove it, or take another folder")


def _require_fetchable(name: str, origin: Archive, place: Path, expected: str | None) -> None:
    wanted = f"so that {place / origin.file} is there, or give the archive: recdistill download {name} --archive FILE"
    if origin.by_hand:
        raise UsageError(f"{name} comes with terms to accept: fetch it from {origin.address} and unpack it {wanted}")
    if expected is None:
        raise UsageError(
            f"no sha256 is stored for {name}, which its makers replace from time to time: give one with --sha256, or "
            f"fetch {origin.address} and unpack it {wanted}"
        )


def _download(origin: Archive, folder: Path, place: Path) -> Path:
    try:
        import pooch
    except ImportError:
        raise EnvironmentFault("downloads need pooch: pip install 'recdistill[data]'") from None
    pooch.get_logger().setLevel("WARNING")
    downloader = pooch.HTTPDownloader(timeout=SECONDS)
    try:
        name = origin.address.rsplit("/", 1)[-1]
        return Path(pooch.retrieve(origin.address, known_hash=None, fname=name, path=folder, downloader=downloader))
    except OSError as error:  # what requests raises is one
        raise EnvironmentFault(
            f"{origin.address} could not be fetched; fetch it elsewhere and unpack it so that {place / origin.file} is "
            f"there ({error})"
        ) from None


def _holding(folder: Path, file: str) -> Path:
    """The unpacked folder with a file: the archive's one top folder, or the top itself."""
    for place in (folder, *sorted(path for path in folder.iterdir() if path.is_dir())):
        if (place / file).is_file():
            return place
    raise DataError(f"the archive must hold {file}, got {sorted(path.name for path in folder.iterdir())[:12]}")
