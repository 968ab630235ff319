"""Namespaces before a move, as objects to be made on an API: served by Seldon Core, or by Bailie.

    ground = SeldonGround("team")           # served by Seldon Core's central scheduler; nothing is wrong
    ground.put(model("second"))
    await ground.make(admin)

Seldon Core's objects are put together from what is documented of them.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.support.manifests import API_VERSION
from tests.support.operators import install, put_list

from bailie.api import kinds
from bailie.kube.client import Client, kind_of
from bailie.kube.clock import stamp_micro, utc_now
from bailie.migration.facts import ClusterObjects, MoveFacts, NamespaceObjects
from bailie.scope.claim import TERM_ANNOTATION

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tests.support.operators import AnyApi

Manifest = dict[str, Any]
HOME, CENTRAL, OLD = "bailie-home", "mesh", "seldon-old"
"""Bailie's operator, a central scheduler of Bailie's, Seldon Core's operator with its central scheduler."""
READY = {"conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}]}
_READY_SERVER = {"replicas": 1, "selector": "", **READY}
_TEMPLATE = {
    "rclone": "docker.io/seldonio/seldon-rclone:2.9.1",
    "agent": "docker.io/seldonio/seldon-agent:2.9.1",
    "mlserver": "docker.io/seldonio/mlserver:1.7.1",
}


def resource(kind: str, name: str, spec: Manifest, **more: Any) -> Manifest:
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name, **more}, "spec": spec}


def plain(api_version: str, kind: str, name: str, **fields: Any) -> Manifest:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name}, **fields}


class Ground:
    """The objects of a namespace by `Kind/name`, before they are made."""

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace
        self.objects: dict[str, Manifest] = {}
        self.deleted: list[str] = []
        """Objects that are deleted after they were made; those with finalizers stay."""
        self.namespace_deleted = False

    def put(self, *manifests: Manifest) -> None:
        for each in manifests:
            each["metadata"].setdefault("namespace", self.namespace)
            self.objects[f"{each['kind']}/{each['metadata']['name']}"] = each

    def __getitem__(self, key: str) -> Manifest:
        return self.objects[key]

    def drop(self, key: str) -> None:
        del self.objects[key]

    def mark(self, key: str, *, labels: Mapping[str, str] = {}, annotations: Mapping[str, str] = {}) -> None:
        metadata = self[key]["metadata"]
        metadata["labels"] = {**metadata.get("labels", {}), **labels}
        metadata["annotations"] = {**metadata.get("annotations", {}), **annotations}

    async def make(self, admin: Client) -> None:
        """Makes the namespace and its objects, with their statuses."""
        await admin.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}})
        for manifest in self.objects.values():
            made = await admin.create(manifest)
            if status := manifest.get("status"):
                await admin.replace({**made, "status": status}, subresource="status")
        for key in self.deleted:
            await admin.delete(kind_of(self[key]), key.partition("/")[2], self.namespace)
        if self.namespace_deleted:
            await admin.delete(kinds.NAMESPACE, self.namespace)


class BailieGround(Ground):
    """Served by Bailie, with the central scheduler of `CENTRAL`."""

    def __init__(self, namespace: str, *, central: str = CENTRAL, owner: str = f"{HOME}/one") -> None:
        super().__init__(namespace)
        self.put(
            resource("SeldonRuntime", "seldon", {"seldonConfig": "default", "schedulerNamespace": central}),
            claim(owner),
            mesh_service(),
        )
        self.put(*server("mlserver"), model("iris"))


class SeldonGround(Ground):
    """Served by Seldon Core, with the central scheduler of `OLD`."""

    def __init__(
        self, namespace: str, *, scheduler: str = f"seldon-scheduler.{OLD}.svc.cluster.local"
    ) -> None:
        super().__init__(namespace)
        redirect = {"type": "ExternalName", "externalName": scheduler}
        self.put(
            resource("SeldonRuntime", "seldon", {"seldonConfig": "default"}),
            plain("v1", "Service", "seldon-scheduler", spec=redirect),
            mesh_service(),
        )
        self.put(*server("mlserver"), model("iris"))


def claim(owner: str) -> Manifest:
    spec = {"holderIdentity": owner, "leaseDurationSeconds": 15, "renewTime": stamp_micro(utc_now())}
    return plain("coordination.k8s.io/v1", "Lease", "bailie-operator-claim", spec=spec)


def mesh_service(**selector: str) -> Manifest:
    ports = [{"name": "http", "port": 80, "targetPort": 9000}]
    chosen = selector or {"app.kubernetes.io/name": "seldon-envoy"}
    return plain("v1", "Service", "seldon-mesh", spec={"selector": chosen, "ports": ports})


