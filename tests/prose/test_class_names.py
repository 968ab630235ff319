"""One name means one thing: no two classes have it, nor two functions that other modules import by name."""

from __future__ import annotations

import ast
from collections import defaultdict

import pytest
from tests.prose.sources import distributions

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


each = pytest.mark.parametrize("distribution", distributions(), ids=lambda modules: modules[0].name)


@each
def test_no_two_classes_have_one_name(distribution):
    found = repeated(distribution, ast.ClassDef, lambda *_: True)
    assert {name: places for name, places in found.items() if name not in TWICE} == {}


def test_every_allowed_name_is_still_needed():
    found = {name for each in distributions() for name in repeated(each, ast.ClassDef, lambda *_: True)}
    assert set(TWICE) <= found


@each
def test_no_two_functions_that_others_import_by_name_have_one_name(distribution):
    imported = {
        (node.module, alias.name)
        for module in distribution
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    found = repeated(distribution, functions, lambda module, name: (module.name, name) in imported)
    assert {name: places for name, places in found.items() if name not in ENTRIES} == {}
