"""The list of namespaces that an operator serves: its text form, and what follows from it.

Called with the operator's settings and by the command line. Pure; claims and rights are checked elsewhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bailie.api.metadata import label_problems
from bailie.api.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Iterable

PATH = "watchNamespaces"
_GLOB = frozenset("*?[]")


def parse_watch_list(text: str) -> tuple[tuple[str, ...], list[Problem]]:
    """Returns the namespaces of a list separated by commas, in order, and every mistake in it.

    An empty text is an empty list. The namespaces returned are usable even where there are problems.
    """
    names: dict[str, None] = {}
    problems: list[Problem] = []
    for index, item in enumerate(text.split(",") if text.strip() else ()):
        name = item.strip()
        found = _problems(f"{PATH}[{index}]", name, names)
        if not found:
            names[name] = None
        problems += found
    return tuple(names), problems


def served_namespaces(own: str, watch: Iterable[str], *, clusterwide: bool) -> frozenset[str] | None:
    """Returns the namespaces to serve; None means all of the cluster.

    A list always holds, with or without `clusterwide`. Without a list a cluster-wide operator serves all
    namespaces, another one serves its own.
    """
    listed = frozenset(watch)
    if listed:
        return listed
    return None if clusterwide else frozenset({own})


def _problems(path: str, name: str, known: Iterable[str]) -> list[Problem]:
    if not name:
        return [Problem(path, "Required", "is blank; remove the superfluous comma")]
    if _GLOB & set(name):
        return [
            Problem(path, "Invalid", f'"{name}" is a pattern; name each namespace, patterns grant too much')
        ]
    if name in known:
        return [Problem(path, "Duplicate", f'"{name}" is in the list already')]
    return label_problems(path, name)
