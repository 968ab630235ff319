"""A picture as the text of Mermaid, which many wikis and forges draw.

Called by `cli.pipelines`. Texts are strangers': all but letters, digits and a few signs become entities, so
that none ends a label or is markup.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bailie.drawing.picture import Role
from bailie.drawing.scene import lines_of

if TYPE_CHECKING:
    from bailie.drawing.picture import GraphPicture, PictureNode

_SAFE = frozenset(" .,:→-_/()")
_SHAPES = {Role.REQUEST: ("([", "])"), Role.ANSWER: ("([", "])"), Role.OTHER: ("[[", "]]")}
_SHAPES[Role.FOLLOWER] = _SHAPES[Role.OTHER]


def mermaid_of(picture: GraphPicture) -> str:
    """Returns the picture as a flowchart."""
    ids = {node.key: f"n{index}" for index, node in enumerate(picture.nodes)}
    lines = ["flowchart TD", *(_node(ids[node.key], node) for node in picture.nodes)]
    for edge in picture.edges:
        label = f"|{_label(', '.join(edge.labels))}|" if edge.labels else ""
        arrow = "-.->" if edge.trigger else "-->"
        lines.append(f"  {ids[edge.source]} {arrow}{label} {ids[edge.target]}")
    aside = [ids[node.key] for node in picture.nodes if node.role in {Role.SIDE, Role.UNKNOWN}]
    if aside:
        lines.append(f"  style {','.join(aside)} stroke-dasharray:4 3")
    return "\n".join([*lines, ""])


def _node(name: str, node: PictureNode) -> str:
    before, after = _SHAPES.get(node.role, ("[", "]"))
    text = "<br/>".join(_escaped(line.text) for line in lines_of(node))
    return f'  {name}{before}"{text}"{after}'


def _label(text: str) -> str:
    return f'"{_escaped(text)}"'


def _escaped(text: str) -> str:
    return "".join(each if each.isalnum() or each in _SAFE else f"#{ord(each)};" for each in text)
