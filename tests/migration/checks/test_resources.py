"""Pipelines for which a namespace has no gateways."""

from __future__ import annotations

import pytest
from tests.support.plan_grounds import resource, seen_as

from bailie.migration.checks.resources import without_gateway
from bailie.migration.source import MoveSource

PIPELINES = [resource("Pipeline", f"joined-{number}", {"steps": [{"name": "iris"}]}) for number in range(5)]


@pytest.mark.parametrize(
    ("source", "impact", "says"),
    [
        (
            MoveSource.SELDON_SCOPED,
            "blocker",
            "and over REST alone: who calls them would get errors",
        ),
        (
            MoveSource.BAILIE_CENTRAL,
            "advice",
            "they do not run, before the move nor after it",
        ),
    ],
)
def test_pipelines_that_are_not_run(source, impact, says):
    (found,) = without_gateway(seen_as(*PIPELINES), source)
    assert found.impact == impact
    assert says in found.message
    assert found.object == "Pipeline team/joined-0, joined-1, joined-2, joined-3, …"
    assert found.remedy.startswith("kubectl get pipelines --namespace team")


@pytest.mark.parametrize("source", list(MoveSource))
def test_pipelines_that_have_gateways_are_no_finding(source):
    gateways = resource("Server", "seldon-pipelinegateway", {"serverConfig": "seldon-pipelinegateway"})
    assert list(without_gateway(seen_as(*PIPELINES, gateways), source)) == []
    assert list(without_gateway(seen_as(gateways), source)) == []
