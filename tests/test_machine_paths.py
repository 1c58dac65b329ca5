"""No file of the project names a place on one machine."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WRITTEN = {".py", ".md", ".toml", ".txt", ".cfg", ".json", ".html", ".yml", ".yaml", ".sh", ".ini"}
FOLDERS = ("recdistill", "tests", "docs", "benchmarks", "data", "shims", ".ci")
# An absolute path under a folder that is a machine's or a person's own.
MACHINE_PATH = re.compile(r"(?<![\w.~/-])/(?:work|home|root|Users|opt|mnt|tmp)/\w[^\s\"'`)]*")


def written_files() -> Iterator[Path]:
    """The project's own text files; downloads, runs and caches are left out."""
    yield from (p for p in ROOT.iterdir() if p.is_file() and (p.suffix in WRITTEN or p.name == "Makefile"))
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*"):
            is_ours = folder != "data" or path.suffix in {".toml", ".md"}
            is_build = any(
                part.endswith(".egg-info") or part in {"build", "_build", "__pycache__"} for part in path.parts
            )
            if path.is_file() and is_ours and not is_build and (path.suffix in WRITTEN or folder == ".ci"):
                yield path


def test_no_page_names_a_place_on_one_machine() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number} {match.group()}"
        for path in written_files()
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), start=1)
        if (match := MACHINE_PATH.search(line))
    ]
    assert not found, "paths are relative, or come from the environment:\n  " + "\n  ".join(found)
