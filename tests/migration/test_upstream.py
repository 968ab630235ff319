"""The plan of a namespace with all of Seldon Core's objects, as its charts and its operator make them."""

from __future__ import annotations

import asyncio
import json

import pytest
from tests.support.api import running_api
from tests.support.commands import CommandRunner
from tests.support.operators import Audit
from tests.support.plan_grounds import installed
from tests.support.upstream.facts import Upstream, UpstreamPattern, steady_models
from tests.support.upstream.install import install

from bailie.cli.app import app
from bailie.kube.client import Client


@pytest.mark.parametrize(
    ("pattern", "source"),
    [(UpstreamPattern.CENTRAL, "seldon-central"), (UpstreamPattern.LISTED, "seldon-scoped")],
)
def test_the_source_and_the_findings(tmp_path, pattern, source):
    facts = Upstream(pattern=pattern, models=steady_models(4), autoscaled=True)
    audit = Audit(tmp_path / "audit.jsonl")
    with running_api(tmp_path, audit_log=audit.path) as api:
        asyncio.run(prepare(api, facts, tmp_path / "charts"))
        before = audit.writes()
        words = ["migrate", "plan", facts.namespace, "-o", "json", "--kubeconfig", str(api.kubeconfig)]
        result = CommandRunner().invoke(app, words)
        assert audit.writes() == before
    assert result.exit_code == 0, result.output
    (plan,) = json.loads(result.stdout)["plans"]
    assert (plan["source"], plan["models"], plan["servers"]) == (source, 4, 2)
    found = {finding["check"] for finding in plan["findings"]}
    assert {"foreign-operator", "release", "finalizers", "autoscaler", "no-effect"} <= found
    assert ("left-out" in found) == (pattern is UpstreamPattern.CENTRAL)
    assert [each["check"] for each in plan["findings"]].count("no-effect") == 1
    assert not {"spec", "status", "name", "storage", "configuration", "agents", "redirect"} & found


async def prepare(api, facts, charts):
    await installed(api, [], listed=[])
    async with Client.from_kubeconfig(api.kubeconfig) as admin:
        await install(admin, api.kubeconfig, facts, charts)
