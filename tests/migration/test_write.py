"""The writes of a move on the embedded API."""

from __future__ import annotations

import base64

import pytest
from tests.support.api import running_api

from bailie.api.kinds import CONFIG_MAP, SECRET
from bailie.kube.client import Client
from bailie.kube.errors import Conflict, NotFound
from bailie.manifests.defaults import token_secret
from bailie.migration.changes import create, delete, patch
from bailie.migration.write import ClientWriter


@pytest.fixture
async def client(tmp_path):
    with running_api(tmp_path) as api:
        async with Client.from_kubeconfig(api.kubeconfig) as found:
            await found.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team"}})
            yield found


def config_map():
    metadata = {"name": "a", "namespace": "team", "labels": {"old": "1"}}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}


async def test_a_patch_of_labels_is_made_on_the_version_that_was_seen(client):
    write = ClientWriter(client)
    await write(create(CONFIG_MAP, config_map()))
    seen = await client.get(CONFIG_MAP, "a", "team")
    change = patch(CONFIG_MAP, seen, {"metadata": {"labels": {"old": None, "new": "2"}}})
    await write(change)
    assert (await client.get(CONFIG_MAP, "a", "team"))["metadata"]["labels"] == {"new": "2"}
    with pytest.raises(Conflict):
        await write(change)
    with pytest.raises(Conflict):
        await write(delete(CONFIG_MAP, {"metadata": {**seen["metadata"], "uid": "another"}}))
    await write(delete(CONFIG_MAP, seen))
    with pytest.raises(NotFound):
        await client.get(CONFIG_MAP, "a", "team")


async def test_a_token_is_drawn_when_it_is_written(client):
    write, found = ClientWriter(client), set()
    for _ in range(2):
        await write(create(SECRET, token_secret("team", "")))
        secret = await client.get(SECRET, "seldon-control-plane", "team")
        found.add(base64.b64decode(secret["data"]["token"]))
        await write(delete(SECRET, secret))
    assert len(found) == 2
    assert min(map(len, found)) > 40
