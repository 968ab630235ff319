"""Callers who hold many requests for one name for long: only callers of that name are refused."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import grpc
import pytest
from tests.support.dataplane import backend, control_plane, envoy, took, until

from bailie._gen import inference_pb2 as pb
from bailie.gateway.publisher import Gateway
from bailie.routing.refusal import share_taken
from bailie.routing.table import Asleep, Backend, Route, RoutingTable

MOST = 5


@asynccontextmanager
async def meshed(folder, entries):
    """An Envoy before one replica whose limit is MOST, with the entries that `entries` makes of it."""
    async with (
        backend() as one,
        control_plane(Gateway(MOST)) as (gateway, port),
        envoy(folder, port) as mesh,
    ):
        await took(gateway, RoutingTable("ns", entries(one)))
        yield mesh, one


def both(one):
    return {name: Route((Backend(f"{name}_1", 1, (one.replica,)),)) for name in ("hog", "iris")}


class SlowBody:
    """A request whose body does not end, as it came with its length, or in chunks."""

    def __init__(self, reader, writer) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def begin(cls, port: int, name: str, *, chunked: bool) -> SlowBody:
        length = "transfer-encoding: chunked" if chunked else "content-length: 1000000000"
        first = "1\r\n{\r\n" if chunked else "{"
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"POST /v2/models/{name}/infer HTTP/1.1\r\nhost: x\r\n{length}\r\n\r\n{first}".encode())
        await writer.drain()
        return cls(reader, writer)

    async def leave(self) -> None:
        self.writer.close()
        await self.writer.wait_closed()


class SlowCall:
    """A call of gRPC whose message does not end: its caller has said that more comes."""

    def __init__(self, call) -> None:
        self.call = call

    @classmethod
    async def begin(cls, mesh, name: str, *, in_message: bool) -> SlowCall:
        call = mesh.stub.ModelStreamInfer(metadata=() if in_message else (("seldon-model", name),))
        await call.write(pb.ModelInferRequest(model_name=name if in_message else ""))
        assert (await call.read()).model_name == f"{name}_1"
        return cls(call)

    async def leave(self) -> None:
        self.call.cancel()


async def status(mesh, name: str) -> int:
    return (await mesh.http.post(f"/v2/models/{name}/infer", content=b"{}")).status_code


async def begin(kind: str, mesh):
    if kind in ("chunked", "long"):
        return await SlowBody.begin(mesh.port, "hog", chunked=kind == "chunked")
    return await SlowCall.begin(mesh, "hog", in_message=kind == "named in its message")


async def test_requests_that_do_not_end_take_places_of_their_own_name(tmp_path):
    async with meshed(tmp_path, both) as (mesh, one):
        for kind in ("chunked", "long", "stream", "named in its message"):
            before = one.calls + one.grpc.calls
            held = [await begin(kind, mesh) for _ in range(MOST)]
            await until(lambda x=before: one.calls + one.grpc.calls == x + MOST, "the server has them")
            refused = await mesh.http.post("/v2/models/hog/infer", content=b"{}")
            expected = share_taken("ns", "hog")
            assert (refused.status_code, refused.json()) == (503, expected.body()), kind
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await mesh.stub.ModelInfer(pb.ModelInferRequest(model_name="hog"))
            assert (caught.value.code().name, caught.value.details()) == ("UNAVAILABLE", expected.message)
            assert {await status(mesh, "iris") for _ in range(3 * MOST)} == {200}, kind
            answer = await mesh.stub.ModelInfer(pb.ModelInferRequest(model_name="iris"))
            assert answer.model_name == "iris_1"
            for each in held:
                await each.leave()

            async def served():
                return await status(mesh, "hog") == 200

            await until(served, "who leaves gives the place back")
        async with mesh.admin() as admin:
            found = (await admin.get("/stats/prometheus")).text
        # The series of the alert BailieRequestsRefused.
        blocked = "envoy_http_adaptive_concurrency_gradient_controller_rq_blocked"
        assert any(line.startswith(blocked) and int(line.split()[-1]) >= 8 for line in found.splitlines())


async def test_a_share_stays_as_it_is_however_many_requests_there_were(tmp_path):
    """Slow answers and quick ones: the limit does not adapt, and no place is lost."""
    async with meshed(tmp_path, both) as (mesh, one):
        for _ in range(20):
            assert {*await asyncio.gather(*(status(mesh, "hog") for _ in range(MOST)))} == {200}
        one.held = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            before = one.calls
            waiting = [tasks.create_task(status(mesh, "hog")) for _ in range(MOST)]
            await until(lambda: one.calls == before + MOST, "all are under way")
            assert await status(mesh, "hog") == 503
            one.held.set()
        assert {each.result() for each in waiting} == {200}


@pytest.mark.parametrize("weights", [(99, 1), (50, 50)])
async def test_a_candidates_own_callers_have_places_beside_those_of_an_experiment(tmp_path, weights):
    def entries(one):
        two = [
            Backend(name, each, (one.replica,))
            for name, each in zip(("hog_1", "iris_1"), weights, strict=True)
        ]
        return both(one) | {"choice.experiment": Route(tuple(two))}

    async with meshed(tmp_path, entries) as (mesh, one):
        one.held = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            asked = [tasks.create_task(status(mesh, "choice.experiment")) for _ in range(8 * MOST)]
            await until(lambda: sum(each.done() for each in asked) + one.calls == 8 * MOST, "each is placed")
            taken = one.calls
            own = tasks.create_task(status(mesh, "iris"))
            await until(lambda: one.calls == taken + 1 or own.done(), "the candidate's own caller is placed")
            one.held.set()
        assert taken == MOST
        assert own.result() == 200
        assert {each.result() for each in asked} == {200, 503}


async def test_requests_that_wait_for_a_model_that_sleeps_are_bounded(tmp_path):
    def entries(one):
        return both(one) | {"hog": Asleep("hog_1", 1)}

    async with meshed(tmp_path, entries) as (mesh, _), asyncio.TaskGroup() as tasks:
        asked = [tasks.create_task(status(mesh, "hog")) for _ in range(MOST + 1)]
        done, waiting = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
        assert [each.result() for each in done] == [503]
        assert await status(mesh, "iris") == 200
        for each in waiting:
            each.cancel()
