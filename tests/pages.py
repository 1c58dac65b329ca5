"""The code blocks of the README and of `docs/`: what each language stands for, and whether a block is right.

A page's blocks are fenced, and each says its language:

- python: runs, after the page's blocks before it, in one namespace and one empty folder.
- console: lines `$ recdistill …`, which run there too, in this process.
- bash: what to type with data or time of one's own; the command, its options and its settings must exist.
- py: the same in Python; it must parse, and what it names of the package must exist.
- toml: settings of some kind. One that begins with `# name.toml` lies in the folder under that name.
- json: must be JSON.
- text: output and pictures of folders, which nothing checks.
- {name}: a directive, which the site's build checks.

A block of any other kind, or without a language, is an error.
"""

from __future__ import annotations

import ast
import inspect
import json
import re
import shlex
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import typer

import recdistill as rd
from recdistill.cli import app
from recdistill.configuration import Config, StudentSettings
from recdistill.pareto import ParetoSettings
from recdistill.plan import PlanSettings
from recdistill.preparation import PrepareSettings
from recdistill.schema import Schema
from recdistill.settings import Settings, fill, override, read_toml
from recdistill.teaching import TeachSettings
from recdistill.tuning import Space
from recdistill.tuning.space import applied

ROOT = Path(__file__).resolve().parent.parent
FENCE = re.compile(r"^```(\S*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
RUNS = ("python", "console")
# What `--set` of a verb changes; `prepare` of data files has settings of its own.
SET_BY = {
    "run": Config,
    "prepare": Config,
    "diagnose": Config,
    "teacher": TeachSettings,
    "plan": PlanSettings,
    "pareto": ParetoSettings,
}


@dataclass(frozen=True)
class Block:
    """A fenced block of a page.

    Args:
        language: as its fence says; "" where it says none.
        line: of the page, of the fence.
        code: what is between the fences.
    """

    language: str
    line: int
    code: str


def pages() -> list[Path]:
    """The README and every page of the site."""
    return [ROOT / "README.md", *sorted(p for p in (ROOT / "docs").rglob("*.md") if "_build" not in p.parts)]


def blocks(page: Path) -> list[Block]:
    """The blocks of a page, in their order."""
    text = page.read_text("utf-8")
    return [Block(m.group(1), text[: m.start()].count("\n") + 1, m.group(2)) for m in FENCE.finditer(text)]


def check(block: Block, files: dict[str, str]) -> None:
    """Look at a block without running it.

    Args:
        block: any.
        files: the TOML files that the page makes, by name.

    Raises:
        Exception: it is not right.
    """
    language, code = block.language, block.code
    if language in ("python", "py"):
        _check_names(ast.parse(code))
    elif language in ("console", "bash"):
        for words in commands(block):
            _check_command(words, files)
    elif language == "toml":
        settings(code)
    elif language == "json":
        json.loads(code)
    elif language != "text" and not re.fullmatch(r"\{[\w-]+\}", language):
        raise ValueError(f"a block is of a known language, got {language!r}")


def commands(block: Block) -> Iterator[list[str]]:
    """The words of each command of a bash or console block."""
    for line in block.code.replace("\\\n", " ").splitlines():
        if block.language == "console" and not line.startswith("$ "):
            raise ValueError(f"a line of a console is `$ command`, got {line!r}")
        if words := shlex.split(line.removeprefix("$ "), comments=True):
            yield words


def named(code: str) -> str | None:
    """The file that a TOML block is to be, by its first line."""
    found = re.match(r"# ([\w-]+\.toml)\n", code)
    return found and found.group(1)


def settings(code: str) -> Settings | Schema:
    """What a TOML block says: an experiment, a plan, a teacher, a grid, what may be tried, or the roles of columns."""
    values = tomllib.loads(code)
    if values.keys() == {"schema"}:
        return Schema(**{role: tuple(of) if isinstance(of, list) else of for role, of in values["schema"].items()})
    if "trial" in values:
        first, *_ = [applied(StudentSettings(), point) for point in Space.of(values).probes()]
        return first
    if "features" in values:
        return fill(PlanSettings, values)
    if values.keys() & {"sizes", "compressions"}:
        return fill(ParetoSettings, values)
    return fill(TeachSettings if "model" in values else Config, values)


def _check_command(words: list[str], files: dict[str, str]) -> None:
    """A command that there is, with arguments that it takes."""
    if words[0] == "torchrun":
        words = words[words.index("-m") + 1 :]
    first, *rest = words
    if first == "recdistill":
        _check_verb(rest, files)
    elif first == "make":
        if unknown := [word for word in rest if not re.search(rf"^{word}:", (ROOT / "Makefile").read_text(), re.M)]:
            raise ValueError(f"the Makefile has no target {unknown}")
    elif words[:2] == ["pip", "install"]:
        known = (".", "--no-deps", "-r", *(path.name for path in ROOT.glob("requirements*.txt")))
        if unknown := [word for word in words[2:] if word not in known]:
            raise ValueError(f"pip is not known to install {unknown}")
    elif first != "export" or not re.fullmatch(r"[A-Z_]+=\S+", " ".join(rest)):
        raise ValueError(f"nothing is known of the command {shlex.join(words)!r}")


def _check_verb(words: list[str], files: dict[str, str]) -> None:
    """A verb of the command line that takes such arguments, and knows what is set; no path needs to be there."""
    name, *arguments = words
    verb = _verbs()[name]
    given = verb.make_context(name, list(arguments)).params
    if not (assigned := given.get("assign")):
        return
    paths = [path for path in given.values() for path in (path if isinstance(path, list) else [path])]
    tomls = [path for path in paths if isinstance(path, Path) and path.suffix == ".toml"]
    kind: type[Settings] = SET_BY[name]
    if name == "prepare" and (given["roles"] or not tomls):
        kind, tomls = PrepareSettings, []
    values: dict[str, Any] = {}
    for path in tomls:
        values |= tomllib.loads(files[path.name]) if path.name in files else _stored(path)
    fill(kind, override(values, assigned))


def _stored(path: Path) -> dict[str, Any]:
    """The values of an experiment of the repository; of the reader's own nothing is known."""
    return read_toml(ROOT / path) if path.parts[0] == "benchmarks" else {}


@cache
def _verbs() -> dict[str, Any]:
    """The verbs of the command line, which here take paths that are not there."""
    verbs: dict[str, Any] = typer.main.get_command(app).commands
    for verb in verbs.values():
        for parameter in verb.params:
            parameter.callback = None
    return verbs


def _check_names(tree: ast.Module) -> None:
    """What is named of `rd` must be there, and take the keywords that it is given."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and (path := _path(node)):
            _found(path)
        if isinstance(node, ast.Call) and (path := _path(node.func)):
            parameters = inspect.signature(_found(path)).parameters
            unknown = [word.arg for word in node.keywords if word.arg and word.arg not in parameters]
            if unknown and not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
                raise TypeError(f"rd.{'.'.join(path)} takes no {unknown}")


def _path(node: ast.expr) -> list[str]:
    """["metrics", "auc"] of `rd.metrics.auc`; nothing of what does not begin with `rd`."""
    names = []
    while isinstance(node, ast.Attribute):
        names, node = [node.attr, *names], node.value
    return names if isinstance(node, ast.Name) and node.id == "rd" else []


def _found(path: list[str]) -> Any:
    place: Any = rd
    for name in path:
        place = getattr(place, name)
    return place
