"""Envoys that read nothing, or answer nothing: no status waits for them for ever, and they are told why."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import asynccontextmanager

import pytest
from benchmarks.raw_http2 import SETTINGS, connection, frame, grpc_headers
from structlog.testing import capture_logs
from tests.support.dataplane import TOKEN, control_plane, envoy, until
from tests.support.timelapse import TimelapseLoop
from tests.support.waiting import DEADLINE

from bailie.gateway import ads, descriptors, xds_requests
from bailie.gateway.resources import CLUSTER_URL, ENDPOINTS_URL, LISTENER_URL, SCOPE_URL
from bailie.kube.token import METADATA_KEY
from bailie.routing.table import NotReady, RoutingTable

METHOD = f"/{ads.SERVICE}/DeltaAggregatedResources"
METADATA = ((METADATA_KEY, f"Bearer {TOKEN}"),)
NO_WINDOW = frame(SETTINGS, 0, 0, b"\0\4\0\0\0\0")
FACTOR = 20
"""Seconds of the loop in one second: a minute is three."""
HAS_HAD_SECONDS = 30
"""Of the minute: on a busy machine the test looks at the clock later than the gateway."""
TOLD = "a response was not answered within 60 s"


def questions():
    """The first messages of an Envoy that has served already."""
    message = descriptors.message_class(xds_requests.REQUEST)
    for url in (CLUSTER_URL, ENDPOINTS_URL, LISTENER_URL, SCOPE_URL):
        asked = message(
            type_url=url, initial_resource_versions={"inference": "1"} if url == LISTENER_URL else {}
        )
        asked.node.id = "silent"
        asked.node.metadata.update({xds_requests.LISTEN: [{"address": "127.0.0.1", "port": 9000}]})
        yield asked.SerializeToString()


@asynccontextmanager
async def takes_nothing(port, _):
    """Has no room for a byte of the answer, at first."""
    async with connection(port) as raw:
        raw.write(NO_WINDOW)
        stream = raw.begin([*grpc_headers(METHOD, ""), *METADATA])
        for each in questions():
            await raw.send(stream, [b"\0" + len(each).to_bytes(4, "big") + each], end=False)

        async def told():
            answer = raw.answers[stream]
            if not answer.headers:
                return False
            assert not answer.ended.is_set(), "gRPC cannot end it"
            raw.write(NO_WINDOW[:-4] + (1 << 20).to_bytes(4, "big"))
            await asyncio.wait_for(answer.ended.wait(), DEADLINE * FACTOR)
            return answer.headers["grpc-message"] == TOLD

        yield told


@asynccontextmanager
async def is_stopped(port, folder):
    """A real Envoy, which serves first."""
    async with envoy(folder, port, name="silent") as mesh:

        async def told():
            os.kill(mesh.process.pid, signal.SIGCONT)
            return True

        told.process = mesh.process
        yield told


def both_serve(gateway):
    return [each.serving for each in gateway.envoys()] == [True, True]


@pytest.mark.parametrize("peer", [takes_nothing, is_stopped])
def test_an_envoy_that_is_silent_holds_the_others_up_for_a_minute(tmp_path, peer):
    async def run():
        async with (
            asyncio.timeout(3 * DEADLINE * FACTOR),
            control_plane() as (gateway, port),
            envoy(tmp_path, port, name="live", address="127.0.0.2") as live,
            peer(port, tmp_path) as told,
        ):

            async def took(number):
                revision = gateway.publish(RoutingTable("ns", {"m": NotReady("Loading", f"{number}")}))
                await until(lambda: gateway.acknowledged >= revision, f"table {number}", DEADLINE * FACTOR)

            gateway.publish(RoutingTable("ns"))
            await until(lambda: both_serve(gateway), "both serve", DEADLINE * FACTOR)
            if peer is is_stopped:
                await took(0)
                os.kill(told.process.pid, signal.SIGSTOP)
            begun = asyncio.get_running_loop().time()
            await took(1)
            assert asyncio.get_running_loop().time() - begun >= HAS_HAD_SECONDS
            assert [each.pod for each in gateway.envoys()] == ["live"]
            await took(2)
            assert (await live.http.get("/v2/models/m")).status_code == 503
            assert await told()

    with capture_logs() as lines, asyncio.Runner(loop_factory=lambda: TimelapseLoop(FACTOR)) as runner:
        runner.run(run())
    (given_up,) = [each for each in lines if each["event"] == "Envoy given up"]
    assert given_up["cause"] == TOLD
