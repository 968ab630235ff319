"""Streams between real Envoys and the gateway: acknowledgement, rejection, loss and return of either side."""

import asyncio
import multiprocessing
from dataclasses import replace

import pytest
from tests.support.dataplane import answers, backend, control_plane, envoy, free_port, took, until

from bailie.gateway.publisher import Gateway
from bailie.routing.table import Backend, NotReady, Route, RoutingTable


def one_route(replica, name="iris_1"):
    return RoutingTable("ns", {"iris": Route((Backend(name, 1, (replica,)),))})


async def test_acknowledged_means_that_every_envoy_answers_so(tmp_path):
    async with (
        backend() as one,
        control_plane() as (gateway, port),
        envoy(tmp_path, port, name="a") as a,
        envoy(tmp_path, port, name="b") as b,
    ):
        heard = []
        gateway.on_acknowledged(heard.append)
        await took(gateway, RoutingTable("ns"))
        await until(lambda: [e.serving for e in gateway.envoys()] == [True, True], "both Envoys serve")
        for number in range(1, 20):
            await took(gateway, one_route(one.replica, f"iris_{number}"))
            for mesh in (a, b):
                answer = await mesh.http.get("/v2/models/iris")
                assert answer.json()["path"] == f"/v2/models/iris_{number}"
        assert heard[-1] == gateway.acknowledged == 20
        assert [(e.pod, e.acknowledged, e.rejected) for e in gateway.envoys()] == [
            ("a", 20, {}),
            ("b", 20, {}),
        ]


async def test_a_table_that_changes_nothing_keeps_its_revision(tmp_path):
    gateway = Gateway()
    first = gateway.publish(RoutingTable("ns", {"a": NotReady("Loading", "wait")}))
    assert gateway.publish(RoutingTable("ns", {"a": NotReady("Loading", "wait")})) == first == 1
    assert gateway.publish(RoutingTable("ns")) == 2
    assert gateway.acknowledged == 0


async def test_routes_and_clusters_come_and_go(tmp_path):
    async with backend() as one, control_plane() as (gateway, port), envoy(tmp_path, port) as mesh:
        for _ in range(3):
            await took(gateway, one_route(one.replica))
            assert (await mesh.http.get("/v2/models/iris")).status_code == 200
            await took(gateway, RoutingTable("ns", {"iris": NotReady("Loading", "wait")}))
            assert (await mesh.http.get("/v2/models/iris")).status_code == 503
            await took(gateway, RoutingTable("ns"))
            assert (await mesh.http.get("/v2/models/iris")).status_code == 404
        async with mesh.admin() as admin:

            async def gone():
                return "mlserver-0" not in (await admin.get("/clusters")).text

            await until(gone, "the clusters are gone, a while after the routes")


async def test_a_replica_that_moves_is_followed(tmp_path):
    async with (
        backend("mlserver-0") as old,
        control_plane() as (gateway, port),
        envoy(tmp_path, port) as mesh,
    ):
        await took(gateway, one_route(old.replica))
        await old.stop()
        async with backend() as new:
            await took(gateway, one_route(new.replica))
            answer = await mesh.http.get("/v2/models/iris")
        assert answer.status_code == 200
        assert new.calls == 1


async def test_a_rejection_is_told_and_does_not_stop_the_rest(tmp_path):
    async with backend() as one, control_plane() as (gateway, port), envoy(tmp_path, port) as mesh:
        good = await took(gateway, one_route(one.replica))
        bad = replace(one.replica, name="mlserver-1", address="no address")
        entry = Route((Backend("bad_1", 1, (bad,)),))
        table = one_route(one.replica)
        gateway.publish(replace(table, entries={**table.entries, "bad": entry}))
        told = []
        gateway.on_acknowledged(lambda _: told.append(gateway.refusal))
        (state,) = await until(lambda: [e for e in gateway.envoys() if e.rejected], "the rejection is seen")
        await until(lambda: told, "the rejection is told")
        assert told[0].startswith(f"Envoy {state.pod} refuses ")
        assert "malformed IP address: no address" in told[0]
        assert "malformed IP address: no address" in str(state.rejected)
        assert gateway.acknowledged == good
        assert (await mesh.http.get("/v2/models/iris")).status_code == 200
        assert set(state.rejected) <= {"http/mlserver-1", "grpc/mlserver-1"}
        await took(gateway, one_route(one.replica, "iris_2"))
        assert gateway.envoys()[0].rejected == {}
        assert gateway.refusal == ""


