"""Reads the facts for a move: one list for each kind in a namespace, and little of the cluster.

Used by `bailie migrate`, for a plan and again before each step of a move. A right that lacks makes a fact
unknown, as an API does that does not answer in time; only an API that cannot be reached or does not know the
caller is an error.
"""

from __future__ import annotations

import asyncio
import dataclasses
from typing import TYPE_CHECKING, TypeVar

from bailie.api import kinds
from bailie.api.quantity import parse_quantity, parse_thousandths
from bailie.doctor.facts import Unknown, known
from bailie.doctor.gather import find_installations
from bailie.kube.errors import ApiError, NotFound, Unauthorized, Unreachable
from bailie.kube.reviews import own_missing_rights
from bailie.migration.checks.operators import home_of
from bailie.migration.facts import ClusterObjects, MoveFacts, NamespaceObjects, by_name
from bailie.migration.foreign import foreign_operators
from bailie.migration.requests import memory_of, processors_of, runs
from bailie.migration.rights import needed_beside, needed_here, needed_in_central
from bailie.migration.source import recognise
from bailie.scope.claim import OPERATOR_DEPLOYMENT, is_upstream_operator

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable

    from bailie.api.kinds import Kind
    from bailie.doctor.facts import Known
    from bailie.kube.client import Client
    from bailie.migration.facts import Object
    from bailie.scope.rights import Right

T = TypeVar("T")

NAMESPACE_KINDS = (
    *kinds.MLOPS_KINDS,
    kinds.STATEFUL_SET,
    kinds.DEPLOYMENT,
    kinds.REPLICA_SET,
    kinds.POD,
    kinds.SERVICE,
    kinds.ENDPOINT_SLICE,
    kinds.LEASE,
    kinds.CONFIG_MAP,
    kinds.SECRET,
    kinds.SERVICE_ACCOUNT,
    kinds.ROLE,
    kinds.ROLE_BINDING,
    kinds.PERSISTENT_VOLUME_CLAIM,
    kinds.RESOURCE_QUOTA,
    kinds.HORIZONTAL_POD_AUTOSCALER,
    kinds.SCALED_OBJECT,
    kinds.POD_DISRUPTION_BUDGET,
)
"""The kinds that are listed in a namespace. A kind that the cluster does not serve has no objects."""
_AT_A_TIME = 8
_SECONDS = 30.0
"""The longest wait for one answer."""
_MOST_NODES = 100
"""Of larger clusters the free memory is not added up: it would mean to list all of their pods."""


async def read_all(client: Client, namespaces: Iterable[str]) -> tuple[MoveFacts, ...]:
    """Returns the facts of each namespace, in order. Raises Unauthorized, Unreachable."""
    names = tuple(namespaces)
    cluster = await read_cluster(client, names)
    seen: dict[str, NamespaceObjects] = {}
    return tuple([await read_facts(client, name, cluster, seen) for name in names])


async def read_cluster(client: Client, namespaces: Iterable[str]) -> ClusterObjects:
    """Returns the facts of the cluster. `namespaces`: where to look where all may not be listed.

    Raises Unauthorized, Unreachable.
    """
    version = await _version(client)
    names = tuple(namespaces)
    deployments = await _listed(client, kinds.DEPLOYMENT, f"metadata.name={OPERATOR_DEPLOYMENT}")
    installations = await find_installations(client, names)
    upstream = deployments
    if not isinstance(deployments, Unknown):
        upstream = tuple(each for each in deployments if is_upstream_operator(each))
    homes = {str(each["metadata"]["namespace"]) for each in known(upstream)}
    homes |= {each.home for each in known(installations)}
    free = await _in_time(_free(client))
    return ClusterObjects(
        server=client.server,
        version=version,
        definitions=await _definitions(client),
        installations=installations,
        upstream=upstream,
        shared=await _shared(client, sorted(homes)),
        free_memory=free if isinstance(free, Unknown) else free[0],
        free_processors=free if isinstance(free, Unknown) else free[1],
    )


async def read_facts(
    client: Client, name: str, cluster: ClusterObjects, seen: dict[str, NamespaceObjects] | None = None
) -> MoveFacts:
    """Returns the facts of one namespace, with those of the cluster as they are given.

    Namespaces in `seen` are not read again, and those that are read are added.
    """
    seen = {} if seen is None else seen
    here = await _seen(client, name, seen)
    central = here.scheduled_from()
    there = await _seen(client, central, seen) if central else None
    facts = MoveFacts(cluster=cluster, here=here, central=there)
    source = recognise(facts)
    home, acting = home_of(facts), [each for each in foreign_operators(facts) if each.covers(name)]
    beside = needed_beside(source, home.home if home else "", acting[0].home if acting else "")
    return dataclasses.replace(
        facts,
        missing=await _missing(client, name, needed_here(source)),
        missing_in_central=await _missing(client, central, needed_in_central(source)),
        missing_beside={place: await _missing(client, place, rights) for place, rights in beside.items()},
    )


