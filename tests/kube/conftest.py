"""The embedded API and a client of it, for everything that talks to an API server."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest
from tests.support.api import running_api

from bailie.api import kinds
from bailie.kube.client import Client


@pytest.fixture
def api(tmp_path):
    with running_api(tmp_path) as api:
        api.namespace("a")
        api.namespace("b")
        yield api


@pytest.fixture
async def client(api):
    async with Client.from_kubeconfig(api.kubeconfig) as client:
        yield client


@pytest.fixture
def config_map():
    """Makes the manifest of a ConfigMap."""

    def make(name, namespace="a", **data):
        return {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": name, "namespace": namespace, "labels": {"app": name}},
            "data": data,
        }

    return make


@pytest.fixture
def grant(client):
    """Gives a ServiceAccount of the namespace rights on resources of all groups."""

    async def make(namespace, account, resources, verbs=("get", "list", "watch")):
        metadata = {"name": account, "namespace": namespace}
        group = "rbac.authorization.k8s.io"
        role = {"apiVersion": kinds.ROLE.api_version, "kind": "Role", "metadata": metadata}
        rules = [{"apiGroups": ["*"], "resources": list(resources), "verbs": list(verbs)}]
        await client.create({**role, "rules": rules})
        subject = {"kind": "ServiceAccount", "name": account, "namespace": namespace}
        reference = {"apiGroup": group, "kind": "Role", "name": account}
        binding = {**role, "kind": "RoleBinding", "roleRef": reference, "subjects": [subject]}
        await client.create(binding)

    return make


@pytest.fixture
def api_for_a_while(tmp_path):
    """Runs an embedded API while entered, on the same state each time, and blocks no test's loop."""

    @asynccontextmanager
    async def run(**settings):
        running = running_api(tmp_path / "again", **settings)
        api = await asyncio.to_thread(running.__enter__)
        try:
            yield api
        finally:
            await asyncio.to_thread(running.__exit__, None, None, None)

    return run