@pytest.mark.parametrize("token", ["", "another"])
async def test_an_envoy_without_the_token_gets_nothing(tmp_path, token):
    async with control_plane() as (gateway, port), envoy(tmp_path, port, token=token) as mesh:
        gateway.publish(RoutingTable("ns"))
        await until(lambda: "token of this namespace" in mesh.log.read_text(), "Envoy is turned away")
        assert not gateway.envoys()
        assert not await answers(mesh)


def _serve_one_table(port, replica, name, ready):
    async def main():
        async with control_plane(port=port) as (gateway, _):
            gateway.publish(one_route(replica, name))
            await until(lambda: gateway.acknowledged == 1, "acknowledged")
            ready.set()
            await asyncio.Event().wait()

    asyncio.run(main())


async def test_envoy_serves_on_when_its_scheduler_is_killed_and_follows_the_next(tmp_path):
    """The replica is in this process; the schedulers, one after the other, are processes of their own."""
    context = multiprocessing.get_context("spawn")
    port = free_port()
    async with backend() as one, envoy(tmp_path, port) as mesh:
        for name in ("iris_1", "iris_2", "iris_3"):
            ready = context.Event()
            scheduler = context.Process(target=_serve_one_table, args=(port, one.replica, name, ready))
            scheduler.start()
            await until(ready.is_set, f"{name} is acknowledged")
            assert (await mesh.http.get("/v2/models/iris")).json()["path"].endswith(name)
            scheduler.kill()
            scheduler.join()
            for _ in range(100):
                assert (await mesh.http.get("/v2/models/iris")).status_code == 200


async def test_an_envoy_that_comes_back_counts_at_once_and_is_sent_only_what_differs(tmp_path):
    async with backend() as one, envoy(tmp_path, port := free_port()) as mesh:
        async with control_plane(port=port) as (gateway, _):
            await took(gateway, one_route(one.replica))
        async with control_plane(port=port) as (gateway, _):
            await until(gateway.envoys, "Envoy is back")
            assert [(e.serving, e.acknowledged) for e in gateway.envoys()] == [
                (False, 0)
            ] or gateway.envoys()[0].serving
            await took(gateway, one_route(one.replica))
            assert (await mesh.http.get("/v2/models/iris")).status_code == 200


async def test_an_envoy_takes_nothing_from_a_scheduler_that_no_longer_leads_for_certain(tmp_path):
    """Nobody has told the gateway to close yet: a process that was suspended has just woken up."""
    deposed = asyncio.Event()
    async with (
        backend() as one,
        control_plane(leads=lambda: not deposed.is_set()) as (gateway, port),
        envoy(tmp_path, port) as mesh,
    ):
        revision = await took(gateway, one_route(one.replica))
        deposed.set()
        gateway.publish(one_route(one.replica, "iris_2"))
        await until(lambda: not gateway.envoys(), "the stream has ended")
        assert gateway.acknowledged < revision + 1
        for _ in range(50):
            assert (await mesh.http.get("/v2/models/iris")).json()["path"].endswith("iris_1")
        deposed.clear()
        await until(lambda: gateway.acknowledged == revision + 1, "it may speak again")


async def test_who_is_away_for_a_moment_may_still_answer(tmp_path):
    """The data planes are whole once a new term has waited for them, and some time after one has gone."""
    async with control_plane() as (gateway, port):
        assert not gateway.whole
        await until(lambda: gateway.whole, "those who were to come have come", 10)
        async with envoy(tmp_path, port):
            await took(gateway, RoutingTable("ns"))
            assert gateway.whole
        await until(lambda: not gateway.whole, "one has gone", 10)
        await until(lambda: gateway.whole, "it does not come back", 10)
