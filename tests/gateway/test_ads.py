"""Which Envoys the xDS server takes: those with the token of a namespace for which this scheduler decides."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import grpc
import pytest
from tests.support.dataplane import TOKEN, KnownToken, control_plane, until
from tests.support.reports import exported

from bailie.api.collector import Collector
from bailie.gateway import ads, descriptors, request_reports, xds_requests
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
    planes = {name: ads.EnvoyPlane(Gateway()) for name in ("home", "b")}
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


class Silent:
    """A call that never has a message, and the end that the server gives it."""

    ended = None

    def invocation_metadata(self):
        return ((METADATA_KEY, "Bearer token-of-home"),)

    def peer(self):
        return "ipv4:127.0.0.1:4711"

    async def abort(self, code, words):
        self.ended = code, words
        raise grpc.aio.AbortError

    async def read(self):
        await asyncio.Event().wait()


@pytest.mark.parametrize("method", ["delta", "export", "listing"])
async def test_a_call_without_a_message_ends(method):
    tenants = Tenants("home", {"home": KnownToken("token-of-home")})
    streams = ads.Streams(tenants, {"home": ads.EnvoyPlane(Gateway())}, patience=0.01)
    for call in [Silent() for _ in range(20)]:
        with pytest.raises(grpc.aio.AbortError):
            await getattr(streams, method)(call, call)
        assert call.ended == (grpc.StatusCode.DEADLINE_EXCEEDED, "no message was read within 0.01 s")


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
