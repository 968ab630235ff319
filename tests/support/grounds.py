"""Where charts are installed in tests: a real cluster, or the embedded API with everything as processes.

    async with ground(folder) as place:
        place.helm("install", "setup", {...}, namespace=home)

With `BAILIE_TEST_KUBECONFIG` it is that cluster, whose machines have this version's images `bailie` and
`bailie-mlserver`. Otherwise controllers of the test make Pods of StatefulSets and Deployments, and the node
runs these.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import sys
import tempfile
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import helm_python
from tests.support import plain_http
from tests.support.api import running_api
from tests.support.autopsy import autopsy
from tests.support.charts import CHARTS
from tests.support.cluster import Cluster
from tests.support.controllers import pod_controllers
from tests.support.node import running_node
from tests.support.waiting import until_true

from bailie.api.crd import crd_manifests
from bailie.api.kinds import CONFIG_MAP, MLOPS_KINDS, NAMESPACE, SERVICE
from bailie.kube.client import Client
from bailie.kube.errors import NotFound
from bailie.local.programs import mlserver_command
from bailie.local.settings import machine_settings
from bailie.manifests.runtime import MESH_SERVICE
from bailie.wellknown import variables
from bailie.workloads.node.settings import Program

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    import httpx

    from bailie.api.kinds import Kind

    Controllers = Callable[[Client], contextlib.AbstractAsyncContextManager[None]]

VARIABLE = "BAILIE_TEST_KUBECONFIG"
ARTIFACTS = "/mnt/models"
SMALL = {
    "services": {"defaultServiceType": "NodePort"},
    "envoy": {"preStopSleepPeriodSeconds": 1},
    "serverConfig": {
        "agent": {"localRoots": [ARTIFACTS, tempfile.gettempdir()]},
        "mlserver": {"modelVolumeStorage": "", "resources": {"memory": "512Mi", "limits": {"memory": "1Gi"}}},
    },
}
"""Values that any cluster can fulfil: no load balancer, no volume claims, little memory, models where tests
put them, and nothing of one test that keeps its processor time while the next begins."""


def programs() -> dict[str, Program]:
    """What the images of the charts stand for on this machine."""
    mlserver = mlserver_command(machine_settings().mlserver_environment)
    return {
        "bailie": Program(title="Bailie", argv=(sys.executable, "-m", "bailie")),
        "bailie-mlserver": Program(title="MLServer", argv=mlserver),
        "mlserver": Program(title="MLServer", argv=mlserver, address=variables.MLSERVER_HOST),
    }


@dataclass
class Ground:
    """A place to install charts, as its administrator."""

    admin: Client
    kubeconfig: Path
    embedded: bool
    seconds: float
    """How long it may take until something is ready here."""
    _made: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.cluster = Cluster(self.kubeconfig, embedded=self.embedded)
        """Plain HTTP as the administrator."""

    async def namespace(self, stem: str) -> str:
        """Makes a namespace with a name of its own; it is deleted at the end."""
        name = f"{stem}-{uuid.uuid4().hex[:6]}"
        await self.admin.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        self._made.append(name)
        return name

    async def helm(self, action: str, chart: str, values: dict[str, Any], *, namespace: str) -> str:
        """Runs `helm install|upgrade|uninstall` of `seldon-core-v2-<chart>`; returns what was rendered."""
        return await asyncio.to_thread(self._helm, action, chart, values, namespace)

    def _helm(self, action: str, chart: str, values: dict[str, Any], namespace: str) -> str:
        name = f"seldon-core-v2-{chart}"
        options = {"kubeconfig_path": self.kubeconfig, "qps": 200.0, "burst_limit": 400}
        with helm_python.Config(namespace=namespace, **options) as config:
            if action == "uninstall":
                config.uninstall(name)
                return ""
            return str(getattr(config, action)(CHARTS / name, name, values, namespace=namespace)["manifest"])

    async def artifact(self, namespace: str, name: str, folder: Path) -> tuple[str, dict[str, Any]]:
        """Puts a model where the agents of a namespace find it.

        Returns the storageUri and the PodSpec that servers need for it.
        """
        if self.embedded:
            return str(folder), {}
        content = await asyncio.to_thread(_encoded, folder)
        metadata = {"name": name, "namespace": namespace}
        await self.admin.create(
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "binaryData": content}
        )
        mounts = [
            {"name": name, "mountPath": f"{ARTIFACTS}/{name}/{file}", "subPath": file} for file in content
        ]
        volumes = [{"name": name, "configMap": {"name": name}}]
        pod = {"containers": [{"name": "agent", "volumeMounts": mounts}], "volumes": volumes}
        return f"{ARTIFACTS}/{name}", pod

    async def until_ready(self, kind: Kind, name: str, namespace: str) -> None:
        """Waits for the condition `Ready`."""
        seen: dict[str, Any] = {}

        async def ready() -> bool:
            seen.update(await self.admin.get(kind, name, namespace))
            conditions = seen.get("status", {}).get("conditions", [])
            return any((c["type"], c["status"]) == ("Ready", "True") for c in conditions)

        await self.until(ready, lambda: f"{kind.kind} {namespace}/{name}: {seen.get('status')}")

    async def until(self, condition: Any, what: Any = lambda: "") -> None:
        """Waits for a condition that is awaited; `what` says what was seen when it does not come true."""

        async def patient() -> Any:
            return await condition() or await asyncio.sleep(0.05 if self.embedded else 0.5)

        try:
            await until_true(patient, seconds=self.seconds)
        except AssertionError as error:
            pods = "" if self.embedded else await asyncio.to_thread(autopsy, self.cluster.http, self._made)
            raise AssertionError(f"{what() or error}\n{pods}") from error

    async def exists(self, kind: Kind, name: str, namespace: str) -> bool:
        """Says whether there is such an object."""
        try:
            await self.admin.get(kind, name, namespace)
        except NotFound:
            return False
        return True

    async def infer(self, namespace: str, model: str, request: dict[str, Any]) -> httpx.Response:
        """Asks the data plane of a namespace: through the API on a cluster, at its port on this machine."""
        path = f"/v2/models/{model}/infer"
        if not self.embedded:
            proxy = f"/api/v1/namespaces/{namespace}/services/{MESH_SERVICE}:data/proxy{path}"
            return await asyncio.to_thread(lambda: self.cluster.http.post(proxy, json=request))
        service = await self.admin.get(SERVICE, MESH_SERVICE, namespace)
        port = next(port for port in service["spec"]["ports"] if port["name"] == "data")
        async with plain_http.async_client(timeout=30) as client:
            return await client.post(f"http://127.0.0.1:{port['nodePort']}{path}", json=request)

    async def add_to_scope(self, home: str, *names: str) -> None:
        """Does what `bailie scope add` does to the list."""
        present = await self.admin.get(CONFIG_MAP, "bailie-scope", home)
        text = present["data"]["namespaces"] + "".join(f"{name}\n" for name in names)
        await self.admin.patch(CONFIG_MAP, "bailie-scope", home, {"data": {"namespaces": text}})

    async def clean(self) -> None:
        """Deletes the namespaces of a cluster that goes on, and closes connections."""
        for name in () if self.embedded else self._made:
            await self.admin.delete(NAMESPACE, name)
        self.cluster.close()


def _encoded(folder: Path) -> dict[str, str]:
    return {path.name: base64.b64encode(path.read_bytes()).decode() for path in folder.iterdir()}


@contextlib.asynccontextmanager
async def ground(
    folder: Path, *, controllers: Controllers = pod_controllers, **node: Any
) -> AsyncIterator[Ground]:
    """Gives the place while entered. Where pods are processes, `controllers` make them from workloads, and
    `node` are settings of the node that runs them."""
    kubeconfig = os.environ.get(VARIABLE)  # noqa: TID251
    if kubeconfig:
        async with Client.from_kubeconfig(Path(kubeconfig)) as admin:
            for definition in crd_manifests():
                await admin.apply(definition, field_manager="bailie-test", force=True)
            async with _cleaned(Ground(admin, Path(kubeconfig), embedded=False, seconds=300)) as place:
                await place.until(lambda: _served(admin), lambda: "the definitions are not served")
                yield place
        return
    with running_api(folder / "api") as api:
        async with (
            Client.from_kubeconfig(api.kubeconfig) as admin,
            running_node(api, folder / "node", programs=programs(), **node),
            controllers(admin),
            _cleaned(Ground(admin, api.kubeconfig, embedded=True, seconds=120)) as place,
        ):
            yield place


async def _served(admin: Client) -> bool:
    """Says whether the API has taken up all kinds, which it does a moment after it has their definitions."""
    try:
        for kind in MLOPS_KINDS:
            await admin.list(kind)
    except NotFound:
        return False
    return True


@contextlib.asynccontextmanager
async def _cleaned(place: Ground) -> AsyncIterator[Ground]:
    try:
        yield place
    finally:
        await place.clean()
