"""A SeldonRuntime names another mesh: the scheduler's routes and the status that tells of them."""

from __future__ import annotations

from tests.support.waiting import until

from bailie.api.kinds import SELDON_RUNTIME
from bailie.kube.client import Client
from bailie.manifests.rbac import namespace_manifests
from bailie.routing.table import Elsewhere, NotReady, Route

OLD = "seldon-mesh.old.svc:80"


async def named(namespace, mesh):
    """Has the namespace's runtime name a mesh."""
    await namespace.client.patch(SELDON_RUNTIME, "seldon", namespace.name, {"spec": {"fallbackMesh": mesh}})


async def told(namespace, names):
    """Waits until the status counts the names."""

    def counted():
        return namespace.status("seldon", "seldonruntimes").get("fallback", {}).get("names") == names

    await until(counted)
    return namespace.status("seldon", "seldonruntimes")["fallback"]


async def test_names_move_one_by_one_and_the_status_counts_them(namespace):
    namespace.create(
        "SeldonRuntime",
        "seldonruntimes",
        "seldon",
        {"seldonConfig": "default", "fallbackMesh": {"namespace": "old"}},
    )
    for number in range(25):
        namespace.model(f"m-{number:02}")
    async with namespace.scheduler():
        found = await told(namespace, 25)
        assert found == {"mesh": OLD, "names": 25, "listed": [f"m-{number:02}" for number in range(20)]}
        assert {*namespace.publisher.table.entries.values()} == {Elsewhere("seldon-mesh.old.svc", 80)}
        namespace.server(running=1)
        async with namespace.replica().running():
            await told(namespace, 0)
            assert {type(each) for each in namespace.publisher.table.entries.values()} == {Route}
            await until(lambda: "ServedHere" in namespace.events("seldon"))
            await named(namespace, None)
            await until(lambda: "fallback" not in namespace.status("seldon", "seldonruntimes"))


async def test_a_mesh_that_is_named_later_is_used_at_once(namespace):
    namespace.create("SeldonRuntime", "seldonruntimes", "seldon", {"seldonConfig": "default"})
    namespace.model()
    async with namespace.scheduler():
        await until(lambda: namespace.publisher.tables and namespace.publisher.table.entries)
        assert {type(each) for each in namespace.publisher.table.entries.values()} == {NotReady}
        await named(namespace, {"namespace": "old"})
        assert (await told(namespace, 1))["listed"] == ["iris"]


async def test_the_status_says_nothing_before_every_data_plane_asks_the_mesh(namespace):
    namespace.create("SeldonRuntime", "seldonruntimes", "seldon", {"seldonConfig": "default"})
    namespace.model()
    async with namespace.scheduler():
        await until(lambda: namespace.publisher.tables and namespace.publisher.table.entries)
        namespace.publisher.prompt = False
        await named(namespace, {"namespace": "old"})
        await until(lambda: isinstance(namespace.publisher.table.entries["iris"], Elsewhere))
        namespace.model("wine")
        await until(lambda: namespace.status("wine").get("conditions"))
        assert "fallback" not in namespace.status("seldon", "seldonruntimes")
        namespace.publisher.acknowledge()
        await told(namespace, 2)


async def test_a_role_of_an_older_chart_keeps_nothing_back(namespace, api, tmp_path):
    namespace.create(
        "SeldonRuntime",
        "seldonruntimes",
        "seldon",
        {"seldonConfig": "default", "fallbackMesh": {"namespace": "old"}},
    )
    namespace.model()
    for manifest in namespace_manifests(namespace.name, "nowhere"):
        if manifest["kind"] == "Role":
            for rule in manifest["rules"]:
                rule["resources"] = [each for each in rule["resources"] if "seldonruntimes" not in each]
            manifest["rules"] = [rule for rule in manifest["rules"] if rule["resources"]]
        await namespace.client.create(manifest)
    account = api.service_account_token(namespace.name, "seldon-scheduler")
    admin, scheduler = namespace.client, api.kubeconfig_for(account, tmp_path / "scheduler.kubeconfig")
    async with Client.from_kubeconfig(scheduler) as namespace.client, namespace.scheduler() as running:
        await until(lambda: namespace.publisher.tables and namespace.publisher.table.entries)
        assert isinstance(namespace.publisher.table.entries["iris"], NotReady)
        assert running.unready() is None
    namespace.client = admin
