"""Kinds that a version of Bailie accepts and does not run, whichever they are."""

from __future__ import annotations

import pytest
from tests.support.plan_grounds import resource, seen_as

from bailie.migration.checks.resources import not_run
from bailie.migration.source import MoveSource

PIPELINES = [resource("Pipeline", f"joined-{number}", {"steps": [{"name": "iris"}]}) for number in range(5)]


@pytest.mark.parametrize(
    ("source", "impact", "says"),
    [
        (MoveSource.SELDON_SCOPED, "blocker", "does not run pipelines: who calls them would get errors"),
        (MoveSource.BAILIE_CENTRAL, "advice", "does not run pipelines, before the move nor after it"),
    ],
)
def test_pipelines_that_are_not_run(source, impact, says):
    (found,) = not_run(seen_as(*PIPELINES, not_run=("Pipeline",)), source)
    assert found.impact == impact
    assert says in found.message
    assert found.object == "Pipeline team/joined-0, joined-1, joined-2, joined-3, …"
    assert found.remedy.startswith("kubectl get pipelines --namespace team")


def test_pipelines_that_are_run_are_no_finding():
    assert list(not_run(seen_as(*PIPELINES), MoveSource.SELDON_SCOPED)) == []