async def read_namespace(client: Client, name: str) -> NamespaceObjects:
    """Returns the objects of one namespace."""
    gate = asyncio.Semaphore(_AT_A_TIME)

    async def look(kind: Kind) -> Known[dict[str, Object]]:
        async with gate:
            return await _in_time(_all_of(client, kind, name))

    answers = await asyncio.gather(*map(look, NAMESPACE_KINDS))
    found = dict(zip((kind.kind for kind in NAMESPACE_KINDS), answers, strict=True))
    return NamespaceObjects(
        name=name,
        namespace=await _in_time(_one(client, kinds.NAMESPACE, name)),
        objects={kind: items for kind, items in found.items() if not isinstance(items, Unknown)},
        unread={kind: items.why for kind, items in found.items() if isinstance(items, Unknown)},
    )


async def _seen(client: Client, name: str, seen: dict[str, NamespaceObjects]) -> NamespaceObjects:
    if name not in seen:
        seen[name] = await read_namespace(client, name)
    return seen[name]


async def _all_of(client: Client, kind: Kind, namespace: str) -> dict[str, Object]:
    try:
        found = await client.list(kind, namespace, metadata_only=kind == kinds.SECRET)
    except NotFound:
        return {}
    return by_name(found.items)


async def _one(client: Client, kind: Kind, name: str) -> Object | None:
    try:
        return await client.get(kind, name)
    except NotFound:
        return None


async def _version(client: Client) -> str:
    try:
        answer = await client.call("GET", "/version")
    except (Unauthorized, Unreachable):
        raise
    except ApiError:
        return ""
    return str(answer.get("gitVersion") or "")


async def _listed(client: Client, kind: Kind, fields: str) -> Known[tuple[Object, ...]]:
    found = await _in_time(client.list(kind, fields=fields))
    return found if isinstance(found, Unknown) else tuple(found.items)


async def _definitions(client: Client) -> Known[dict[str, Object]]:
    found: list[Object] = []
    for kind in kinds.MLOPS_KINDS:
        name = f"{kind.plural}.{kind.group}"
        definition = await _in_time(_one(client, kinds.CUSTOM_RESOURCE_DEFINITION, name))
        if isinstance(definition, Unknown):
            return definition
        found += [definition] if definition is not None else []
    return by_name(found)


async def _shared(client: Client, homes: Iterable[str]) -> Known[tuple[Object, ...]]:
    found: list[Object] = []
    for home in homes:
        for kind in (kinds.SELDON_CONFIG, kinds.SERVER_CONFIG):
            items = await _in_time(_all_of(client, kind, home))
            if isinstance(items, Unknown):
                return items
            found += items.values()
    return tuple(found)


async def _free(client: Client) -> Known[tuple[int, int]]:
    """Returns the bytes, and the thousandths of processors, that no pod has requested."""
    nodes = (await client.list(kinds.NODE)).items
    if len(nodes) > _MOST_NODES:
        return Unknown(f"the cluster has more than {_MOST_NODES} machines")
    pods = (await client.list(kinds.POD)).items
    usable = [node for node in nodes if not (node.get("spec") or {}).get("unschedulable")]
    there = {node["metadata"]["name"] for node in usable}
    room = [node["status"]["allocatable"] for node in usable]
    specs = [pod["spec"] for pod in pods if runs(pod) and pod["spec"].get("nodeName") in there]
    memory = sum(parse_quantity(each["memory"]) for each in room) - sum(map(memory_of, specs))
    return memory, sum(parse_thousandths(each["cpu"]) for each in room) - sum(map(processors_of, specs))


async def _missing(client: Client, namespace: str, needed: frozenset[Right]) -> Known[tuple[Right, ...]]:
    return await _in_time(own_missing_rights(client, namespace, needed)) if needed else ()


async def _in_time(asked: Awaitable[Known[T]]) -> Known[T]:
    try:
        async with asyncio.timeout(_SECONDS):
            return await asked
    except TimeoutError:
        return Unknown(f"the API did not answer within {_SECONDS:.0f} s")
    except (KeyError, ValueError) as error:
        return Unknown(f"the API's answer cannot be read: {error}")
    except ApiError as error:
        return Unknown(str(error))