def model(name: str, **spec: Any) -> Manifest:
    return resource("Model", name, {"storageUri": "gs://bucket/iris", **spec}) | {"status": READY}


def server(name: str, **spec: Any) -> tuple[Manifest, ...]:
    """A Server with its StatefulSet and its one pod, as either operator makes them."""
    labels = {"seldon-server-name": name}
    containers = [{"name": key, "image": image} for key, image in _TEMPLATE.items()]
    template = {"metadata": {"labels": labels}, "spec": {"containers": containers}}
    own = {"replicas": 1, "serviceName": name, "selector": {"matchLabels": labels}, "template": template}
    pod = plain("v1", "Pod", f"{name}-0", spec={"containers": containers})
    pod["metadata"]["labels"] = labels
    return (
        resource("Server", name, {"serverConfig": "mlserver", **spec}) | {"status": _READY_SERVER},
        plain("apps/v1", "StatefulSet", name, spec=own),
        pod,
    )


def foreign_operator(watch: str = "") -> Manifest:
    """Seldon Core's operator in `OLD`, at work; it serves the whole cluster, or this list."""
    given = [{"name": "CLUSTERWIDE", "value": "true"}, {"name": "WATCH_NAMESPACES", "value": watch}]
    flags = ["--clusterwide=$(CLUSTERWIDE)", "--watch-namespaces=$(WATCH_NAMESPACES)"]
    container = {"name": "manager", "image": "docker.io/seldonio/seldonv2-controller:2.9.1", "env": given}
    labels = {"control-plane": "v2-controller-manager"}
    pod = {"containers": [{**container, "command": ["/manager"], "args": flags}]}
    spec = {
        "replicas": 1,
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": pod},
    }
    return plain("apps/v1", "Deployment", "seldon-v2-controller-manager", spec=spec)


def old_ground(watch: str = "") -> Ground:
    """The namespace of Seldon Core's operator and of its central scheduler."""
    ground = Ground(OLD)
    ports = [{"name": "xds", "port": 9002}]
    ground.put(
        foreign_operator(watch),
        plain("v1", "Service", "seldon-scheduler", spec={"clusterIP": "None", "ports": ports}),
    )
    return ground


def lease(name: str, namespace: str, holder: str, **annotations: str) -> Manifest:
    """A Lease that is renewed just now, and holds for an hour."""
    spec = {"holderIdentity": holder, "leaseDurationSeconds": 3600, "renewTime": stamp_micro(utc_now())}
    made = plain("coordination.k8s.io/v1", "Lease", name, spec=spec)
    made["metadata"] |= {"namespace": namespace, "annotations": annotations}
    return made


def bailie_around(*served: str, agents: int = 1) -> list[Manifest]:
    """What makes Bailie's operator in `HOME` and its central scheduler in `CENTRAL` seem at work.

    `served`: the namespaces that the central scheduler may serve, each with so many agents connected.
    """
    told = {"agents": {"mlserver": agents}, "published": 1, "acknowledged": 1}
    notes = {**told, "others": dict.fromkeys(served, told)}
    runtime = resource("SeldonRuntime", "seldon", {"seldonConfig": "default", "servesNamespaces": [*served]})
    runtime["metadata"]["namespace"] = CENTRAL
    return [
        runtime,
        lease("bailie-operator", HOME, "operator-0"),
        lease("seldon-scheduler", CENTRAL, "seldon-scheduler-0", **{TERM_ANNOTATION: json.dumps(notes)}),
    ]


def seen_as(*manifests: Manifest, name: str = "team", **cluster: Any) -> MoveFacts:
    """The facts of a namespace with these objects, without an API; `cluster`: fields of `ClusterObjects`."""
    ground = Ground(name)
    ground.put(*manifests)
    by_kind: dict[str, dict[str, Manifest]] = {}
    for each in ground.objects.values():
        by_kind.setdefault(each["kind"], {})[each["metadata"]["name"]] = each
    namespace = {"metadata": {"name": name}}
    return MoveFacts(
        cluster=ClusterObjects(server="https://api", **cluster),
        here=NamespaceObjects(name=name, namespace=namespace, objects=by_kind),
    )


async def installed(
    api: AnyApi,
    grounds: Iterable[Ground],
    *,
    listed: Iterable[str],
    served: Iterable[str] = (),
    agents: int = 1,
) -> None:
    """Makes Bailie's operator with these namespaces in its list, its central scheduler, and the grounds."""
    await install(api, HOME, [CENTRAL])
    async with Client.from_kubeconfig(api.kubeconfig) as admin:
        for each in bailie_around(*served, agents=agents):
            await admin.create(each)
        for ground in grounds:
            await ground.make(admin)
        await put_list(admin, HOME, [CENTRAL, *listed])
