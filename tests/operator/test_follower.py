"""Which namespaces of a cluster have something to serve, and when that is looked at again."""

from __future__ import annotations

import asyncio

from tests.support.waiting import until

from bailie.api.kinds import SERVER
from bailie.operator.follower import Cluster

SPEC = {"serverConfig": "mlserver"}


async def test_only_what_comes_and_goes_is_a_reason_to_look_at_the_cluster_again(installation):
    looks = []
    cluster = Cluster(installation.admin, "", lambda: looks.append(cluster.namespaces()))
    await installation.make("Server", "first", SPEC, installation.a)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(cluster.run())
        await until(lambda: looks and looks[-1] is not None)
        assert installation.a in looks[-1]
        looks.clear()
        for label in ("x", "y"):
            body = {"metadata": {"labels": {"changed": label}}}
            await installation.admin.patch(SERVER, "first", installation.a, body)
        await installation.make("Server", "second", SPEC, installation.b)
        await until(lambda: looks and installation.b in looks[-1])
        assert len(looks) == 1
        await installation.admin.delete(SERVER, "first", installation.a)
        await until(lambda: installation.a not in looks[-1])
        task.cancel()
