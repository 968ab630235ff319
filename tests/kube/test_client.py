"""The client against the embedded API, and how it finds its server."""

from __future__ import annotations

import pytest
import yaml

from bailie.api import kinds
from bailie.kube import errors
from bailie.kube.client import Client, kind_of, object_path


@pytest.mark.parametrize(
    ("arguments", "path"),
    [
        ((kinds.POD,), "/api/v1/pods"),
        ((kinds.POD, "a"), "/api/v1/namespaces/a/pods"),
        ((kinds.POD, "a", "p"), "/api/v1/namespaces/a/pods/p"),
        ((kinds.MODEL, "a", "m", "status"), "/apis/mlops.seldon.io/v1alpha1/namespaces/a/models/m/status"),
        ((kinds.NAMESPACE, None, "a"), "/api/v1/namespaces/a"),
        ((kinds.NAMESPACE, "a", "a"), "/api/v1/namespaces/a"),
    ],
)
def test_object_path(arguments, path):
    assert object_path(*arguments) == path


def test_kind_of_knows_our_kinds_and_refuses_others():
    assert kind_of({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease"}) is kinds.LEASE
    with pytest.raises(ValueError, match="apps/v1 Deployment"):
        kind_of({"apiVersion": "apps/v1", "kind": "Deployment"})


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
