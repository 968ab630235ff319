"""The objects that `bailie up` puts into an empty API: the same that the charts install on a cluster.

Called by the supervisor at each start, and by `watch_list` for namespaces that come into the list later.
Objects that a person may have changed since (runtimes, servers) are made only where they are missing, but for
the number of schedulers where one is asked for. Objects that belong to this version of Bailie (rights,
configs) are brought up to date.
"""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING, Any

from bailie import __version__
from bailie.api.kinds import CONFIG_MAP, MLOPS_GROUP, MLOPS_VERSION, SELDON_RUNTIME
from bailie.api.seldon_config import SCHEDULER
from bailie.kube.errors import AlreadyExists, NotFound
from bailie.local.mlserver_runtimes import installed
from bailie.local.settings import DEFAULT_NAMESPACES, OPERATOR_NAME, OPERATOR_NAMESPACE
from bailie.manifests.account import ACCOUNT_MOUNT, ACCOUNT_VOLUME
from bailie.manifests.defaults import mlserver_config, pipeline_gateway_config, seldon_config, token_secret
from bailie.manifests.rbac import EVERY_SECRET, operator_manifests, role_manifests
from bailie.manifests.workload import Workload
from bailie.scope.watch_list import CONFIG_MAP_NAME, NAMESPACES, parse_lines, with_names
from bailie.wellknown import labels, ports, variables

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bailie.kube.client import Client
    from bailie.local.settings import LocalSettings

Manifest = dict[str, Any]

API_VERSION = f"{MLOPS_GROUP}/{MLOPS_VERSION}"
RUNTIME_NAME = "seldon"
SERVER_NAME = "mlserver"
FIELD_MANAGER = "bailie-up"
IMAGE = f"bailie:{__version__}"
MLSERVER_IMAGE = f"bailie-mlserver:{__version__}"


async def bootstrap(client: Client, settings: LocalSettings) -> tuple[str, ...]:
    """Makes the objects that the operator needs and provisions the listed namespaces; returns these."""
    await _apply(client, _namespace(OPERATOR_NAMESPACE))
    capabilities = await asyncio.to_thread(installed, settings.mlserver_environment)
    for manifest in (
        *operator_manifests(OPERATOR_NAMESPACE),
        seldon_config(OPERATOR_NAMESPACE, image=IMAGE),
        pipeline_gateway_config(OPERATOR_NAMESPACE, image=IMAGE),
        mlserver_config(
            OPERATOR_NAMESPACE, image=IMAGE, server_image=MLSERVER_IMAGE, capabilities=capabilities
        ),
    ):
        await _apply(client, manifest)
    if settings.namespaces is None:
        await _create(client, _watch_list(DEFAULT_NAMESPACES))
    else:
        await _apply(client, _watch_list(settings.namespaces))
    namespaces = await watched(client)
    for namespace in namespaces:
        await provision_namespace(client, namespace, settings)
    return namespaces


async def watched(client: Client) -> tuple[str, ...]:
    """Returns the namespaces of the list, as far as they can be namespaces; none where there is no list."""
    try:
        found = await client.get(CONFIG_MAP, CONFIG_MAP_NAME, OPERATOR_NAMESPACE)
    except NotFound:
        return ()
    return listed_namespaces(found)


def listed_namespaces(config_map: Manifest) -> tuple[str, ...]:
    """Returns the namespaces of a list."""
    return parse_lines((config_map.get("data") or {}).get(NAMESPACES, ""))[0]


async def provision_namespace(client: Client, namespace: str, settings: LocalSettings) -> None:
    """Makes the namespace, its token, a runtime and a server where wanted, and at last accounts and rights.

    The order matters: the namespace must not be served before its accounts, rights and token exist.
    """
    await _apply(client, _namespace(namespace))
    await _create(client, token_secret(namespace, secrets.token_urlsafe(32)))
    if settings.default_servers:
        await _create(client, _runtime(namespace))
        await _create(client, _server(namespace))
    if settings.scheduler_replicas is not None:
        await _scale_schedulers(client, namespace, settings.scheduler_replicas)
    # Every caller of this API may read its Secrets, so their names need no list.
    for manifest in role_manifests(namespace, OPERATOR_NAMESPACE, secrets=(EVERY_SECRET,)):
        await _apply(client, manifest)


def operator_workload(settings: LocalSettings) -> Workload:
    """Returns the operator as a workload of its own namespace."""
    selector = {labels.NAME: OPERATOR_NAME}
    env = [
        {"name": variables.POD_NAME, "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": variables.POD_NAMESPACE, "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
        {"name": variables.POD_IP, "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        {"name": variables.SCOPE_CONFIGMAP, "value": CONFIG_MAP_NAME},
        {"name": variables.LOG_LEVEL, "value": settings.log_level},
    ]
    container = {
        "name": "manager",
        "image": IMAGE,
        "args": ["operator"],
        "env": env,
        "ports": [{"name": "http", "containerPort": ports.HEALTH}],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": "http"}, "periodSeconds": 1},
        "volumeMounts": [ACCOUNT_MOUNT],
    }
    pod = {
        "serviceAccountName": OPERATOR_NAME,
        "automountServiceAccountToken": False,
        "containers": [container],
        "volumes": [ACCOUNT_VOLUME],
    }
    return Workload(
        namespace=OPERATOR_NAMESPACE,
        name=OPERATOR_NAME,
        replicas=1,
        selector=selector,
        template={"metadata": {"labels": selector}, "spec": pod},
        owner={},
    )


async def _apply(client: Client, manifest: Manifest) -> None:
    await client.apply(manifest, field_manager=FIELD_MANAGER, force=True)


async def _create(client: Client, manifest: Manifest) -> None:
    try:
        await client.create(manifest)
    except AlreadyExists:
        return


async def _scale_schedulers(client: Client, namespace: str, replicas: int) -> None:
    """Sets the number in the runtime that `bailie up` makes; other overrides of it stay."""
    try:
        runtime = await client.get(SELDON_RUNTIME, RUNTIME_NAME, namespace)
    except NotFound:
        return
    overrides = [dict(each) for each in runtime["spec"].get("overrides") or []]
    ours = next((each for each in overrides if each.get("name") == SCHEDULER), None)
    if ours is None:
        overrides.append(ours := {"name": SCHEDULER})
    if ours.get("replicas") != replicas:
        ours["replicas"] = replicas
        await client.patch(SELDON_RUNTIME, RUNTIME_NAME, namespace, {"spec": {"overrides": overrides}})


def _watch_list(namespaces: Iterable[str]) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": CONFIG_MAP_NAME, "namespace": OPERATOR_NAMESPACE},
        "data": {NAMESPACES: with_names("", namespaces)},
    }


def _namespace(name: str) -> Manifest:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def _runtime(namespace: str) -> Manifest:
    return {
        "apiVersion": API_VERSION,
        "kind": "SeldonRuntime",
        "metadata": {"name": RUNTIME_NAME, "namespace": namespace},
        "spec": {"seldonConfig": "default"},
    }


def _server(namespace: str) -> Manifest:
    return {
        "apiVersion": API_VERSION,
        "kind": "Server",
        "metadata": {"name": SERVER_NAME, "namespace": namespace},
        "spec": {"serverConfig": "mlserver", "replicas": 1},
    }
