"""A namespace that Seldon Core v2 serves, without its images: its objects, and stand-ins that answer.

    facts = Upstream(models=steady_models(20), pattern=UpstreamPattern.CENTRAL)
    async with upstream_ground(tmp_path, facts) as place:      # embedded API, real processes; all pods ready
        place.admin                                            # a Client as the administrator
        place.inference                                        # `http` and `grpc` of the Service seldon-mesh
        expectations(place.facts)                              # a request to each Model, and its answer
        await place.pods()                                     # uid and restarts of each pod, to compare
        async with place.evil_twin(after=2): ...               # a second operator, which puts everything back
        await place.ground.helm("install", "setup", {...}, namespace="platform")       # Bailie beside it

`facts` say what is there. `releases`, `runtime`, `servers` and `resources` are pure and give the manifests:
first upstream's Helm releases, then what its operator makes, with owners, then the users' resources. Pods
are made as on a cluster: a Deployment has a ReplicaSet. `seldon-mesh` answers as behind a kube-proxy: a
connection goes to a ready pod of the selector of that moment. Upstream's operator runs as a pod, too, and
puts its objects back until its Deployment is scaled to 0.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import helm_python
from tests.support.controllers import replica_set_controllers
from tests.support.grounds import Ground, ground
from tests.support.seldon_core import write_chart
from tests.support.upstream.artifacts import write_artifacts
from tests.support.upstream.facts import OPERATOR, OPERATOR_FIELDS, STAND_INS
from tests.support.upstream.network import Endpoints, cluster_dns, service_address
from tests.support.upstream.releases import releases, runtime, runtimes
from tests.support.upstream.resources import resources, statuses
from tests.support.upstream.runtime import runtime_objects
from tests.support.upstream.servers import server_objects
from tests.support.upstream.standins.upstream_operator import DESIRED, UpstreamOperator

from bailie.api.kinds import DEPLOYMENT, MODEL, POD, SELDON_RUNTIME, SERVER, STATEFUL_SET
from bailie.kube.client import kind_of, object_path
from bailie.kube.errors import AlreadyExists
from bailie.workloads.node.settings import inherited_environment
from bailie.workloads.replicas import complaint, is_ready

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from tests.support.upstream.facts import Manifest, Upstream

    from bailie.kube.client import Client

_STAND_INS = Path(__file__).with_name("standins")


@dataclass(frozen=True, slots=True)
class UpstreamPlace:
    """An installed namespace."""

    ground: Ground
    facts: Upstream
    made: tuple[Manifest, ...]
    """The objects that upstream's operator made in the served namespace."""
    endpoints: Endpoints
    address: str
    """Where `seldon-mesh` of the served namespace answers, REST and gRPC: `address:port`."""

    @property
    def admin(self) -> Client:
        return self.ground.admin

    @contextlib.asynccontextmanager
    async def evil_twin(self, *, after: float = 0.0) -> AsyncIterator[UpstreamOperator]:
        """Has one more operator wake up after so many seconds, and put everything back while entered."""
        twin = UpstreamOperator(self.admin, self.facts.operated_from, f"{OPERATOR}-twin")

        async def wake() -> None:
            await asyncio.sleep(after)
            await twin.run()

        async with asyncio.TaskGroup() as group:
            task = group.create_task(wake())
            try:
                yield twin
            finally:
                task.cancel()

    async def pods(self) -> dict[str, tuple[str, int]]:
        """Returns uid and restarts of each pod of the served namespace by name."""
        found = (await self.admin.list(POD, self.facts.namespace)).items
        return {
            pod["metadata"]["name"]: (
                pod["metadata"]["uid"],
                sum(each["restartCount"] for each in pod["status"].get("containerStatuses", ())),
            )
            for pod in found
        }

    @property
    def inference(self) -> dict[str, str]:
        """Returns `http` and `grpc`, as `bailie status` gives them."""
        return {"http": f"http://{self.address}", "grpc": self.address}


@contextlib.asynccontextmanager
async def upstream_ground(folder: Path, facts: Upstream) -> AsyncIterator[UpstreamPlace]:
    """Gives the installed namespace on the embedded API, its pods as processes, once all pods are ready."""
    artifacts = folder / "artifacts"
    facts = replace(facts, artifacts=str(artifacts))
    write_artifacts(facts, artifacts)
    endpoints = Endpoints(folder / "node" / "node" / "endpoints", facts.namespace)
    async with (
        cluster_dns(endpoints) as dns,
        ground(
            folder,
            controllers=replica_set_controllers,
            environment=_environment(dns),
            local_roots=(artifacts,),
        ) as place,
    ):
        made = await install(place.admin, place.kubeconfig, facts, folder / "charts")
        for namespace in facts.namespaces:
            await until_pods_ready(place, namespace)
        async with service_address(endpoints, "seldon-mesh", 9000) as address:
            yield UpstreamPlace(place, facts, tuple(made), endpoints, address)


