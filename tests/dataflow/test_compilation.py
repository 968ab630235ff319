from __future__ import annotations

import gc
import time

import pytest
from tests.dataflow.engine import compiled, plan_of
from tests.dataflow.test_cases import graphs, spec_of

from bailie.dataflow import Topic, cycles_between

A, B = {"name": "a"}, {"name": "b", "inputs": ["a"]}
LOOP = [
    {"name": "a", "inputs": ["p.inputs", "c.outputs"], "inputsJoinType": "any"},
    {"name": "b", "inputs": ["a"]},
    {"name": "c", "inputs": ["b"]},
]
ERRORS = {
    "a cycle without leave": (
        {"steps": LOOP},
        "spec.steps",
        "the steps a -> b -> c -> a form a cycle; set allowCycles to permit it",
    ),
    "a step that reads itself": (
        {"steps": [{"name": "a", "inputs": ["a"]}]},
        "spec.steps",
        "the steps a -> a form a cycle; set allowCycles to permit it",
    ),
    "an unknown step": (
        {"steps": [{"name": "a", "inputs": ["z.outputs.x"]}]},
        "spec.steps[0].inputs[0]",
        'step "a": "z.outputs.x" refers to "z", which is no step here',
    ),
    "an unknown trigger": (
        {"steps": [{"name": "a", "triggers": ["z"]}]},
        "spec.steps[0].triggers[0]",
        'step "a": "z" refers to "z", which is no step here',
    ),
    "an empty reference": (
        {"steps": [A, {"name": "b", "inputs": ["a", ""]}]},
        "spec.steps[1].inputs[1]",
        'step "b": a reference is empty; name a source, or take the reference out',
    ),
    "the pipeline's own name": (
        {"steps": [{"name": "p"}]},
        "spec.steps[0].name",
        'step "p" has the name of the pipeline, so that references to it have two meanings',
    ),
    "the pipeline as output": (
        {"steps": [A], "output": {"steps": ["p"]}},
        "spec.output.steps[0]",
        'the output: "p" refers to "p", which is no step here',
    ),
    "a loop of inputs": (
        {
            "allowCycles": True,
            "steps": [
                {"name": "a", "inputs": ["p.inputs", "b.inputs"], "inputsJoinType": "any"},
                {"name": "b", "inputs": ["a.inputs"]},
            ],
        },
        "spec.steps",
        "the steps a -> b -> a read each other's inputs in a cycle; one must read outputs",
    ),
    "a loop that waits for itself": (
        {"allowCycles": True, "steps": [{"name": "a", "inputs": ["p.inputs", "a.outputs.x"]}]},
        "spec.steps[0]",
        (
            'step "a" can never begin: it waits for "a", which cannot begin before it; '
            "join the way into the cycle with any or outer"
        ),
    ),
    "a trigger that waits for its own step": (
        {"allowCycles": True, "steps": [A, {"name": "b", "triggers": ["b"]}]},
        "spec.steps[1]",
        (
            'step "b" can never begin: it waits for "b", which cannot begin before it; '
            "join the way into the cycle with any or outer"
        ),
    ),
}


@pytest.mark.parametrize(("spec", "path", "message"), ERRORS.values(), ids=ERRORS)
def test_a_graph_that_cannot_run_has_a_sentence_and_no_plan(spec, path, message):
    result = compiled(spec)
    assert result.plan is None
    assert (path, message) in [(problem.path, problem.message) for problem in result.errors]


def test_each_step_that_can_never_begin_is_named():
    steps = [
        {"name": "a", "inputs": ["b"]},
        {"name": "b", "inputs": ["a"]},
        {"name": "c", "inputs": ["b"]},
        {"name": "d"},
    ]
    result = compiled({"allowCycles": True, "steps": steps})
    assert [problem.path for problem in result.errors] == [f"spec.steps[{index}]" for index in range(3)]


