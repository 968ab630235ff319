"""A namespace goes from Seldon Core to Bailie and back, by the steps of docs/production-patterns.md."""

from __future__ import annotations

import pytest
from tests.charts.test_installations import admin, api, install, operating, until_ready
from tests.support.charts import render
from tests.support.controllers import cluster_controllers
from tests.support.patterns import HOME, PATTERNS, TEAMS
from tests.support.upstream.facts import STAND_INS, Upstream, steady_models
from tests.support.upstream.install import install as install_upstream
from tests.support.waiting import until_true

from bailie.api.kinds import (
    CONFIG_MAP,
    DEPLOYMENT,
    ENDPOINT_SLICE,
    LEASE,
    POD_DISRUPTION_BUDGET,
    ROLE,
    SELDON_RUNTIME,
    SERVER,
    SERVICE,
    STATEFUL_SET,
)
from bailie.kube.client import kind_of
from bailie.manifests.defaults import token_secret
from bailie.manifests.rbac import SCHEDULER_RULES, namespace_manifests

__all__ = ["admin", "api"]
PLACE = "elsewhere"
MADE = (STATEFUL_SET, DEPLOYMENT, SERVICE, CONFIG_MAP, POD_DISRUPTION_BUDGET, ENDPOINT_SLICE)
REMOVED = ("StatefulSet", "Deployment", "Service", "PersistentVolumeClaim")
OURS = "app.kubernetes.io/managed-by=bailie"


async def put_list(admin, *names):
    body = {"data": {"namespaces": "".join(f"{name}\n" for name in names)}}
    await admin.patch(CONFIG_MAP, "bailie-scope", HOME, body)


@pytest.fixture
async def made(api, admin, tmp_path):
    """The objects that Seldon Core's operator has made in the namespace."""
    facts = Upstream(namespace=PLACE, servers={"mlserver": 1}, models=steady_models(2, ("mlserver",)))
    return await install_upstream(admin, api.kubeconfig, facts, tmp_path / "charts")


async def test_there_and_back(api, admin, made, tmp_path):
    [pattern] = [each for each in PATTERNS if each.name == "3-scoped"]
    manifests = pattern.manifests()
    await install(admin, manifests)
    async with cluster_controllers(admin), operating(api, manifests, HOME, tmp_path) as refused:
        await take_over(admin, made)
        await until_true(lambda: has_made(admin))  # statuses of Seldon Core say `Ready` until then
        await until_ready(admin, PLACE)
        assert await containers(admin) == {"agent", "mlserver"}
        assert refused == []
        await give_back(admin, made, refused)
    assert await admin.get(SELDON_RUNTIME, "seldon", PLACE)
    assert await admin.get(SERVER, "mlserver", PLACE)


async def has_made(admin):
    """Says whether Bailie's workloads are there, and no others."""
    deployed = {"seldon-scheduler", "seldon-envoy"}
    return await names(admin, STATEFUL_SET) == {"mlserver"} and await names(admin, DEPLOYMENT) == deployed


async def take_over(admin, made):
    """Deletes what the page names, and lets Bailie serve the namespace."""
    for manifest in made:
        if manifest["kind"] in REMOVED or manifest["metadata"]["name"] == "seldon-agent":
            await admin.delete(kind_of(manifest), manifest["metadata"]["name"], PLACE)
    await install(admin, [*namespace_manifests(PLACE, HOME), token_secret(PLACE, "x" * 43)], force=True)
    role = await admin.get(ROLE, "seldon-scheduler-role", PLACE)
    assert role["rules"] == [rule.manifest() for rule in SCHEDULER_RULES]
    await put_list(admin, *TEAMS, PLACE)
    released = render("runtime", {"rights": {"create": False}}, namespace=PLACE).of("SeldonRuntime")
    await install(admin, released, force=True)


async def give_back(admin, made, refused):
    """Deletes what Bailie has made, and nothing of Seldon Core's."""
    theirs = {each["metadata"]["name"] for each in made if each["kind"] == "ConfigMap"} | {STAND_INS}
    await put_list(admin, *TEAMS)

    async def let_go():
        leases = await admin.list(LEASE, PLACE)
        return not any(each["spec"].get("holderIdentity") for each in leases.items)

    await until_true(let_go)
    for kind in MADE:
        for found in (await admin.list(kind, PLACE, labels=OURS)).items:
            await admin.delete(kind, found["metadata"]["name"], PLACE)
    left = [await names(admin, kind) - theirs for kind in MADE]
    assert left == [set() for _ in MADE]
    assert refused == []


async def names(admin, kind):
    return {found["metadata"]["name"] for found in (await admin.list(kind, PLACE)).items}


async def containers(admin):
    found = await admin.get(STATEFUL_SET, "mlserver", PLACE)
    return {each["name"] for each in found["spec"]["template"]["spec"]["containers"]}
