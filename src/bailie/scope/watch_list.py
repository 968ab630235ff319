"""The list of namespaces that an operator serves: its two text forms, and what follows from it.

Read by the operator (its environment and the ConfigMap of its scope) and by the command line, which also
edits it. Pure; claims and rights are decided elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bailie.api.names import label_problems
from bailie.api.problems import Problem
from bailie.wellknown import names

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

PATH = "watchNamespaces"
CONFIG_MAP_NAME = names.WATCH_LIST
"""The ConfigMap of the list, in the operator's namespace, unless the operator is told another name."""
NAMESPACES = names.NAMESPACES_KEY
"""Its key of the list: one name on each line. A blank list is nobody; without the key the mode decides."""
SELECTOR = "namespaceSelector"
"""Its key of a label selector that narrows a cluster-wide operator without a list."""
_GLOB = frozenset("*?[]!")


@dataclass(frozen=True, slots=True)
class WantedNamespaces:
    """The namespaces that a list asks for. The usable part of a list holds, whatever `problems` the rest
    has."""

    namespaces: frozenset[str] | None
    """None for all namespaces of the cluster that `selector` lets through."""
    selector: str = ""
    problems: tuple[Problem, ...] = ()


def parse_watch_list(text: str) -> tuple[tuple[str, ...], list[Problem]]:
    """Returns the namespaces of a list separated by commas, in order, and every mistake in it.

    An empty text is an empty list. The namespaces returned are usable even where there are problems.
    """
    return _checked(PATH, text.split(",") if text.strip() else (), "remove the superfluous comma")


def parse_lines(text: str) -> tuple[tuple[str, ...], list[Problem]]:
    """Returns the same for a list with a name on each line; blank lines around the list do not count."""
    return _checked(NAMESPACES, text.strip().splitlines(), "remove the empty line")


def wanted_of(data: Mapping[str, str], own: str, *, clusterwide: bool) -> WantedNamespaces:
    """Returns the namespaces that the ConfigMap's data asks for. `own` is the operator's namespace."""
    problems: list[Problem] = []
    names: tuple[str, ...] | None = None
    if NAMESPACES in data:
        names, problems = parse_lines(data[NAMESPACES])
    selector = data.get(SELECTOR, "").strip()
    if selector and (names is not None or not clusterwide):
        problems.append(Problem(SELECTOR, "NoEffect", _why_no_selector(listed=names is not None)))
        selector = ""
    if names is not None:
        return WantedNamespaces(frozenset(names), problems=tuple(problems))
    return WantedNamespaces(served_namespaces(own, (), clusterwide=clusterwide), selector, tuple(problems))


def served_namespaces(own: str, watch: Iterable[str], *, clusterwide: bool) -> frozenset[str] | None:
    """Returns the namespaces to serve; None means all of the cluster.

    A list always holds, with or without `clusterwide`. Without a list a cluster-wide operator serves all
    namespaces, another one serves its own.
    """
    listed = frozenset(watch)
    if listed:
        return listed
    return None if clusterwide else frozenset({own})


def with_names(text: str, names: Iterable[str]) -> str:
    """Returns the list with the names added at its end; names that are in it keep their place."""
    present = parse_lines(text)[0]
    return _lines([*present, *(name for name in dict.fromkeys(names) if name not in present)])


def without_names(text: str, names: Iterable[str]) -> str:
    """Returns the list without the names. Lines that are no names are dropped with them."""
    gone = frozenset(names)
    return _lines([name for name in parse_lines(text)[0] if name not in gone])


def _lines(names: Sequence[str]) -> str:
    return "".join(f"{name}\n" for name in names)


def _why_no_selector(*, listed: bool) -> str:
    if listed:
        return (
            f"has no effect beside a list: with a list no right to read namespaces is needed; "
            f'remove "{NAMESPACES}" or "{SELECTOR}"'
        )
    return "has no effect: only a cluster-wide operator (controller.clusterwide=true) may read namespaces"


def _checked(path: str, items: Iterable[str], remedy: str) -> tuple[tuple[str, ...], list[Problem]]:
    names: dict[str, None] = {}
    problems: list[Problem] = []
    for index, item in enumerate(items):
        name = item.strip()
        found = _problems(f"{path}[{index}]", name, names, remedy)
        if not found:
            names[name] = None
        problems += found
    return tuple(names), problems


def _problems(path: str, name: str, known: Iterable[str], remedy: str) -> list[Problem]:
    if not name:
        return [Problem(path, "Required", f"is blank; {remedy}")]
    if _GLOB & set(name):
        return [
            Problem(path, "Invalid", f'"{name}" is a pattern; name each namespace, patterns grant too much')
        ]
    if name in known:
        return [Problem(path, "Duplicate", f'"{name}" is in the list already')]
    return label_problems(path, name)
