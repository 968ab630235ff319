"""Reads the objects by which the steps of a move decide. Handed to the executor by `bailie migrate`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from bailie.api.kinds import (
    CONFIG_MAP,
    CUSTOM_RESOURCE_DEFINITION,
    DEPLOYMENT,
    ENDPOINT_SLICE,
    EXPERIMENT,
    LEASE,
    MLOPS_KINDS,
    MODEL,
    NAMESPACE,
    PERSISTENT_VOLUME_CLAIM,
    PIPELINE,
    POD,
    POD_DISRUPTION_BUDGET,
    REPLICA_SET,
    ROLE,
    ROLE_BINDING,
    SECRET,
    SELDON_CONFIG,
    SELDON_RUNTIME,
    SERVER,
    SERVER_CONFIG,
    SERVICE,
    SERVICE_ACCOUNT,
    STATEFUL_SET,
)
from bailie.doctor.facts import Unknown
from bailie.kube.clock import stamp_micro, utc_now
from bailie.kube.errors import Forbidden, NotFound
from bailie.migration.facts import ClusterObjects, MoveFacts, MovePlaces, NamespaceObjects, by_name
from bailie.migration.read import read_cluster
from bailie.migration.read_releases import read_releases
from bailie.migration.seldon.before import begun_from, seldon_places
from bailie.migration.source import SELDON_SOURCES, MoveSource, recognise
from bailie.migration.start import central_from
from bailie.wellknown import names

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bailie.api.kinds import Kind
    from bailie.doctor.facts import Known
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
    STATEFUL_SET,
)
"""Kinds that the steps read in the namespace."""
WHOLE = (
    *HERE,
    DEPLOYMENT,
    REPLICA_SET,
    PERSISTENT_VOLUME_CLAIM,
    SECRET,
    ENDPOINT_SLICE,
    POD_DISRUPTION_BUDGET,
    SELDON_CONFIG,
    SERVER_CONFIG,
)
"""Kinds that they read where Seldon Core serves it; of Secrets only the metadata."""
_OPERATORS = (DEPLOYMENT, POD, LEASE)
_BESIDE_BAILIE = (CONFIG_MAP, SELDON_CONFIG, SERVER_CONFIG)
_NO_PLACES = MovePlaces()
_AT_A_TIME = 8


class _FewReads:
    """Reads by a client, few objects and lists at a time.

    A look reads up to forty: as many connections would be opened for it, and all but a few closed behind it.
    """

    def __init__(self, client: Client) -> None:
        self._client, self._gate = client, asyncio.Semaphore(_AT_A_TIME)

    async def get(self, kind: Kind, name: str, namespace: str | None = None) -> Object:
        """Reads one object. Raises NotFound."""
        async with self._gate:
            return await self._client.get(kind, name, namespace)

    async def list(
        self, kind: Kind, namespace: str | None = None, *, metadata_only: bool = False
    ) -> tuple[Object, ...]:
        """Reads a collection."""
        async with self._gate:
            return tuple((await self._client.list(kind, namespace, metadata_only=metadata_only)).items)


async def look(client: Client, namespace: str, places: MovePlaces = _NO_PLACES) -> MoveFacts:
    """Returns the present objects of the namespace, and of the others the few that matter.

    Raises ApiError: a move must not go on half blind.
    """
    foreign = places.foreign if places.foreign != namespace else ""
    central = "" if places.whole else places.central  # Seldon Core's has no objects that count
    reads = _FewReads(client)
    here, beside, lists, operators, definitions, runtimes = await asyncio.gather(
        _here(reads, namespace, WHOLE if places.whole else HERE),
        _central(reads, central),
        _objects(reads, places.home, _BESIDE_BAILIE if places.home else ()),
        _objects(reads, foreign, _OPERATORS if foreign else ()),
        _definitions(reads) if places.whole else _nothing(),
        _runtimes(reads) if places.foreign else _nobody(),
    )
    releases = await read_releases(client, here, definitions.values()) if places.ending else ()
    return MoveFacts(
        cluster=ClusterObjects(server=client.server, definitions=definitions),
        here=here,
        central=NamespaceObjects(name=central, objects=beside) if central else None,
        home=NamespaceObjects(name=places.home, objects=lists) if places.home else None,
        foreign=NamespaceObjects(name=foreign, objects=operators) if foreign else None,
        runtimes_in=runtimes,
        releases=releases,
        at=stamp_micro(utc_now()),
    )


async def find_source(client: Client, namespace: str, *, lost: bool = False) -> tuple[MoveSource, MovePlaces]:
    """Returns the source of a move that has no record, and the other namespaces that it concerns.

    `lost`: a move may have begun, and its record is gone or damaged: then also signs of the system before
    count that a move leaves until its end. Raises Blocked, ApiError.
    """
    facts = await look(client, namespace)
    source, central = recognise(facts), facts.here.scheduled_from()
    if lost and (begun := begun_from(facts)) is not None:
        source = begun
    if source in SELDON_SOURCES:
        return source, seldon_places(await read_cluster(client, [namespace]), facts, central)
    if lost and source is MoveSource.MOVED:
        central = central_from(facts, (await client.list(SELDON_RUNTIME)).items)
    found = MoveSource.BAILIE_CENTRAL if central and source is MoveSource.MOVED else source
    return found, MovePlaces(central=central)


async def _here(reads: _FewReads, namespace: str, kinds: Iterable[Kind]) -> NamespaceObjects:
    found, objects = await asyncio.gather(_namespace(reads, namespace), _objects(reads, namespace, kinds))
    return NamespaceObjects(name=namespace, namespace=found, objects=objects)


async def _namespace(reads: _FewReads, name: str) -> Known[Object | None]:
    try:
        return await reads.get(NAMESPACE, name)
    except NotFound:
        return None
    except Forbidden as error:
        return Unknown(str(error))


async def _objects(
    reads: _FewReads, namespace: str, kinds: Iterable[Kind]
) -> Mapping[str, Mapping[str, Object]]:
    wanted = tuple(kinds)
    lists = await asyncio.gather(
        *(reads.list(kind, namespace, metadata_only=kind is SECRET) for kind in wanted)
    )
    return {kind.kind: by_name(found) for kind, found in zip(wanted, lists, strict=True)}


async def _definitions(reads: _FewReads) -> Mapping[str, Object]:
    names_of = (f"{kind.plural}.{kind.group}" for kind in MLOPS_KINDS)
    found = await asyncio.gather(*(_definition(reads, name) for name in names_of))
    return by_name(each for each in found if each is not None)


async def _definition(reads: _FewReads, name: str) -> Object | None:
    try:
        return await reads.get(CUSTOM_RESOURCE_DEFINITION, name)
    except NotFound:
        return None


async def _runtimes(reads: _FewReads) -> Known[frozenset[str]]:
    try:
        found = await reads.list(SELDON_RUNTIME, metadata_only=True)
    except Forbidden as error:
        return Unknown(str(error))
    return frozenset(str(each["metadata"]["namespace"]) for each in found)


async def _nothing() -> Mapping[str, Object]:
    return {}


async def _nobody() -> Known[frozenset[str]]:
    return Unknown("no operator of Seldon Core's is concerned")


async def _central(reads: _FewReads, central: str) -> Mapping[str, Mapping[str, Object]]:
    if not central:
        return {}
    runtimes = await reads.list(SELDON_RUNTIME, central)
    try:
        leases = [await reads.get(LEASE, names.SCHEDULER, central)]
    except NotFound:
        leases = []
    return {SELDON_RUNTIME.kind: by_name(runtimes), LEASE.kind: by_name(leases)}
