"""Random graphs, models and moments: what holds for every request, whatever its graph."""

from __future__ import annotations

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from tests.dataflow.engine import TIME_OUT_MS, Engine, compiled, plan_of
from tests.dataflow.test_cases import assert_nothing_is_left, ending

NAMES = ("a", "b", "c", "d", "e", "f", "g")
TENSORS = ("x", "y")
KINDS = st.sampled_from(["inner", "outer", "any"])
REQUESTS = st.lists(st.sampled_from(TENSORS), max_size=3)


def references(owners, least=0, most=3):
    outputs = [f"{owner}.outputs{tensor}" for owner in owners if owner != "p" for tensor in ("", ".x", ".y")]
    inputs = [f"{owner}.inputs{tensor}" for owner in owners for tensor in ("", ".x", ".y")]
    return st.lists(st.sampled_from(outputs + inputs), min_size=least, max_size=most)


def steps(name, owners, kinds, batches):
    return st.fixed_dictionaries(
        {
            "name": st.just(name),
            "inputs": references(owners),
            "triggers": references(owners, most=2),
            "inputsJoinType": kinds,
            "triggersJoinType": kinds,
            "joinWindowMs": st.sampled_from([0, 5]),
            "batch": st.fixed_dictionaries({"size": st.integers(0, 3 if batches else 0)}),
        }
    )


@st.composite
def specs(draw, kinds=KINDS, batches=False):
    names = NAMES[: draw(st.integers(1, len(NAMES)))]
    each = [steps(name, ("p", *names[:index]), kinds, batches) for index, name in enumerate(names)]
    output = st.fixed_dictionaries({"steps": references(names, least=1), "stepsJoin": kinds})
    return {"steps": draw(st.tuples(*each).flatmap(st.permutations)), "output": draw(st.none() | output)}


@st.composite
def cyclic_specs(draw, batches=True):
    """Draws graphs with references in all directions, most of them into cycles that can begin."""
    names = NAMES[: draw(st.integers(1, 4))]
    kinds = st.sampled_from(["any", "any", "outer", "inner"])
    return {
        "steps": draw(st.tuples(*(steps(name, ("p", *names), kinds, batches) for name in names))),
        "output": {"steps": draw(references(names, least=1)), "stepsJoin": draw(kinds)},
        "allowCycles": True,
        "maxStepRevisits": draw(st.integers(0, 3)),
    }


def behaviours(failing=True):
    moments = st.integers(0, 9)
    kinds = [st.fixed_dictionaries({"gives": REQUESTS, "ms": moments})] * 3
    if failing:
        kind = st.sampled_from([{"error": "boom"}, {"unreachable": "boom"}, {"slow": "boom"}, {}])
        kinds += [st.builds(lambda found, ms: found | {"ms": ms}, kind, moments)]
    return st.fixed_dictionaries(dict.fromkeys(NAMES, st.one_of(kinds)))


def runnable(spec):
    """Returns the plan; graphs whose steps wait for each other have none."""
    plan = compiled(spec).plan
    assume(plan is not None)
    return plan


def check(plan, trace, longest_ms=TIME_OUT_MS):
    assert_nothing_is_left(trace)
    assert trace.over_ms <= longest_ms
    assert len(ending(trace)) == 1
    assert not any(
        fail.words.endswith(": ") or (fail.step and fail.step not in fail.words) for fail in trace.fails
    )
    assert all(len(calls) <= plan.most_visits for calls in trace.calls.values())


@settings(max_examples=500)
@given(specs(), REQUESTS, behaviours())
def test_a_request_to_any_graph_ends_and_leaves_nothing(spec, asked, models):
    plan = plan_of(spec)
    check(plan, Engine(plan, models).run(asked))


@settings(max_examples=200)
@given(specs(batches=True), REQUESTS, behaviours())
def test_requests_to_any_graph_with_batches_end_and_leave_nothing(spec, asked, models):
    plan = plan_of(spec)
    engine = Engine(plan, models)
    for _ in range(3):
        check(plan, engine.run(asked), longest_ms=2 * TIME_OUT_MS)  # a full batch may go on for the others


