"""The trace of a request in the picture of its pipeline."""

from __future__ import annotations

import pytest
from tests.dataflow.engine import Engine, plan_of
from tests.drawing.graphs import SWITCH, pipeline_of

from bailie.drawing.marking import ending_of, marked, size_text
from bailie.drawing.picture import picture_of
from bailie.drawing.terminal import text_of

JOIN = {
    "steps": [
        {"name": "a"},
        {"name": "b"},
        {"name": "c", "inputs": ["a", "b.outputs.y"], "triggers": ["a.outputs.ok"]},
    ],
    "output": {"steps": ["c"]},
}


def drawn(spec, models, **named):
    plan = plan_of(spec)
    trace = Engine(plan, models).run(["i"], **named).traced.told.data(plan)
    return text_of(marked(picture_of(pipeline_of(spec)), trace), columns=110)


@pytest.mark.parametrize(
    ("name", "spec", "models"),
    [
        ("traced switch", SWITCH, {"conditional": {"gives": ["OUTPUT1"], "ms": 3}}),
        ("traced failure", JOIN, {"a": ["ok"], "b": {"error": "out of memory"}}),
        ("traced absence", JOIN, {"a": ["no"], "b": ["z"]}),
    ],
)
def test_the_picture_of_a_trace(golden, name, spec, models):
    golden.check_text(name.replace(" ", "_"), drawn(spec, models))


def test_each_of_many_calls_is_told_up_to_a_limit():
    spec = {
        "allowCycles": True,
        "maxStepRevisits": 20,
        "steps": [{"name": "a", "inputs": ["p", "a.outputs.x"], "inputsJoinType": "any"}],
        "output": {"steps": ["a.outputs.done"]},
    }
    text = drawn(spec, {"a": [*({"gives": ["x"]} for _ in range(9)), {"gives": ["done"]}]})
    assert "call 5: " in text
    assert "call 6: " not in text
    assert "and 5 more calls" in text


def test_a_trace_of_another_version_marks_what_it_can():
    trace = {
        "ending": "\x1b[1mnew_word",
        "steps": [{"step": "gone", "state": "answered"}, {"step": "drift", "state": "new\x1b"}],
        "edges": [{"from": "gone.outputs", "to": "mul10", "wanted": [], "trigger": False, "present": True}],
    }
    text = text_of(marked(picture_of(pipeline_of(SWITCH)), trace), columns=110)
    assert "new\\u001b" in text
    assert "\x1b" not in text


def test_endings_and_sizes_read_well():
    assert ending_of({"ending": "too_slow", "ms": 60_000}) == "too slow after 60.00 s"
    assert ending_of({"ending": "running"}) == "running"
    assert [size_text(size) for size in (1, 1023, 1024, 5 << 20)] == ["1 B", "1023 B", "1.0 KiB", "5.0 MiB"]
