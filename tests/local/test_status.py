"""What `bailie status` says is what the API says: addresses, leaders, pods and their owners."""

from __future__ import annotations

import pytest
from tests.support.api import running_api
from tests.support.manifests import manifest_of

from bailie.api.kinds import LEASE, POD, SERVER, SERVICE
from bailie.kube.client import Client
from bailie.local import monitoring
from bailie.local.errors import DeadlinePassed
from bailie.local.settings import OPERATOR_NAMESPACE
from bailie.local.status import _namespace, _prometheus, inference_address

COMPONENT = "app.kubernetes.io/name"
PORT = {"name": "data", "port": 80}
STATS = {"name": "envoy-stats", "port": 9003, "nodePort": 31001}


@pytest.fixture
async def client(tmp_path):
    with running_api(tmp_path) as api:
        api.namespace("a")
        async with Client.from_kubeconfig(api.kubeconfig) as made:
            yield made


def metadata(name, **labels):
    return {"name": name, "namespace": "a", "labels": labels}


async def mesh(client, ports, ingress=()):
    """Makes the Service of the data plane as the node or a cluster leaves it."""
    manifest = {"apiVersion": "v1", "kind": "Service", "metadata": metadata("seldon-mesh")}
    await client.create({**manifest, "spec": {"type": "LoadBalancer", "ports": ports}})
    if ingress:
        status = {"status": {"loadBalancer": {"ingress": list(ingress)}}}
        await client.patch(SERVICE, "seldon-mesh", "a", status, subresource="status")


async def pod(client, name, component, *, ready=True, server=None):
    labels = {COMPONENT: component} | ({"seldon-server-name": server} if server else {})
    manifest = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata(name, **labels)}
    await client.create({**manifest, "spec": {"containers": [{"name": "main", "image": "x"}]}})
    condition = {"type": "Ready", "status": "True" if ready else "False"}
    await client.patch(POD, name, "a", {"status": {"conditions": [condition]}}, subresource="status")


@pytest.mark.parametrize(
    ("ports", "ingress", "expected"),
    [
        ([{**PORT, "nodePort": 31000}], (), "127.0.0.1:31000"),
        ([STATS, {**PORT, "nodePort": 31000}], (), "127.0.0.1:31000"),
        ([{**PORT, "nodePort": 31000}], [{"ip": "127.0.0.1"}], "127.0.0.1:31000"),
        ([{**PORT, "nodePort": 31000}], [{"ip": "10.1.2.3"}], "10.1.2.3:80"),
        ([{**PORT, "nodePort": 31000}], [{"hostname": "mesh.example.com"}], "mesh.example.com:80"),
    ],
)
async def test_where_the_data_plane_is(client, ports, ingress, expected):
    await mesh(client, ports, ingress)
    assert await inference_address(client, "a") == expected


async def test_a_namespace_without_a_data_plane_says_what_to_do(client):
    with pytest.raises(DeadlinePassed, match="no SeldonRuntime is served there") as raised:
        await inference_address(client, "a")
    assert "-n" in raised.value.hint
    assert (await _namespace(client, "a"))["inference"] == {"http": None, "grpc": None}


async def test_who_leads_and_whose_pods_are_whose(client):
    await mesh(client, [{**PORT, "nodePort": 31000}])
    for number in (0, 1):
        await pod(client, f"seldon-scheduler-{number}", "seldon-scheduler", ready=not number)
    await pod(client, "seldon-envoy-0", "seldon-envoy")
    for server in ("one", "two"):
        manifest = manifest_of("Server", server, {"serverConfig": "mlserver"}, "a")
        del manifest["metadata"]["uid"]
        await client.create(manifest)
        await pod(client, f"{server}-0", "seldon-server", server=server)
    await client.patch(
        SERVER, "two", "a", {"status": {"replicas": 1, "loadedModels": 7}}, subresource="status"
    )
    lease = {"apiVersion": LEASE.api_version, "kind": "Lease", "metadata": metadata("seldon-scheduler")}
    await client.create({**lease, "spec": {"holderIdentity": "seldon-scheduler-1_f00"}})

    found = await _namespace(client, "a")
    assert found["inference"] == {"http": "http://127.0.0.1:31000", "grpc": "127.0.0.1:31000"}
    assert {each["pod"]: (each["leader"], each["ready"]) for each in found["schedulers"]} == {
        "seldon-scheduler-0": (False, True),
        "seldon-scheduler-1": (True, False),
    }
    assert [each["pod"] for each in found["envoys"]] == ["seldon-envoy-0"]
    assert found["schedulers"][1]["message"]
    servers = {each["name"]: each for each in found["servers"]}
    assert {name: [pod["pod"] for pod in each["pods"]] for name, each in servers.items()} == {
        "one": ["one-0"],
        "two": ["two-0"],
    }
    assert (servers["two"]["replicas"], servers["two"]["loadedModels"]) == (1, 7)
    assert (servers["one"]["replicas"], servers["one"]["ready"]) == (0, False)


async def test_pipelines_and_experiments_are_parts_of_a_namespace(client):
    specs = {
        "Pipeline": {"steps": [{"name": "iris"}]},
        "Experiment": {"candidates": [{"name": "iris", "weight": 1}]},
    }
    for kind, spec in specs.items():
        manifest = manifest_of(kind, "flower", spec, "a")
        del manifest["metadata"]["uid"]
        await client.create(manifest)
    found = await _namespace(client, "a")
    unknown = {"name": "flower", "ready": False, "reason": "", "message": ""}
    assert (found["pipelines"], found["experiments"]) == ([unknown], [unknown])


async def test_nobody_leads_without_a_lease(client):
    await pod(client, "seldon-scheduler-0", "seldon-scheduler")
    assert [each["leader"] for each in (await _namespace(client, "a"))["schedulers"]] == [False]


async def test_prometheus_is_shown_with_its_address_where_it_runs(client):
    assert await _prometheus(client) is None
    await client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": OPERATOR_NAMESPACE}})
    made = monitoring.workload()
    pod = {"apiVersion": "v1", "kind": "Pod", **made.template}
    pod["metadata"] |= {"name": "prometheus-0", "namespace": OPERATOR_NAMESPACE}
    await client.create(pod)
    assert (await _prometheus(client))["url"] is None
    status = {"podIP": "127.1.2.3", "conditions": [{"type": "Ready", "status": "True"}]}
    await client.patch(POD, "prometheus-0", OPERATOR_NAMESPACE, {"status": status}, subresource="status")
    found = await _prometheus(client)
    assert (found["url"], found["ready"]) == ("http://127.1.2.3:19090", True)
