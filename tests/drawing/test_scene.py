"""The lines of pictures: each edge has one, none runs through a box, none joins another's."""

from __future__ import annotations

import pytest
from tests.drawing.graphs import GRAPHS, pipeline_of, random_spec

from bailie.drawing.picture import picture_of
from bailie.drawing.ranks import GraphEdge, ordered
from bailie.drawing.scene import scene_of

RANDOM = 150


def cells_of(wiring):
    """Returns the cells of a net, each with whether lines there go across or down."""
    found = {}
    for line in wiring.segments:
        assert line.x1 == line.x2 or line.y1 == line.y2
        for x in range(line.x1, line.x2 + 1):
            for y in range(line.y1, line.y2 + 1):
                found.setdefault((x, y), set()).add("down" if line.x1 == line.x2 else "across")
    return found


def reached(cells, start):
    """Returns the cells that a line leads to from one of them."""
    found, todo = {start}, [start]
    while todo:
        x, y = todo.pop()
        for cell in ((x + 1, y), (x - 1, y), (x, y + 1), (x, y - 1)):
            if cell in cells and cell not in found:
                found.add(cell)
                todo.append(cell)
    return found


def check(spec, columns=110):
    picture = picture_of(pipeline_of(spec))
    scene = scene_of(picture, most_columns=columns)
    boxes = {box.node.key: box.place for box in scene.boxes}
    inside = {}
    for key, place in boxes.items():
        for x in range(place.x, place.x + place.width):
            for y in range(place.y, place.y + place.height):
                assert (x, y) not in inside, f"{key} lies on {inside[x, y]}"
                inside[x, y] = key
    edges = list(dict.fromkeys(GraphEdge(e.source, e.target, e.trigger) for e in picture.edges))
    back = ordered([node.key for node in picture.nodes], edges).back
    owners = {}
    for net, wiring in scene.nets.items():
        cells = cells_of(wiring)
        assert not cells.keys() & inside.keys(), f"{net} runs through a box"
        (start,) = wiring.starts
        assert inside[start] == net.source
        lit = reached(cells, (start[0], start[1] + 1))
        assert lit == cells.keys()
        assert all((x, y - 1) in lit for x, y in wiring.ends)
        wanted = {
            e.target for e in edges if (e.source, e.trigger) == net and (e.source, e.target) not in back
        }
        assert {inside[end] for end in wiring.ends} == wanted
        for cell, ways in cells.items():
            owners.setdefault(cell, []).append(ways)
    for cell, ways in owners.items():
        assert len(ways) == 1 or sorted(map(sorted, ways)) == [["across"], ["down"]], cell


@pytest.mark.parametrize("spec", GRAPHS.values(), ids=GRAPHS)
def test_each_edge_has_its_line(spec):
    check(spec)


def test_each_edge_of_any_graph_has_its_line():
    for seed in range(RANDOM):
        try:
            check(random_spec(seed))
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error
