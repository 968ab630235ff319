"""Experiments before a real Envoy: shares, callers who stay with a candidate, and copies for a mirror."""

import asyncio
import json
from collections import Counter
from contextlib import AsyncExitStack
from math import sqrt

import grpc
import pytest
from tests.support.dataplane import backend, control_plane, envoy, took, until
from tests.support.matching import match, pinned

from bailie._gen import inference_pb2 as pb
from bailie.gateway import mirrors
from bailie.routing.table import Backend, NotReady, Route, RouteMirror, RoutingTable

ROUTE = "x-seldon-route"
BODY = {"inputs": []}


@pytest.fixture
async def world(tmp_path):
    """A gateway, an Envoy that has its first table, and three replicas: two candidates and a mirror."""
    async with AsyncExitStack() as stack:
        replicas = [await stack.enter_async_context(backend(f"mlserver-{index}")) for index in range(3)]
        gateway, port = await stack.enter_async_context(control_plane())
        mesh = await stack.enter_async_context(envoy(tmp_path, port))
        yield gateway, mesh, replicas


def table(replicas, *, percent=0, weights=(90, 10), mirrored=None):
    """An experiment over `a` and `b`, of which `a` is the default, with copies for `c`."""
    a, b, c = ((each.replica,) for each in replicas)
    mirror = RouteMirror("c", percent) if percent else None
    shares = Route((Backend("a_1", weights[0], a), Backend("b_1", weights[1], b)), sticky=True, mirror=mirror)
    own = mirrored or Route((Backend("c_7", 1, c),))
    entries = {"flower.experiment": shares, "a": shares, "b": Route((Backend("b_1", 1, b),)), "c": own}
    return RoutingTable("ns", entries, {"c": own} if percent else {})


