"""Pods that commands take for schedulers, at addresses of this machine."""

from __future__ import annotations

import itertools

from bailie.api.kinds import POD

_NUMBERS = itertools.count(1)


async def scheduler_pod(api, client, namespace, address):
    """Makes a scheduler's pod in a namespace of `api` (`tests.support.api`), at an address."""
    labels = {"app.kubernetes.io/name": "seldon-scheduler"}
    name = f"s-{next(_NUMBERS)}"
    metadata = {"name": name, "namespace": namespace, "labels": labels}
    spec = {"containers": [{"name": "c", "image": "i"}]}
    await client.create({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    await client.patch(POD, name, namespace, {"status": {"podIP": address}}, subresource="status")
    api.node_gave(namespace, name, address)
