"""Whom `bailie explain` asks: the scheduler of the namespace, or the one that it uses."""

from __future__ import annotations

import pytest
from tests.support.api import running_api
from tests.support.scheduler_pods import scheduler_pod

from bailie.api.kinds import MODEL, PIPELINE, SELDON_RUNTIME
from bailie.kube.client import Client
from bailie.kube.health import HealthServer
from bailie.local.explanation import (
    experiment_explanation,
    explanation,
    pipeline_explanation,
    server_explanation,
)
from bailie.local.scheduler_answers import SCHEDULER_HTTP_PORT
from bailie.manifests.objects import service

API_VERSION = "mlops.seldon.io/v1alpha1"


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    with running_api(tmp_path_factory.mktemp("api")) as running:
        for namespace in ("team", "central", "loads"):
            running.namespace(namespace)
        yield running


@pytest.fixture
async def admin(api):
    async with Client.from_kubeconfig(api.kubeconfig) as client:
        body = {"storageUri": "/m"}
        metadata = {"name": "iris", "namespace": "team"}
        model = {"apiVersion": API_VERSION, "kind": "Model", "metadata": metadata, "spec": body}
        await client.apply(model, field_manager="test")
        yield client


def answering(place):
    def explain(path):
        return {"summary": f"said in {place} of {path}", "trail": []}

    return HealthServer(live=lambda: None, ready=lambda: None, routes={"explain": explain})


async def summary(admin):
    return (await explanation(admin, "team", "iris"))["summary"]


async def test_whom_it_asks(api, admin):
    own, central = "127.199.0.1", "127.199.0.2"
    assert "namespace team has no SeldonRuntime" in await summary(admin)
    runtime = {"apiVersion": API_VERSION, "kind": "SeldonRuntime", "spec": {"seldonConfig": "default"}}
    await admin.create({**runtime, "metadata": {"name": "seldon", "namespace": "team"}})
    assert await summary(admin) == (
        "no scheduler has looked at it: `bailie doctor -n team` says what is wrong"
    )
    await admin.delete(SELDON_RUNTIME, "seldon", "team")
    assert (await explanation(admin, "team", "iris"))["trail"] == []
    await scheduler_pod(api, admin, "team", own)
    [unheard] = (await explanation(admin, "team", "iris"))["trail"]
    assert unheard.startswith("pod team/s-")
    assert "networkPolicies.apiServer" in unheard
    await scheduler_pod(api, admin, "central", central)
    async with (
        answering("team").serve(own, SCHEDULER_HTTP_PORT),
        answering("central").serve(central, SCHEDULER_HTTP_PORT),
    ):
        assert await summary(admin) == "said in team of team/iris"
        target = "seldon-scheduler.central.svc.cluster.local"
        alias = {"type": "ExternalName", "externalName": target}
        await admin.create(service("team", "seldon-scheduler", alias))
        assert await summary(admin) == "said in central of team/iris"
        spec = {"seldonConfig": "default", "schedulerNamespace": "team"}
        metadata = {"name": "seldon", "namespace": "team"}
        runtime = {"apiVersion": API_VERSION, "kind": "SeldonRuntime", "metadata": metadata, "spec": spec}
        await admin.create(runtime)
        await admin.apply({**runtime, "spec": {**spec, "schedulerNamespace": "central"}}, force=True)
        assert await summary(admin) == "said in central of team/iris"


async def test_a_load_that_the_server_refuses_leads_to_its_traceback(api, admin):
    address, metadata = "127.199.0.3", {"name": "bad", "namespace": "loads"}
    model = {"apiVersion": API_VERSION, "kind": "Model", "metadata": metadata, "spec": {"storageUri": "/m"}}
    await admin.create(model)
    standings = [{"replica": "triton-0", "state": "LoadFailed"}]
    value = {"trail": ["a line"], "standings": standings}
    server = HealthServer(live=lambda: None, ready=lambda: None, routes={"explain": lambda _: value})
    await scheduler_pod(api, admin, "loads", address)

    async def trail(reason):
        condition = {"type": "RolledOut", "status": "False", "reason": reason, "message": "no"}
        status = {"status": {"conditions": [condition]}}
        await admin.patch(MODEL, "bad", "loads", status, subresource="status")
        return (await explanation(admin, "loads", "bad"))["trail"]

    async with server.serve(address, SCHEDULER_HTTP_PORT):
        assert await trail("ServerLoadError") == ["a line"]  # its pod has gone
        containers = [{"name": name, "image": "i"} for name in ("agent", "triton", "proxy")]
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "triton-0", "namespace": "loads"}}
        await admin.create({**pod, "spec": {"containers": containers}})
        told = "the server's log has the traceback: bailie logs triton-0 -c triton -n loads"
        assert await trail("ServerLoadError") == ["a line", told]
        assert await trail("ArtifactNotFound") == ["a line"]
        standings[0]["state"] = "Loading"
        assert await trail("ServerLoadError") == ["a line"]


