"""The house rules: who may import whom, what is never used, how big things get, what docstrings say."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest
from house import MODULES, PACKAGE, ROOT, Function, Module, dotted, imported_modules

# From the ground up; a module imports strictly lower floors. A folder is one room.
FLOORS = [
    ("ground", "errors"),
    ("ground, of rows", "features"),
    ("F0", "schema artefacts batch settings progress streams memory windows losses metrics inputs optimisers"),
    ("F0, over metrics", "calibrators weights"),
    ("F0, of tables", "columns notebook"),
    ("F0, of values", "fingerprints sides"),
    ("F0, of files", "readers part_files"),
    ("F0, of processes", "ranks"),
    ("F1", "fit_settings tables transforms models work devices on_ray"),
    ("F1, states of a fit", "checkpoints"),
    ("F2", "splits encoder candidates pairs baselines"),
    ("F2, of pairs", "negatives"),
    ("F2, how to encode", "encoder_settings"),
    ("F2, what serves", "serving"),
    ("F2, of splits", "domains inspection"),
    ("F2½", "datasets"),
    ("F3", "examples draft"),
    ("F3, of encoded rows", "encoded_rows"),
    ("F3, of prepared rows", "prepared_table"),
    ("F3, of raw files", "preparation"),
    ("F3, what scores them", "ranker"),
    ("F3½", "own_teachers teacher_answers"),
    ("F4", "soft_label_files soft_label_checks"),
    ("F4, of rankers", "soft_labels evaluation full_ranking exporting latency transplants"),
    ("F4, over soft labels", "calibration batches labelling mixtures segments shift"),
    ("F4, what a fit reads", "sources"),
    ("F4, what is trained", "trainees"),
    ("F4, over ranks", "dealt_trainee"),
    ("F4, the steps", "steps"),
    ("F4, the loop", "training curriculum"),
    ("F5", "distillation score_column teaching adaptation arms"),
    ("F6", "transfer compression report placebos"),
    ("F6, what a run was told", "configuration"),
    ("F6, what a cell may know", "label_budget"),
    ("F6, where a run is", "run_folder"),
    ("F6, which arms it has", "run_arms"),
    ("F6, what a run makes", "cells evidence rankings run_inspection run_rankers run_shift"),
    ("F6, what came of it", "results rehearsal stages"),
    ("F7", "experiment tuning pareto plan doctor"),
    ("F7, over finished runs", "verification entrants"),
    ("F7, over several", "leaderboard"),
    ("F8, a measured stage", "meter"),
    ("F8, what people see", "terminal"),
    ("the package's face", "__init__"),
    ("F8", "cli"),
    ("python -m recdistill", "__main__"),
]
HEIGHT = {room: height for height, (_, rooms) in enumerate(FLOORS) for room in rooms.split()}

# The only third-party packages that these rooms know.
PURE = {
    "losses": {"torch"},
    "metrics": {"numpy", "scipy", "sklearn"},
    "serving": {"numpy", "pyarrow", "onnxruntime"},
}
TORCHREC_DOOR = "recdistill.models.embeddings"

NEVER_IMPORTED = {"pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
NEVER_CALLED = {"yaml.load", "eval", "exec"}
JUNK_DRAWERS = {"util", "utils", "common", "helper", "helpers", "base", "misc", "tools", "shared"}
# Bases that are shapes, not implementations.
SHARED_BASES = {"Settings"}

FILE_LINES, FUNCTION_LINES, NESTING, ARGUMENTS = 250, 50, 3, 8
BLOCKS = ast.If | ast.For | ast.AsyncFor | ast.While | ast.With | ast.AsyncWith | ast.Try | ast.TryStar | ast.Match
SHAPE = re.compile(r"\(\)|\([\w +*·×-]+,[\w ,+*·×-]*\)")
LIGHT = (
    "import sys\nfrom recdistill.cli import main\nsys.argv = ['recdistill', '--help']\ntry:\n    main()\nfinally:\n    "
)
# None in the place of a module makes its import fail.
PUBLIC = "import sys; sys.modules.update(torchrec=None, fbgemm_gpu=None, ray=None); " + (
    "import recdistill as rd; missing = [n for n in rd.__all__ if not hasattr(rd, n)]; assert not missing, missing"
)
HEAVY = ("torch", "torchrec", "sklearn", "scipy", "pandas", "matplotlib")

every_module = pytest.mark.parametrize("module", MODULES.values(), ids=list(MODULES))


def check(findings: Iterator[str] | list[str], rule: str) -> None:
    """Fail with the rule and each place that breaks it."""
    found = list(findings)
    assert not found, f"{rule}\n  " + "\n  ".join(found)


# ---------------------------------------------------------------------------------------------- floors


@every_module
def test_every_module_has_a_floor(module: Module) -> None:
    assert module.room in HEIGHT, f"{module.path.relative_to(ROOT)} has no floor: give {module.room!r} one in FLOORS"


@every_module
def test_imports_go_to_strictly_lower_floors(module: Module) -> None:
    height = HEIGHT.get(module.room, -1)

    def climbs() -> Iterator[str]:
        for node, name in imported_modules(module):
            other = MODULES[name].room if name in MODULES else name.split(".")[1]
            if other != module.room and HEIGHT.get(other, len(FLOORS)) >= height:
                yield f"{module.at(node)} imports {name}"

    check(climbs(), f"{module.name} is on {FLOORS[height][0]} and may import only lower floors:")


def test_no_import_cycles() -> None:
    wanted = {m.name: {name for _, name in imported_modules(m)} - {m.name} for m in MODULES.values()}
    left = dict(wanted)
    while ready := [name for name, needs in left.items() if not needs & left.keys()]:
        for name in ready:
            del left[name]
    check([f"{name} needs {sorted(needs & left.keys())}" for name, needs in left.items()], "import cycle among:")


@every_module
def test_pure_rooms_know_only_their_arrays(module: Module) -> None:
    allowed = PURE.get(module.room)
    if allowed is None:
        return
    known = allowed | set(sys.stdlib_module_names) | {"recdistill"}
    strangers = (f"{module.at(node)} {name}" for node, name in module.imports() if name.split(".")[0] not in known)
    check(strangers, f"{module.room}/ may import only {sorted(allowed)} and the standard library:")


@every_module
def test_torchrec_has_one_door(module: Module) -> None:
    if module.name.startswith(TORCHREC_DOOR):
        return
    doors = ((node, name) for node, name in module.imports() if name.split(".")[0] in {"torchrec", "fbgemm_gpu"})
    check((f"{module.at(node)} {name}" for node, name in doors), f"only {TORCHREC_DOOR} may import torchrec:")


# ------------------------------------------------------------------------------------- forbidden things


@every_module
def test_nothing_runs_code_from_a_file(module: Module) -> None:
    def unsafe() -> Iterator[str]:
        for node, name in module.imports():
            if name.split(".")[0] in NEVER_IMPORTED:
                yield f"{module.at(node)} imports {name}"
        for node in (n for n in ast.walk(module.tree) if isinstance(n, ast.Call)):
            said = {k.arg: k.value.value for k in node.keywords if isinstance(k.value, ast.Constant)}
            called = dotted(node.func)
            if called in NEVER_CALLED or said.get("weights_only") is False or said.get("allow_pickle") is True:
                yield f"{module.at(node)} {ast.unparse(node)}"
            if called == "torch.load" and said.get("weights_only") is not True:
                yield f"{module.at(node)} torch.load without weights_only=True"

    check(unsafe(), "files are data, never code (no pickle, joblib, yaml.load, weights_only=False):")


@every_module
def test_no_keyword_arguments_are_passed_through(module: Module) -> None:
    def passed() -> Iterator[str]:
        for function in module.functions():
            gathered = function.args.kwarg.arg if function.args.kwarg else None
            calls = (n for n in ast.walk(function) if isinstance(n, ast.Call))
            through = any(k.arg is None and dotted(k.value) == gathered for c in calls for k in c.keywords)
            if gathered == "kwargs" or (gathered and through):
                yield f"{module.at(function)} {function.name}(**{gathered})"

    check(passed(), "arguments are written out, never **kwargs handed on:")


@every_module
def test_nothing_is_left_for_later(module: Module) -> None:
    marks = re.compile(r"\b(TODO|FIXME|XXX|NotImplementedError)\b")
    lines = enumerate(module.text.splitlines(), start=1)
    check((f"{module.at(n)} {line.strip()}" for n, line in lines if marks.search(line)), "unfinished work:")


def test_no_junk_drawers() -> None:
    named = [str(p.relative_to(ROOT)) for p in PACKAGE.rglob("*") if p.stem.lower().strip("_") in JUNK_DRAWERS]
    check(named, "a file is named after what it holds:")


@every_module
def test_implementation_is_not_inherited(module: Module) -> None:
    own = {node.name for other in MODULES.values() for node in other.classes()} - SHARED_BASES
    heirs = (
        f"{module.at(n)} {n.name}({base})" for n in module.classes() for base in map(dotted, n.bases) if base in own
    )
    check(heirs, "compose, do not inherit from the package's own classes:")


# ------------------------------------------------------------------------------------------------ sizes


@every_module
def test_files_are_short(module: Module) -> None:
    lines = len(module.text.splitlines())
    assert lines <= FILE_LINES, f"{module.path.relative_to(ROOT)} has {lines} lines, at most {FILE_LINES}: split it"


@every_module
def test_functions_are_short_flat_and_take_few_arguments(module: Module) -> None:
    def large() -> Iterator[str]:
        for function in module.functions():
            place, arguments = f"{module.at(function)} {function.name}", argument_count(function)
            if (lines := line_count(function)) > FUNCTION_LINES:
                yield f"{place} has {lines} lines without its docstring, at most {FUNCTION_LINES}"
            if (depth := nesting(function)) > NESTING:
                yield f"{place} nests {depth} deep, at most {NESTING}"
            if arguments > ARGUMENTS:
                yield f"{place} takes {arguments} arguments, at most {ARGUMENTS}"

    check(large(), "functions are short, flat and take few arguments:")


def line_count(function: Function) -> int:
    """Lines of a function, decorators left out, without its docstring."""
    lines = (function.end_lineno or 0) - function.lineno + 1
    first = function.body[0]
    return lines - ((first.end_lineno or 0) - first.lineno + 1 if ast.get_docstring(function) else 0)


def argument_count(function: Function) -> int:
    """Arguments without `self`, `cls`, and what every one has: a data set's `root`, a model's `spec`."""
    named = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    return sum(a.arg not in {"self", "cls", "root", "spec"} for a in named)


def nesting(node: ast.AST, depth: int = 0) -> int:
    """How many blocks (if, for, while, with, try, match) stand in each other; an elif is no deeper than its if."""
    deepest = depth
    for field, value in ast.iter_fields(node):
        children = value if isinstance(value, list) else [value]
        is_elif = isinstance(node, ast.If) and field == "orelse" and len(children) == 1
        for child in (c for c in children if isinstance(c, ast.AST) and not isinstance(c, Function | ast.ClassDef)):
            inside = isinstance(child, BLOCKS) and not (is_elif and isinstance(child, ast.If))
            deepest = max(deepest, nesting(child, depth + inside))
    return deepest


# ------------------------------------------------------------------------------------------- docstrings


@every_module
def test_public_things_have_docstrings(module: Module) -> None:
    assert ast.get_docstring(module.tree), f"{module.path.relative_to(ROOT)} says in its first line what it holds"
    silent = (f"{module.at(node)} {name}" for name, node in module.public() if not ast.get_docstring(node))
    check(silent, "public functions, classes and methods have a docstring:")


@every_module
def test_array_functions_document_shapes(module: Module) -> None:
    def documented() -> Iterator[tuple[str, Function]]:
        for name, node in module.public():
            if isinstance(node, Function) and (
                (module.room in {"losses", "metrics"} and "." not in name)
                or (module.room == "models" and name.endswith(".forward"))
            ):
                yield name, node

    shapeless = (f"{module.at(n)} {name}" for name, n in documented() if not SHAPE.search(ast.get_docstring(n) or ""))
    check(shapeless, "losses, metrics and every forward document shapes, e.g. `logits: (rows,)` or `(batch, classes)`:")


# --------------------------------------------------------------------------------------- the import budget


@pytest.mark.skipif("recdistill.cli" not in MODULES, reason="there is no command line yet")
def test_help_loads_nothing_heavy() -> None:
    code = LIGHT + f"print('LOADED', *[name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    assert "Usage" in done.stdout
    loaded = done.stdout.rpartition("LOADED")[2].split()
    assert not loaded, f"`recdistill --help` must not load {loaded}: import them inside the command that needs them"


def test_every_public_name_is_there_without_torchrec_and_ray() -> None:
    done = subprocess.run([sys.executable, "-c", PUBLIC], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    import recdistill

    assert sorted({*recdistill._HOMES, *recdistill._ROOMS}) == list(recdistill.__all__)
    with pytest.raises(AttributeError, match="no attribute 'distil'"):
        recdistill.distil  # noqa: B018
