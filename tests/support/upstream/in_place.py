"""A namespace of upstream's goes to Bailie in place, by hand: the steps that a command for it has to take.

    await move_in_place(place)       # every name is answered by Bailie's servers, and behind Bailie's Envoy

Upstream's pods stay: their workloads are deleted without them, and they lose the labels by which Bailie's
would adopt them. Bailie's servers count from a hundred on. The Service `seldon-mesh` keeps its address, and
leads to Bailie's Envoy when every Model is ready.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.charts import render
from tests.support.grounds import SMALL
from tests.support.upstream.facts import NAME, OPERATOR, SERVER
from tests.support.upstream.runtime import GATEWAYS
from tests.support.waiting import until, until_true

from bailie.api.kinds import (
    CONFIG_MAP,
    DEPLOYMENT,
    MODEL,
    POD,
    REPLICA_SET,
    SELDON_RUNTIME,
    SERVICE,
    STATEFUL_SET,
)
from bailie.api.kinds import SERVER as SERVER_KIND
from bailie.manifests.defaults import token_secret
from bailie.manifests.rbac import namespace_manifests
from bailie.wellknown import labels

if TYPE_CHECKING:
    from tests.support.upstream.install import UpstreamPlace

    from bailie.api.kinds import Kind

BEFORE = "before"
"""The label by which Services find upstream's pods without their names."""
FIRST_ORDINAL = "100"


async def move_in_place(place: UpstreamPlace) -> None:
    """Takes all steps, each when the one before holds."""
    home = await place.ground.namespace("platform")
    values = {**SMALL, "controller": {"watchNamespaces": [home]}}
    await place.ground.helm("install", "setup", values, namespace=home)
    await stop_operator(place)
    for server in place.facts.servers:
        await detach_server(place, server)
    await detach_envoy(place)
    await remove_rest(place)
    await give_to_bailie(place, home)
    await until_rolled_out(place)
    await lead_to_bailie(place)


async def stop_operator(place: UpstreamPlace) -> None:
    """Scales upstream's operator to 0 and waits for the end of its pod."""
    home = place.facts.operated_from
    await place.admin.patch(DEPLOYMENT, OPERATOR, home, {"spec": {"replicas": 0}})

    async def gone() -> bool:
        pods = (await place.admin.list(POD, home)).items
        return not any(pod["metadata"]["name"].startswith(OPERATOR) for pod in pods)

    await until_true(gone)


async def detach_server(place: UpstreamPlace, server: str) -> None:
    """Takes a Server's pods out of the hands of their StatefulSet; each replica's Service finds its pod."""
    namespace = place.facts.namespace
    await orphan(place, STATEFUL_SET, server, dependents=POD)
    marks = {"metadata": {"labels": {SERVER: None, BEFORE: server}}}
    for number in range(place.facts.servers[server]):
        await place.admin.patch(POD, f"{server}-{number}", namespace, marks)


async def detach_envoy(place: UpstreamPlace) -> None:
    """Takes Envoy's pod out of the hands of its Deployment and its name, while it answers for the Service."""
    namespace, named = place.facts.namespace, f"{NAME}=seldon-envoy"
    await orphan(place, DEPLOYMENT, "seldon-envoy", dependents=REPLICA_SET)
    [left] = (await place.admin.list(REPLICA_SET, namespace, labels=named)).items
    await orphan(place, REPLICA_SET, left["metadata"]["name"], dependents=POD)
    pods = (await place.admin.list(POD, namespace, labels=named)).items
    for pod in pods:
        name = pod["metadata"]["name"]
        await place.admin.patch(POD, name, namespace, {"metadata": {"labels": {BEFORE: "envoy"}}})
    service = {"spec": {"selector": {NAME: None, BEFORE: "envoy"}}}
    await place.admin.patch(SERVICE, "seldon-mesh", namespace, service)
    for pod in pods:
        nameless = {"metadata": {"labels": {NAME: None}}}
        await place.admin.patch(POD, pod["metadata"]["name"], namespace, nameless)
    addresses = {pod["status"]["podIP"] for pod in pods}
    await until(lambda: set(place.endpoints.ready("seldon-mesh")) == addresses)


async def orphan(place: UpstreamPlace, kind: Kind, name: str, *, dependents: Kind) -> None:
    """Deletes a workload without what it made."""
    await place.admin.delete(kind, name, place.facts.namespace, propagation="Orphan")
    await until_owned(place, dependents, name, [])


async def until_owned(place: UpstreamPlace, kind: Kind, name: str, owners: list[str]) -> None:
    """Waits until the objects of a workload have the owners of these uids alone."""

    async def owned() -> bool:
        listed = (await place.admin.list(kind, place.facts.namespace)).items
        found = [each["metadata"] for each in listed if each["metadata"]["name"].startswith(f"{name}-")]
        return [owner["uid"] for each in found for owner in each.get("ownerReferences", ())] == owners

    await until_true(owned)


async def remove_rest(place: UpstreamPlace) -> None:
    """Deletes the objects of upstream's whose names Bailie needs, and what has no pods here."""
    namespace = place.facts.namespace
    for kind, names in (
        (DEPLOYMENT, GATEWAYS),
        (STATEFUL_SET, ["seldon-scheduler"]),
        (SERVICE, ["seldon-scheduler"]),
        (CONFIG_MAP, ["seldon-agent"]),
    ):
        for name in names:
            await place.admin.delete(kind, name, namespace)


async def give_to_bailie(place: UpstreamPlace, home: str) -> None:
    """Gives Bailie's operator the rights, the resources and the namespace."""
    namespace = place.facts.namespace
    numbered = {"metadata": {"annotations": {labels.FIRST_ORDINAL: FIRST_ORDINAL}}}
    for server in place.facts.servers:
        await place.admin.patch(SERVER_KIND, server, namespace, numbered)
    runtime = render("runtime", {"rights": {"create": False}}, namespace=namespace).of(SELDON_RUNTIME.kind)
    token = token_secret(namespace, "x" * 43)
    for manifest in [*namespace_manifests(namespace, home), token, *runtime]:
        await place.admin.apply(manifest, field_manager="helm", force=True)
    await place.ground.add_to_scope(home, namespace)


async def until_rolled_out(place: UpstreamPlace) -> None:
    """Waits for the condition that upstream's statuses do not have; their `Ready` is true already."""

    async def rolled_out() -> bool:
        models = (await place.admin.list(MODEL, place.facts.namespace)).items
        waiting[:] = [each["metadata"]["name"] for each in models if not _is_rolled_out(each)]
        return not waiting

    waiting: list[str] = []
    await place.ground.until(rolled_out, lambda: f"not rolled out: {waiting}")


def _is_rolled_out(model: dict) -> bool:
    conditions = model["status"]["conditions"]
    return any((each["type"], each["status"]) == ("RolledOut", "True") for each in conditions)


async def lead_to_bailie(place: UpstreamPlace) -> None:
    """Has the Service lead to Bailie's Envoy; connections to upstream's go on."""
    selector = {"spec": {"selector": {BEFORE: None, NAME: "seldon-envoy"}}}
    before = place.endpoints.ready("seldon-mesh")
    await place.admin.patch(SERVICE, "seldon-mesh", place.facts.namespace, selector)
    await until(lambda: not set(place.endpoints.ready("seldon-mesh")) & set(before))
