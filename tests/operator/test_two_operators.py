"""Two operators as real processes with overlapping lists: who acted where, by the API's own log."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from datetime import datetime

import pytest
from tests.support.api import running_api
from tests.support.manifests import manifest_of
from tests.support.operators import Audit, install, operator, user_of
from tests.support.waiting import until, until_true

from bailie.api.kinds import LEASE, SERVER
from bailie.kube.client import Client
from bailie.kube.errors import NotFound
from bailie.operator.namespace_claim import CLAIM_TIMING
from bailie.scope.claim import CLAIM_LEASE

ONE, TWO = "one", "two"


@pytest.fixture
def audit(tmp_path):
    return Audit(tmp_path / "audit.jsonl")


@pytest.fixture
def api(tmp_path, audit):
    with running_api(tmp_path, audit_log=audit.path) as running:
        yield running


@pytest.fixture
async def admin(api):
    await install(api, ONE, ["a", "b"])
    await install(api, TWO, ["b", "c"])
    async with Client.from_kubeconfig(api.kubeconfig) as client:
        for namespace in ("a", "b", "c"):
            manifest = manifest_of("Server", "mlserver", {"serverConfig": "mlserver"}, namespace)
            del manifest["metadata"]["uid"]
            await client.create(manifest)
        yield client


async def claim(admin, namespace="b"):
    with contextlib.suppress(NotFound):
        return (await admin.get(LEASE, CLAIM_LEASE, namespace))["spec"]
    return {"holderIdentity": ""}


async def held_by(admin, home, namespace="b"):
    return (await claim(admin, namespace))["holderIdentity"] == f"{home}/release"


async def reconciled(admin, namespace, replicas=None):
    """Changes the Server, or waits for the first look at it, until its status is of this generation."""
    if replicas is not None:
        await admin.patch(SERVER, "mlserver", namespace, {"spec": {"replicas": replicas}})

    async def done():
        server = await admin.get(SERVER, "mlserver", namespace)
        return server.get("status", {}).get("observedGeneration") == server["metadata"]["generation"]

    await until_true(done)


async def test_each_namespace_has_one_operator_and_the_other_takes_over(api, admin, audit, tmp_path):
    with operator(api, ONE, tmp_path) as first:
        await reconciled(admin, "b")
        with operator(api, TWO, tmp_path):
            for namespace in ("a", "c"):
                await reconciled(admin, namespace)
            await reconciled(admin, "b", 2)
            assert audit.actors("b") == [user_of(ONE)]
            killed = time.monotonic()
            first.kill()
            await until_true(lambda: held_by(admin, TWO))
            assert time.monotonic() - killed <= CLAIM_TIMING.duration + 2
            await reconciled(admin, "b", 1)
            assert await held_by(admin, ONE, "a")
            assert audit.actors("a") == [user_of(ONE)]
            assert audit.actors("b") == [user_of(ONE), user_of(TWO)]
            assert audit.actors("c") == [user_of(TWO)]


async def test_an_owner_that_was_suspended_and_wakes_up_writes_nothing(api, admin, audit, tmp_path):
    with operator(api, ONE, tmp_path) as first:
        await reconciled(admin, "b")
        with operator(api, TWO, tmp_path):
            await until_true(lambda: held_by(admin, TWO, "c"))
            os.kill(first.pid, signal.SIGSTOP)
            await until_true(lambda: held_by(admin, TWO))
            taken = datetime.fromisoformat((await claim(admin))["acquireTime"])
            await reconciled(admin, "b", 3)
            os.kill(first.pid, signal.SIGCONT)
            await until(lambda: _is_back(audit, user_of(ONE), taken))
            await reconciled(admin, "b", 2)
            late = [act for act in audit.acts("b") if act["user"] == user_of(ONE) and _moment(act) > taken]
            assert late == []
            await until_true(lambda: held_by(admin, ONE, "a"))


def _moment(line):
    return datetime.fromisoformat(line["at"])


def _is_back(audit, user, since):
    """The one that was suspended has asked for something in its other namespace."""
    return any(
        line["user"] == user and line["namespace"] == "a" and _moment(line) > since for line in audit.lines()
    )
