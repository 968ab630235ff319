"""What is well known is typed once: no port, name, label, header or variable stands elsewhere, too."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from tests.prose.sources import listed

from bailie.wellknown import headers, labels, names, paths, ports, variables

SOURCE = Path(__file__).resolve().parents[2] / "src" / "bailie"
APART = {"wellknown", "_gen", "apiserver", "mlserver"}
"""Besides the lists: generated code, and packages that may not import Bailie's other ones."""
LISTS = (headers, labels, names, paths, ports, variables)
MODULES = sorted(path for path in SOURCE.rglob("*.py") if path.relative_to(SOURCE).parts[0] not in APART)


def facts(module):
    return [value for name, value in vars(module).items() if name.isupper()]


def is_usual(fact):
    """Single words and HTTP's own port mean other things, too."""
    return fact < 1024 if isinstance(fact, int) else not re.search(r"\W|_", fact)


FACTS = {fact for each in LISTS for fact in facts(each) if not is_usual(fact)}
NUMBERS = {fact for fact in FACTS if isinstance(fact, int)}
ALTERNATIVES = "|".join(sorted(map(re.escape, map(str, FACTS)), key=len, reverse=True))
WORDS = re.compile(rf"(?<![\w.-])({ALTERNATIVES})(?![\w-])")


def docstrings(tree):
    """The strings that stand alone: of modules, classes, functions, and under constants."""
    return {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}


def typed_again(text):
    """Yields line and fact for each that stands in a program's text as a literal, or in one."""
    tree = ast.parse(text)
    prose = docstrings(tree)
    for node in ast.walk(tree):
        if not isinstance(node, ast.Constant) or id(node) in prose:
            continue
        if isinstance(node.value, str):
            yield from ((node.lineno, found) for found in WORDS.findall(node.value))
        elif type(node.value) is int and node.value in NUMBERS:
            yield node.lineno, node.value


def test_no_module_types_a_fact_again():
    assert len(MODULES) > 100
    found = {str(path.relative_to(SOURCE)): list(typed_again(path.read_text())) for path in MODULES}
    again = {path: facts for path, facts in found.items() if facts}
    assert not again, listed(again)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("PORT = 9005", [9005]),
        ("env = ('SELDON_SCHEDULER_PORT', '9005')", ["SELDON_SCHEDULER_PORT", "9005"]),
        ("f'http://seldon-scheduler.{namespace}:9006/live'", ["seldon-scheduler", "9006"]),
        ("f'kubectl -l app.kubernetes.io/name=seldon-envoy'", ["app.kubernetes.io/name", "seldon-envoy"]),
        ("'''Serves seldon-scheduler on 9005.'''", []),
        ("chart = 'seldon-server-names', True, 90051, 'seldon-core-v2-setup', 'my-seldon-mesh'", []),
    ],
)  # fmt: skip
def test_what_counts_as_typed_again(text, found):
    assert [fact for _, fact in typed_again(text)] == found


def test_no_fact_has_two_names():
    for each in (headers, labels, names, paths, variables):
        assert len(facts(each)) == len(set(facts(each))), each.__name__