@settings(max_examples=300, suppress_health_check=[HealthCheck.filter_too_much])
@given(cyclic_specs(), REQUESTS, behaviours())
def test_a_request_to_any_graph_with_cycles_ends_and_leaves_nothing(spec, asked, models):
    plan = runnable(spec)
    check(plan, Engine(plan, models).run(asked))


@settings(max_examples=100, suppress_health_check=[HealthCheck.filter_too_much])
@given(cyclic_specs(), REQUESTS, behaviours(), st.integers(0, 9))
def test_a_caller_that_leaves_ends_whatever_has_no_answer(spec, asked, models, moment):
    trace = Engine(runnable(spec), models).run(asked, leaves_ms=moment)
    assert_nothing_is_left(trace)
    assert len(ending(trace)) <= 1
    assert ending(trace) or trace.over_ms <= moment


@settings(max_examples=100, suppress_health_check=[HealthCheck.filter_too_much])
@given(st.one_of(specs(batches=True), cyclic_specs()), REQUESTS, behaviours(), st.integers(0, 9))
def test_a_caller_that_leaves_takes_no_batch_of_others_along(spec, asked, models, moment):
    engine = Engine(runnable(spec), models)
    engine.run(asked)
    trace = engine.run(asked, leaves_ms=moment)
    assert_nothing_is_left(trace)
    assert len(ending(trace)) <= 1
    assert ending(trace) or not set(trace.shared) & set(trace.cancelled) or trace.over_ms > TIME_OUT_MS


@settings(max_examples=300)
@given(specs(kinds=st.sampled_from(["inner", "outer"])), REQUESTS, behaviours(failing=False), st.data())
def test_the_order_of_answers_changes_no_ending(spec, asked, models, data):
    """Without `any`, windows and failures of needed steps there is one answer, or none."""
    plan = plan_of({**spec, "steps": [{**step, "joinWindowMs": 0} for step in spec["steps"]]})
    moments = data.draw(st.lists(st.integers(0, 9), min_size=len(NAMES), max_size=len(NAMES)))
    others = {name: {**models[name], "ms": moment} for name, moment in zip(NAMES, moments, strict=True)}
    one, other = Engine(plan, models).run(asked), Engine(plan, others).run(asked)
    assert one.answers == other.answers
    assert [fail.code for fail in one.fails] == [fail.code for fail in other.fails]
    assert one.answers == oracle(plan, asked, models)


def oracle(plan, asked, models):
    """Returns the answers as the sheet of semantics says, worked out at once from the end, without events."""

    def data(topic):
        if topic.owner == plan.name:
            return [f"request.{name}" for name in asked]
        sent = joined(plan.steps[topic.owner])
        if sent is None or topic.side == "inputs":
            return sent or []
        return [f"{topic.owner}.{name}" for name in models[topic.owner]["gives"]]

    def taken(source):
        found = data(source.topic)
        wanted = source.tensors or dict.fromkeys(each.partition(".")[2] for each in found)
        named = [each for name in source.tensors for each in found if each.partition(".")[2] == name]
        return named if source.tensors else found if wanted else []

    def present(sources, kind):
        found = [taken(source) for source in sources]
        return not found or (all(found) if kind == "inner" else any(found))

    def joined(step):
        if not present(step.data.sources, step.data.kind) or not present(
            step.triggers.sources, step.triggers.kind
        ):
            return None
        return [tensor for source in step.data.sources for tensor in taken(source)]

    if plan.output is None:
        return [[]]
    answer = joined(plan.output)
    return [] if answer is None else [answer]


@settings(max_examples=100)
@given(specs(), REQUESTS, behaviours())
def test_a_side_branch_changes_no_answer(spec, asked, models):
    assume(spec["output"])
    plan = plan_of(spec)
    healthy = Engine(plan, models).run(asked)
    for failing in ({"error": "boom"}, {}, {"unreachable": "is away"}):
        side = {name: {**failing, "ms": 1} for name, step in plan.steps.items() if not step.required}
        trace = Engine(plan, models | side).run(asked)
        assert ending(trace) == ending(healthy)
