"""Payload logs: the events of real Envoys, at a sink that takes them, hangs, or is away."""

from __future__ import annotations

import asyncio
import re
import time
from contextlib import AsyncExitStack
from dataclasses import replace

import psutil
import pytest
import pytest_asyncio
from tests.support import plain_http
from tests.support.dataplane import TOKEN, backend, control_plane, envoy, opened, plain, took, until
from tests.support.ports import free_port

from bailie._gen import inference_pb2 as pb
from bailie.api.payload_log import LOCAL, PayloadLog
from bailie.gateway import payload_log
from bailie.gateway.publisher import Gateway
from bailie.gateway.resources import CLUSTER_URL, SCOPE_URL, Encoder
from bailie.routing.table import Backend, ReplicaEndpoint, Route, RoutingTable

LOG = PayloadLog("iris", "payloads.logging", 8080, "/events", 25, "response")
PATH = "/v2/models/{}/infer"
REQUEST, RESPONSE = "io.seldon.serving.inference.request", "io.seldon.serving.inference.response"


def test_the_resources_of_a_log(golden):
    replicas = (ReplicaEndpoint("mlserver-0", "10.0.0.1", 9000, 9500),)
    logged = Backend("iris_3", 80, replicas, LOG)
    entries = {
        "iris": Route((replace(logged, weight=1),)),
        "mixed": Route((logged, Backend("rose_1", 20, replicas))),
    }
    *_, made = Encoder().work(RoutingTable("ns", entries), 1)
    golden.check("scope-payload", opened(made.resources[SCOPE_URL]["iris"]))
    golden.check("scope-payload-candidates", opened(made.resources[SCOPE_URL]["mixed"]))
    golden.check("cluster-payload", opened(made.resources[CLUSTER_URL]["payload/iris/payloads.logging:8080"]))


def test_the_cluster_goes_with_its_last_route():
    replicas = (ReplicaEndpoint("mlserver-0", "10.0.0.1", 9000, 9500),)
    encoder, route = Encoder(), Route((Backend("iris_3", 1, replicas, LOG),))
    other = Route((Backend("iris_3", 1, replicas, replace(LOG, port=81)),))
    names = []
    for entries in ({"a": route, "b": route}, {"a": route}, {"a": other}, {}):
        *_, made = encoder.work(RoutingTable("ns", entries), 1)
        names.append([each for each in made.resources[CLUSTER_URL] if each.startswith(payload_log.PREFIX)])
    first, second = "payload/iris/payloads.logging:8080", "payload/iris/payloads.logging:81"
    assert names == [[first], [first], [second], []]


def test_nothing_is_sent_to_the_pods_own_loopback():
    here = replace(LOG, host=LOCAL)
    for reachable in (True, False):
        found = plain(payload_log.cluster(here, reachable=reachable))["load_assignment"]
        assert ("endpoints" in found) == reachable


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory):
    """An Envoy, a replica, and a sink that keeps what it gets."""
    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(backend())
        sink = await stack.enter_async_context(backend("sink"))
        sink.seen = []
        plane, xds = await stack.enter_async_context(control_plane(Gateway(local_sinks=True)))
        mesh = await stack.enter_async_context(envoy(tmp_path_factory.mktemp("payloads"), xds))
        port = sink.replica.http_port
        logs = {
            "iris": PayloadLog("iris", LOCAL, port, "/events"),
            "asked": PayloadLog("asked", LOCAL, port, "/asked", mode="request"),
            "answered": PayloadLog("answered", LOCAL, port, mode="response"),
            "part": PayloadLog("part", LOCAL, port, percent=30),
            "away": PayloadLog("away", LOCAL, free_port()),
            "silent": None,
        }
        entries = {name: route(one, name, log) for name, log in logs.items()}
        both = [Backend(f"{name}_3", 1, (one.replica,), logs[name]) for name in ("iris", "silent")]
        entries["mixed.experiment"] = Route(tuple(both), sticky=True)
        await took(plane, RoutingTable("ns", entries))
        yield mesh, one, sink, plane


