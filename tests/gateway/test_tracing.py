"""Traces of requests: spans of a real Envoy, at a real collector, and of what is behind Envoy."""

from __future__ import annotations

import asyncio
import functools
import json
import socket
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import replace

import pytest
import pytest_asyncio
from tests.pipelinegateway.client import running
from tests.pipelinegateway.models import Models
from tests.support import plain_http
from tests.support.collector import CALLER, SAMPLED, TRACE, UNSAMPLED, collector, vanished
from tests.support.dataplane import answers, backend, control_plane, envoy, opened, plain, took, until
from tests.support.environments import mlserver_environment
from tests.support.mlserver import MlserverProcess
from tests.support.models import infer_body
from tests.support.ports import free_port

from bailie._gen import inference_pb2 as pb
from bailie.api.collector import Collector
from bailie.gateway import bootstrap, tracing
from bailie.gateway.listener import Address, handed_back_listener, listener
from bailie.gateway.resources import CLUSTER_URL, LISTENER_URL, Encoder, own_listeners
from bailie.inference.codec import to_protobuf
from bailie.routing.table import Backend, ReplicaEndpoint, Route, RoutingTable
from bailie.tracing.exporter import SpanExporter

ENVOY = "seldon-envoy"
SERVER = 2
PATH = "/v2/models/iris/infer"
SOMEWHERE = Collector("collector.observability", 4317, 0.25)


def table(replica, target=None):
    return RoutingTable("ns", {"iris": Route((Backend("iris_3", 1, (replica,)),))}, collector=target)


def test_the_tracer_of_a_listener(golden):
    whole = plain(listener("ns", (Address("127.0.0.1", 9000),), SOMEWHERE))
    http = whole["filter_chains"][0]["filters"][0]["typed_config"]
    golden.check("listener-tracing", {key: http[key] for key in ("tracing", "request_id_extension")})
    golden.check("cluster-traces", plain(tracing.cluster(SOMEWHERE)))


def test_nothing_of_traces_is_there_without_a_collector():
    whole = listener("ns", (Address("127.0.0.1", 9000),))
    assert "tracing" not in str(plain(whole))
    encoder, bare = Encoder(), RoutingTable("ns")
    (without,) = encoder.work(bare, 1)
    (traced,) = encoder.work(replace(bare, collector=SOMEWHERE), 2)
    assert set(traced.resources[CLUSTER_URL]) - set(without.resources[CLUSTER_URL]) == {tracing.CLUSTER}
    assert (without.collector, traced.collector) == (None, SOMEWHERE)
    assert traced.resources[LISTENER_URL] == {}
    addresses = (Address("127.0.0.1", 9000),)
    quiet, traced_ones = (own_listeners("ns", addresses, each) for each in (None, SOMEWHERE))
    assert all(one.version != other.version for one, other in zip(quiet, traced_ones, strict=True))
    http = plain(handed_back_listener("ns", addresses, SOMEWHERE))["filter_chains"][0]["filters"][0]
    assert "tracing" in http["typed_config"]
    assert opened(traced.resources[CLUSTER_URL][tracing.CLUSTER])["wait_for_warm_on_init"] is False


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("traces")
    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(backend())
        plane, xds = await stack.enter_async_context(control_plane())
        mesh = await stack.enter_async_context(envoy(folder, xds))
        await took(plane, table(one.replica))
        yield plane, mesh, one


@pytest_asyncio.fixture(loop_scope="module")
async def traced(world):
    """All requests are traced, to a collector of the test's own."""
    plane, _, one = world
    async with collector() as found:
        await took(plane, table(one.replica, found.target()))
        yield found
    await took(plane, table(one.replica))


module = pytest.mark.asyncio(loop_scope="module")


@module
async def test_a_span_is_the_callers_child_and_the_servers_parent(world, traced):
    _, mesh, one = world
    one.headers = {"x-seldon-route": ":iris_3:"}
    heard = await mesh.http.post(PATH, json={}, headers={"traceparent": SAMPLED, "x-request-id": "mine"})
    span = await traced.one(ENVOY)
    assert (span.trace, span.parent, span.kind) == (TRACE, CALLER, SERVER)
    assert heard.json()["headers"]["traceparent"] == f"00-{TRACE}-{span.id}-01"
    assert span.name == "POST iris"
    wanted = {"model": "iris", "server": "mlserver", "replica": "0", "x-request-id": "mine"}
    assert span.attributes.items() >= wanted.items()
    assert span.attributes["version"].strip(":") == "iris_3"
    assert span.resource["k8s.namespace.name"] == "ns"


