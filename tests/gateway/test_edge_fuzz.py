"""Some seconds of malformed requests before Envoy; `python -m benchmarks edge-fuzz` sends many more."""

from contextlib import AsyncExitStack

import psutil
from benchmarks import edge_fuzz
from tests.support.dataplane import backend, control_plane, envoy, took

from bailie.routing.table import Backend, Route, RoutingTable


async def test_good_requests_are_answered_beside_malformed_ones(tmp_path):
    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(backend())
        gateway, port = await stack.enter_async_context(control_plane())
        mesh = await stack.enter_async_context(envoy(tmp_path, port))
        await took(gateway, RoutingTable("ns", {"iris": Route((Backend("iris_1", 1, (one.replica,)),))}))
        short = ["--seconds", "6", "--warm-up", "1", "--rate", "200", "--seed", "7", "--limit", "20"]
        options = edge_fuzz.options_of(short)
        outcome = await edge_fuzz.fuzz(mesh.port, psutil.Process(mesh.process.pid), options)
    assert outcome.problems() == [], f"{outcome}"
    assert sum(outcome.malformed.values()) > 200