WARNINGS = {
    "a bare reference beside a named one": (
        {"steps": [A, {"name": "b", "inputs": ["a.outputs.x", "a"]}]},
        "spec.steps[1].inputs[0]",
        'step "b": "a.outputs.x" has no effect beside "a", which takes all',
    ),
    "a key of another step": (
        {"steps": [A, {**B, "tensorMap": {"c.outputs.x": "y"}}]},
        "spec.steps[1].tensorMap[c.outputs.x]",
        (
            'step "b": "c.outputs.x" is no tensor of its inputs; write inputs and tensorMap alike, as '
            "<step>.outputs.<tensor>"
        ),
    ),
    "a key without a side": (
        {"steps": [A, {**B, "tensorMap": {"a.x": "y"}}]},
        "spec.steps[1].tensorMap[a.x]",
        (
            'step "b": "a.x" is no tensor of its inputs; write inputs and tensorMap alike, '
            "as <step>.outputs.<tensor>"
        ),
    ),
    "a key of a tensor that is not read": (
        {"steps": [A, {"name": "b", "inputs": ["a.outputs.x"], "tensorMap": {"a.outputs.z": "y"}}]},
        "spec.steps[1].tensorMap[a.outputs.z]",
        'step "b": inputs do not name the tensor "a.outputs.z"',
    ),
    "an empty new name": (
        {"steps": [A, {**B, "tensorMap": {"a.outputs.x": ""}}]},
        "spec.steps[1].tensorMap[a.outputs.x]",
        'step "b": the new name of "a.outputs.x" is empty, so that the tensor keeps its own',
    ),
    "two new names alike": (
        {"steps": [A, {**B, "tensorMap": {"a.outputs.x": "z", "a.outputs.y": "z"}}]},
        "spec.steps[1].inputs",
        'step "b": 2 tensors get the name "z"; give them different names in tensorMap',
    ),
    "a new name like an old one": (
        {
            "steps": [
                A,
                {"name": "b", "inputs": ["a.outputs.x", "a.outputs.y"], "tensorMap": {"a.outputs.x": "y"}},
            ]
        },
        "spec.steps[1].inputs",
        'step "b": 2 tensors get the name "y"; give them different names in tensorMap',
    ),
    "tensors of two steps alike": (
        {"steps": [A, B], "output": {"steps": ["a.outputs.x", "b.outputs.x"]}},
        "spec.output.steps",
        'the output: 2 tensors get the name "x"; give them different names in tensorMap',
    ),
    "a batch on a join": (
        {"steps": [A, B, {"name": "c", "inputs": ["a", "b"], "batch": {"size": 2}}]},
        "spec.steps[2].batch",
        'step "c" joins several sources, and only one source can be batched',
    ),
    "a batch on the way to the answer": (
        {"steps": [{"name": "a", "batch": {"size": 2}}, B], "output": {"steps": ["b"]}},
        "spec.steps[0].batch",
        (
            'step "a": the answer needs this step, and only the request that fills a batch gets its data; '
            "leave the step out of the ways to the output"
        ),
    ),
    "no output": (
        {"steps": [A]},
        "spec.output",
        "without output.steps the answer to each request has no tensors",
    ),
    "an empty output": (
        {"steps": [A], "output": {}},
        "spec.output",
        "without output.steps the answer to each request has no tensors",
    ),
    "an external key": (
        {"steps": [A], "input": {"externalInputs": ["q.step.s"], "tensorMap": {"s.outputs.x": "y"}}},
        "spec.input.tensorMap[s.outputs.x]",
        (
            'the input: "s.outputs.x" is no tensor of its externalInputs; write externalInputs and tensorMap '
            "alike, as <step>.outputs.<tensor>"
        ),
    ),
}


@pytest.mark.parametrize(("spec", "path", "message"), WARNINGS.values(), ids=WARNINGS)
def test_a_graph_with_a_harmless_mistake_has_a_warning_and_a_plan(spec, path, message):
    result = compiled(spec)
    assert result.plan is not None
    assert (path, message) in [(problem.path, problem.message) for problem in result.warnings]


@pytest.mark.parametrize(
    "graph", [graph for _, graph in graphs()], ids=[graph["graph"] for _, graph in graphs()]
)
def test_the_graphs_of_the_table_have_no_other_warnings(graph):
    spec = spec_of(graph, graph["cases"][0])
    assert [warning.reason for warning in compiled(spec).warnings] == graph.get("warnings", [])


def test_steps_are_in_the_order_of_their_data():
    steps = [{"name": "d", "inputs": ["c"]}, {"name": "c", "triggers": ["a"]}, B, A]
    order = [group.steps for group in plan_of({"steps": steps}).groups]
    assert order.index(("a",)) < order.index(("b",))
    assert order.index(("a",)) < order.index(("c",)) < order.index(("d",))


