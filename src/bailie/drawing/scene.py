"""The boxes and lines of a picture with their places, on a grid of characters.

Drawn by `terminal` and `svg`, so that both show the same picture.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from rich.cells import cell_len, chop_cells

from bailie.drawing.picture import Role, Tone
from bailie.drawing.ranks import GraphEdge, Net, ordered, ranked
from bailie.drawing.routing import BoxPlace, Wiring, route

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from bailie.drawing.picture import GraphPicture, PictureNode

MOST_NODES = 150
"""A larger graph has no scene that a person could look at."""
_LONGEST_LINE = 40
"""Columns of a box's text; longer text goes on in the next line."""
_ROLES_SAID = frozenset({Role.SIDE, Role.OTHER, Role.FOLLOWER})
MARKS = {Tone.MISTAKE: "!! ", Tone.WARNING: "! ", Tone.PRESENT: "✓ ", Tone.ABSENT: "✗ "}
_BREAKS = " ,"


class SceneText(NamedTuple):
    """A line of a box's text."""

    text: str
    tone: Tone = Tone.PLAIN


@dataclass(frozen=True, slots=True)
class SceneBox:
    """A box with its text."""

    node: PictureNode
    lines: tuple[SceneText, ...]
    place: BoxPlace


@dataclass(frozen=True, slots=True)
class PictureScene:
    """A picture with all places, in cells."""

    boxes: tuple[SceneBox, ...]
    nets: dict[Net, Wiring] = field(default_factory=dict)
    width: int = 0
    height: int = 0


def scene_of(picture: GraphPicture, *, most_columns: int) -> PictureScene:
    """Returns the scene of a graph; it is wider than `most_columns` where the graph needs it.

    Lines of cycles that go back are no lines but words in the boxes at both ends.
    """
    edges = list(dict.fromkeys(GraphEdge(e.source, e.target, e.trigger) for e in picture.edges))
    order = ordered([node.key for node in picture.nodes], edges)
    lines = {node.key: tuple(lines_of(node, order.back)) for node in picture.nodes}
    places = {key: BoxPlace(_width(key, found, edges), len(found) + 2) for key, found in lines.items()}
    widths = {key: place.width for key, place in places.items()}
    ranks = ranked(widths, edges, order, most_columns=most_columns)
    nets = route(ranks, places)
    right = [place.x + place.width for place in places.values()]
    right += [max(each.x1, each.x2) + 1 for net in nets.values() for each in net.segments]
    return PictureScene(
        tuple(SceneBox(node, lines[node.key], places[node.key]) for node in picture.nodes),
        nets,
        width=max(right, default=0),
        height=max((place.y + place.height for place in places.values()), default=0),
    )


def lines_of(node: PictureNode, back: Iterable[tuple[str, str]] = ()) -> Iterator[SceneText]:
    """Yields the text of a node's box: its title, its joins, and its rows, each folded to the box's width.

    `back`: source and target of the edges that have no line.
    """
    role = f" ({node.role.value})" if node.role in _ROLES_SAID else ""
    yield SceneText(f"{node.title}{role}")
    if node.join:
        yield SceneText(f"joins {node.join}")
    if node.triggers:
        yield SceneText(f"triggers join {node.triggers}")
    for row in node.rows:
        if row.quiet:
            continue
        mark = MARKS.get(row.tone, "")
        for index, text in enumerate(wrapped(row.text, _LONGEST_LINE - len(mark))):
            yield SceneText((mark if index == 0 else " " * len(mark)) + text, row.tone)
    for source, target in sorted(back):
        if target == node.key:
            yield SceneText(f"↑ back from {source}")
        if source == node.key:
            yield SceneText(f"↓ back to {target}")


def _width(key: str, lines: Sequence[SceneText], edges: Iterable[GraphEdge]) -> int:
    """Returns the columns of a box: for its text, and for the lines that enter and leave it."""
    into = len({(edge.source, edge.trigger) for edge in edges if edge.target == key})
    out = len({edge.trigger for edge in edges if edge.source == key})
    return max(*(cell_len(line.text) + 4 for line in lines), 2 * into + 5, 2 * out + 5)


def wrapped(text: str, columns: int) -> Iterator[str]:
    """Yields a text in lines, broken at spaces and commas where that is possible."""
    while cell_len(text) > columns:
        head = chop_cells(text, columns)[0]
        cut = max((head.rfind(each) for each in _BREAKS), default=-1) + 1
        head = head[:cut] if cut > columns // 3 else head
        yield head.rstrip()
        text = text[len(head) :].lstrip()
    if text:
        yield text