def route(one, name, log):
    return Route((Backend(f"{name}_3", 1, (one.replica,), log),))


@pytest.fixture
def sink(world):
    world[2].seen.clear()
    return world[2]


async def events(sink, number):
    """Returns headers and body of so many events by their types, once they are there and no more come."""
    await until(lambda: len(sink.seen) >= number, f"{number} events, not {len(sink.seen)}")
    await asyncio.sleep(0.05)
    assert len(sink.seen) == number
    return {headers["ce-type"]: (headers, body) for _, headers, body in sink.seen}


@pytest.mark.asyncio(loop_scope="module")
async def test_a_request_and_its_answer(world, sink):
    mesh, *_ = world
    body = b'{"inputs": [], "secret": "in the body"}'
    headers = {
        "x-request-id": "asked-1",
        "content-type": "application/json",
        "authorization": "Bearer hunter2",
    }
    answer = await mesh.http.post(PATH.format("iris"), content=body, headers=headers)
    assert (answer.status_code, answer.headers["seldon-logging"]) == (200, "true")
    found = await events(sink, 2)
    said, asked = found[REQUEST]
    assert asked == body
    assert found[RESPONSE][1] == answer.content
    expected = {
        "ce-specversion": "1.0",
        "ce-id": "asked-1",
        "ce-requestid": "asked-1",
        "ce-source": "/namespaces/ns/models/iris",
        "ce-namespace": "ns",
        "ce-inferenceservicename": "iris",
        "ce-modelid": "iris_3",
        "ce-bodybytes": str(len(body)),
        "content-type": "application/json",
        "content-length": str(len(body)),
        "host": f"localhost:{sink.replica.http_port}",
    }
    assert {key: said.get(key) for key in expected} == expected
    assert found[RESPONSE][0]["ce-id"] == "asked-1"
    assert (found[RESPONSE][0]["ce-status"], found[RESPONSE][0]["content-type"]) == (
        "200",
        "application/json",
    )
    assert {path for path, *_ in sink.seen} == {"/events"}
    assert "hunter2" not in str(found[REQUEST])
    assert (
        abs(time.time() - time.mktime(time.strptime(said["ce-time"], "%Y-%m-%dT%H:%M:%SZ")) + time.timezone)
        < 60
    )


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("metadata", [(("seldon-model", "iris"),), ()], ids=["by header", "by message"])
async def test_a_call_of_grpc(world, sink, metadata):
    """The message is the one of the caller, with the caller's name of the model."""
    mesh, *_ = world
    request = pb.ModelInferRequest(model_name="iris", id="7", raw_input_contents=[b"\0\1\2"])
    answer = await mesh.stub.ModelInfer(request, metadata=metadata)
    found = await events(sink, 2)
    assert found[REQUEST][0]["content-type"] == "application/x-protobuf"
    assert pb.ModelInferRequest.FromString(found[REQUEST][1]) == request
    assert pb.ModelInferResponse.FromString(found[RESPONSE][1]) == answer


@pytest.mark.asyncio(loop_scope="module")
async def test_a_stream_goes_as_its_frames(world, sink):
    mesh, *_ = world
    requests = [pb.ModelInferRequest(model_name="iris", id=str(number)) for number in range(3)]
    call = mesh.stub.ModelStreamInfer(iter(requests), metadata=(("seldon-model", "iris"),))
    assert len([each async for each in call]) == 3
    found = await events(sink, 2)
    frames = b"".join(
        b"\0" + len(each).to_bytes(4, "big") + each
        for each in (each.SerializeToString() for each in requests)
    )
    assert found[REQUEST][1] == frames
    assert found[REQUEST][0]["content-type"].startswith("application/grpc")


