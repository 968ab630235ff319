"""The way to a data plane without an address: a real kubectl, which forwards a port through a real API."""

from __future__ import annotations

import asyncio
import gc
import json

import pytest
from tests.support.api import running_api
from tests.support.commands import CommandRunner
from tests.support.dataplane import backend
from tests.support.waiting import until_true

from bailie.cli.app import app
from bailie.client import AsyncClient, Client
from bailie.local.data_plane import reach
from bailie.local.errors import NoAddress
from bailie.local.port_forward import kubectl_program, open_port_forward

REQUEST = {"inputs": [{"name": "x", "shape": [1], "datatype": "INT64", "data": [1]}]}
both = pytest.mark.parametrize("protocol", ["rest", "grpc"])


@pytest.fixture
def api(tmp_path):
    with running_api(tmp_path) as api:
        api.namespace("a")
        yield api


@pytest.fixture
async def server():
    async with backend() as running:
        yield running


@pytest.fixture
def data_plane(api, server):
    """Makes a Service without an address, and its pod, whose port for the protocol is the server's."""

    def make(protocol):
        replica = server.replica
        port = replica.http_port if protocol == "rest" else replica.grpc_port
        envoy = {"app": "envoy"}
        spec = {"selector": envoy, "ports": [{"port": 80, "targetPort": port}]}
        path = "/api/v1/namespaces/a"
        api.request("POST", f"{path}/services", json={"metadata": {"name": "seldon-mesh"}, "spec": spec})
        body = {"metadata": {"name": "envoy", "labels": envoy}}
        body["spec"] = {"containers": [{"name": "envoy", "image": "x", "ports": [{"containerPort": port}]}]}
        api.request("POST", f"{path}/pods", json=body)
        ready = [{"type": "Ready", "status": "True"}]
        status = {"phase": "Running", "podIP": replica.address, "conditions": ready}
        merge = {"content-type": "application/merge-patch+json"}
        api.request("PATCH", f"{path}/pods/envoy/status", json={"status": status}, headers=merge)
        api.node_gave("a", "envoy", replica.address)

    return make


@both
async def test_commands_reach_it(api, data_plane, protocol):
    data_plane(protocol)
    options = ["-n", "a", "--kubeconfig", str(api.kubeconfig), "--mode", protocol]
    command = ["infer", "iris", json.dumps(REQUEST), *options]
    result = await asyncio.to_thread(CommandRunner().invoke, app, command)
    assert (result.exit_code, "iris" in result.stdout) == (0, True), result.output


@both
async def test_clients_reach_it_until_they_close(api, data_plane, protocol):
    data_plane(protocol)
    where = {"kubeconfig": api.kubeconfig, "protocol": protocol}
    client = await asyncio.to_thread(Client.connect, "a", **where)
    answer = protocol == "rest"  # over gRPC the stand-in says that no model is ready
    assert await asyncio.to_thread(client.model("iris").ready) is answer
    async with await AsyncClient.connect("a", **where) as other:
        assert other.address != client.address
        assert await other.model("iris").ready() is answer
    assert await is_open(client.address)
    client.close()
    for address in (client.address, other.address):
        assert not await is_open(address)


async def is_open(address):
    host, _, port = address.rpartition(":")
    try:
        _, writer = await asyncio.open_connection(host, int(port))
    except OSError:
        return False
    writer.close()
    return True


async def test_a_port_that_is_forgotten_is_closed(api, data_plane):
    data_plane("rest")
    reached = await reach("a", api.kubeconfig, None)
    address = reached.address
    assert await is_open(address)
    del reached

    async def is_closed():
        # The task that has just ended may hold it for a moment more.
        gc.collect()
        return not await is_open(address)

    await until_true(is_closed)


async def test_the_refusal_of_the_api_is_said(api, data_plane, tmp_path):
    data_plane("rest")
    token = api.service_account_token("a", "nobody")
    config = api.kubeconfig_for(token, tmp_path / "nobody")
    options = {"namespace": "a", "kubeconfig": config, "program": kubectl_program()}
    with pytest.raises(NoAddress, match=r"opens no port: .*forbidden") as raised:
        await asyncio.to_thread(open_port_forward, "seldon-mesh", 80, **options)
    assert "the right to create pods/portforward" in raised.value.hint


def test_without_kubectl_it_is_said_what_to_install():
    options = {"namespace": "a", "kubeconfig": None, "program": None}
    with pytest.raises(NoAddress, match="no kubectl is in the PATH") as raised:
        open_port_forward("seldon-mesh", 80, **options)
    assert raised.value.hint.startswith("install kubectl")
