"""One form for log messages, one name for loggers, one mood for docstrings."""

from __future__ import annotations

import ast
import re

import pytest
from tests.prose.sources import listed, modules

_HELP = "bailie.cli."
"""Public functions there are commands: their docstrings are their help, which is in the imperative."""
_LEVELS = frozenset({"debug", "info", "warning", "error", "exception"})
_VERB = re.compile(r"[A-Z][a-z-]+s\b")
_NO_VERBS = frozenset({"Always", "As", "Has", "His", "Is", "Its", "Names", "This", "Times", "Yes"})
_BOTH = frozenset({"Names", "Times"})
_NAMELESS = re.compile(
    r"(?:What|Who|Whoever|Whatever|Whom|Whose|One (?:that|who)|Those (?:that|who)|The ones"
    r"|Nobody|Somebody|Everybody|Anybody)\b"
)
"""A sentence that begins so does not name its thing."""


def log_calls(nodes):
    """Yields each call of a method of a logger."""
    for node in nodes:
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in _LEVELS
            and ast.unparse(node.func.value) in {"log", "_log", "logger", "self._log"}
        ):
            yield node


def is_constant_and_begins_small(call):
    """Says whether a message is constant, so that it can be searched for, and begins in lower case.

    An abbreviation or a name keeps its capitals. A function may be given its message as `event`.
    """
    message = call.args[0]
    if isinstance(message, ast.Name):
        return message.id == "event"
    if not isinstance(message, ast.Constant) or not isinstance(message.value, str):
        return False
    first = message.value.split()[0]
    return first[0].islower() or not first[1:].islower()


def begins_with_a_verb(docstring):
    """Says whether it begins as `Returns …` does."""
    return bool(_VERB.match(docstring)) and docstring.split()[0] not in _NO_VERBS - _BOTH


def is_property(function):
    """Says whether it is a property: those are named for what they are."""
    return any("property" in ast.unparse(each) for each in function.decorator_list)


def test_log_messages_are_constant_and_begin_in_lower_case():
    wrong = [
        module.line(call)
        for module in modules()
        if loggers(module)
        for call in log_calls(module.nodes)
        if not is_constant_and_begins_small(call)
    ]
    assert not wrong, listed(wrong)


def test_a_logger_is_named_log():
    names = {module.name: loggers(module) for module in modules()}
    wrong = {name: found for name, found in names.items() if found not in ([], ["log"])}
    assert not wrong, listed(wrong)


def loggers(module):
    """Returns the names that the module gives to its structlog loggers."""
    return [
        ast.unparse(node.targets[0])
        for node in module.nodes
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call)
        if ast.unparse(node.value.func) == "structlog.get_logger"
    ]


def test_docstrings_of_functions_begin_with_a_verb():
    wrong = [
        f"{module.line(node)} {node.name}: {docstring.splitlines()[0]}"
        for module in modules()
        for node in module.functions
        if (docstring := ast.get_docstring(node)) and not begins_with_a_verb(docstring)
        if not is_property(node)
        if node.name.startswith("_") or not module.name.startswith(_HELP)
    ]
    assert not wrong, listed(wrong)


def test_sentences_of_docstrings_name_their_thing():
    wrong = [
        f"{module.line(node)}: {sentence}"
        for module in modules()
        for node in module.nodes
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        for sentence in nameless(str(node.value.value))
    ]
    assert not wrong, listed(wrong)


def nameless(docstring):
    """Yields the sentences that begin with a pronoun in place of a noun."""
    for sentence in re.split(r"(?<=[.;:])\s", " ".join(docstring.split())):
        if _NAMELESS.match(sentence[:1].upper() + sentence[1:]):
            yield sentence


@pytest.mark.parametrize(
    ("call", "good"),
    [
        ('log.info("server lost a model", name=name)', True),
        ('log.info("MLServer has ended")', True),
        ('log.info("Server lost a model")', False),
        ('log.info(f"server lost {name}")', False),
        ('log.info("server lost " + name)', False),
    ],
)
def test_the_form_of_log_messages(call, good):
    (found,) = log_calls(ast.walk(ast.parse(call)))
    assert is_constant_and_begins_small(found) is good


@pytest.mark.parametrize(
    ("docstring", "good"),
    [
        ("Returns the name.", True),
        ("Says whether the lease is held.", True),
        ("The name.", False),
        ("Whether the lease is held.", False),
        ("As `watch`, but once.", False),
        ("Who calls.", False),
    ],
)
def test_the_mood_of_docstrings(docstring, good):
    assert begins_with_a_verb(docstring) is good


@pytest.mark.parametrize(
    ("docstring", "found"),
    [
        ("Returns the name. What is not loaded has none.", 1),
        ("Called by `a`: one that hangs is left; nobody waits.", 2),
        ("Returns what the server said. A model that hangs is left.", 0),
    ],
)
def test_sentences_without_a_noun_are_found(docstring, found):
    assert len(list(nameless(docstring))) == found