async def test_an_experiment_over_pipelines_tells_of_these(admin):
    steps = {"steps": [{"name": "iris"}]}
    made = {"apiVersion": API_VERSION, "kind": "Pipeline", "metadata": {"name": "iris", "namespace": "team"}}
    await admin.apply({**made, "spec": steps}, field_manager="test")
    candidates = [{"name": "iris", "weight": 1}, {"name": "gone", "weight": 2}]
    spec = {"resourceType": "pipeline", "default": "iris", "candidates": candidates}
    metadata = {"name": "chains", "namespace": "team"}
    body = {"apiVersion": API_VERSION, "kind": "Experiment", "metadata": metadata, "spec": spec}
    await admin.apply(body, field_manager="test")
    assert (await experiment_explanation(admin, "team", "chains"))["trail"] == [
        "callers of chains.experiment and of iris.pipeline are shared",
        "iris: weight 1; nobody has looked at it",
        "gone: weight 2; there is no such Pipeline",
    ]


async def test_a_pipeline_tells_of_its_steps(admin):
    metadata = {"name": "two", "namespace": "team"}
    spec = {"steps": [{"name": "iris"}, {"name": "gone", "inputs": ["iris"]}]}
    body = {"apiVersion": API_VERSION, "kind": "Pipeline", "metadata": metadata, "spec": spec}
    await admin.apply(body, field_manager="test")
    found = await pipeline_explanation(admin, "team", "two")
    assert found["summary"].startswith("no scheduler has looked at it")
    assert found["trail"] == ["step iris: nobody has looked at it", "step gone: there is no such Model"]
    gateways = {"type": "PipelineGwReady", "status": "True", "message": "1/1 pipeline gateways answer"}
    ready = {"type": "Ready", "status": "True"}
    status = {"status": {"conditions": [gateways, ready]}}
    await admin.patch(PIPELINE, "two", "team", status, subresource="status")
    found = await pipeline_explanation(admin, "team", "two")
    assert (found["pipeline"], found["summary"]) == ("two", "1/1 pipeline gateways answer")


async def test_an_experiment_says_who_gets_requests(admin):
    metadata = {"name": "flower", "namespace": "team"}
    candidates = [{"name": "iris", "weight": 90}, {"name": "gone", "weight": 10}]
    spec = {"default": "iris", "candidates": candidates, "mirror": {"name": "shadow", "percent": 5}}
    body = {"apiVersion": API_VERSION, "kind": "Experiment", "metadata": metadata, "spec": spec}
    await admin.apply(body, field_manager="test")
    found = await experiment_explanation(admin, "team", "flower")
    assert found["summary"].startswith("no scheduler has looked at it")
    assert found["trail"] == [
        "callers of flower.experiment and of iris are shared",
        "iris: weight 90; nobody has looked at it",
        "gone: weight 10; there is no such Model",
        "shadow: mirror of 5 %; there is no such Model",
    ]


async def test_of_a_delivery_it_is_told_that_other_weights_hold(admin):
    annotations = {"bailie.io/progressive": "steps=20%:5m"}
    metadata = {"name": "grown", "namespace": "team", "annotations": annotations}
    spec = {"default": "iris", "candidates": [{"name": "iris", "weight": 1}, {"name": "rose", "weight": 1}]}
    body = {"apiVersion": API_VERSION, "kind": "Experiment", "metadata": metadata, "spec": spec}
    await admin.apply(body, field_manager="test")
    first = (await experiment_explanation(admin, "team", "grown"))["trail"][0]
    assert first.endswith("are shared by its delivery, whose weights go before those of the spec")


async def test_of_a_server_the_scheduler_says_what_its_replicas_hold(api, admin):
    address, metadata = "127.199.0.3", {"name": "mlserver", "namespace": "servers"}
    api.namespace("servers")
    server = {"apiVersion": API_VERSION, "kind": "Server", "metadata": metadata}
    await admin.create({**server, "spec": {"serverConfig": "mlserver"}})
    found = await server_explanation(admin, "servers", "mlserver")
    assert (found["server"], found["trail"]) == ("mlserver", [])
    assert found["summary"] == ("no operator has looked at it: `bailie doctor -n servers` says what is wrong")
    await scheduler_pod(api, admin, "servers", address)
    [unheard] = (await server_explanation(admin, "servers", "mlserver"))["trail"]
    assert "this is from the Server's status" in unheard
    told = HealthServer(
        live=lambda: None, ready=lambda: None, routes={"servers": lambda path: {"trail": [f"of {path}"]}}
    )
    async with told.serve(address, SCHEDULER_HTTP_PORT):
        assert (await server_explanation(admin, "servers", "mlserver"))["trail"] == ["of servers/mlserver"]
