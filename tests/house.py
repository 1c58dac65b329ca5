"""The package's source code, parsed, for the tests that hold the house rules."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "recdistill"

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Module:
    """One file of the package: its dotted name, its text and its syntax tree."""

    name: str
    path: Path
    text: str = field(repr=False)
    tree: ast.Module = field(repr=False)

    @property
    def room(self) -> str:
        """The first name below the package: `losses` for recdistill/losses/binary.py."""
        parts = self.name.split(".")
        return parts[1] if len(parts) > 1 else "__init__"

    def at(self, node: ast.AST | int) -> str:
        """Where a finding is, as file:line."""
        line = node if isinstance(node, int) else getattr(node, "lineno", 1)
        return f"{self.path.relative_to(ROOT)}:{line}"

    def functions(self) -> Iterator[Function]:
        """Every function and method, nested ones too."""
        return (n for n in ast.walk(self.tree) if isinstance(n, Function))

    def classes(self) -> Iterator[ast.ClassDef]:
        """Every class, nested ones too."""
        return (n for n in ast.walk(self.tree) if isinstance(n, ast.ClassDef))

    def public(self) -> Iterator[tuple[str, Function | ast.ClassDef]]:
        """(qualified name, node) of what users may call: top level names and methods without a leading underscore."""
        for node in self.tree.body:
            if isinstance(node, Function | ast.ClassDef) and not node.name.startswith("_"):
                yield node.name, node
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                methods = (n for n in node.body if isinstance(n, Function) and not n.name.startswith("_"))
                yield from ((f"{node.name}.{method.name}", method) for method in methods)

    def imports(self) -> Iterator[tuple[ast.stmt, str]]:
        """(statement, dotted name) of everything imported, inside functions too; `from a import b` gives a.b."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from ((node, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                yield from ((node, f"{node.module}.{alias.name}") for alias in node.names)


def parse(path: Path) -> Module:
    """A file of the package as a Module."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    text = path.read_text()
    return Module(name, path, text, ast.parse(text))


MODULES = {module.name: module for module in map(parse, sorted(PACKAGE.rglob("*.py")))}


def imported_modules(module: Module) -> Iterator[tuple[ast.stmt, str]]:
    """(statement, module of this package) of every import of the package's own modules."""
    for node, name in module.imports():
        if name.split(".")[0] != "recdistill":
            continue
        yield node, name if name in MODULES else name.rpartition(".")[0] or name


def dotted(node: ast.expr) -> str:
    """`a.b.c` of a name or attribute, else the empty string."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        owner = dotted(node.value)
        return f"{owner}.{node.attr}" if owner else node.attr
    return ""