def _environment(dns: str) -> dict[str, str]:
    """Returns the variables of the stand-ins' processes: `python` is this one, names are of the kit."""
    inherited = inherited_environment()
    path = f"{Path(sys.executable).parent}{os.pathsep}{inherited.get('PATH', '')}"
    return {**inherited, "PATH": path, "KIT_DNS": dns}


async def install(admin: Client, kubeconfig: Path, facts: Upstream, charts: Path) -> list[Manifest]:
    """Makes all objects; returns those that upstream's operator makes in the served namespace."""
    for namespace in facts.namespaces:
        with contextlib.suppress(AlreadyExists):
            metadata = {"name": namespace}
            await admin.create({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
        await create(admin, [_stand_ins(namespace)])
    for name, namespace, manifests in releases(facts):
        chart = write_chart(charts / namespace, name, manifests)
        await asyncio.to_thread(_helm_install, kubeconfig, chart, namespace)
    made = await _operators(admin, facts)
    await create(admin, resources(facts))
    for status in statuses(facts):
        kind, metadata = kind_of(status), status["metadata"]
        await admin.patch(
            kind, metadata["name"], metadata["namespace"], {"status": status["status"]}, subresource="status"
        )
    here = [each for each in made if each["metadata"]["namespace"] == facts.namespace]
    await create(admin, [_desired(facts, here)])
    return here


def _helm_install(kubeconfig: Path, chart: Path, namespace: str) -> None:
    options = {"kubeconfig_path": kubeconfig, "qps": 200.0, "burst_limit": 400}
    with helm_python.Config(namespace=namespace, **options) as config:
        config.install(chart, chart.name, {}, namespace=namespace)


async def _operators(admin: Client, facts: Upstream) -> list[Manifest]:
    """Makes what upstream's operator makes for runtimes and Servers."""
    made = []
    for namespace in runtimes(facts):
        made += runtime_objects(facts, await admin.get(SELDON_RUNTIME, "seldon", namespace))
    for name in facts.servers:
        made += server_objects(facts, await admin.get(SERVER, name, facts.namespace))
    await create(admin, made)
    return made


async def create(admin: Client, manifests: Iterable[Manifest]) -> None:
    """Creates objects with the field manager of upstream's operator."""
    for manifest in manifests:
        path = object_path(kind_of(manifest), manifest["metadata"]["namespace"])
        await admin.call("POST", path, params={"fieldManager": OPERATOR_FIELDS}, body=manifest)


def _stand_ins(namespace: str) -> Manifest:
    data = {path.name: path.read_text() for path in sorted(_STAND_INS.glob("[!_]*.py"))}
    return _config_map(namespace, STAND_INS, data)


def _desired(facts: Upstream, made: list[Manifest]) -> Manifest:
    """Returns the ConfigMap for the operator: its objects, finalizers of resources, statuses of Models."""
    own = [each for each in made if "ownerReferences" in each["metadata"]]
    held = [*resources(facts), runtime(facts, facts.namespace)]
    finalizers = [
        {key: value for key, value in each.items() if key != "spec"}
        for each in held
        if each["metadata"].get("finalizers")
    ]
    told = [each for each in statuses(facts) if each["kind"] == MODEL.kind]
    return _config_map(facts.operated_from, DESIRED, {"desired.json": json.dumps([*own, *finalizers, *told])})


def _config_map(namespace: str, name: str, data: dict[str, str]) -> Manifest:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


async def until_pods_ready(place: Ground, namespace: str) -> None:
    """Waits until the workloads of a namespace have all their pods, each ready."""

    async def ready() -> bool:
        wanted = 0
        for kind in (STATEFUL_SET, DEPLOYMENT):
            wanted += sum(
                each["spec"]["replicas"] for each in (await place.admin.list(kind, namespace)).items
            )
        pods = (await place.admin.list(POD, namespace)).items
        seen[:] = [complaint(pod) or pod["metadata"]["name"] for pod in pods if not is_ready(pod)]
        return len(pods) == wanted and not seen

    seen: list[str] = []
    await place.until(ready, lambda: f"pods of {namespace}: {seen}")
