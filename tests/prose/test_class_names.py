"""One name means one thing: no two classes have it, nor two functions that other modules import by name."""

from __future__ import annotations

import ast
from collections import defaultdict

from tests.prose.sources import distributions, listed

TWICE = {
    "Client": "programs of users import that of models, Bailie's own that of the Kubernetes API",
    "Server": "placement's values are named after the API's objects",
}
"""Class names that still stand in two modules, and why."""
ENTRIES = frozenset({"run"})
"""Functions that each process, or each program, has one of."""


def repeated(distribution, kinds, wanted):
    modules = defaultdict(set)
    for module in distribution:
        for node in module.tree.body:
            if isinstance(node, kinds) and wanted(module, node.name):
                modules[node.name].add(module.name)
    return {name: sorted(found) for name, found in modules.items() if len(found) > 1}


def test_no_two_classes_have_one_name():
    found = [repeated(each, ast.ClassDef, lambda *_: True) for each in distributions()]
    twice = {name: places for one in found for name, places in one.items() if name not in TWICE}
    assert not twice, listed(twice)


def test_every_allowed_name_is_still_needed():
    found = {name for each in distributions() for name in repeated(each, ast.ClassDef, lambda *_: True)}
    assert set(TWICE) <= found


def functions_twice(distribution):
    """Returns the functions of one name that other modules import by it."""
    imported = {
        (node.module, alias.name)
        for module in distribution
        for node in module.nodes
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return repeated(distribution, functions, lambda module, name: (module.name, name) in imported)


def test_no_two_functions_that_others_import_by_name_have_one_name():
    found = [functions_twice(each) for each in distributions()]
    twice = {name: places for one in found for name, places in one.items() if name not in ENTRIES}
    assert not twice, listed(twice)
