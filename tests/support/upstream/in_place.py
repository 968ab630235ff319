"""A namespace of upstream's goes to Bailie in place, by the command; and single changes of it, by hand.

    await install_bailie(place)                     # its operator, in a namespace of its own
    await migrate(place, "apply", "--yes")          # as a user runs it; returns what it says
    await move_in_place(place)                      # both, until everything holds

By hand workloads are deleted without their pods, for tests of the stand-ins themselves.
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

from tests.support.grounds import SMALL
from tests.support.upstream.facts import NAME, OPERATOR
from tests.support.waiting import until, until_true

from bailie.api.kinds import DEPLOYMENT, POD, REPLICA_SET, SERVICE

if TYPE_CHECKING:
    from tests.support.upstream.install import UpstreamPlace

    from bailie.api.kinds import Kind

BEFORE = "before"
"""The label by which the Service finds upstream's Envoys without their names."""


async def move_in_place(place: UpstreamPlace) -> None:
    """Installs Bailie's operator, and moves the namespace until everything holds."""
    await install_bailie(place)
    await migrate(place, "apply", "--yes")
    await migrate(place, "verify")


async def install_bailie(place: UpstreamPlace) -> str:
    """Installs Bailie's operator beside upstream's; returns its namespace."""
    home = await place.ground.namespace("platform")
    values = {**SMALL, "controller": {"watchNamespaces": [home]}}
    await place.ground.helm("install", "setup", values, namespace=home)
    return home


async def migrate(place: UpstreamPlace, verb: str, *options: str) -> str:
    """Runs `bailie migrate` on the namespace to its end; returns what it said. Raises RuntimeError."""
    words = ("-m", "bailie", "migrate", verb, place.facts.namespace, *options)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *words,
        "--kubeconfig",
        str(place.ground.kubeconfig),
        cwd=place.ground.kubeconfig.parent,  # the file with the objects of before lies there
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    told, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"{verb} ended with {process.returncode}: {told.decode()}")
    return told.decode()


async def stop_operator(place: UpstreamPlace) -> None:
    """Scales upstream's operator to 0 and waits for the end of its pod."""
    home = place.facts.operated_from
    await place.admin.patch(DEPLOYMENT, OPERATOR, home, {"spec": {"replicas": 0}})

    async def gone() -> bool:
        pods = (await place.admin.list(POD, home)).items
        return not any(pod["metadata"]["name"].startswith(OPERATOR) for pod in pods)

    await until_true(gone)


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
