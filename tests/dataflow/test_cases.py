"""The table of graphs and requests (`cases/`), run by the pure flow."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import pytest
import yaml
from tests.dataflow.engine import Engine, plan_of

FILES = sorted((Path(__file__).parent / "cases").glob("*.yaml"))


@cache
def graphs():
    return [(path.stem, graph) for path in FILES for graph in yaml.load(path.read_text(), yaml.CSafeLoader)]


def spec_of(graph, case):
    return json.loads(json.dumps(graph["spec"]).replace('"KIND"', json.dumps(case.get("kind", "inner"))))


CASES = [
    pytest.param(
        spec_of(graph, case), case, id=f"{name}: {graph['graph']}: {case.get('kind', '')} {case['name']}"
    )
    for name, graph in graphs()
    for case in graph["cases"]
]


@pytest.mark.parametrize(("spec", "case"), CASES)
def test_a_request_ends_as_the_table_says(spec, case):
    engine = Engine(plan_of(spec))
    for request in case.get("requests", [case]):
        engine.models = request.get("models", {})
        trace = engine.run(
            request.get("ask", ["i"]), rows=request.get("rows", 1), leaves_ms=request.get("leaves")
        )
        assert ending(trace) == expected_ending(request)
        for step, calls in (request.get("calls") or {}).items():
            visits = calls if calls and isinstance(calls[0], list) else [calls] if calls else []
            assert trace.calls.get(step, []) == visits, step
        assert trace.failures == request.get("failures", {})
        assert trace.cancelled == request.get("cancelled", [])
        assert trace.batched == request.get("batched", [])
        for name in {"step", "untouched"} & request.keys():
            assert getattr(trace.fails[0], name) == request[name]
        assert trace.ended_ms == request.get("ms", trace.ended_ms)
        assert trace.over_ms == request.get("over", trace.over_ms)
        assert_nothing_is_left(trace)


def ending(trace):
    answers = [("answer", each) for each in trace.answers]
    return answers + [("fail", [each.code.rest, each.words]) for each in trace.fails]


def expected_ending(request):
    return [(kind, request[kind]) for kind in ("answer", "fail") if kind in request]


def assert_nothing_is_left(trace):
    assert trace.flow.over
    assert trace.open == set()
    flow, board = trace.flow, trace.flow._board
    assert not any((flow._calls, flow._failures, flow._unsent, board.joins, board.output, board._changed))


def test_the_table_is_long_enough():
    assert len(CASES) >= 150