@pytest.mark.asyncio(loop_scope="module")
async def test_binary_tensors_and_a_name_in_the_body(world, sink):
    mesh, *_ = world
    head = {"inference-header-content-length": "2", "content-type": "application/octet-stream"}
    await mesh.http.post(PATH.format("iris"), content=b"{}\0\xff", headers=head)
    headers, body = (await events(sink, 2))[REQUEST]
    assert (headers["inference-header-content-length"], body) == ("2", b"{}\0\xff")
    sink.seen.clear()
    asked = {"model": "iris", "messages": [{"role": "user", "content": "hello"}]}
    assert (await mesh.http.post("/v1/chat/completions", json=asked)).status_code == 200
    assert b"hello" in (await events(sink, 2))[REQUEST][1]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("kind", ["application/cloudevents+json", "Application/CloudEvents-Batch+JSON; a=b"])
async def test_no_caller_writes_an_event(world, sink, kind):
    mesh, *_ = world
    await mesh.http.post(PATH.format("iris"), content=b"{}", headers={"content-type": kind, "ce-source": "x"})
    headers, body = (await events(sink, 2))[REQUEST]
    found = (headers["content-type"], headers["ce-source"], body)
    assert found == ("application/octet-stream", "/namespaces/ns/models/iris", b"{}")


@pytest.mark.asyncio(loop_scope="module")
async def test_a_query_neither_hides_nor_makes_an_inference(world, sink):
    mesh, *_ = world
    await mesh.http.post(PATH.format("iris") + "?a=/b", json={})
    assert set(await events(sink, 2)) == {REQUEST, RESPONSE}
    sink.seen.clear()
    await mesh.http.post("/v2/models/iris/unknown?a=/infer", json={})
    assert await events(sink, 0) == {}


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("model", "kind"), [("asked", REQUEST), ("answered", RESPONSE)])
async def test_one_of_both(world, sink, model, kind):
    mesh, *_ = world
    await mesh.http.post(PATH.format(model), json={})
    assert set(await events(sink, 1)) == {kind}


@pytest.mark.asyncio(loop_scope="module")
async def test_what_is_no_inference_or_of_another_model_is_not_sent(world, sink):
    mesh, one, *_ = world
    await mesh.http.get("/v2/models/iris")
    await mesh.http.get("/v2/models/iris/ready")
    silent = await mesh.http.post(PATH.format("silent"), json={})
    assert "seldon-logging" not in silent.headers
    mixed = {"seldon-model": "mixed.experiment", "x-seldon-route": ":silent_3:"}
    await mesh.http.post(PATH.format("x"), json={}, headers=mixed)
    assert await events(sink, 0) == {}
    mixed["x-seldon-route"] = ":iris_3:"
    await mesh.http.post(PATH.format("x"), json={}, headers=mixed)
    assert {each["ce-modelid"] for each, _ in (await events(sink, 2)).values()} == {"iris_3"}
    sink.seen.clear()
    one.status = 500
    try:
        await mesh.http.post(PATH.format("iris"), json={})
    finally:
        one.status = 200
    assert (await events(sink, 2))[RESPONSE][0]["ce-status"] == "500"


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    "said",
    [
        {"ce-type": REQUEST},
        {"ce-type": RESPONSE, "ce-specversion": "1.0", "ce-source": "/namespaces/ns/models/iris"},
        {"ce-bailievia": ""},
        {"ce-bailievia": "-"},
        {"ce-bailievia": payload_log.mark("another namespace's token")},
        {"ce-bailievia": "0123456789abcdef-" * 20},
    ],
)
async def test_no_header_of_a_caller_keeps_a_request_out(world, sink, said):
    mesh, *_ = world
    await mesh.http.post(PATH.format("iris"), json={}, headers=said)
    assert set(await events(sink, 2)) == {REQUEST, RESPONSE}


