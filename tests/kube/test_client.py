"""The client against the embedded API, and how it finds its server."""

from __future__ import annotations

import asyncio

import pytest
import yaml

from bailie.api import kinds
from bailie.kube import errors
from bailie.kube.client import Client, PatchType, kind_of
from bailie.kube.paths import object_path


@pytest.mark.parametrize(
    ("arguments", "path"),
    [
        ((kinds.POD,), "/api/v1/pods"),
        ((kinds.POD, "a"), "/api/v1/namespaces/a/pods"),
        ((kinds.POD, "a", "p"), "/api/v1/namespaces/a/pods/p"),
        ((kinds.MODEL, "a", "m", "status"), "/apis/mlops.seldon.io/v1alpha1/namespaces/a/models/m/status"),
        ((kinds.NAMESPACE, None, "a"), "/api/v1/namespaces/a"),
        ((kinds.NAMESPACE, "a", "a"), "/api/v1/namespaces/a"),
        ((kinds.SECRET, "a", "../pods/p?x#"), "/api/v1/namespaces/a/secrets/..%2Fpods%2Fp%3Fx%23"),
        ((kinds.SECRET, "a", "system:x"), "/api/v1/namespaces/a/secrets/system:x"),
    ],
)
def test_object_path(arguments, path):
    assert object_path(*arguments) == path