@module
async def test_a_call_of_grpc_is_traced_alike(world, traced):
    _, mesh, one = world
    given = (("traceparent", SAMPLED),)
    await mesh.stub.ModelInfer(
        pb.ModelInferRequest(model_name="iris"), metadata=(*given, ("seldon-model", "iris"))
    )
    span = await traced.one(ENVOY, trace=TRACE)
    assert (span.parent, span.attributes["model"]) == (CALLER, "iris")
    assert one.grpc.metadata["traceparent"] == f"00-{TRACE}-{span.id}-01"


@module
async def test_a_trace_that_its_caller_does_not_record_is_not_recorded_here(world, traced):
    _, mesh, _ = world
    quiet = await mesh.http.post(PATH, json={}, headers={"traceparent": UNSAMPLED})
    assert quiet.json()["headers"]["traceparent"].startswith(f"00-{TRACE}-")
    assert quiet.json()["headers"]["traceparent"].endswith("-00")
    await mesh.http.post(PATH, json={}, headers={"x-request-id": "not traced by its caller"})
    span = await traced.one(ENVOY)
    assert span.attributes["x-request-id"] == "not traced by its caller"
    assert not traced.of(ENVOY, trace=TRACE)


@module
@pytest.mark.parametrize("sent", ["mine", "8f3c6f0e-55f1-4d53-9c52-1f7a1f4c3b1a"])
async def test_callers_get_their_own_id_back(world, traced, sent):
    _, mesh, _ = world
    heard = await mesh.http.post(PATH, json={}, headers={"x-request-id": sent})
    assert heard.headers["x-request-id"] == heard.json()["headers"]["x-request-id"] == sent


@module
async def test_a_part_of_the_requests_is_traced_and_the_rest_costs_nothing(world, traced):
    plane, mesh, one = world
    await took(plane, table(one.replica, traced.target(0.0)))
    await until(lambda: _recorded(mesh, 0), "no request is traced")
    heard = await mesh.http.post(PATH, json={}, headers={"traceparent": SAMPLED})
    assert heard.json()["headers"]["traceparent"].endswith("-01")
    await traced.one(ENVOY, trace=TRACE)


async def _recorded(mesh, flag):
    """Says whether a request without a trace is recorded as `flag` says."""
    heard = await mesh.http.post(PATH, json={})
    return heard.json()["headers"].get("traceparent", "").endswith(f"-0{flag}")


@module
async def test_traces_come_and_go_without_a_restart_under_requests(world):
    plane, mesh, one = world
    pid, ended, failed = mesh.process.pid, asyncio.Event(), []

    async def ask():
        while not ended.is_set():
            heard = await mesh.http.post(PATH, json={})
            failed.extend([heard.status_code] if heard.status_code != 200 else [])

    async with collector() as first, collector() as second, asyncio.TaskGroup() as group:
        group.create_task(ask())
        for each in (first, second):
            await took(plane, table(one.replica, each.target()))
            await each.one(ENVOY)
        await took(plane, table(one.replica))
        await until(lambda: _untraced(mesh), "no request is traced")
        ended.set()
    assert (failed, mesh.process.poll(), mesh.process.pid) == ([], None, pid)


async def _untraced(mesh):
    return "traceparent" not in (await mesh.http.post(PATH, json={})).json()["headers"]