@pytest.mark.asyncio(loop_scope="module")
async def test_an_event_makes_no_event_of_its_own_also_on_its_way_through_other_namespaces(world, sink):
    mesh, *_ = world
    await mesh.http.post(PATH.format("iris"), json={})
    found = await events(sink, 2)
    for headers, body in found.values():
        sink.seen.clear()
        event = {name: value for name, value in headers.items() if name.startswith("ce-")}
        await mesh.http.post(PATH.format("iris"), content=body, headers=event)
        others = "-".join([payload_log.mark("another"), event["ce-bailievia"]])
        await mesh.http.post(PATH.format("iris"), content=body, headers={**event, "ce-bailievia": others})
        assert await events(sink, 0) == {}


@pytest.mark.asyncio(loop_scope="module")
async def test_the_marks_of_other_namespaces_go_on(world, sink):
    mesh, *_ = world
    other = payload_log.mark("another")
    await mesh.http.post(PATH.format("iris"), json={}, headers={"ce-bailievia": other})
    own = payload_log.mark(TOKEN)
    assert {said["ce-bailievia"] for said, _ in (await events(sink, 2)).values()} == {f"{own}-{other}"}
    sink.seen.clear()
    await mesh.http.post(PATH.format("iris"), json={}, headers={"ce-bailievia": "what\tever"})
    assert {said["ce-bailievia"] for said, _ in (await events(sink, 2)).values()} == {f"{own}-"}


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("said", "name", "sent"),
    [
        (b"application/json; charset=utf-8", "content-type", "application/json; charset=utf-8"),
        (b"application/json; charset", "content-type", "application/json"),
        (b'text/plain;a="b', "content-type", "text/plain"),
        (b"nonsense", "content-type", "application/octet-stream"),
        (b"\xff/\xfe", "content-type", "application/octet-stream"),
        (b"a/b/c", "content-type", "a/b"),
        (b'a"b%c\xff d', "ce-id", "a-b-c--d"),
        (b"", "ce-id", None),
    ],
)
async def test_what_a_caller_says_has_no_sink_refuse_the_event(world, sink, said, name, sent):
    """Sinks refuse events without an id, or with a type that is none."""
    mesh, *_ = world
    header = {"content-type": b"content-type", "ce-id": b"x-request-id"}[name]
    await mesh.http.post(PATH.format("iris"), content=b"{}", headers=[(header, said)])
    told = (await events(sink, 2))[REQUEST][0][name]
    assert told == sent if sent else re.fullmatch("[0-9a-f-]{36}", told)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("said", "told"),
    [
        (b"gzip", "gzip"),
        (b"GZIP, br", "gzip,br"),
        (b"no\xffthing", "nothing"),
        (b"identity", None),
        (b"", None),
    ],
)
async def test_no_sink_decodes_what_a_caller_says_is_compressed(world, sink, said, told):
    """The words go on as attributes, which no framework of a sink acts on and no broker drops."""
    mesh, *_ = world
    kind = {"content-type": "application/json"}
    await mesh.http.post(PATH.format("iris"), content=b"{}", headers={**kind, "content-encoding": said})
    found, body = (await events(sink, 2))[REQUEST]
    assert body == b"{}"
    assert "content-encoding" not in found
    assert found.get("ce-contentencoding") == told
    assert found.get("ce-contenttype") == ("application/json" if told else None)
    assert found["content-type"] == ("application/octet-stream" if told else "application/json")


@pytest.mark.asyncio(loop_scope="module")
async def test_a_part_of_the_requests(world, sink):
    """A request that is sent is sent with its answer; of 100 requests 30 are, within five deviations."""
    mesh, *_ = world
    for _ in range(10):  # few at a time, so that each event finds a place
        await asyncio.gather(*(mesh.http.post(PATH.format("part"), json={}) for _ in range(10)))
    await until(lambda: len(sink.seen) % 2 == 0 and len(sink.seen) >= 14, "events in pairs")
    await asyncio.sleep(0.2)
    kinds = {}
    for _, headers, _ in sink.seen:
        kinds.setdefault(headers["ce-id"], set()).add(headers["ce-type"])
    assert all(each == {REQUEST, RESPONSE} for each in kinds.values())
    assert 7 <= len(kinds) <= 53


