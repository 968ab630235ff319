"""The source as the checks of prose see it: modules with their syntax trees, their imports, their classes."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_GENERATED = frozenset({"_gen", "_generated"})


@dataclass(frozen=True, eq=False)
class Module:
    """One module: its dotted name and its text. `package`: the name that its siblings begin with."""

    name: str
    path: Path
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @property
    def package(self) -> str:
        return self.name if self.path.name == "__init__.py" else self.name.rpartition(".")[0]

    @property
    def prose(self) -> str:
        """The docstring on one line."""
        return " ".join((ast.get_docstring(self.tree) or "").split())

    @cached_property
    def nodes(self) -> tuple[ast.AST, ...]:
        """Every node of the tree; each rule looks at all of them."""
        return tuple(ast.walk(self.tree))

    @property
    def functions(self) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
        return [node for node in self.nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]

    def line(self, node: ast.AST) -> str:
        return f"{self.path.relative_to(ROOT)}:{node.lineno}"


@cache
def distributions() -> tuple[tuple[Module, ...], ...]:
    """Returns the modules of each distribution of this repository, generated code left out."""
    packages = [path.parent for path in sorted((ROOT / "packages").rglob("__init__.py"))]
    roots = [path for path in packages if not (path.parent / "__init__.py").exists()]
    return tuple(tuple(_modules(root)) for root in (ROOT / "src" / "bailie", *roots))


def modules() -> tuple[Module, ...]:
    return tuple(module for distribution in distributions() for module in distribution)


def _modules(root: Path):
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root.parent).with_suffix("").parts
        if not _GENERATED & set(parts):
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            yield Module(name, path, path.read_text())


def listed(offenders) -> str:
    """Every offender on a line of its own, for the message of an assertion: pytest itself cuts long lists."""
    pairs = offenders.items() if isinstance(offenders, dict) else enumerate(offenders, 1)
    return "".join(f"\n{key}: {value}" for key, value in pairs)


@cache
def by_name() -> dict[str, Module]:
    return {module.name: module for module in modules()}


@cache
def imports() -> dict[str, frozenset[str]]:
    """Returns the modules that each module imports, for types only included.

    Who imports from a package imports the modules that the package takes those names from.
    """
    found = {module.name: frozenset(_imported(module)) for module in modules()}
    packages = {module.name for module in modules() if module.path.name == "__init__.py"}
    return {
        name: direct | {inner for package in direct & packages for inner in found[package]}
        for name, direct in found.items()
    }


def _imported(module: Module):
    known = by_name()
    for node in module.nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom) and node.module:
            inner = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name for name in (node.module, *inner) if name in known)
