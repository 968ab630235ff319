"""The rows of a picture: which nodes stand beside each other, and in which order.

Called by `scene`. A node stands below the nodes that it reads from, except where a cycle goes back. Long
edges have a place in each row that they pass, so that no line runs through a box.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

GAP = 2
"""Columns between two boxes."""
_SWEEPS = 4


class GraphEdge(NamedTuple):
    """An edge between two nodes, by their keys."""

    source: str
    target: str
    trigger: bool = False


class NodeOrder(NamedTuple):
    """Nodes in an order in which data goes down; `back`: source and target of the edges that go up."""

    names: tuple[str, ...]
    back: frozenset[tuple[str, str]]


class Net(NamedTuple):
    """The lines of one kind from one node."""

    source: str
    trigger: bool


class Spot(NamedTuple):
    """A place in a row: a node's, or that of a net that passes."""

    node: str
    net: Net | None = None


@dataclass(slots=True)
class Ranks:
    """The rows from above; `reads`: for each spot the nets that end there or pass, with their spot above."""

    rows: list[list[Spot]]
    reads: dict[Spot, dict[Net, Spot]] = field(default_factory=dict)


def ranked(
    widths: Mapping[str, int], edges: Sequence[GraphEdge], order: NodeOrder, *, most_columns: int
) -> Ranks:
    """Returns the rows of a graph.

    Args:
        widths: The columns of each node.
        edges: Each edge once.
        order: As `ordered` returns it.
        most_columns: A row that would be wider goes on in the next one, where that is possible.
    """
    forward = [each for each in edges if (each.source, each.target) not in order.back]
    rank = _rank(order.names, forward, widths, most_columns)
    ranks = Ranks([[] for _ in range(max(rank.values(), default=-1) + 1)])
    for name in order.names:
        ranks.rows[rank[name]].append(Spot(name))
    for edge in sorted(forward, key=lambda edge: rank[edge.target]):
        _lead(ranks, rank, Net(edge.source, edge.trigger), edge.target)
    for _ in range(_SWEEPS):
        _sweep(ranks)
    return ranks


def ordered(names: Sequence[str], edges: Sequence[GraphEdge]) -> NodeOrder:
    """Returns the nodes so that each comes after those that it reads from, and the edges that go back."""
    sources: dict[str, dict[str, None]] = {name: {} for name in names}
    targets: dict[str, dict[str, None]] = {name: {} for name in names}
    for edge in edges:
        sources[edge.target][edge.source] = None
        targets[edge.source][edge.target] = None
    left = {name: len(found) for name, found in sources.items()}
    place = {name: index for index, name in enumerate(names)}
    found, back = dict[str, None](), set[tuple[str, str]]()
    ready = deque(name for name in names if not left[name])
    while len(found) < len(names):
        if not ready:
            first = _into_a_cycle([name for name in names if name not in found], sources, found)
            back |= {(source, first) for source in sources[first] if source not in found}
            ready.append(first)
        name = ready.popleft()
        found[name] = None
        freed = [each for each in targets[name] if each not in found and (name, each) not in back]
        for each in freed:
            left[each] -= 1
        ready += sorted((each for each in freed if left[each] == 0), key=place.__getitem__)
    return NodeOrder(tuple(found), frozenset(back))


def _into_a_cycle(
    waiting: Sequence[str], sources: Mapping[str, Collection[str]], found: Collection[str]
) -> str:
    """Returns the first of the nodes that wait for each other which data comes to from outside of them."""
    entered = (name for name in waiting if any(source in found for source in sources[name]))
    return next(entered, waiting[0])


def _rank(
    order: Sequence[str],
    edges: Iterable[GraphEdge],
    widths: Mapping[str, int],
    most_columns: int,
) -> dict[str, int]:
    above: dict[str, list[str]] = {name: [] for name in order}
    for edge in edges:
        above[edge.target].append(edge.source)
    rank, used = dict[str, int](), dict[int, int]()
    for name in order:
        row = 1 + max((rank[each] for each in above[name]), default=-1)
        while row in used and used[row] + GAP + widths[name] > most_columns:
            row += 1
        rank[name] = row
        used[row] = used.get(row, -GAP) + GAP + widths[name]
    return rank


def _lead(ranks: Ranks, rank: Mapping[str, int], net: Net, target: str) -> None:
    """Leads a net to its target, through places in the rows between that it has with its other targets."""
    above = Spot(net.source)
    for row in range(rank[net.source] + 1, rank[target]):
        spot = Spot(str(row), net)
        if spot not in ranks.reads:
            ranks.rows[row].append(spot)
            ranks.reads[spot] = {net: above}
        above = spot
    ranks.reads.setdefault(Spot(target), {})[net] = above


def _sweep(ranks: Ranks) -> None:
    """Orders each row by the middle of what stands above it, then by the middle of what stands below."""
    read_by: dict[Spot, list[Spot]] = {}
    for spot, nets in ranks.reads.items():
        for above in nets.values():
            read_by.setdefault(above, []).append(spot)
    for row, before in zip(ranks.rows[1:], ranks.rows, strict=False):
        _sort(row, before, {spot: list(ranks.reads.get(spot, {}).values()) for spot in row})
    for row, after in zip(ranks.rows[-2::-1], ranks.rows[:0:-1], strict=True):
        _sort(row, after, {spot: read_by.get(spot, []) for spot in row})


def _sort(row: list[Spot], beside: Sequence[Spot], neighbours: Mapping[Spot, list[Spot]]) -> None:
    place = {spot: index for index, spot in enumerate(beside)}
    own = {spot: index for index, spot in enumerate(row)}

    def middle(spot: Spot) -> float:
        found = [place[each] for each in neighbours[spot] if each in place]
        return sum(found) / len(found) if found else own[spot]

    row.sort(key=lambda spot: (middle(spot), own[spot]))
