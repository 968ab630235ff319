"""The objects in a text of YAML or JSON, each with its line. Pure; called by `files`.

YAML takes more than an API does: a key that stands twice, of which the last one counts in silence; aliases
that make gigabytes of a few lines; an object that contains itself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import yaml

from bailie.api.json_yaml import DEEPEST, JsonLoader

if TYPE_CHECKING:
    from collections.abc import Iterator

_MOST_FAULTS = 50
"""Documents of one text that are no YAML, until the rest of it is left."""
_MARKER = re.compile(r"---(\s|$)")
_MOST_NODES = 1_000_000
"""Values in a document, each counted as often as aliases repeat it."""


class _NotYaml(Exception):  # noqa: N818 - reads as what it says
    """A document cannot be read. `line` counts from 1, and is 0 where it is not known."""

    def __init__(self, problem: str, line: int = 0) -> None:
        super().__init__(problem)
        self.problem, self.line = problem, line


@dataclass(frozen=True, slots=True)
class YamlObject:
    """A value that is to be an object of an API, and the line (from 1) where it begins."""

    value: Any
    line: int


@dataclass(frozen=True, slots=True)
class YamlFault:
    """Why a document cannot be read, and the line (from 1) of the fault, 0 where it is not known."""

    problem: str
    line: int


def yaml_objects(text: str) -> Iterator[YamlObject | YamlFault]:
    """Yields the values of all documents, those in lists (`kind: List`) one by one, and the faults of others.

    A fault is of one document alone. Only what cannot be parted into documents ends with its fault.
    """
    before, left = 0, _MOST_FAULTS
    while left:
        left, skipped = left - 1, 0
        try:
            yield from _objects(text, before)
        except _NotYaml as error:
            yield YamlFault(error.problem, before + error.line if error.line else 0)
            skipped = error.line and _next_document(text, error.line)
        if not skipped:
            return
        before += skipped
        text = "".join(text.splitlines(keepends=True)[skipped:])


def _objects(text: str, before: int) -> Iterator[YamlObject | YamlFault]:
    """Yields objects until a document is no YAML. Raises _NotYaml; `before`: the lines before the text."""
    loader = JsonLoader("")
    try:
        for node in yaml.compose_all(text, JsonLoader):
            try:
                _Size().of(node)
                made = [_made(loader, item) for item in _opened(node)]
            except _NotYaml as error:
                yield YamlFault(error.problem, before + error.line)
                continue
            yield from (replace(each, line=before + each.line) for each in made if each.value is not None)
    except yaml.MarkedYAMLError as error:
        raise _not_yaml(error) from error
    except RecursionError as error:
        raise _NotYaml(f"it has more than {DEEPEST} levels") from error
    except yaml.YAMLError as error:  # a character that is none
        raise _NotYaml(" ".join(str(error).split())) from error


def _not_yaml(error: yaml.MarkedYAMLError) -> _NotYaml:
    mark = error.problem_mark or error.context_mark
    problem = f"{error.problem} (column {mark.column + 1})" if mark else str(error.problem)
    return _NotYaml(problem, mark.line + 1 if mark else 0)


def _next_document(text: str, line: int) -> int:
    """Returns how many lines are before the next document that begins at a line or behind it; 0 for none."""
    for number, each in enumerate(text.splitlines()):
        if number >= max(1, line - 1) and _MARKER.match(each):
            return number
    return 0


def _made(loader: JsonLoader, node: yaml.Node) -> YamlObject:
    try:
        return YamlObject(loader.construct_document(node), _line(node))
    except yaml.MarkedYAMLError as error:
        raise _not_yaml(error) from error
    except ValueError as error:  # an integer of thousands of digits
        raise _NotYaml(str(error), _line(node)) from error


def _opened(node: yaml.Node) -> Iterator[yaml.Node]:
    """Yields the items of a list of objects, at any level, or the node itself."""
    pairs = node.value if isinstance(node, yaml.MappingNode) else ()
    members = {key.value: value for key, value in pairs if isinstance(key, yaml.ScalarNode)}
    kind, items = members.get("kind"), members.get("items")
    listed = isinstance(kind, yaml.ScalarNode) and kind.value.endswith("List")
    if not listed or not isinstance(items, yaml.SequenceNode):
        yield node
        return
    for each in items.value:
        yield from _opened(each)


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


class _Size:
    """Measures a document before any value is made of it."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[int, int] | None] = {}
        """The values and the levels of each node; None of one that is being measured."""

    def of(self, node: yaml.Node) -> tuple[int, int]:
        """Returns the values in a node, and its levels. Raises _NotYaml."""
        if id(node) in self._known:
            known = self._known[id(node)]
            if known is None:
                raise _NotYaml("an alias stands in the value that it names", _line(node))
            return known
        self._known[id(node)] = None
        parts = [self.of(each) for each in _parts(node)]
        found = 1 + sum(values for values, _ in parts), 1 + max((levels for _, levels in parts), default=0)
        if found[0] > _MOST_NODES:
            raise _NotYaml(f"with its aliases it has more than {_MOST_NODES:,} values", _line(node))
        if found[1] > DEEPEST:
            raise _NotYaml(f"it has more than {DEEPEST} levels", _line(node))
        self._known[id(node)] = found
        return found


def _parts(node: yaml.Node) -> list[yaml.Node]:
    """Returns the nodes directly in a node. Raises _NotYaml where a key stands twice."""
    if isinstance(node, yaml.SequenceNode):
        return list(node.value)
    if not isinstance(node, yaml.MappingNode):
        return []
    seen: set[tuple[str, str]] = set()
    for key, _ in node.value:
        told = (key.tag, str(key.value))
        if isinstance(key, yaml.ScalarNode) and told in seen and told[0] != "tag:yaml.org,2002:merge":
            raise _NotYaml(f'the key "{key.value}" stands twice in one object', _line(key))
        seen.add(told)
    return [part for pair in node.value for part in pair]
