"""The requests that real Envoys report: each once, whatever restarts, is lost, or is idle meanwhile."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from itertools import cycle

import grpc
import pytest
from tests.support import plain_http
from tests.support.dataplane import backend, control_plane, envoy, took, until
from tests.support.ports import free_port

from bailie._gen import inference_pb2 as pb
from bailie.gateway.publisher import Gateway
from bailie.gateway.request_counts import RequestCounts
from bailie.routing.table import Backend, NotReady, Route, RouteMirror, RoutingTable

QUICK = {"stats_flush_interval": "0.25s"}
IDLE_REPORTS = 4
FORGETFUL = {**QUICK, "stats_eviction_interval": f"{IDLE_REPORTS * 0.25}s"}


@pytest.fixture
async def replicas():
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(backend(name)) for name in ("mlserver-0", "mlserver-1")]


def table(replicas, version=1):
    one, two = (each.replica for each in replicas)
    split = (Backend("split_1", 1, (one,)), Backend("rose_2", 1, (two,)))
    entries = {
        "iris": Route((Backend(f"iris_{version}", 1, (one, two)),)),
        "split": Route(split),
        "copied": Route((Backend("copied_1", 1, (one,)),), mirror=RouteMirror("shadow", 100)),
        "shadow": Route((Backend("shadow_1", 1, (two,)),)),
        "rose": Route((Backend("rose_2", 1, (two,)),)),
        "evicted": Route((Backend("evicted_1", 1, (replace(one, name="mlserver-0.held"),)),)),
        "slow": NotReady("Loading", 'mlserver-0 is loading "slow"'),
        "idle": Route((Backend("idle_1", 1, (one,)),)),
    }
    return RoutingTable("ns", entries, {"shadow": entries["shadow"]})


async def rest(mesh, name):
    return (await mesh.http.post(f"/v2/models/{name}/infer", content=b"{}")).status_code


async def by_grpc(mesh, name):
    try:
        await mesh.stub.ModelInfer(pb.ModelInferRequest(), metadata=(("seldon-model", name),))
    except grpc.aio.AioRpcError as error:
        return error.code()
    return grpc.StatusCode.OK


def total(counts, **labels):
    """The requests with these labels."""
    return sum(
        each.requests
        for each in counts.series()
        if all(getattr(each.labels, key) == value for key, value in labels.items())
    )


async def counted(counts, number, **labels):
    await until(
        lambda: total(counts, **labels) >= number, f"{number} are counted, not {total(counts, **labels)}", 20
    )
    assert total(counts, **labels) == number


@pytest.mark.parametrize("points", [None, 2], ids=["whole", "parts"])
async def test_requests_are_known_by_model_version_replica_and_the_names_are_used(replicas, tmp_path, points):
    counts, used = RequestCounts(), set()
    async with (
        control_plane(Gateway(counts=counts)) as (gateway, port),
        envoy(tmp_path, port, change=QUICK, points=points) as mesh,
    ):
        gateway.on_used(used.update)
        await took(gateway, table(replicas))
        for name in ("iris", "split", "copied", "evicted", "slow", "nobody"):
            await rest(mesh, name)
        await by_grpc(mesh, "iris")
        await counted(counts, 7)
        await until(
            lambda: used == {"iris", "split", "copied", "shadow", "evicted", "slow"},
            f"these are used, not {used}",
        )
        assert total(counts, model="iris", model_internal="iris_1", method_type="rest", code="200") == 1
        assert total(counts, model="iris", server="mlserver", method_type="grpc", code="OK") == 1
        assert total(counts, route="split") == total(counts, model="split") + total(counts, model="rose") == 1
        assert total(counts, model="slow", server="", code="503") == total(counts, model="", code="404") == 1
        assert total(counts, model="evicted", server="mlserver", server_replica="0") == 1
        both = ["iris", "slow"]
        recent = await until(lambda: len(found := gateway.requests(both)) == 2 and found, "both are recent")
        assert recent["iris"].per_second > 0
        assert recent["slow"].failed_per_second > 0
        assert recent["iris"].p50 > 0


async def test_requests_under_way_are_known_and_used(replicas, tmp_path):
    used = []
    async with control_plane() as (gateway, port), envoy(tmp_path, port, change=QUICK) as mesh:
        await took(gateway, table(replicas))
        replicas[0].held = replicas[1].held = asyncio.Event()
        gateway.on_used(used.append)
        async with asyncio.TaskGroup() as group:
            for _ in range(3):
                group.create_task(rest(mesh, "iris"))
            await until(lambda: len(used) > 2, "uses are told while requests are under way")
            assert set(used) == {frozenset({"iris"})}
            assert gateway.requests(["iris"])["iris"].in_flight == 3
            replicas[0].held.set()
        await until(lambda: gateway.requests(["iris"])["iris"].in_flight == 0, "none is under way")


class Callers:
    """Send requests for `iris` without pause, by REST and gRPC in turn, and count those that were sent."""

    def __init__(self, mesh):
        self.mesh, self.sent, self.go_on = mesh, 0, True

    async def run(self):
        for call in cycle((rest, by_grpc)):
            if not self.go_on:
                return
            self.sent += 1
            await call(self.mesh, "iris")


async def test_every_request_is_counted_once_over_leaders_lost_reports_rollouts_and_restarts(
    replicas, tmp_path
):
    """Two processes lead in turn, with a time without a leader; then the Envoy starts anew. Its reports
    come in parts."""
    port, first, second, sent = free_port(), RequestCounts(), RequestCounts(), 0
    async with asyncio.timeout(90):
        for _ in range(2):
            async with envoy(tmp_path, port, change=QUICK, points=3) as mesh, asyncio.TaskGroup() as group:
                callers = Callers(mesh)
                for version, counts in enumerate((first, second, first), 1):
                    gateway = Gateway(counts=counts)
                    async with control_plane(gateway, port):
                        await took(gateway, table(replicas, version))
                        if version == 1:
                            group.create_task(callers.run())
                        seen = total(counts)
                        await until(lambda c=counts, s=seen: total(c) > s + 20, "requests are counted", 20)
                        if version == 3:
                            callers.go_on = False
                            sent += callers.sent
                            await counted(first, sent, model="iris")
    assert total(second, model="iris") < sent


async def test_a_series_that_envoy_dropped_as_idle_is_counted_on_exactly(replicas, tmp_path):
    counts = RequestCounts(IDLE_REPORTS)
    async with (
        control_plane(Gateway(counts=counts)) as (gateway, port),
        envoy(tmp_path, port, change=FORGETFUL, points=2) as mesh,
        plain_http.async_client() as client,
    ):

        async def dropped():
            text = (await client.get(f"http://127.0.0.1:{mesh.probe}/stats/prometheus")).text
            return 'model="iris"' not in text

        await took(gateway, table(replicas))
        for turn, burst in enumerate((1, 3, 2), 1):
            for _ in range(burst):
                await rest(mesh, "iris")
                await rest(mesh, "rose")
            sent = sum((1, 3, 2)[:turn])
            await counted(counts, sent, model="iris")
            await until(dropped, "Envoy drops the series", 20)
        assert total(counts, model="rose") == 6


async def test_strangers_and_deleted_models_have_no_series(replicas, tmp_path):
    counts = RequestCounts()
    async with (
        control_plane(Gateway(counts=counts)) as (gateway, port),
        envoy(tmp_path, port, change=QUICK) as mesh,
    ):
        await took(gateway, table(replicas))
        await rest(mesh, "iris")
        for number in range(300):
            await rest(mesh, f"stranger-{number}")
        await counted(counts, 301)
        assert len(list(counts.series())) == 2
        assert {each.labels.model for each in gateway.shown_requests("ns").series} == {"", "iris"}
        assert gateway.shown_requests("ns").in_flight == {"iris": 0}
        await took(gateway, RoutingTable("ns", {}))
        shown = gateway.shown_requests("ns")
        assert ({each.labels.model for each in shown.series}, shown.in_flight) == ({""}, {})
