"""Which Envoys the xDS server takes: those with the token of a namespace for which this scheduler decides."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import grpc
import pytest
from tests.support.dataplane import TOKEN, KnownToken, control_plane, until
from tests.support.reports import exported

from bailie.api.collector import Collector
from bailie.gateway import ads, descriptors, request_reports, xds_requests
from bailie.gateway.envoy_calls import EnvoyCalls, EnvoyPlane
from bailie.gateway.publisher import Gateway
from bailie.gateway.resources import CLUSTER_URL, ENDPOINTS_URL, LISTENER_URL, SCOPE_URL, own_listeners
from bailie.gateway.xds_requests import LISTEN
from bailie.kube.tenants import Tenants
from bailie.kube.token import METADATA_KEY, NAMESPACE_KEY
from bailie.routing.table import NotReady, RoutingTable

EXPORT = f"/{request_reports.SERVICE}/Export"


@dataclass
class WatchedToken(KnownToken):
    """Notes the verdicts, as a token does that is read again when a caller shows another one."""

    verdicts: list = field(default_factory=list)

    def check(self, metadata):
        self.verdicts.append(super().check(metadata).name)
        return super().check(metadata)


@pytest.fixture
async def server():
    """Serves home and b; c is a tenant for which another scheduler decides now. Port and the token of b."""
    token = WatchedToken("token-of-b")
    tokens = {"home": KnownToken("token-of-home"), "b": token, "c": KnownToken("token-of-c")}
    planes = {name: EnvoyPlane(Gateway()) for name in ("home", "b")}
    async with ads.serve(Tenants("home", tokens), planes, "127.0.0.1", 0) as port:
        yield port, token


async def code(port, named, token):
    """The status of one call: OK where the Envoy is taken."""
    metadata = [(METADATA_KEY, f"Bearer {token}")] if token else []
    metadata += [(NAMESPACE_KEY, named)] if named else []
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        try:
            await channel.unary_unary(EXPORT)(exported(), metadata=metadata, timeout=30)
        except grpc.aio.AioRpcError as error:
            return error.code()
    return grpc.StatusCode.OK


@pytest.mark.parametrize(
    ("named", "token", "expected"),
    [
        ("", "token-of-home", "OK"),
        ("home", "token-of-home", "OK"),
        ("b", "token-of-b", "OK"),
        ("c", "token-of-c", "UNAVAILABLE"),
        ("c", "token-of-b", "UNAUTHENTICATED"),
        ("b", "token-of-home", "UNAUTHENTICATED"),
        ("", "token-of-b", "UNAUTHENTICATED"),
        ("nowhere", "token-of-home", "UNAUTHENTICATED"),
        ("b", "", "UNAUTHENTICATED"),
    ],
)
async def test_a_token_opens_its_own_namespace_only(server, named, token, expected):
    assert (await code(server[0], named, token)).name == expected


@pytest.mark.parametrize(
    "path", [EXPORT, "/bailie.Models/Index", "/inference.GRPCInferenceService/RepositoryIndex"]
)
async def test_who_has_no_token_is_refused_before_a_message_is_read(server, path):
    """The caller sends none: a server that reads before it looks at the token would wait for it."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server[0]}") as channel, asyncio.timeout(30):
        call = channel.stream_unary(path)()
        assert await call.code() is grpc.StatusCode.UNAUTHENTICATED


TENANTS = Tenants("home", {"home": KnownToken("token-of-home"), "b": KnownToken("token-of-b")})


class Call:
    """A call of an Envoy that says what the test says, and the end that the server gives it."""

    def __init__(self, namespace="home", address="10.0.0.9", message=None):
        self.namespace, self.address, self.message, self.ended = namespace, address, message, None

    def invocation_metadata(self):
        return ((METADATA_KEY, f"Bearer token-of-{self.namespace}"), (NAMESPACE_KEY, self.namespace))

    def peer(self):
        return f"ipv4:{self.address}:4711"

    async def abort(self, code, words):
        self.ended = code, words
        raise grpc.aio.AbortError

    async def read(self):
        if self.message is None:
            await asyncio.Event().wait()
        return self.message


def streams(**seconds):
    planes = {name: EnvoyPlane(Gateway()) for name in ("home", "b")}
    return ads.Streams(EnvoyCalls(TENANTS, planes, **seconds))


METHODS = ("delta", "export", "listing")


@pytest.mark.parametrize("method", METHODS)
async def test_a_call_without_a_message_ends(method):
    served = streams(patience=0.01)
    for call in [Call() for _ in range(20)]:
        with pytest.raises(grpc.aio.AbortError):
            await getattr(served, method)(call, call)
        assert call.ended == (grpc.StatusCode.DEADLINE_EXCEEDED, "no message was read within 0.01 s")


