"""What the README and the pages of the site say is true: every code block runs or is checked, and the site builds."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pages
import pytest
from pages import ROOT, RUNS, Block

import recdistill as rd
from recdistill.cli import app
from recdistill.configuration import Config
from recdistill.datasets import load
from recdistill.splits import split

DOCS = ROOT / "docs"
PAGES = pages.pages()
BLOCKS = [(page, block) for page in PAGES for block in pages.blocks(page)]
# Pages whose blocks make a whole run.
SLOW = {"does_transfer_help"}
LINK = re.compile(r"\]\(([^)#\s]*)(?:#([\w-]+))?\)")


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).with_suffix("").as_posix().removeprefix("docs/")


def files_of(page: Path) -> dict[str, str]:
    """The TOML files that a page makes, by name."""
    of = [block.code for block in pages.blocks(page) if block.language == "toml"]
    return {name: code for code in of if (name := pages.named(code))}


def toctree(page: Path) -> list[Path]:
    """The pages that a page's toctrees name."""
    trees = [block.code for block in pages.blocks(page) if block.language == "{toctree}"]
    lines = [line for tree in trees for line in tree.splitlines() if line and not line.startswith(":")]
    return [page.parent / f"{line}.md" for line in lines]


@pytest.mark.parametrize(
    ("page", "block"), BLOCKS, ids=lambda of: f"{of.line}" if isinstance(of, Block) else name_of(of)
)
def test_blocks_are_right(page: Path, block: Block) -> None:
    """Each is of a known language; commands, options, settings and names that it uses exist."""
    pages.check(block, files_of(page))


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, id=name_of(page), marks=[pytest.mark.slow] if name_of(page) in SLOW else [])
        for page in PAGES
        if any(block.language in (*RUNS, "toml") for block in pages.blocks(page))
    ],
)
def test_examples_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The python and console blocks, one after the other; then each experiment's data can be loaded and split."""
    monkeypatch.chdir(tmp_path)
    for name, code in files_of(page).items():
        Path(name).write_text(code)
    namespace: dict[str, Any] = {"__name__": page.stem}
    for block in pages.blocks(page):
        if block.language == "python":
            # Blank lines in front, so that a traceback names the page's own line.
            exec(compile("\n" * block.line + block.code, str(page), "exec"), namespace)
        elif block.language == "console":
            for _, *words in pages.commands(block):
                assert not app(words, prog_name="recdistill", standalone_mode=False)
    for block in pages.blocks(page):
        if block.language == "toml" and isinstance(config := pages.settings(block.code), Config):
            _, target = load(config.data.name, config.data.root, config.data.arguments)
            split(target, valid=config.split.valid, test=config.split.test, by=config.split.by)


@pytest.mark.parametrize(
    ("block", "said"),
    [
        (Block("", 1, "recdistill run\n"), "known language"),
        (Block("sh", 1, "recdistill run\n"), "known language"),
        (Block("bash", 1, "recdistil run\n"), "nothing is known"),
        (Block("bash", 1, "recdistill runs\n"), "runs"),
        (Block("bash", 1, "recdistill run --output x\n"), "--output"),
        (Block("bash", 1, "recdistill run --set student.epochs=3\n"), "student.epochs"),
        (Block("bash", 1, "recdistill prepare 'a_*.csv' --set encoder.minimum=3\n"), "encoder.minimum"),
        (Block("bash", 1, "make nothing\n"), "nothing"),
        (Block("console", 1, "recdistill run\n"), "a line of a console"),
        (Block("py", 1, "rd.fits()\n"), "fits"),
        (Block("py", 1, "rd.fit(a, b, epoch=3)\n"), "epoch"),
        (Block("toml", 1, "lables = [0.1]\n"), "lables"),
        (Block("json", 1, "{,}\n"), "Expecting"),
    ],
    ids=lambda of: f"{of.language or 'none'}: {of.code.strip()}" if isinstance(of, Block) else "",
)
def test_what_is_wrong_in_a_block_is_found(block: Block, said: str) -> None:
    with pytest.raises(Exception, match=said):
        pages.check(block, {})


def test_no_block_is_missed() -> None:
    """A fence that is indented, or opens without being closed, would not be seen."""
    for page in PAGES:
        fences = re.findall(r"^\s*(?:```|~~~)", page.read_text("utf-8"), re.MULTILINE)
        assert len(fences) == 2 * len(pages.blocks(page)), f"{page.name}: every fence begins its line and is closed"


def test_every_page_is_reached_from_the_index() -> None:
    reached, ahead = set(), [DOCS / "index.md"]
    while ahead:
        reached.add(page := ahead.pop())
        ahead += [other for other in toctree(page) if other not in reached]
    assert reached == {page for page in PAGES if page.is_relative_to(DOCS)}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    """Between files of the repository, so that they work where the pages are read without being built."""
    for path, anchor in LINK.findall(re.sub(r"`[^`\n]*`", "", page.read_text("utf-8"))):
        if re.match(r"https?:", path):
            continue
        there = page.parent / path if path else page
        assert there.is_file(), f"{page.name} leads to {path}, which is not there"
        headings = re.findall(r"^#+ (.*)$", there.read_text("utf-8"), re.MULTILINE)
        anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
        assert not anchor or anchor in anchors, (
            f"{page.name} leads to {path}#{anchor}, and {there.name} has no such part"
        )


def test_the_reference_has_every_public_name_once() -> None:
    text = "\n".join(block.code for page in (DOCS / "api").glob("*.md") for block in pages.blocks(page))
    documented = re.findall(r"^\.\. auto\w+:: recdistill\.(\w+)$", text, re.MULTILINE)
    assert sorted(documented) == sorted(rd.__all__)


@pytest.mark.skipif(find_spec("sphinx") is None, reason="needs Sphinx: pip install 'recdistill[docs]'")
def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    words = [
        sys.executable,
        "-m",
        "sphinx",
        "-q",
        "-W",
        "-n",
        "--keep-going",
        "-d",
        tmp_path / "read",
        DOCS,
        tmp_path / "site",
    ]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert not done.returncode, done.stderr
    built = {page.relative_to(tmp_path / "site").with_suffix("") for page in (tmp_path / "site").rglob("*.html")}
    assert built >= {page.relative_to(DOCS).with_suffix("") for page in PAGES if page.is_relative_to(DOCS)}
