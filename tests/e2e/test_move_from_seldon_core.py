"""`bailie migrate` from Seldon Core's objects to its end, under traffic."""

from __future__ import annotations

import asyncio
import re

import pytest
from benchmarks.migration import MOST_SECONDS_TO_A_PAUSE
from benchmarks.move_commands import Commands
from benchmarks.steady import steady
from tests.support.upstream.artifacts import expectations
from tests.support.upstream.facts import OPERATOR, Upstream, UpstreamPattern, steady_models
from tests.support.upstream.in_place import install_bailie, migrate
from tests.support.upstream.install import upstream_ground

from bailie.api.kinds import SERVICE

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
RATE = 20.0


async def begun(commands, verb, line, place):
    """Disturbs a command, once Bailie's operator is at work: just installed it may not be yet."""
    async with asyncio.timeout(120):
        while True:
            found = await commands.disturbed(verb, "--yes", after=line, by=place.evil_twin())
            if "cannot begin" not in found[1]:
                return found


async def paused_by_a_second_operator(place, folder):
    """Wakes one up when `freeze` begins, which may be over before the other has acted, and one in the middle
    of the way back; then leads back."""
    connection = ("--kubeconfig", str(place.ground.kubeconfig))
    commands = Commands(place.facts.namespace, *connection, folder=folder)
    for verb, line in (("apply", "freeze: "), ("rollback", "install: ")):
        code, told, seconds = await begun(commands, verb, line, place)
        assert code == 1, told
        assert re.search(rf"error: .*step \w+: .*({OPERATOR}-twin|manager at|is there again) ", told), told
        assert seconds < MOST_SECONDS_TO_A_PAUSE
    await commands.run("rollback", "--yes")


async def test_the_whole_move_fails_no_request(tmp_path):
    servers = {"mlserver": 1}
    facts = Upstream(
        pattern=UpstreamPattern.CENTRAL, servers=servers, models=steady_models(2, tuple(servers))
    )
    async with upstream_ground(tmp_path, facts) as place:
        await install_bailie(place)
        await paused_by_a_second_operator(place, tmp_path)
        before, mesh = await place.pods(), await place.admin.get(SERVICE, "seldon-mesh", facts.namespace)
        with steady(place.inference) as traffic:
            traffic.send(expectations(place.facts), RATE, rpcs=0.2)
            await migrate(place, "apply", "--yes")
            assert before.items() <= (await place.pods()).items()
            await traffic.stop()
            assert traffic.take().failures == []
        with steady(place.inference) as traffic:  # over connections to Bailie's Envoys: the others end now
            traffic.send(expectations(place.facts), RATE, rpcs=0.2)
            await migrate(place, "finish", "--yes")
            await traffic.stop()
            tally = traffic.take()
        assert tally.sent > 0
        assert tally.failures == []
        assert not before.keys() & (await place.pods()).keys()
        kept = await place.admin.get(SERVICE, "seldon-mesh", facts.namespace)
        assert kept["metadata"]["uid"] == mesh["metadata"]["uid"]
        assert kept["spec"]["clusterIP"] == mesh["spec"]["clusterIP"]