def test_kind_of_knows_our_kinds_and_refuses_others():
    assert kind_of({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease"}) is kinds.LEASE
    with pytest.raises(ValueError, match="batch/v1 CronJob"):
        kind_of({"apiVersion": "batch/v1", "kind": "CronJob"})


def kubeconfig(server):
    return {
        "current-context": "c",
        "clusters": [{"name": "k", "cluster": {"server": server}}],
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u", "namespace": "a"}}],
        "users": [{"name": "u", "user": {"token": "secret-token"}}],
    }


async def test_the_environment_names_the_kubeconfig(tmp_path, monkeypatch):
    path = tmp_path / "config"
    path.write_text(yaml.safe_dump(kubeconfig("http://127.0.0.1:1")))
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path / 'missing'}:{path}")
    async with Client.from_environment() as client:
        assert (client.server, client.namespace) == ("http://127.0.0.1:1", "a")


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", "current-context: nope\nclusters: []\ncontexts: []\n", "a: [", None],
    ids=["empty", "list", "no clusters", "unknown context", "no yaml", "missing"],
)
def test_a_kubeconfig_that_cannot_be_used_says_which(tmp_path, content):
    path = tmp_path / "config"
    if content is not None:
        path.write_text(content)
    with pytest.raises(errors.Unconfigured, match=str(path)):
        Client.from_kubeconfig(path)


async def test_nobody_listening_is_unreachable(tmp_path):
    path = tmp_path / "config"
    path.write_text(yaml.safe_dump(kubeconfig("http://127.0.0.1:1")))
    async with Client.from_kubeconfig(path) as client:
        with pytest.raises(errors.Unreachable, match=r"http://127\.0\.0\.1:1"):
            await client.get(kinds.NAMESPACE, "a")


async def test_a_request_cancelled_in_the_tls_handshake_leaves_no_connection(tmp_path):
    greeted, closed = asyncio.Event(), asyncio.Event()

    async def silent(reader, writer):
        await reader.read(1)
        greeted.set()
        await reader.read()
        closed.set()
        writer.close()

    path = tmp_path / "config"
    async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        path.write_text(yaml.safe_dump(kubeconfig(f"https://127.0.0.1:{port}")))
        async with Client.from_kubeconfig(path) as client, asyncio.TaskGroup() as group:
            task = group.create_task(client.get(kinds.NAMESPACE, "a"))
            await greeted.wait()
            task.cancel()
            await asyncio.wait({task})
            await closed.wait()


async def test_create_get_replace_delete(client, config_map):
    created = await client.create(config_map("one", key="1"))
    assert created["metadata"]["uid"]
    read = await client.get(kinds.CONFIG_MAP, "one", "a")
    assert read == created
    replaced = await client.replace({**read, "data": {"key": "2"}})
    assert replaced["data"] == {"key": "2"}
    with pytest.raises(errors.Conflict):
        await client.replace({**read, "data": {"key": "3"}})
    await client.delete(kinds.CONFIG_MAP, "one", "a")
    with pytest.raises(errors.NotFound):
        await client.get(kinds.CONFIG_MAP, "one", "a")


async def test_a_name_that_is_taken_and_content_that_is_refused(client, config_map):
    await client.create(config_map("one"))
    with pytest.raises(errors.AlreadyExists):
        await client.create(config_map("one"))
    with pytest.raises(errors.Invalid) as caught:
        await client.create(config_map("No_Name"))
    assert [problem.path for problem in caught.value.problems] == ["metadata.name"]
    with pytest.raises(ValueError, match="ConfigMap one names no namespace"):
        await client.create(config_map("one", namespace=""))


async def test_a_delete_may_insist_on_the_object_that_was_seen(client, config_map):
    created = await client.create(config_map("one"))
    with pytest.raises(errors.Conflict):
        await client.delete(kinds.CONFIG_MAP, "one", "a", uid="another")
    await client.delete(
        kinds.CONFIG_MAP,
        "one",
        "a",
        uid=created["metadata"]["uid"],
        propagation="Background",
        grace_seconds=0,
    )


async def test_patches(client, config_map):
    await client.create(config_map("one", key="1", other="2"))
    merged = await client.patch(kinds.CONFIG_MAP, "one", "a", {"data": {"other": None}})
    assert merged["data"] == {"key": "1"}
    operations = [{"op": "replace", "path": "/data/key", "value": "9"}]
    patched = await client.patch(kinds.CONFIG_MAP, "one", "a", operations, type=PatchType.JSON)
    assert patched["data"] == {"key": "9"}


async def test_apply_creates_and_owns(client, config_map):
    await client.apply(config_map("one", key="1"))
    with pytest.raises(errors.Conflict):
        await client.apply(config_map("one", key="2"), field_manager="other")
    forced = await client.apply(config_map("one", key="2"), field_manager="other", force=True)
    assert forced["data"] == {"key": "2"}


async def test_writes_of_every_kind_name_bailie_as_their_manager(client, config_map):
    await client.create(config_map("one", key="1"))
    await client.patch(kinds.CONFIG_MAP, "one", "a", {"data": {"other": "2"}})
    found = await client.apply(config_map("one", key="1"), force=True)
    entries = {(each["manager"], each["operation"]) for each in found["metadata"]["managedFields"]}
    assert entries == {("bailie", "Update"), ("bailie", "Apply")}


async def test_status_is_written_apart(client):
    metadata = {"name": "m", "namespace": "a"}
    model = {"apiVersion": kinds.MODEL.api_version, "kind": "Model", "metadata": metadata}
    await client.create({**model, "spec": {"storageUri": "/m"}})
    body = {"status": {"replicas": 2}}
    patched = await client.patch(kinds.MODEL, "m", "a", body, subresource="status")
    assert patched["status"]["replicas"] == 2
    assert patched["metadata"]["generation"] == 1


async def test_the_number_of_replicas_is_written_for_the_newest_object_alone(client):
    metadata = {"name": "m", "namespace": "a"}
    server = {"apiVersion": kinds.SERVER.api_version, "kind": "Server", "metadata": metadata}
    made = await client.create({**server, "spec": {"serverConfig": "mlserver", "replicas": 1}})
    assert (await client.scale(made, 2, field_manager="first"))["spec"] == {"replicas": 2}
    with pytest.raises(errors.Conflict):
        await client.scale(made, 3, field_manager="second")
    found = await client.get(kinds.SERVER, "m", "a")
    assert found["spec"]["replicas"] == 2
    owners = [each["manager"] for each in found["metadata"]["managedFields"] if each.get("subresource")]
    assert owners == ["first"]


async def test_list_selects_and_pages(client, config_map):
    for index in range(7):
        await client.create(config_map(f"c{index}", namespace="a" if index else "b"))
    everywhere = await client.list(kinds.CONFIG_MAP)
    assert len([item for item in everywhere.items if item["metadata"]["name"].startswith("c")]) == 7
    assert int(everywhere.resource_version) > 0
    one = await client.list(kinds.CONFIG_MAP, "a", labels="app=c3")
    assert [(item["metadata"]["name"], item["kind"]) for item in one.items] == [("c3", "ConfigMap")]
    assert (await client.list(kinds.CONFIG_MAP, "b", fields="metadata.name=c3")).items == []


async def test_watch_yields_changes_and_ends_with_gone(client, config_map):
    version = (await client.list(kinds.CONFIG_MAP, "a")).resource_version
    await client.create(config_map("one"))
    await client.delete(kinds.CONFIG_MAP, "one", "a")
    seen = []
    async with client.open_watch(kinds.CONFIG_MAP, "a", resource_version=version) as events:
        async for event in events:
            seen.append((event.type, event.object["metadata"]["name"]))
            if len(seen) == 2:
                break
    assert seen == [("ADDED", "one"), ("DELETED", "one")]


async def test_who_may_not_is_forbidden_and_who_is_unknown_unauthorised(api, tmp_path):
    token = api.service_account_token("a", "nobody")
    async with Client.from_kubeconfig(api.kubeconfig_for(token, tmp_path / "nobody")) as nobody:
        with pytest.raises(errors.Forbidden, match="configmaps"):
            await nobody.list(kinds.CONFIG_MAP, "a")
        with pytest.raises(errors.Forbidden):
            async with nobody.open_watch(kinds.CONFIG_MAP, "a", resource_version="1"):
                pass
    async with Client.from_kubeconfig(api.kubeconfig_for("wrong", tmp_path / "wrong")) as unknown:
        with pytest.raises(errors.Unauthorized):
            await unknown.list(kinds.CONFIG_MAP, "a")


async def test_a_long_list_comes_in_pages_of_one_moment(client, config_map):
    wanted = (config_map(f"c{index}") for index in range(510))

    async def create():
        for manifest in wanted:
            await client.create(manifest)

    async with asyncio.TaskGroup() as group:
        for _ in range(8):
            group.create_task(create())
    listed = await client.list(kinds.CONFIG_MAP, "a")
    assert len({item["metadata"]["name"] for item in listed.items}) == len(listed.items) >= 510


async def test_watch_ends_by_an_error_where_the_history_is_not_known(client):
    async def watch():
        async with client.open_watch(kinds.CONFIG_MAP, "a", resource_version="999999999") as events:
            return [event async for event in events]

    with pytest.raises(errors.Gone):
        await watch()


async def test_what_is_no_object_is_called_by_its_path(client):
    assert (await client.call("GET", "/version"))["major"] == "1"
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    account = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "seldon-server", "namespace": "a"},
    }
    await client.create(account)
    path = object_path(kinds.SERVICE_ACCOUNT, "a", "seldon-server", "token")
    assert (await client.call("POST", path, body=body))["status"]["token"]


