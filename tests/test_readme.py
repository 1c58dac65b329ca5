"""What the README and the other pages say is true: the examples run, and no page names a place on one machine."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from recdistill.configuration import Config
from recdistill.datasets import load
from recdistill.plan import PlanSettings
from recdistill.settings import fill
from recdistill.splits import split

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md"))]
WRITTEN = {".py", ".md", ".toml", ".txt", ".cfg", ".json", ".html", ".yml", ".yaml", ".sh", ".ini"}
FOLDERS = ("recdistill", "tests", "docs", "benchmarks", "data", "shims", ".ci")
# An absolute path under a folder that is a machine's or a person's own.
MACHINE_PATH = re.compile(r"(?<![\w.~/-])/(?:work|home|root|Users|opt|mnt|tmp)/\w[^\s\"'`)]*")


def blocks_of(language: str, text: str) -> list[tuple[int, str]]:
    """(line, code) of each block of a language in a Markdown page."""
    blocks = re.finditer(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [(text[: m.start()].count("\n") + 1, m.group(1)) for m in blocks]


def written_files() -> Iterator[Path]:
    """The project's own text files; downloads, runs and caches are left out."""
    yield from (p for p in ROOT.iterdir() if p.is_file() and (p.suffix in WRITTEN or p.name == "Makefile"))
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*"):
            is_ours = folder != "data" or path.suffix in {".toml", ".md"}
            is_build = any(part.endswith(".egg-info") or part in {"build", "__pycache__"} for part in path.parts)
            if path.is_file() and is_ours and not is_build and (path.suffix in WRITTEN or folder == ".ci"):
                yield path


def test_the_readme_has_examples() -> None:
    assert blocks_of("python", README.read_text()), "the README shows at least one ```python example"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_examples_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each ```python block, one after the other; then each ```toml block is a plan or an experiment with its data."""
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, Any] = {"__name__": page.stem}
    for line, code in blocks_of("python", page.read_text()):
        # Blank lines in front, so that a traceback names the page's own line.
        exec(compile("\n" * line + code, str(page), "exec"), namespace)
    for _, text in blocks_of("toml", page.read_text()):
        if "features" in (values := tomllib.loads(text)):
            fill(PlanSettings, values)
            continue
        config = fill(Config, values)
        _, target = load(config.data.name, config.data.root, config.data.arguments)
        split(target, valid=config.split.valid, test=config.split.test, by=config.split.by)


def test_no_page_names_a_place_on_one_machine() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number} {match.group()}"
        for path in written_files()
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), start=1)
        if (match := MACHINE_PATH.search(line))
    ]
    assert not found, "paths are relative, or come from the environment:\n  " + "\n  ".join(found)