@contextmanager
def _silent():
    """A port that takes connections and answers nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


@module
@pytest.mark.parametrize("where", ["nobody listens", "no such name", "silent"])
async def test_a_collector_that_is_away_costs_no_request(world, where):
    plane, mesh, one = world
    with _silent() as silent:
        places = {
            "nobody listens": Collector("127.0.0.1", free_port()),
            "no such name": Collector("collector.invalid", 4317),
            "silent": Collector("127.0.0.1", silent),
        }
        await took(plane, table(one.replica, places[where]))
        for _ in range(3):
            heard = await asyncio.gather(*(mesh.http.post(PATH, json={}) for _ in range(50)))
            assert {each.status_code for each in heard} == {200}
        assert plane.refusal == ""
    await took(plane, table(one.replica))


QUICK = {**bootstrap.RUNTIME, "tracing.opentelemetry.flush_interval_ms": 50}


@asynccontextmanager
async def tracing_to(target, world, folder, name):
    """An Envoy that gathers spans for a twentieth of a second."""
    _, _, one = world
    change = {"layered_runtime": {"layers": [{"name": "static", "static_layer": QUICK}]}}
    async with control_plane() as (plane, xds), envoy(folder, xds, name=name, change=change) as mesh:
        await took(plane, table(one.replica, target))
        await until(lambda: answers(mesh), "the Envoy answers", 20)
        yield mesh


async def _batches_left_out(mesh):
    """Makes a span; returns how many batches found as many under way as may be."""
    assert (await mesh.http.post(PATH, json={})).status_code == 200
    async with mesh.admin() as admin:
        found = await admin.get("/stats", params={"filter": "^cluster.traces.upstream_rq_active_overflow$"})
    return int(found.text.rpartition(": ")[2] or 0)


async def _gets_spans(mesh, found):
    async def arrived():
        assert (await mesh.http.post(PATH, json={})).status_code == 200
        return found.of(ENVOY)

    await until(arrived, "spans arrive again", 20)


async def _after_calls_that_hung(world, folder):
    async with collector() as found, tracing_to(found.target(), world, folder, "held") as mesh:
        found.holds = True
        await until(functools.partial(_batches_left_out, mesh), "as many batches as may be are under way", 20)
        found.holds = False
        await _gets_spans(mesh, found)


async def _after_it_vanished(world, folder):
    async with (
        vanished() as (port, connected),
        tracing_to(Collector("127.0.0.1", port), world, folder, "vanished") as mesh,
    ):
        await connected.wait()
        async with collector(port) as found:
            await _gets_spans(mesh, found)


@module
async def test_a_collector_that_comes_back_in_whatever_way_gets_spans(world, tmp_path):
    await asyncio.gather(*(each(world, tmp_path) for each in (_after_calls_that_hung, _after_it_vanished)))


@module
async def test_an_envoy_that_starts_has_its_tracer_at_once(world, traced, tmp_path_factory):
    plane, _, _ = world
    async with (
        control_plane(plane) as (_, xds),
        envoy(tmp_path_factory.mktemp("late"), xds, name="late") as late,
    ):
        await until(lambda: answers(late), "the Envoy answers", 20)
        await late.http.post(PATH, json={}, headers={"traceparent": SAMPLED})
        await traced.one(ENVOY, trace=TRACE)


def _served(server, gateway_port):
    """The routes to two models of a real MLServer, and to a pipeline of both."""
    models = ReplicaEndpoint("mlserver-0", "127.0.0.1", server.http_port, server.grpc_port)
    runs = ReplicaEndpoint("seldon-pipelinegateway-0", "127.0.0.1", gateway_port, gateway_port)
    entries = {name: Route((Backend(f"{name}_1", 1, (models,)),)) for name in "ab"}
    entries["both.pipeline"] = Route((Backend("both.pipeline_1", 1, (runs,)),))
    return RoutingTable("ns", entries)


def _load(server, artifact):
    for name in ("a_1", "b_1"):
        folder = server.folder / "models" / name
        folder.mkdir()
        uri = {"parameters": {"uri": str(artifact / "model.joblib")}}
        settings = {"name": name, "implementation": "mlserver_sklearn.SKLearnModel", **uri}
        (folder / "model-settings.json").write_text(json.dumps(settings))
        plain_http.post(f"{server.url}/v2/repository/models/{name}/load", timeout=60).raise_for_status()


BOTH = {"steps": [{"name": "a"}, {"name": "b"}], "output": {"steps": ["a", "b"]}}
GATEWAY, MLSERVER = "seldon-pipelinegateway", "mlserver"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def chain(tmp_path_factory, trained_models):
    """A real MLServer and a pipeline gateway behind an Envoy, all of which send their spans."""
    folder = tmp_path_factory.mktemp("chain")
    async with AsyncExitStack() as stack:
        found = await stack.enter_async_context(collector())
        variables = {
            "MLSERVER_TRACING_SERVER": str(found.target()),
            "OTEL_TRACES_SAMPLER": "parentbased_always_off",
            "OTEL_BSP_SCHEDULE_DELAY": "100",
        }
        server = MlserverProcess(mlserver_environment(), folder, variables)
        stack.callback(server.kill)
        await asyncio.to_thread(server.start)
        await asyncio.to_thread(_load, server, trained_models.iris)
        plane, xds = await stack.enter_async_context(control_plane())
        mesh = await stack.enter_async_context(envoy(folder, xds))
        engine, port = await stack.enter_async_context(
            running(folder, Models(port=mesh.port), {"both_1": BOTH})
        )
        engine.spans.tracer.collector = found.target()
        group = await stack.enter_async_context(asyncio.TaskGroup())
        exporter = group.create_task(SpanExporter(engine.spans.tracer, gather_seconds=0.01).run())
        stack.callback(exporter.cancel)
        await took(plane, replace(_served(server, port), collector=found.target()))
        yield mesh, found


@module
async def test_one_trace_leads_through_envoy_to_mlserver(chain):
    mesh, found = chain
    heard = await mesh.http.post("/v2/models/a/infer", json=infer_body(), headers={"traceparent": SAMPLED})
    assert heard.status_code == 200, heard.text
    above = await found.one(ENVOY, "POST a", TRACE)
    await until(lambda: _children(found, above), "MLServer sends the child of Envoy's span")
    assert {each.service for each in _children(found, above)} == {MLSERVER}


@module
async def test_one_trace_leads_over_grpc_to_mlserver(chain):
    mesh, found = chain
    trace = "11111111111111111111111111111111"
    metadata = (("seldon-model", "b"), ("traceparent", f"00-{trace}-{CALLER}-01"))
    await mesh.stub.ModelInfer(to_protobuf("b", infer_body()), metadata=metadata)
    above = await found.one(ENVOY, "POST b", trace)
    assert above.parent == CALLER
    await until(lambda: _children(found, above), "MLServer sends the child of Envoy's span")
    assert {each.service for each in _children(found, above)} == {MLSERVER}


@module
async def test_one_trace_leads_through_a_pipeline_to_its_models(chain):
    mesh, found = chain
    trace = "22222222222222222222222222222222"
    headers = {"traceparent": f"00-{trace}-{CALLER}-01"}
    heard = await mesh.http.post("/v2/pipelines/both/infer", json=infer_body(), headers=headers)
    assert heard.status_code == 200, heard.text
    request = await found.one(GATEWAY, "pipeline both", trace)
    first = await found.one(ENVOY, "POST both.pipeline", trace)
    assert (first.parent, request.parent) == (CALLER, first.id)
    for step in "ab":
        call = await found.one(GATEWAY, f"step {step}", trace)
        passed = await found.one(ENVOY, f"POST {step}", trace)
        assert (call.parent, passed.parent) == (request.id, call.id)
        assert passed.attributes["model"] == step
        await until(lambda passed=passed: _children(found, passed), "MLServer sends its span")
    assert request.attributes == {"pipeline": "both", "version": 1, "code": "200"}


@module
async def test_what_nobody_traces_leaves_no_span_of_mlserver_or_a_gateway(chain):
    mesh, found = chain
    before = {each.trace for each in found.of(MLSERVER)}
    headers = {"traceparent": UNSAMPLED.replace(TRACE, "3" * 32)}
    heard = await mesh.http.post("/v2/pipelines/both/infer", json=infer_body(), headers=headers)
    assert heard.status_code == 200
    trace = "4" * 32
    headers = {"traceparent": f"00-{trace}-{CALLER}-01"}
    await mesh.http.post("/v2/models/a/infer", json=infer_body(), headers=headers)
    await found.one(MLSERVER, trace=trace)
    assert {each.trace for each in found.of(MLSERVER)} == before | {trace}
    assert not [each for each in found.spans if each.trace == "3" * 32]


def _children(found, span):
    return [each for each in found.spans if each.parent == span.id and each.trace == span.trace]
