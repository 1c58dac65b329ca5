"""What has never run on a GPU, by name: tests that are marked `gpu`, and what no machine with one GPU can run."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

TESTS = Path(__file__).resolve().parents[2] / "tests"
# A line goes when a committed result or a passed test shows it.
ELSEWHERE = {
    "training over several GPUs by NCCL": "needs two GPUs; `tests/test_ranks.py` has two processes on the CPU",
    "torchrec's planner with several GPUs' memory": "only ever asked on machines without one",
    "tables dealt by `table_row_wise` across hosts": "needs two machines; on one host it is tested on the CPU",
    "managed tables larger than the device's memory": "`--beyond`; not by default, since some drivers hang on it",
}


def marked(folder: Path = TESTS) -> list[str]:
    """The tests marked `gpu`, as `file::function`, in their order."""
    return [f"{path.name}::{name}" for path in sorted(folder.glob("test_*.py")) for name in _marked_in(path)]


def _marked_in(path: Path) -> Iterator[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    whole = any(
        isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "pytestmark" and _is_gpu(node.value)
        for node in tree.body
    )
    for node in tree.body:
        is_test = isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
        if is_test and (whole or any(map(_is_gpu, node.decorator_list))):
            yield node.name


def _is_gpu(mark: ast.expr) -> bool:
    return any(isinstance(node, ast.Attribute) and ast.unparse(node) == "pytest.mark.gpu" for node in ast.walk(mark))


def passed(report: Path) -> list[str]:
    """The tests of pytest's `--junitxml` report whose every case passed, as `file::function`."""
    cases: dict[str, list[bool]] = defaultdict(list)
    for case in ElementTree.parse(report).iter("testcase"):
        name = f"{case.get('classname', '').rpartition('.')[2]}.py::{case.get('name', '').partition('[')[0]}"
        cases[name].append(not any(case.find(tag) is not None for tag in ("failure", "error", "skipped")))
    return sorted(name for name, outcomes in cases.items() if all(outcomes))