async def infer(mesh, name="flower.experiment", **headers):
    answer = await mesh.http.post(f"/v2/models/{name}/infer", json=BODY, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.headers[ROUTE]


async def infer_grpc(mesh, name="flower.experiment", **metadata):
    call = mesh.stub.ModelInfer(pb.ModelInferRequest(model_name=name), metadata=tuple(metadata.items()))
    answer = await call
    assert dict(await call.initial_metadata())[ROUTE] == f":{answer.model_name}:"
    return f":{answer.model_name}:"


def assert_share(counted, key, share, total):
    """Within 4.5 standard deviations."""
    assert abs(counted[key] - share * total) <= 4.5 * sqrt(total * share * (1 - share)), counted


@pytest.mark.parametrize("call", [infer, infer_grpc])
async def test_candidates_get_their_shares(world, call):
    gateway, mesh, replicas = world
    await took(gateway, table(replicas, weights=(75, 25)))
    for name in ("flower.experiment", "a"):
        counted = Counter([await call(mesh, name) for _ in range(150)])
        assert_share(counted, ":b_1:", 0.25, 150)
        assert counted[":a_1:"] + counted[":b_1:"] == 150


async def test_two_versions_of_a_candidate_have_its_share_together(world):
    gateway, mesh, replicas = world
    a, b, c = ((each.replica,) for each in replicas)
    backends = (Backend("a_1", 60, a), Backend("a_2", 30, c), Backend("b_1", 10, b))
    await took(gateway, RoutingTable("ns", {"flower.experiment": Route(backends, sticky=True)}))
    counted = Counter([await infer(mesh) for _ in range(240)])
    for name, share in ((":a_1:", 0.6), (":a_2:", 0.3), (":b_1:", 0.1)):
        assert_share(counted, name, share, 240)
    counted = Counter([await infer(mesh, **{ROUTE: ":a_1:"}) for _ in range(80)])
    assert counted.keys() == {":a_1:", ":a_2:"}
    assert_share(counted, ":a_1:", 0.5, 80)


PINS = {
    ":b_1:": ":b_1:",
    ":a_1:": ":a_1:",
    ":x_3::b_1:": ":b_1:",
    # The candidate has another version by now.
    ":b_99:": ":b_1:",
}
NO_PINS = ["", ":gone_1:", ":c_7:", ":b", "b_1", ":B_1:", ":flower.experiment_1:", ":" * 5000]


@pytest.mark.parametrize("weights", [(90, 10), (1, 0)])
async def test_a_caller_stays_with_a_candidate(world, weights):
    gateway, mesh, replicas = world
    routes = table(replicas, weights=weights)
    await took(gateway, routes)
    for call in (infer, infer_grpc):
        for route, expected in PINS.items():
            assert {await call(mesh, **{ROUTE: route}) for _ in range(20)} == {expected}, route
    outcome = match(routes, path="/v2/models/a/infer")
    assert [f":{pinned(routes, outcome, route).backends[0].name}:" for route in PINS] == list(PINS.values())


async def test_a_header_that_names_no_candidate_changes_nothing(world):
    gateway, mesh, replicas = world
    routes = table(replicas, weights=(1, 0))
    await took(gateway, routes)
    outcome = match(routes, path="/v2/models/a/infer")
    for route in NO_PINS:
        assert await infer(mesh, **{ROUTE: route}) == await infer_grpc(mesh, **{ROUTE: route}) == ":a_1:"
        assert pinned(routes, outcome, route) == outcome
    # Outside of the experiment a candidate of it is nobody.
    assert await infer(mesh, "c", **{ROUTE: ":a_1:"}) == ":c_7:"
    assert await infer_grpc(mesh, "b", **{ROUTE: ":a_1:"}) == ":b_1:"
    body = {"model": "flower.experiment", "messages": []}
    answer = await mesh.http.post("/v1/chat/completions", json=body, headers={ROUTE: ":b_1:"})
    assert (answer.status_code, answer.json()["model"]) == (200, "b_1")


async def copied(replica, calls, grpc_calls=0):
    await until(lambda: (replica.calls, replica.grpc.calls) == (calls, grpc_calls), "the copies arrive")


async def test_copies_reach_the_mirror_under_its_own_name(world):
    gateway, mesh, replicas = world
    replicas[2].seen = seen = []
    await took(gateway, table(replicas, percent=100))
    for name in ("flower.experiment", "a"):
        answer = await mesh.http.post(f"/v2/models/{name}/infer?x=1", json=BODY)
        assert answer.headers[ROUTE] in {":a_1:", ":b_1:"}
        await infer_grpc(mesh, name)
    await mesh.http.post("/v1/chat/completions", json={"model": "a", "messages": []})
    await copied(replicas[2], 3, 2)
    assert [path for path, _, _ in seen] == [
        "/v2/models/c_7/infer?x=1",
        "/v2/models/c_7/infer?x=1",
        "/v1/chat/completions",
    ]
    assert json.loads(seen[2][2])["model"] == "c_7"
    assert {headers["seldon-model"] for _, headers, _ in seen} == {"c"}
    assert replicas[2].grpc.asked == ["c_7", "c_7"]


async def test_some_percent_are_copied(world):
    gateway, mesh, replicas = world
    await took(gateway, table(replicas, percent=30))
    await asyncio.gather(*(infer(mesh) for _ in range(150)))
    await asyncio.gather(*(infer(mesh, **{ROUTE: ":b_1:"}) for _ in range(50)))
    async with mesh.admin() as admin:
        copies = int((await admin.get("/stats?filter=mirror/http.upstream_rq_total")).text.split(": ")[1])
    assert_share({"copies": copies}, "copies", 0.3, 200)
    await until(lambda: replicas[2].calls == copies, "each copy arrives")


async def test_a_stream_is_copied(world):
    gateway, mesh, replicas = world
    await took(gateway, table(replicas, percent=100, weights=(1, 0)))
    requests = [pb.ModelInferRequest(model_name="a", id=str(index)) for index in range(3)]
    answers = [each async for each in mesh.stub.ModelStreamInfer(iter(requests))]
    assert [(each.id, each.model_name) for each in answers] == [(str(index), "a_1") for index in range(3)]
    await until(lambda: replicas[2].grpc.asked == ["c_7"] * 3, "the stream arrives at the mirror")


@pytest.mark.parametrize("fault", ["stopped", "silent", "failing", "not ready"])
async def test_a_mirror_changes_no_answer(world, fault):
    gateway, mesh, replicas = world
    mirrored = NotReady("ModelFailed", "it could not be loaded") if fault == "not ready" else None
    await took(gateway, table(replicas, percent=100, mirrored=mirrored))
    if fault == "stopped":
        await replicas[2].stop()
    elif fault == "silent":
        replicas[2].held = asyncio.Event()
    else:
        replicas[2].status, replicas[2].grpc.status = 500, grpc.StatusCode.INTERNAL
    many = mirrors.MOST_COPIES + 50 if fault == "silent" else 50  # copies pile up for who says nothing
    answers = await asyncio.gather(
        *(infer(mesh) for _ in range(many)), *(infer_grpc(mesh) for _ in range(50))
    )
    assert len(answers) == many + 50
    if fault == "silent":
        replicas[2].held.set()


async def test_a_copy_is_no_request_of_a_caller_and_is_not_copied_again(world):
    gateway, mesh, replicas = world
    routes = table(replicas, percent=100)
    # The mirror is the default of another experiment, whose mirror is a candidate of the first.
    c = Route(routes.mirrors["c"].backends, sticky=True, mirror=RouteMirror("a", 100))
    a = Route((Backend("a_1", 1, (replicas[0].replica,)),))
    routes = RoutingTable("ns", {**routes.entries, "c": c}, {**routes.mirrors, "a": a})
    await took(gateway, routes)
    assert await infer(mesh, **{ROUTE: ":b_1:"}) == ":b_1:"
    await copied(replicas[2], 1)
    assert await infer(mesh, "c") == ":c_7:"
    await copied(replicas[0], 1)
    await copied(replicas[2], 2)
    async with mesh.admin() as admin:
        stats = (await admin.get("/stats?filter=^http\\.(inference|mirror)\\.downstream_rq_completed")).text
    assert stats.split("\n")[:2] == [
        "http.inference.downstream_rq_completed: 2",
        "http.mirror.downstream_rq_completed: 2",
    ]


async def test_the_routes_of_copies_are_for_nobody_else(world):
    gateway, mesh, replicas = world
    await took(gateway, table(replicas, percent=100))
    for name in ("/v2/models/c", "v2/models/c", "%2Fv2%2Fmodels%2Fc", "c c"):
        answer = await mesh.http.post("/v2/models/x/infer", json=BODY, headers={"seldon-model": name})
        assert answer.status_code in {400, 404}, answer.text


async def test_what_mirrors_need_goes_with_the_last_mirror(world):
    gateway, mesh, replicas = world
    await took(gateway, table(replicas))
    socket = mesh.log.parent / mirrors.SOCKET
    assert not socket.exists()
    await took(gateway, table(replicas, percent=100))
    assert socket.is_socket()
    assert socket.stat().st_mode & 0o077 == 0
    await infer(mesh)
    await copied(replicas[2], 1)
    await took(gateway, table(replicas))
    await infer(mesh)
    async with mesh.admin() as admin:
        listeners = (await admin.get("/listeners?format=json")).json()["listener_statuses"]
    assert "mirror" not in {each["name"] for each in listeners}
