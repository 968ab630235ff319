"""Pictures as SVG: well-formed whatever names there are, with each box and line of the scene."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest
from tests.drawing.graphs import GRAPHS, pipeline_of, random_spec

from bailie.drawing.picture import picture_of
from bailie.drawing.scene import MOST_NODES
from bailie.drawing.svg import TooLarge, svg_of

NAMESPACE = "{http://www.w3.org/2000/svg}"
MARKUP = ['"><script>alert(1)</script>', "&amp;<!--", "]]>", "\x00\x0b\ufffe\ud800"]


def elements(document, name):
    return list(ET.fromstring(document).iter(NAMESPACE + name))


@pytest.mark.parametrize("name", GRAPHS)
def test_each_node_has_a_box_and_its_text(name):
    picture = picture_of(pipeline_of(GRAPHS[name]))
    document = svg_of(picture)
    assert len(elements(document, "rect")) == len(picture.nodes) + 1
    texts = [each.text for each in elements(document, "text")]
    assert all(any(text.startswith(node.title) for text in texts) for node in picture.nodes)


def test_all_of_a_picture_is_within_its_view():
    for seed in range(20):
        document = svg_of(picture_of(pipeline_of(random_spec(seed))))
        _, _, width, height = map(int, ET.fromstring(document).get("viewBox").split())
        for line in elements(document, "line"):
            assert 0 < int(line.get("x1")) < width
            assert 0 < int(line.get("x2")) < width
            assert 0 < int(line.get("y1")) < height
            assert 0 < int(line.get("y2")) < height


@pytest.mark.parametrize("name", MARKUP, ids=range(len(MARKUP)))
def test_names_are_text(name):
    spec = {
        "steps": [{"name": "a"}, {"name": "b", "inputs": [f"a.outputs.{name}"], "triggers": [name]}],
        "output": {"steps": ["b"]},
    }
    document = svg_of(picture_of(pipeline_of(spec, "p<&>")))
    assert not elements(document, "script")
    document.encode()


def test_a_graph_that_nobody_could_look_at_is_refused():
    spec = {"steps": [{"name": f"s{index}"} for index in range(MOST_NODES)]}
    with pytest.raises(TooLarge, match="nodes"):
        svg_of(picture_of(pipeline_of(spec)))
