"""Pipelines whose gateways are left out, and names that are too long."""

from __future__ import annotations

import pytest
from tests.support.plan_grounds import resource, seen_as

from bailie.migration.checks.resources import contents, readiness, without_gateway
from bailie.migration.source import MoveSource

PIPELINES = [resource("Pipeline", f"joined-{number}", {"steps": [{"name": "iris"}]}) for number in range(5)]
SELDONS = {MoveSource.SELDON_SCOPED, MoveSource.SELDON_CENTRAL}


def runtime(**override):
    overrides = [{"name": "seldon-pipelinegateway", **override}]
    return resource("SeldonRuntime", "seldon", {"seldonConfig": "default", "overrides": overrides})


@pytest.mark.parametrize("source", list(MoveSource))
@pytest.mark.parametrize("override", [{"disable": True}, {"replicas": 0}])
def test_pipelines_without_gateways_are_not_run(source, override):
    (found,) = without_gateway(seen_as(*PIPELINES, runtime(**override)), source)
    assert found.impact == ("blocker" if source in SELDONS else "advice")
    assert found.check == "not-run"
    assert "leaves out the gateways" in found.message
    assert found.object == "Pipeline team/joined-0, joined-1, joined-2, joined-3, …"
    assert found.remedy.startswith("kubectl edit seldonruntime seldon --namespace team")


@pytest.mark.parametrize("source", list(MoveSource))
@pytest.mark.parametrize("override", [{}, {"replicas": 2}])
def test_pipelines_get_gateways_where_nothing_leaves_them_out(source, override):
    assert list(without_gateway(seen_as(*PIPELINES, runtime(**override)), source)) == []
    gateways = resource("Server", "seldon-pipelinegateway", {"serverConfig": "seldon-pipelinegateway"})
    assert list(without_gateway(seen_as(*PIPELINES, gateways, runtime(disable=True)), source)) == []
    assert list(without_gateway(seen_as(runtime(disable=True)), source)) == []


SPECS = {
    "Model": {"storageUri": "gs://bucket/iris"},
    "Server": {"serverConfig": "mlserver"},
    "Pipeline": {"steps": [{"name": "iris"}], "output": {"steps": ["iris"]}},
    "Experiment": {"candidates": [{"name": "iris", "weight": 1}]},
}


@pytest.mark.parametrize("kind", SPECS)
@pytest.mark.parametrize("name", ["a" * 253, ".".join(["a" * 63] * 3)])
def test_a_name_that_seldon_cores_definitions_let_in_and_bailie_refuses_blocks(kind, name):
    found = list(contents(seen_as(resource(kind, name, SPECS[kind])), MoveSource.SELDON_SCOPED))
    assert [(each.impact, each.check, each.object) for each in found] == [
        ("blocker", "name", f"{kind} team/{name}")
    ]
    assert found[0].remedy.startswith("make the object again under another name")


@pytest.mark.parametrize("kind", SPECS)
def test_what_is_not_ready_before_the_move_is_told_of_each_kind(kind):
    objects = [resource(kind, name, SPECS[kind]) for name in ("a", "b", "c")]
    objects[1]["status"] = {"conditions": [{"type": "Ready", "status": "True"}]}
    objects[2]["status"] = {"conditions": [{"type": "Ready", "status": "False", "message": "full"}]}
    (found,) = readiness(seen_as(*objects), MoveSource.SELDON_SCOPED)
    assert (found.impact, found.object) == ("advice", f"{kind} team/a, c")
    assert found.message == f"2 of 3 {kind}s are not ready before the move"
    assert found.remedy == f"bailie explain {kind.lower()} a -n team"
