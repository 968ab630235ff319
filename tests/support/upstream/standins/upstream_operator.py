"""Stands for upstream's operator: holds its Lease, and puts back the objects of its namespaces.

The ConfigMap `upstream-desired` beside it has them. It writes with upstream's field manager. It looks
every two seconds, where upstream's follows watches. A test drives the same class in its own process.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
from itertools import groupby
from typing import TYPE_CHECKING, Any

from bailie.api.kinds import CONFIG_MAP, LEASE, MLOPS_GROUP, STATEFUL_SET
from bailie.kube.client import Client, kind_of, object_path
from bailie.kube.clock import stamp_micro, utc_now
from bailie.kube.errors import ApiError, NotFound

if TYPE_CHECKING:
    from collections.abc import Iterable

Manifest = dict[str, Any]
SETTINGS = os.environ  # noqa: TID251 - a program of its own
FIELDS = "manager"
LEASE_NAME = "e98130ae.seldon.io"
DESIRED = "upstream-desired"
RENEW_SECONDS = 2.0


class UpstreamOperator:
    """One replica of the operator, in `namespace`."""

    def __init__(
        self, client: Client, namespace: str, holder: str, watched: frozenset[str] = frozenset()
    ) -> None:
        """`watched`: the namespaces whose objects it puts back beside its own; none for all."""
        self._client = client
        self._namespace = namespace
        self._holder = holder
        self._watched = watched and watched | {namespace}

    async def run(self) -> None:
        """Renews the Lease, and looks at the objects, until cancelled."""
        while True:
            try:
                await self.renew()
                await self.put_back(await self.desired())
            except ApiError as error:
                print(f"not written: {error}", flush=True)
            await asyncio.sleep(RENEW_SECONDS)

    async def desired(self) -> list[Manifest]:
        """Returns the objects that should be there."""
        try:
            found = await self._client.get(CONFIG_MAP, DESIRED, self._namespace)
        except NotFound:
            return []
        objects: list[Manifest] = json.loads(found["data"]["desired.json"])
        watched = self._watched
        return [each for each in objects if not watched or each["metadata"]["namespace"] in watched]

    async def renew(self) -> None:
        """Takes the Lease, or renews it."""
        now = stamp_micro(utc_now())
        metadata = {"name": LEASE_NAME, "namespace": self._namespace}
        spec = {"holderIdentity": self._holder, "leaseDurationSeconds": 15, "renewTime": now}
        lease = {"apiVersion": LEASE.api_version, "kind": LEASE.kind, "metadata": metadata}
        try:
            await self._patch({**lease, "spec": spec})
        except NotFound:
            await self._create({**lease, "spec": {**spec, "acquireTime": now}})

    async def put_back(self, manifests: Iterable[Manifest]) -> None:
        """Makes what is gone, and writes over what differs; of custom resources finalizers and statuses."""

        def place(manifest: Manifest) -> tuple[str, str]:
            return manifest["kind"], manifest["metadata"]["namespace"]

        for (_, namespace), group in groupby(sorted(manifests, key=place), key=place):
            wanted = list(group)
            kind = kind_of(wanted[0])
            listed = (await self._client.list(kind, namespace)).items
            there = {each["metadata"]["name"]: each for each in listed}
            for manifest in wanted:
                found = there.get(manifest["metadata"]["name"])
                if "status" in manifest:
                    await self._tell(manifest, found)
                    continue
                change = finalized if kind.group == MLOPS_GROUP else restored
                await self._write(change(manifest, found))

    async def _write(self, change: tuple[str, Manifest] | None) -> None:
        if change is not None:
            await (self._create if change[0] == "create" else self._patch)(change[1])

    async def _tell(self, wanted: Manifest, found: Manifest | None) -> None:
        """Writes the status of a Model whose server has all of its pods."""
        if found is None or holds(wanted["status"], found.get("status")):
            return
        server, namespace = wanted["status"]["selector"].partition("=")[2], wanted["metadata"]["namespace"]
        try:
            pods = await self._client.get(STATEFUL_SET, server, namespace)
        except NotFound:
            return
        if (pods.get("status") or {}).get("readyReplicas", 0) >= pods["spec"]["replicas"]:
            await self._patch(wanted, "status")

    async def _create(self, manifest: Manifest) -> None:
        path = object_path(kind_of(manifest), manifest["metadata"]["namespace"])
        await self._client.call("POST", path, params={"fieldManager": FIELDS}, body=manifest)

    async def _patch(self, manifest: Manifest, subresource: str = "") -> None:
        metadata = manifest["metadata"]
        path = object_path(kind_of(manifest), metadata["namespace"], metadata["name"])
        await self._client.call(
            "PATCH",
            f"{path}/{subresource}" if subresource else path,
            params={"fieldManager": FIELDS},
            body=manifest,
            content_type="application/merge-patch+json",
        )


def restored(wanted: Manifest, found: Manifest | None) -> tuple[str, Manifest] | None:
    """Returns the write for an object of the operator's own."""
    if found is None:
        return "create", wanted
    return None if holds(wanted, found) else ("patch", wanted)


def finalized(wanted: Manifest, found: Manifest | None) -> tuple[str, Manifest] | None:
    """Returns the write that puts a finalizer back; an object that is gone or going stays so."""
    if found is None or found["metadata"].get("deletionTimestamp"):
        return None
    present = found["metadata"].get("finalizers") or []
    missing = [each for each in wanted["metadata"]["finalizers"] if each not in present]
    metadata = {**wanted["metadata"], "finalizers": [*present, *missing]}
    return ("patch", {**wanted, "metadata": metadata}) if missing else None


def holds(wanted: Any, found: Any) -> bool:
    """Says whether each field of `wanted` is in `found`."""
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(holds(value, found.get(key)) for key, value in wanted.items())
    if isinstance(wanted, list) and isinstance(found, list):
        return len(wanted) == len(found) and all(map(holds, wanted, found))
    return bool(wanted == found)


async def main() -> None:
    """Runs until SIGTERM."""
    async with Client.from_environment() as client, asyncio.TaskGroup() as group:
        listed = frozenset(filter(None, SETTINGS["WATCH_NAMESPACES"].split(",")))
        operator = UpstreamOperator(client, SETTINGS["POD_NAMESPACE"], SETTINGS["POD_NAME"], listed)
        task = group.create_task(operator.run())
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)


if __name__ == "__main__":
    asyncio.run(main())
