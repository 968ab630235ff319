"""YAML as Kubernetes reads it: a way to write JSON, whose aliases stand for a bounded number of values.

Called by `agent.remotes` for Secrets, `local.artifact_kind` for models' descriptions, and by
`cli.yaml_objects`. A few lines of nested aliases or merge keys (`<<`) may stand for more values than memory
holds, so values are counted before any is made. Pure.
"""

from __future__ import annotations

from typing import Any

import yaml

MOST_BY_ALIASES = 1_000_000
"""Values that the aliases of one document may stand for, beyond those that are written out."""
DEEPEST = 200
"""Levels of a document: resource definitions have about fifty."""
_TIME = "tag:yaml.org,2002:timestamp"


class JsonLoader(yaml.SafeLoader):
    """Makes the values that JSON has, times as texts. A user bounds the values that aliases stand for."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - PyYAML's own way to say that times stay texts
        first: [(tag, pattern) for tag, pattern in resolvers if tag != _TIME]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def fetch_flow_collection_start(self, token: type[yaml.Token]) -> None:
        """Begins a list or an object in brackets. Raises ScannerError for one too many in one another.

        PyYAML looks at each open bracket again for each further word, so thousands of them take seconds.
        """
        if self.flow_level == DEEPEST:
            problem = f"it has more than {DEEPEST} levels"
            raise yaml.scanner.ScannerError(None, None, problem, self.get_mark())
        super().fetch_flow_collection_start(token)

    def construct_yaml_float(self, node: yaml.ScalarNode) -> float:
        """Returns a number. Raises ConstructorError for `.nan` and `.inf`, which JSON cannot write."""
        number = float(super().construct_yaml_float(node))
        if number - number != 0:
            raise yaml.constructor.ConstructorError(
                None, None, f"{node.value} is a number that JSON lacks: write a finite one", node.start_mark
            )
        return number


JsonLoader.add_constructor("tag:yaml.org,2002:float", JsonLoader.construct_yaml_float)


class _BoundedLoader(JsonLoader):
    def construct_document(self, node: yaml.Node) -> Any:
        """Returns the values of a document. Raises ConstructorError where its aliases stand for too many."""
        sizes: dict[int, float] = {}
        if _count(node, sizes) - len(sizes) > MOST_BY_ALIASES:
            problem = f"aliases stand for more than {MOST_BY_ALIASES} values, or for themselves"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
        return super().construct_document(node)


def load(text: str) -> Any:
    """Returns the only document of a text, times as texts; None where there is no document.

    Raises:
        yaml.YAMLError: the text is no YAML, its aliases stand for too many values, too many brackets are
            open, or a number is not finite.
        ValueError: a value does not fit its type, as an integer of thousands of digits.
        RecursionError: there are hundreds of levels without brackets.
    """
    return yaml.load(text, _BoundedLoader)  # noqa: S506 - a SafeLoader with fewer types


def _count(node: yaml.Node, sizes: dict[int, float]) -> float:
    """Returns the values that a node stands for, endless where the node is within itself.

    `sizes` keeps the count of each node that was seen, so each is counted once however often it is named.
    """
    known = sizes.get(id(node))
    if known is not None:
        return known
    sizes[id(node)] = float("inf")
    parts = node.value if isinstance(node, yaml.CollectionNode) else ()
    inner = (each for part in parts for each in (part if isinstance(part, tuple) else (part,)))
    sizes[id(node)] = 1 + sum(_count(each, sizes) for each in inner)
    return sizes[id(node)]