@pytest.mark.asyncio(loop_scope="module")
async def test_a_body_that_is_too_large_is_left_out_and_its_size_told(world, sink):
    mesh, *_ = world
    body = b"x" * 5_000_000
    answer = await mesh.http.post(PATH.format("iris"), content=body)
    assert answer.json()["size"] == len(body)
    headers, sent = (await events(sink, 2))[REQUEST]
    assert (headers["ce-bodycut"], headers["ce-bodybytes"], sent) == ("size", str(len(body)), b"")


@pytest.mark.asyncio(loop_scope="module")
async def test_a_sink_that_hangs_or_is_away_costs_no_answer(world, sink):
    """Of 400 KB each; another Model's events go on, and what finds no place is counted."""
    mesh, *_ = world
    memory = psutil.Process(mesh.process.pid).memory_info().rss
    sink.held = asyncio.Event()
    body = b"x" * 400_000
    try:
        for model in ("iris", "away"):
            answers = await asyncio.gather(
                *(mesh.http.post(PATH.format(model), content=body) for _ in range(60))
            )
            assert {each.status_code for each in answers} == {200}
        told = await until(lambda: _told(world[3]), "the scheduler knows what was dropped")
        assert told["iris"]["sink slow"] > 0
        assert set(told["away"]) <= {"no connection", "sink slow"}
        assert psutil.Process(mesh.process.pid).memory_info().rss - memory < 150_000_000
        sink.seen.clear()
    finally:
        sink.held.set()
        sink.held = None
    await until(lambda: _active(mesh), "no event is under way any more")
    sink.seen.clear()
    await mesh.http.post(PATH.format("iris"), json={})
    assert set(await events(sink, 2)) == {REQUEST, RESPONSE}


def _told(plane):
    """Returns the events by Model and outcome, once those of both sinks have been reported."""
    payloads = plane.shown_requests("ns").payloads
    return (
        payloads
        if "sink slow" in payloads.get("iris", {}) and "no connection" in payloads.get("away", {})
        else None
    )


async def _active(mesh):
    return (await stats(mesh))["payload/iris.upstream_rq_active"] == 0


async def stats(mesh):
    """Returns the numbers of the sinks' clusters."""
    async with plain_http.async_client(base_url=f"http://127.0.0.1:{mesh.probe}") as probe:
        lines = (await probe.get("/stats?filter=payload/")).text.splitlines()
    pairs = (line.removeprefix("cluster.").split(": ") for line in lines)
    return {name: int(value) for name, value in pairs if value.isdecimal()}


@pytest.mark.asyncio(loop_scope="module")
async def test_callers_who_leave_give_their_copies_back(world, sink):
    """200 bodies of 200 kB that never end are more than a worker keeps; later ones are whole again."""
    mesh, *_ = world
    head = b"POST /v2/models/iris/infer HTTP/1.1\r\nhost: x\r\ncontent-length: 2000000\r\n\r\n"
    writers = []
    for _ in range(200):
        _, writer = await asyncio.open_connection("127.0.0.1", mesh.port)
        writer.write(head + b"x" * 200_000)
        await writer.drain()
        writers.append(writer)
    body = b"y" * 500_000

    async def left_out():
        sink.seen.clear()
        await mesh.http.post(PATH.format("iris"), content=body)
        await until(lambda: len(sink.seen) >= 2, "two events")
        return any(each.get("ce-bodycut") == "memory" for _, each, _ in sink.seen)

    await until(left_out, "a body for which there is no room")
    sink.seen.clear()
    await mesh.http.post(PATH.format("asked"), content=body)
    assert "ce-bodycut" not in (await events(sink, 1))[REQUEST][0], "another Model has room"
    for writer in writers:
        writer.close()

    async def whole():
        sink.seen.clear()
        await mesh.http.post(PATH.format("iris"), content=body)
        await until(lambda: len(sink.seen) >= 2, "two events")
        return any(sent == body for _, _, sent in sink.seen)

    await until(whole, "a body that is kept again")