async def test_loopback_is_asked_without_a_proxy(api, monkeypatch):
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with Client.from_kubeconfig(api.kubeconfig) as client:
        assert (await client.get(kinds.NAMESPACE, "a"))["metadata"]["name"] == "a"


async def test_without_any_kubeconfig_the_message_says_where_it_was_looked_for(tmp_path, monkeypatch):
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(errors.Unconfigured, match=r"\.kube/config"):
        Client.from_environment()


@pytest.mark.parametrize("kubeconfig", ["~nobody-of-this-name/config", "", "missing"])
async def test_no_kubeconfig_ends_in_anything_but_a_sentence(kubeconfig, tmp_path, monkeypatch):
    monkeypatch.setenv("KUBECONFIG", kubeconfig)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(errors.Unconfigured, match=r"(?i)kubeconfig"):
        Client.from_environment()
    with pytest.raises(errors.Unconfigured, match="kubeconfig"):
        Client.from_kubeconfig(kubeconfig or "~nobody-of-this-name/config")


async def test_a_guard_is_asked_before_each_write_and_hears_of_refusals(api, client, tmp_path):
    asked: list[str | None] = []
    refused: list[str | None] = []

    class Guard:
        def check(self, namespace):
            asked.append(namespace)
            if namespace == "b":
                raise errors.Withheld("not yours")

        def refused(self, namespace):
            refused.append(namespace)

    kubeconfig = api.kubeconfig_for(api.token("nobody"), tmp_path / "nobody.kubeconfig")
    async with Client.from_kubeconfig(kubeconfig) as nobody:
        guarded = nobody.guarded(Guard())
        manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "namespace": "b"}}
        with pytest.raises(errors.Withheld):
            await guarded.create(manifest)
        with pytest.raises(errors.Forbidden):
            await guarded.get(kinds.CONFIG_MAP, "x", "a")
        with pytest.raises(errors.Forbidden):
            await guarded.delete(kinds.CONFIG_MAP, "x", "a")
        with pytest.raises(errors.Forbidden):
            await nobody.create(manifest)
    assert (asked, refused) == (["b", "a"], ["a", "a"])


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("x?watch=true", "x%3Fwatch%3Dtrue"),
        ("../../b/secrets/x", "..%2F..%2Fb%2Fsecrets%2Fx"),
        ("..", "%2E%2E"),
        ("a#b", "a%23b"),
        ("a b\n", "a%20b%0A"),
        ("pod:9006", "pod:9006"),
    ],
)
def test_a_name_is_one_segment_of_the_path(name, path):
    assert object_path(kinds.SECRET, "a", name) == f"/api/v1/namespaces/a/secrets/{path}"
