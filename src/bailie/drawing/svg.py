"""A picture as SVG: the scene of the terminal, in pixels.

Called by `cli.pipelines`. Texts are strangers': ElementTree escapes them, and the characters that XML has not
are taken out by `api.texts.shown` before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from bailie.drawing.picture import Role, Tone
from bailie.drawing.scene import MOST_NODES, scene_of

if TYPE_CHECKING:
    from bailie.drawing.picture import GraphPicture
    from bailie.drawing.routing import Wiring
    from bailie.drawing.scene import PictureScene, SceneBox

_X, _Y = 9, 18
"""Pixels of a cell."""
_MARGIN = 16
_COLUMNS = 200
_FILLS = {
    Role.REQUEST: "#e8f0fe",
    Role.STEP: "#ffffff",
    Role.SIDE: "#f6f6f6",
    Role.ANSWER: "#e6f4ea",
    Role.OTHER: "#fff8e1",
    Role.FOLLOWER: "#fff8e1",
    Role.UNKNOWN: "#fdecea",
}
_INK = {
    Tone.PLAIN: "#333333",
    Tone.PRESENT: "#137333",
    Tone.ABSENT: "#b3261e",
    Tone.MISTAKE: "#b3261e",
    Tone.WARNING: "#8a5a00",
}
_DASHED = frozenset({Role.SIDE, Role.OTHER, Role.FOLLOWER, Role.UNKNOWN})


class TooLarge(ValueError):  # noqa: N818 - the name of the graph's state
    """The graph has more nodes than a picture that a person could look at."""


def svg_of(picture: GraphPicture) -> str:
    """Returns the picture as an SVG document. Raises TooLarge."""
    if len(picture.nodes) > MOST_NODES:
        raise TooLarge(f"the graph has {len(picture.nodes)} nodes, and a picture {MOST_NODES} at most")
    scene = scene_of(picture, most_columns=_COLUMNS)
    root = _root(picture, scene)
    for net, wiring in scene.nets.items():
        _draw_net(root, wiring, dashed=net.trigger)
    for box in scene.boxes:
        _draw_box(root, box)
    for index, row in enumerate(picture.problems):
        place = {"x": str(_MARGIN), "y": str(_at(scene.height + index) + _Y)}
        ET.SubElement(root, "text", {**place, "fill": _INK[row.tone]}).text = row.text
    ET.indent(root)
    return ET.tostring(root, encoding="unicode") + "\n"


def _root(picture: GraphPicture, scene: PictureScene) -> ET.Element:
    width = max([scene.width, *(len(row.text) for row in picture.problems)]) * _X + 2 * _MARGIN
    height = (scene.height + len(picture.problems)) * _Y + 2 * _MARGIN
    root = ET.Element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "viewBox": f"0 0 {width} {height}",
            "width": str(width),
            "height": str(height),
            "font-family": "DejaVu Sans Mono, Menlo, Consolas, monospace",
            "font-size": "14",
        },
    )
    ET.SubElement(root, "title").text = f"pipeline {picture.name}"
    marker = ET.SubElement(
        ET.SubElement(root, "defs"),
        "marker",
        {"id": "arrow", "viewBox": "0 0 8 8", "refX": "7", "refY": "4", "orient": "auto"}
        | {"markerWidth": "8", "markerHeight": "8"},
    )
    ET.SubElement(marker, "path", {"d": "M0 0L8 4L0 8z", "fill": "#555555"})
    ET.SubElement(root, "rect", {"width": "100%", "height": "100%", "fill": "#ffffff"})
    return root


def _at(cell: int) -> int:
    return cell * _Y + _MARGIN


def _middle(column: int) -> int:
    return column * _X + _X // 2 + _MARGIN


def _draw_net(root: ET.Element, wiring: Wiring, *, dashed: bool) -> None:
    ends, starts = set(wiring.ends), set(wiring.starts)
    for x1, y1, x2, y2 in wiring.segments:
        points = [_middle(x1), _at(y1) + _Y // 2, _middle(x2), _at(y2) + _Y // 2]
        if x1 == x2 and (x1, y1 - 1) in starts:
            points[1] = _at(y1)
        line = {"x1": points[0], "y1": points[1], "x2": points[2], "y2": points[3]}
        if x1 == x2 and (x1, y2 + 1) in ends:
            line["y2"] = _at(y2 + 1)
        attributes = {key: str(value) for key, value in line.items()}
        attributes |= {"stroke": "#555555", "stroke-width": "1.5", "stroke-linecap": "square"}
        if dashed:
            attributes["stroke-dasharray"] = "5 4"
        if x1 == x2 and (x1, y2 + 1) in ends:
            attributes["marker-end"] = "url(#arrow)"
        ET.SubElement(root, "line", attributes)


def _draw_box(root: ET.Element, box: SceneBox) -> None:
    place, role = box.place, box.node.role
    frame = {
        "x": str(place.x * _X + _MARGIN),
        "y": str(_at(place.y)),
        "width": str(place.width * _X),
        "height": str(place.height * _Y),
        "rx": "5",
        "fill": _FILLS[role],
        "stroke": "#b3261e" if role is Role.UNKNOWN else "#555555",
    }
    if role in _DASHED:
        frame["stroke-dasharray"] = "4 3"
    ET.SubElement(root, "rect", frame)
    for index, line in enumerate(box.lines):
        text = {"x": str((place.x + 2) * _X + _MARGIN), "y": str(_at(place.y) + (index + 2) * _Y - 9)}
        text |= {"fill": _INK[line.tone], "font-weight": "normal" if index else "bold"}
        ET.SubElement(root, "text", text | {"xml:space": "preserve"}).text = line.text
