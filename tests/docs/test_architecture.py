"""The way of a Model in docs/how-it-works.md, beside the code: the names exist, and each calls the next."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROW = re.compile(r"^\| (\d+) \| `bailie\.([\w.]+)` \| `bailie\.([\w.]+)` \|", re.MULTILINE)
CALLS = [found.groups() for found in ROW.finditer((ROOT / "docs/how-it-works.md").read_text())]


@cache
def functions(module):
    """Every function of a module by `name` or `Class.name`."""
    tree = ast.parse((ROOT / "src/bailie" / f"{module.replace('.', '/')}.py").read_text())
    found = {
        each.name: each for each in tree.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    for owner in (each for each in tree.body if isinstance(each, ast.ClassDef)):
        for each in owner.body:
            if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef):
                found[f"{owner.name}.{each.name}"] = each
    return found


def split(name):
    """`control.engine.Engine.steps` -> its module and `Engine.steps`."""
    parts = name.split(".")
    at = next(
        i for i in range(len(parts), 0, -1) if (ROOT / "src/bailie" / f"{'/'.join(parts[:i])}.py").exists()
    )
    return ".".join(parts[:at]), ".".join(parts[at:])


def mentioned(function):
    """The names that a function calls or hands on."""
    nodes = list(ast.walk(function))
    return {each.attr for each in nodes if isinstance(each, ast.Attribute)} | {
        each.id for each in nodes if isinstance(each, ast.Name)
    }


def reaches(module, start):
    """All names that a function mentions, itself or by functions of its module that it mentions."""
    known, names, due = functions(module), set(), [start]
    seen = set(due)
    while due:
        names |= (found := mentioned(known[due.pop()]))
        fresh = {name for name in known if name.rpartition(".")[2] in found} - seen
        seen |= fresh
        due += fresh
    return names


def test_the_way_is_short_and_in_order():
    assert [int(number) for number, _, _ in CALLS] == list(range(1, len(CALLS) + 1))
    assert 10 <= len(CALLS) <= 16


@pytest.mark.parametrize(("number", "caller", "callee"), CALLS)
def test_each_call_is_one(number, caller, callee):
    module, start = split(caller)
    called_module, called = split(callee)
    assert start in functions(module), number
    assert called in functions(called_module), number
    assert called.rpartition(".")[2] in reaches(module, start), number
