"""The nodes and edges of a graph, with the sentences about its mistakes at the nodes that have them."""

from __future__ import annotations

import pytest
from tests.drawing.graphs import CHAIN, CYCLE, EXTERNAL, FOLLOWER, MISTAKES, SWITCH, pipeline_of, plan_of

from bailie.api.pipeline import PipelineStatus
from bailie.drawing.picture import ANSWER, REQUEST, Role, Tone, picture_of


def nodes_of(spec):
    return {node.key: node for node in picture_of(pipeline_of(spec)).nodes}


def told(node, tone=Tone.MISTAKE):
    return [row.text for row in node.rows if row.tone is tone]


def test_mistakes_stand_where_they_are():
    nodes = nodes_of(MISTAKES)
    assert told(nodes["a"]) == ['"nowhere.outputs.x" refers to "nowhere", which is no step here']
    assert told(nodes["b"]) == ['"a.output" must have inputs or outputs after the name, not "output"']
    assert told(nodes["b #3"]) == ['there are two steps "b"']
    assert told(nodes[ANSWER]) == ['"zz" refers to "zz", which is no step here']
    assert [key for key, node in nodes.items() if node.role is Role.UNKNOWN] == ["nowhere", "zz"]


def test_a_mistake_of_the_whole_graph_is_beside_it():
    picture = picture_of(pipeline_of({**CYCLE, "allowCycles": False}))
    assert [row.text for row in picture.problems] == [
        "the steps a -> b -> a form a cycle; set allowCycles to permit it"
    ]


@pytest.mark.parametrize("text", ["", ".", "..", "a.step", "q.step.", "q.step.s.x", "q." * 50])
def test_a_broken_external_reference_is_told_at_the_request(text):
    spec = {**EXTERNAL, "input": {"externalInputs": [text]}}
    assert told(nodes_of(spec)[REQUEST])


def test_warnings_are_no_mistakes():
    spec = {"steps": [{"name": "a", "batch": {"rolling": True, "size": 2}}], "output": {"steps": ["a"]}}
    node = nodes_of(spec)["a"]
    assert told(node) == []
    assert len(told(node, Tone.WARNING)) == 2


def test_steps_that_no_answer_needs_are_side_branches():
    roles = {key: node.role for key, node in nodes_of(SWITCH).items()}
    assert roles == {
        REQUEST: Role.REQUEST,
        "conditional": Role.STEP,
        "mul10": Role.STEP,
        "add10": Role.STEP,
        "drift": Role.SIDE,
        ANSWER: Role.ANSWER,
    }


def test_pipelines_before_and_behind_are_told_apart():
    picture = picture_of(pipeline_of(EXTERNAL), {"next": plan_of(FOLLOWER, "next")})
    roles = {node.title: node.role for node in picture.nodes}
    assert (roles["q"], roles["r"], roles["u"], roles["next"]) == (*[Role.OTHER] * 3, Role.FOLLOWER)
    edges = {(each.source, each.target): each.trigger for each in picture.edges}
    assert edges["pipeline q", REQUEST] is False
    assert edges["pipeline u", REQUEST] is True
    assert (ANSWER, "follower next") in edges


def test_the_data_of_a_picture_is_json():
    data = picture_of(pipeline_of(SWITCH)).data()
    assert data["pipeline"] == "p"
    assert {"from": "conditional", "to": "mul10", "trigger": False, "tensors": ["OUTPUT0"]} in data["edges"]
    answer = next(node for node in data["nodes"] if node["name"] == ANSWER)
    assert answer == {"name": ANSWER, "title": "answer", "role": "answer", "join": "any", "rows": []}


def mismatched(*mismatches):
    """The nodes of a chain whose status tells of these edges."""
    pipeline = pipeline_of(CHAIN)
    told_edges = [{"step": step, "source": source, "message": words} for step, source, words in mismatches]
    status = PipelineStatus.model_validate({"mismatches": told_edges})
    return {node.key: node for node in picture_of(pipeline.model_copy(update={"status": status})).nodes}


def test_a_mismatch_stands_behind_the_row_of_its_edge():
    words = 'its "INPUT0" is INT32[1, 16], and "tfsimple1" gives FP32[1, 16] as "OUTPUT0"'
    node = mismatched(("tfsimple2", "tfsimple1.outputs", words))["tfsimple2"]
    edge, warning, *_ = node.rows
    assert (edge.source.owner, edge.quiet) == ("tfsimple1", False)
    assert (warning.text, warning.tone) == (words, Tone.WARNING)


def test_a_mismatch_without_an_edge_here_stands_last_or_nowhere():
    nodes = mismatched(
        ("tfsimple2", "", "no source gives"), ("", "x.outputs", "answer"), ("gone", "a.outputs", "-\x1b")
    )
    assert told(nodes["tfsimple2"], Tone.WARNING) == ["no source gives"]
    assert told(nodes[ANSWER], Tone.WARNING) == ["answer"]
    assert "gone" not in nodes
