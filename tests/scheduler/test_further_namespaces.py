"""One scheduler for several namespaces: each has its own engine, with its own token and rights."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json

import grpc
import pytest
from tests.support.agents import connected, hello
from tests.support.publisher import RecordingPublisher
from tests.support.waiting import until, until_true

from bailie.api.kinds import LEASE
from bailie.kube.client import Client
from bailie.kube.token import Verdict
from bailie.manifests.rbac import central_manifests, namespace_manifests
from bailie.scheduler.agents.secret_token import SecretToken
from bailie.scheduler.agents.serving import serve_agents
from bailie.scheduler.run import Scheduler
from bailie.scheduler.settings import SchedulerSettings
from bailie.scope.claim import SCHEDULER_LEASE, TERM_ANNOTATION

TOKENS = {"central": "token-of-central", "b": "token-of-b", "c": "token-of-c"}


def secret(namespace, token):
    data = {"token": base64.b64encode(token.encode()).decode()}
    metadata = {"name": "seldon-control-plane", "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data}


def served(home, *namespaces):
    """The list that the operator writes for a scheduler."""
    metadata = {"name": "seldon-scheduler-namespaces", "namespace": home}
    data = {"namespaces": "".join(f"{name}\n" for name in namespaces)}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


class Central:
    """A scheduler that serves two other namespaces, with the rights that it is given there."""

    def __init__(self, names, settings, client):
        self.names = names
        self.publishers, self.leads = {}, {}
        self.scheduler = Scheduler(settings, client, self.plane, self.further)
        self.port = 0

    @contextlib.asynccontextmanager
    async def plane(self, *_):
        self.publishers["central"] = RecordingPublisher()
        yield self.publishers["central"]

    @contextlib.asynccontextmanager
    async def further(self, namespace, leads):
        assert leads()
        short = next(short for short, name in self.names.items() if name == namespace)
        self.publishers[short], self.leads[short] = RecordingPublisher(), leads
        try:
            yield self.publishers[short]
        finally:
            del self.publishers[short]


@pytest.fixture
async def central(namespace, api, tmp_path):
    """`namespace` is the one called b; rights in c are missing."""
    names = {"central": f"central-{namespace.name}", "b": namespace.name, "c": f"c-{namespace.name}"}
    for name in (names["central"], names["c"]):
        api.namespace(name)
    async with Client.from_kubeconfig(api.kubeconfig) as admin:
        for short, name in names.items():
            await admin.create(secret(name, TOKENS[short]))
        rights = [*namespace_manifests(names["central"], "nowhere")]
        rights += central_manifests(names["b"], names["central"])
        for manifest in (*rights, served(names["central"], names["b"], names["c"])):
            await admin.create(manifest)
    token = tmp_path / "token"
    token.write_text(TOKENS["central"])
    settings = SchedulerSettings(
        namespace=names["central"], pod_name="s-0", address="127.0.0.1", token_file=token,
        log_level="info",
    )  # fmt: skip
    account = api.service_account_token(names["central"], "seldon-scheduler")
    kubeconfig = api.kubeconfig_for(account, tmp_path / "scheduler.kubeconfig")
    async with Client.from_kubeconfig(kubeconfig) as client:
        made = Central(names, settings, client)
        async with (
            serve_agents(made.scheduler.tenants, "127.0.0.1", 0) as made.port,
            asyncio.TaskGroup() as group,
        ):
            task = group.create_task(made.scheduler.run())
            yield made
            task.cancel()


def replica(central, namespace, short):
    namespace.port = central.port
    found = namespace.replica()
    found.fields["namespace"] = central.names[short]
    found.credentials = {"token": TOKENS[short], "namespace": central.names[short]}
    return found


async def test_a_further_namespace_is_served_whatever_becomes_of_another(namespace, central, api):
    namespace.server()
    namespace.model(requirements=["sklearn"])
    home = central.names["central"]
    async with (
        replica(central, namespace, "b").running() as one,
        replica(central, namespace, "central").running(),
    ):
        await namespace.ready()
        assert central.leads["b"]()
        assert one.loads == ["iris_1"]
        assert central.publishers["b"].backends("iris") == {"iris_1": {"mlserver-0"}}
        assert "iris" not in central.publishers["central"].table.entries
        scheduler = central.scheduler
        assert (await scheduler.explain(f"{namespace.name}/iris"))["trail"]
        assert await scheduler.explain("iris") is None
        assert await scheduler.explain(f"{home}/iris") is None
        assert await scheduler.explain("nowhere/iris") is None
        assert scheduler.unready() is None
        waiting = scheduler.namespaces("")
        assert (waiting[home], waiting[namespace.name]) == ("", "")
        async with Client.from_kubeconfig(api.kubeconfig) as admin:

            async def said_of_others():
                lease = await admin.get(LEASE, SCHEDULER_LEASE, home)
                said = json.loads(lease["metadata"]["annotations"][TERM_ANNOTATION])["others"]
                return said.get(namespace.name, {}).get("agents") == {"mlserver": 1}

            await until_true(said_of_others)
        assert "forbidden" in waiting[central.names["c"]].lower()
        # the third one is served as soon as the rights are there
        async with Client.from_kubeconfig(api.kubeconfig) as admin:
            for manifest in central_manifests(central.names["c"], home):
                await admin.create(manifest)
        async with replica(central, namespace, "c").running() as other:
            namespace.name = central.names["c"]
            namespace.server()
            namespace.model(requirements=["sklearn"])
            await namespace.ready()
            assert other.loads == ["iris_1"]


@pytest.mark.parametrize(
    ("named", "token", "code"),
    [
        ("b", TOKENS["central"], grpc.StatusCode.PERMISSION_DENIED),
        ("central", TOKENS["b"], grpc.StatusCode.PERMISSION_DENIED),
        ("c", TOKENS["c"], grpc.StatusCode.UNAVAILABLE),
        ("nowhere", TOKENS["b"], grpc.StatusCode.UNAVAILABLE),
        ("", TOKENS["b"], grpc.StatusCode.PERMISSION_DENIED),
    ],
)
async def test_a_token_opens_its_own_namespace_only(namespace, central, named, token, code):
    await until(lambda: "b" in central.publishers)
    async with connected(central.port, token=token, namespace=central.names.get(named, named)) as agent:
        assert (await agent.ended())[0] is code


async def test_a_namespace_is_handed_over_and_taken_back(namespace, central, api):
    """The Lease passes on, its epoch grows, and nothing is loaded again."""
    namespace.server()
    namespace.model(requirements=["sklearn"])
    home, team = central.names["central"], central.names["b"]
    async with Client.from_kubeconfig(api.kubeconfig) as admin:

        async def holder():
            return (await admin.get(LEASE, SCHEDULER_LEASE, team))["spec"]["holderIdentity"]

        async def held_by(identity):
            return await holder() == identity

        async with replica(central, namespace, "b").running() as one:
            await namespace.ready()
            assert await holder() == f"{home}/seldon-scheduler"
            first, namespace.port = one.epoch, 0
            async with namespace.scheduler():
                await admin.apply(served(home, central.names["c"]), force=True)
                await until_true(lambda: held_by("seldon-scheduler-0"))
                await until(lambda: team not in central.scheduler.namespaces(""))
                one.port, one.credentials = namespace.port, {}
                await until(lambda: one.sessions == 2)
                assert one.epoch > first
                namespace.model("second", requirements=["sklearn"])
                await namespace.ready("second")
                await admin.apply(served(home, central.names["c"], team), force=True)
                await until(lambda: central.scheduler.namespaces("").get(team) == "")
                assert await holder() == "seldon-scheduler-0"
            own, one.port, one.credentials = (
                one.epoch,
                central.port,
                {"token": TOKENS["b"], "namespace": team},
            )
            await until_true(lambda: held_by(f"{home}/seldon-scheduler"))
            await until(lambda: one.sessions == 3)
            assert one.epoch > own
            namespace.model("third", requirements=["sklearn"])
            await namespace.ready("third")
            assert (one.loads, one.unloads) == (["iris_1", "second_1", "third_1"], [])
            assert one.refused == []


async def test_nobody_speaks_for_another_namespace(namespace, central):
    await until(lambda: "b" in central.publishers)
    credentials = {"token": TOKENS["b"], "namespace": central.names["b"]}
    async with connected(central.port, **credentials) as agent:
        await agent.say(hello(namespace=central.names["central"]))
        code, told = await agent.ended()
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert "serves namespace" in told


async def test_a_token_that_is_rotated_is_found(namespace):
    token = SecretToken(namespace.client, namespace.name)

    def judged(text):
        return token.check((("authorization", f"Bearer {text}"),))

    async with asyncio.TaskGroup() as group:
        task = group.create_task(token.run())
        assert judged("one") is Verdict.UNKNOWN
        await namespace.client.create(secret(namespace.name, "one"))
        await until(lambda: judged("one") is Verdict.GOOD)
        assert judged("two") is Verdict.WRONG
        await namespace.client.apply(secret(namespace.name, "two"), field_manager="x", force=True)
        await until(lambda: judged("two") is Verdict.GOOD)
        await namespace.client.apply(secret(namespace.name, ""), field_manager="x", force=True)
        judged("doubt")
        await until(lambda: "no" in token._trouble)
        assert judged("two") is Verdict.GOOD  # what cannot be read is no reason to shut anybody out
        task.cancel()
