"""Reads the objects by which the steps of a move decide. Handed to the executor by `bailie migrate`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from bailie.api.kinds import (
    CONFIG_MAP,
    EXPERIMENT,
    LEASE,
    MODEL,
    PIPELINE,
    POD,
    ROLE,
    ROLE_BINDING,
    SELDON_RUNTIME,
    SERVER,
    SERVICE,
    SERVICE_ACCOUNT,
)
from bailie.kube.errors import NotFound
from bailie.migration.facts import ClusterObjects, MoveFacts, NamespaceObjects, by_name
from bailie.migration.source import MoveSource, recognise
from bailie.migration.start import central_from
from bailie.wellknown import names

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bailie.api.kinds import Kind
    from bailie.kube.client import Client
    from bailie.migration.facts import Object

HERE = (
    SELDON_RUNTIME,
    SERVER,
    MODEL,
    EXPERIMENT,
    PIPELINE,
    POD,
    LEASE,
    SERVICE,
    SERVICE_ACCOUNT,
    ROLE,
    ROLE_BINDING,
    CONFIG_MAP,
)
"""Kinds that the steps read in the namespace."""


async def look(client: Client, namespace: str, central: str) -> MoveFacts:
    """Returns the present objects of the namespace, and of the central one the few that matter.

    Raises ApiError: a move must not go on half blind.
    """
    here, beside = await asyncio.gather(_objects(client, namespace, HERE), _central(client, central))
    there = NamespaceObjects(name=central, objects=beside) if central else None
    return MoveFacts(
        cluster=ClusterObjects(server=client.server),
        here=NamespaceObjects(name=namespace, objects=here),
        central=there,
    )


async def find_source(client: Client, namespace: str, *, lost: bool = False) -> tuple[MoveSource, str]:
    """Returns the source of a move that has no record, and the namespace of the central scheduler.

    `lost`: a move may have begun, and its record is gone or damaged: then also signs of the central scheduler
    count that a move leaves until its end. Raises ApiError.
    """
    facts = await look(client, namespace, "")
    source, central = recognise(facts), facts.here.scheduled_from()
    if lost and source is MoveSource.MOVED:
        central = central_from(facts, (await client.list(SELDON_RUNTIME)).items)
    return (MoveSource.BAILIE_CENTRAL if central and source is MoveSource.MOVED else source), central


async def _objects(
    client: Client, namespace: str, kinds: Iterable[Kind]
) -> Mapping[str, Mapping[str, Object]]:
    wanted = tuple(kinds)
    lists = await asyncio.gather(*(client.list(kind, namespace) for kind in wanted))
    return {kind.kind: by_name(found.items) for kind, found in zip(wanted, lists, strict=True)}


async def _central(client: Client, central: str) -> Mapping[str, Mapping[str, Object]]:
    if not central:
        return {}
    runtimes = (await client.list(SELDON_RUNTIME, central)).items
    try:
        leases = [await client.get(LEASE, names.SCHEDULER, central)]
    except NotFound:
        leases = []
    return {SELDON_RUNTIME.kind: by_name(runtimes), LEASE.kind: by_name(leases)}