async def ended(served, method, call):
    with suppress(grpc.aio.AbortError):
        await getattr(served, method)(call, call)
    return call.ended


@asynccontextmanager
async def silent_calls(served, method, namespaces, count=200):
    """So many calls of each namespace, from many addresses, that never have a message."""
    async with asyncio.TaskGroup() as group:
        calls = [Call(name, f"10.0.1.{number % 40}") for number in range(count) for name in namespaces]
        tasks = [group.create_task(ended(served, method, call)) for call in calls]
        await asyncio.sleep(0)
        yield calls
        for task in tasks:
            task.cancel()


@pytest.mark.parametrize("method", METHODS)
async def test_a_namespace_that_keeps_silent_is_not_felt_by_another(method):
    """A message comes at once where its call has a place."""
    served = streams()
    async with silent_calls(served, method, ["b"]), asyncio.timeout(1):
        await ended(served, method, Call(message=b""))


@pytest.mark.parametrize("method", METHODS)
async def test_calls_of_one_kind_keep_those_of_another_from_nothing(method):
    served = streams()
    async with silent_calls(served, method, ["home"]), asyncio.timeout(1):
        for other in set(METHODS) - {method}:
            await ended(served, other, Call(address="10.0.0.8", message=b""))


async def test_an_envoy_gets_its_turn_however_many_others_of_its_namespace_keep_silent():
    served = streams(patience=0.05)
    async with silent_calls(served, "export", ["home", "b"], 400), asyncio.timeout(5):
        assert await ended(served, "export", Call(address="10.0.0.8", message=exported())) is None


async def test_calls_whose_turn_does_not_come_are_told_so():
    served = streams(turn=0.01)
    async with silent_calls(served, "export", ["b"]) as calls, asyncio.timeout(5):
        await until(lambda: sum(call.ended is not None for call in calls) == 192, "most have no turn")
    assert {call.ended for call in calls} == {
        None,
        (
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            "the message's turn did not come within 0.01 s, for there are too many from there",
        ),
    }


async def test_one_address_has_few_streams_open():
    served = streams()
    calls = [Call() for _ in range(20)]
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(ended(served, "delta", call)) for call in calls]
        await until(lambda: any(call.ended for call in calls), "some are refused")
        assert [call.ended[1] for call in calls if call.ended] == [
            "16 streams from there are open, and an Envoy has one"
        ] * 4
        for task in tasks:
            task.cancel()
    assert not served._calls._open


async def test_a_token_hears_of_envoys_that_show_another_one(server):
    port, token = server
    await code(port, "b", "token-of-b-tomorrow")
    assert token.verdicts == ["WRONG"]


@asynccontextmanager
async def obedient_envoy(port):
    """An Envoy that takes all that it is sent; gives the versions of its listener for requests."""
    message, answer = map(
        descriptors.message_class, (xds_requests.REQUEST, xds_requests.REQUEST.replace("Request", "Response"))
    )
    versions = []

    async def listen(call):
        async for data in call:
            told = answer.FromString(data)
            versions.extend(each.version for each in told.resources if each.name == "inference")
            await call.write(message(type_url=told.type_url, response_nonce=told.nonce).SerializeToString())

    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel, asyncio.TaskGroup() as group:
        method = channel.stream_stream(f"/{ads.SERVICE}/DeltaAggregatedResources")
        call = method(metadata=[(METADATA_KEY, f"Bearer {TOKEN}")])
        for url in (CLUSTER_URL, ENDPOINTS_URL, LISTENER_URL, SCOPE_URL):
            asked = message(type_url=url)
            asked.node.metadata.update({LISTEN: [{"address": "127.0.0.1", "port": 9000}]})
            await call.write(asked.SerializeToString())
        task = group.create_task(listen(call))
        yield versions
        task.cancel()


async def test_a_listener_is_asked_for_anew_with_another_collector_alone():
    """Of more Envoys than there are listeners remembered, each turn of each would take milliseconds."""
    count = own_listeners.cache_info

    async def publish(table):
        revision = gateway.publish(table)
        await until(lambda: gateway.acknowledged >= revision, "the table is taken over")

    async with control_plane() as (gateway, port), obedient_envoy(port) as versions:
        gateway.publish(RoutingTable("ns"))
        await until(lambda: gateway.acknowledged, "the first table is taken over")
        before = count().hits + count().misses
        for number in range(5):
            await publish(RoutingTable("ns", {f"m{number}": NotReady("Loading", "wait")}))
        assert count().hits + count().misses == before
        assert len(versions) == 1
        await publish(RoutingTable("ns", collector=Collector("collector", 4317)))
        assert count().hits + count().misses == before + 1
        await publish(RoutingTable("ns"))
        assert len(versions) == 3
        assert versions[2] == versions[0] != versions[1]
