"""The order of the steps of a graph, its cycles, and the steps that can never begin.

Called by `compilation`. Everything here takes time in proportion to the references, for graphs are written by
strangers.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from bailie.dataflow.plan import StepGroup

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from bailie.dataflow.plan import Joined, StepPlan

Edges = dict[str, list[str]]


def owners(step: StepPlan) -> list[str]:
    """Returns the owners of the data that a step reads, triggers included, each once."""
    return list(dict.fromkeys(topic.owner for topic in step.topics))


def reading(steps: Mapping[str, StepPlan]) -> Edges:
    """Returns for each step the steps that it reads from."""
    return {name: [owner for owner in owners(step) if owner in steps] for name, step in steps.items()}


def reversed_edges(edges: Edges) -> Edges:
    """Returns the same edges the other way round."""
    found: Edges = {name: [] for name in edges}
    for name, others in edges.items():
        for other in others:
            found[other].append(name)
    return found


def reachable(edges: Mapping[str, Iterable[str]], start: Iterable[str]) -> set[str]:
    """Returns the names that the edges lead to from `start`, with `start` itself."""
    found: set[str] = set()
    for name in start:
        found.update(list(_postorder(edges, name, found)))
    return found


def groups(edges: Edges) -> tuple[StepGroup, ...]:
    """Returns the steps in the order of their data, the steps of a cycle together (Kosaraju's algorithm).

    `edges`: for each step the steps that it reads from.
    """
    seen: set[str] = set()
    finished = [name for start in edges for name in _postorder(edges, start, seen)]
    backwards, placed, found = reversed_edges(edges), set[str](), list[StepGroup]()
    position = {name: index for index, name in enumerate(edges)}
    for start in reversed(finished):
        members = sorted(_postorder(backwards, start, placed), key=position.__getitem__)
        if members:
            found.append(StepGroup(tuple(members), cycle=len(members) > 1 or start in edges[start]))
    return tuple(reversed(found))


def never_begin(steps: Mapping[str, StepPlan], pipeline: str) -> set[str]:
    """Returns the steps that wait for each other, so that no request can ever begin one of them."""
    needs = {name: [_need(step.data), _need(step.triggers)] for name, step in steps.items()}
    waiting: defaultdict[str, list[tuple[str, int]]] = defaultdict(list)
    for name, step in steps.items():
        for place, joined in enumerate((step.data, step.triggers)):
            for source in joined.sources:
                waiting[source.topic.owner].append((name, place))
    begun, todo = {pipeline}, [pipeline]
    while todo:
        for name, place in waiting.pop(todo.pop(), ()):
            needs[name][place] -= 1
            if name not in begun and max(needs[name]) <= 0:
                begun.add(name)
                todo.append(name)
    return steps.keys() - begun


def _need(joined: Joined) -> int:
    sources = len(joined.sources)
    return sources if joined.kind == "inner" else min(1, sources)


def _postorder(edges: Mapping[str, Iterable[str]], start: str, seen: set[str]) -> Iterator[str]:
    """Yields what the edges lead to from `start` and is not in `seen`, a name after all that it leads to."""
    if start in seen:
        return
    seen.add(start)
    way = [(start, iter(edges.get(start, ())))]
    while way:
        name, others = way[-1]
        other = next((each for each in others if each not in seen), None)
        if other is None:
            way.pop()
            yield name
        else:
            seen.add(other)
            way.append((other, iter(edges.get(other, ()))))