def test_the_steps_of_a_cycle_are_together_and_those_behind_it_repeat():
    steps = [{"name": "x"}, *LOOP, {"name": "behind", "inputs": ["c.outputs.o"]}]
    plan = plan_of({"allowCycles": True, "maxStepRevisits": 4, "steps": steps})
    assert [group.steps for group in plan.groups if group.cycle] == [("a", "b", "c")]
    assert {name for name, step in plan.steps.items() if step.repeats} == {"a", "b", "c", "behind"}
    assert plan.most_visits == 5


def test_steps_on_no_way_to_the_output_are_not_required():
    steps = [
        A,
        {"name": "guard"},
        {"name": "b", "inputs": ["a"], "triggers": ["guard"]},
        {"name": "side", "inputs": ["a"]},
    ]
    plan = plan_of({"steps": steps, "output": {"steps": ["b"]}})
    assert {name for name, step in plan.steps.items() if step.required} == {"a", "guard", "b"}


def test_windows_and_batches_have_their_defaults():
    plan = plan_of(
        {
            "steps": [
                A,
                {"name": "b", "joinWindowMs": 0},
                {"name": "c", "joinWindowMs": 7, "batch": {"windowMs": 5}},
            ],
            "output": {"steps": ["a"], "joinWindowMs": 9},
        }
    )
    assert [step.window_ms for step in plan.steps.values()] == [60_000, 60_000, 7]
    assert plan.output.window_ms == 9
    assert (plan.steps["c"].batch_rows, plan.steps["c"].batch_window_ms) == (0, 5)


def test_external_references_name_topics_of_other_pipelines():
    external = ["q", "q.inputs.x", "r.step.s", "r.step.s.inputs.y"]
    plan = plan_of(
        {"steps": [A], "input": {"externalInputs": external, "externalTriggers": ["t.outputs.ok"]}}
    )
    assert plan.external.topics == (
        Topic("q", "q", "outputs"),
        Topic("q", "q", "inputs"),
        Topic("r", "s", "outputs"),
        Topic("r", "s", "inputs"),
        Topic("t", "t", "outputs"),
    )


def following(name, *external, **fields):
    return plan_of({"steps": [A], "input": {"externalInputs": external, **fields}}, name)


def test_a_cycle_between_pipelines_is_named_by_its_way_round():
    reads = {"q1": ["q3"], "q2": ["q1"], "q3": ["other", "q2"], "behind": ["q3"]}
    text = "the pipelines q1 -> q2 -> q3 -> q1 form a cycle; take one of them out of another's input"
    assert cycles_between(reads) == {"q1": text, "q2": text, "q3": text}
    del reads["q2"]
    assert cycles_between(reads) == {}


def test_each_cycle_between_pipelines_is_named_apart():
    reads = {"a": ["b"], "b": ["a"], "c": ["d", "a"], "d": ["c"], "e": ["e"]}
    found = cycles_between(reads)
    assert set(found) == set("abcde")
    assert found["a"] == found["b"] != found["c"] == found["d"]
    assert "c -> d -> c" in found["c"] or "d -> c -> d" in found["c"]
    assert "e -> e" in found["e"]


def test_cycles_among_a_thousand_pipelines_are_found_in_time():
    many = {str(number): [str((number + 1) % 20_000)] for number in range(20_000)}
    begun = time.process_time()
    assert len(cycles_between(many)) == 20_000
    assert time.process_time() - begun < 5


def test_a_large_graph_is_compiled_in_time_and_without_deep_recursion():
    """Four times the steps take about four times as long: with their square it would be sixteen times."""

    def seconds(count):
        steps = [A] + [{"name": f"s{i}", "inputs": [f"s{i - 1}" if i else "a"]} for i in range(count)]
        loops = [
            {"name": f"l{i}", "inputs": [f"l{i}.outputs.x", "a"], "inputsJoinType": "any"}
            for i in range(count)
        ]
        gc.disable()  # a collection looks at all that the tests before have left
        began = time.process_time()
        try:
            assert compiled({"allowCycles": True, "steps": steps + loops}).plan is not None
            return time.process_time() - began
        finally:
            gc.enable()

    small = min(seconds(500) for _ in range(3))
    assert min(seconds(2000) for _ in range(2)) < 10 * small
