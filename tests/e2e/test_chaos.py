"""One random sequence on the real stack; `python -m benchmarks chaos --real --sequences 20` plays more."""

import pytest
from benchmarks.real_chaos import PER_SECOND, STEADY, RealStack, prepared, sequence
from benchmarks.steady import steady
from tests.e2e.conftest import SYSTEM

from bailie.api.kinds import SERVER
from bailie.kube.client import Client

pytestmark = pytest.mark.e2e


async def test_every_invariant_holds_after_a_random_sequence(stack, models):
    url = stack.url()
    async with Client.from_kubeconfig(stack.state / "kubeconfig") as client:
        world = RealStack(client, stack.state, SYSTEM, models.folder)
        wanted = {}
        try:
            await prepared(world)
            with steady({"http": url, "grpc": url.partition("//")[2]}) as traffic:
                traffic.send([world.expectation(STEADY, "iris")], PER_SECOND)
                told = await sequence(world, traffic, wanted, seed=12, acts=4, url=url)
        finally:
            for name in (STEADY, *wanted):
                await world.delete(name)
            one = {"spec": {"replicas": 1}}
            await world.call(lambda: client.patch(SERVER, "mlserver", SYSTEM, one))
    assert told.broken == [], told.story
