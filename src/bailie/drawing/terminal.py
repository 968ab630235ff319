"""A picture as text, with lines of Unicode or of ASCII.

Called by `cli.pipelines`. A graph that is too wide for the terminal, or too large to be looked at, becomes a
list of its nodes in the order of the data.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.cells import cell_len

from bailie.drawing.picture import ANSWER, REQUEST, Role
from bailie.drawing.ranks import GraphEdge, ordered
from bailie.drawing.scene import MARKS, MOST_NODES, lines_of, scene_of, wrapped

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from bailie.drawing.picture import GraphPicture
    from bailie.drawing.routing import Segment, Wiring
    from bailie.drawing.scene import PictureScene, SceneBox

_NORTH, _EAST, _SOUTH, _WEST = 1, 2, 4, 8
_LINES = " ╵╶└╷│┌├╴┘─┴┐┤┬┼"
"""The character for each set of directions."""
_DASHED = {"│": "┆", "─": "┄"}
_ASCII = str.maketrans(
    dict.fromkeys("╵╷│┆┊", "|")
    | dict.fromkeys("╶╴─┄╌", "-")
    | dict.fromkeys("└┌├┘┴┐┤┬┼", "+")
    | {"▼": "v", "→": ">", "✓": "+", "✗": "x", "…": "~", "↑": "^", "↓": "v"}
)
_LEAST_COLUMNS = 20


def text_of(picture: GraphPicture, *, columns: int, ascii_only: bool = False) -> str:
    """Returns the picture within so many columns, ended by a line feed."""
    scene = _fitting(picture, columns)
    lines = _drawn(scene) if scene else _listed(picture, max(columns, _LEAST_COLUMNS))
    found = [line.rstrip() for line in lines]
    for row in picture.problems:
        found += wrapped(f"{MARKS[row.tone]}{row.text}", max(columns, _LEAST_COLUMNS))
    text = "\n".join([*found, ""])
    return _plain(text) if ascii_only else text


def _fitting(picture: GraphPicture, columns: int) -> PictureScene | None:
    """Returns a scene that fits; with shorter rows of boxes where the lines beside them need room."""
    if len(picture.nodes) > MOST_NODES:
        return None
    scenes = (scene_of(picture, most_columns=columns * share // 4) for share in (4, 3, 2))
    return next((scene for scene in scenes if scene.width <= columns), None)


def _plain(text: str) -> str:
    return text.translate(_ASCII).encode("ascii", "backslashreplace").decode()


class _Canvas:
    """Cells; the second cell of a wide character is empty."""

    def __init__(self, width: int, height: int) -> None:
        self._rows = [[" "] * width for _ in range(height)]

    def put(self, x: int, y: int, text: str) -> None:
        row = self._rows[y]
        for each in text:
            width = cell_len(each)
            if not width:
                row[x - 1] += each
                continue
            row[x : x + width] = [each, *[""] * (width - 1)]
            x += width

    def lines(self) -> Iterator[str]:
        return ("".join(row) for row in self._rows)


def _drawn(scene: PictureScene) -> Iterator[str]:
    canvas = _Canvas(scene.width, scene.height)
    _draw_nets(canvas, [(net.trigger, wiring) for net, wiring in scene.nets.items()])
    for box in scene.boxes:
        _draw_box(canvas, box)
    for net in scene.nets.values():
        for x, y in net.starts:
            canvas.put(x, y, "┬")
        for x, y in net.ends:
            canvas.put(x, y, "▼")
    return canvas.lines()


def _draw_nets(canvas: _Canvas, nets: Iterable[tuple[bool, Wiring]]) -> None:
    cells: dict[tuple[int, int], list[tuple[int, bool]]] = {}
    for trigger, net in nets:
        own: dict[tuple[int, int], int] = {}
        for line in net.segments:
            for x in range(line.x1, line.x2 + 1):
                for y in range(line.y1, line.y2 + 1):
                    own[x, y] = own.get((x, y), 0) | _directions(line, x, y)
        for x, y in net.starts:
            own[x, y + 1] = own.get((x, y + 1), 0) | _NORTH
        for x, y in net.ends:
            own[x, y - 1] = own.get((x, y - 1), 0) | _SOUTH
        for cell, directions in own.items():
            cells.setdefault(cell, []).append((directions, trigger))
    for (x, y), found in cells.items():
        # Of two lines that cross, the one that goes down is drawn over the other.
        directions, dashed = next((each for each in found if each[0] == _NORTH | _SOUTH), found[0])
        drawn = _LINES[directions]
        canvas.put(x, y, _DASHED.get(drawn, drawn) if dashed else drawn)


def _directions(line: Segment, x: int, y: int) -> int:
    if line.x1 == line.x2:
        return (_NORTH if y > line.y1 else 0) | (_SOUTH if y < line.y2 else 0)
    return (_WEST if x > line.x1 else 0) | (_EAST if x < line.x2 else 0)


def _draw_box(canvas: _Canvas, box: SceneBox) -> None:
    dashed = box.node.role in {Role.SIDE, Role.OTHER, Role.FOLLOWER, Role.UNKNOWN}
    across, down = ("╌", "┊") if dashed else ("─", "│")
    place = box.place
    right = place.x + place.width - 1
    canvas.put(place.x, place.y, f"┌{across * (place.width - 2)}┐")
    for index, line in enumerate(box.lines, 1):
        canvas.put(place.x, place.y + index, down)
        canvas.put(place.x + 2, place.y + index, line.text)
        canvas.put(right, place.y + index, down)
    canvas.put(place.x, place.y + place.height - 1, f"└{across * (place.width - 2)}┘")


def _listed(picture: GraphPicture, columns: int) -> Iterator[str]:
    """Yields the nodes in the order of the data, each with the nodes that it reads from."""
    edges = [GraphEdge(each.source, each.target, each.trigger) for each in picture.edges]
    order = ordered([node.key for node in picture.nodes], list(dict.fromkeys(edges)))
    nodes = {node.key: node for node in picture.nodes}
    sources: dict[str, list[str]] = {}
    for edge in dict.fromkeys(edges):
        name = {REQUEST: "request", ANSWER: "answer"}.get(edge.source, nodes[edge.source].title)
        sources.setdefault(edge.target, []).append(f"{name} (trigger)" if edge.trigger else name)
    for key in order.names:
        title, *rows = lines_of(nodes[key])
        yield from wrapped(title.text, columns)
        sentence = f"<- {', '.join(sources[key])}" if key in sources else ""
        for text in (sentence, *(row.text for row in rows)):
            yield from (f"  {part}" for part in wrapped(text, columns - 2))
