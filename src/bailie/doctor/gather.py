"""Asks the API for facts: reads only, and takes each refusal for a fact that is unknown.

Called by `bailie doctor`. It judges nothing and asks no pod, so an account that may read a namespace gets the
same answer inside and outside of the cluster.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from bailie.api.kinds import (
    EXPERIMENT,
    LEASE,
    MLOPS_GROUP,
    MODEL,
    NAMESPACE,
    PIPELINE,
    SELDON_RUNTIME,
    SERVER,
    SERVICE,
)
from bailie.api.seldon_config import ENVOY, SCHEDULER
from bailie.api.status import status_of, told_conditions, told_number
from bailie.doctor.facts import Facts, NamespaceFacts, Redirect, Term, Thing, Unknown, known
from bailie.doctor.installation import claim_on, find_homes, is_fresh, view
from bailie.doctor.upstream import seldon_operator_in, seldon_operators, seldon_scheduler_of
from bailie.kube.errors import ApiError, NotFound, Unauthorized, Unreachable
from bailie.kube.reviews import account_may
from bailie.lifecycle.conditions import ARTIFACT_WARNINGS
from bailie.lifecycle.memory import CONDITION as MEMORY
from bailie.manifests.rbac import (
    OPERATOR_ACCOUNT,
    OPERATOR_HOME_RULES,
    OPERATOR_RULES,
    OPERATOR_STATEFUL_RULES,
)
from bailie.manifests.runtime import MESH_SERVICE
from bailie.scope.central import namespace_of
from bailie.scope.claim import CLAIM_LEASE, SCHEDULER_LEASE, claim_of
from bailie.scope.leader_notes import leader_notes
from bailie.scope.rights import Right, full_name, rights_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable, Iterator, Mapping

    from bailie.api.kinds import Kind
    from bailie.doctor.facts import ClaimView, InstallationView, Known
    from bailie.kube.client import Client

T = TypeVar("T")

_AT_A_TIME = 8
_REMARKS = {ARTIFACT_WARNINGS, MEMORY}
"""Conditions that are there, and True, where somebody has to act."""
_CONTROL_SERVICES = (SCHEDULER, MESH_SERVICE)


async def gather(client: Client, namespaces: Iterable[str] | None) -> Facts:
    """Returns the facts of these namespaces, of all that have to do with us for None. Raises Unauthorized."""
    try:
        version = await client.call("GET", "/version")
    except Unauthorized:
        raise
    except Unreachable as error:
        return Facts(server=client.server, unreachable=str(error))
    except ApiError:
        version = {}
    installations = await find_installations(client, namespaces)
    upstream = await seldon_operators(client)
    chosen = await concerned(client, installations) if namespaces is None else sorted(set(namespaces))
    gate = asyncio.Semaphore(_AT_A_TIME)

    async def look(name: str) -> NamespaceFacts:
        async with gate:
            return await _namespace(client, name, _views(installations))

    return Facts(
        server=client.server,
        version=str(version.get("gitVersion", "")),
        kinds=await _kinds(client),
        installations=installations,
        upstream=upstream,
        namespaces=tuple(await asyncio.gather(*map(look, chosen))),
    )


async def _kinds(client: Client) -> Known[Mapping[str, tuple[str, ...]]]:
    """Asks discovery, which every account may read, and not for the definitions, which few may."""
    try:
        group = await client.call("GET", f"/apis/{MLOPS_GROUP}")
        found = {}
        for version in group.get("versions") or ():
            path = f"/apis/{version['groupVersion']}"
            resources = (await client.call("GET", path)).get("resources") or ()
            found[str(version["version"])] = tuple(str(each["name"]) for each in resources)
    except NotFound:
        return {}
    except ApiError as error:
        return Unknown(str(error))
    return found


async def find_installations(
    client: Client, namespaces: Iterable[str] | None
) -> Known[tuple[InstallationView, ...]]:
    """Looks for operators in all namespaces; without that right, by the claims on the namespaces asked
    for."""
    try:
        homes: Iterable[str] = await find_homes(client)
    except ApiError as error:
        homes = await _homes_by_claims(client, namespaces or ())
        if not homes:
            return Unknown(str(error))
    found = []
    for home in homes:
        try:
            seen = await view(client, home)
        except NotFound:
            continue
        if seen.alive is False:
            needed = rights_of(OPERATOR_HOME_RULES)
            seen = replace(seen, missing=await _lacking(client, home, needed, home))
        found.append(seen)
    return tuple(found)


async def _homes_by_claims(client: Client, namespaces: Iterable[str]) -> list[str]:
    homes = []
    for namespace in namespaces:
        claim = await _known(claim_on(client, namespace))
        if claim is not None and not isinstance(claim, Unknown):
            homes.append(claim.claim.owner.partition("/")[0])
    return sorted(set(homes))


async def concerned(client: Client, installations: Known[tuple[InstallationView, ...]]) -> list[str]:
    """Returns the namespaces that lists name, that are claimed, or that have resources of Bailie's."""
    names: set[str] = set()
    for seen in _views(installations):
        names |= {*(seen.listed or ()), *seen.statuses}
    for kind in (SELDON_RUNTIME, SERVER, MODEL):
        found = await _known(client.list(kind))
        if not isinstance(found, Unknown):
            names |= {each["metadata"]["namespace"] for each in found.items}
    claims = await _known(client.list(LEASE, fields=f"metadata.name={CLAIM_LEASE}"))
    if not isinstance(claims, Unknown):
        held = [each for each in claims.items if claim_of(each).owner]
        names |= {each["metadata"]["namespace"] for each in held}
    return sorted(names)


async def _namespace(client: Client, name: str, installations: Iterable[InstallationView]) -> NamespaceFacts:
    views = tuple(installations)
    exists = await _exists(client, name)
    claim = await _known(claim_on(client, name))
    seen = _responsible(views, name, claim)
    if exists is False:
        return NamespaceFacts(name=name, exists=False, home=seen.home if seen else "")
    runtimes, redirects = await _things(client, SELDON_RUNTIME, name), await _redirects(client, name)
    central = _scheduled_from(name, runtimes, redirects)
    return NamespaceFacts(
        name=name,
        exists=exists,
        home=seen.home if seen else "",
        claim=claim,
        status=(seen.statuses.get(name) or {}) if seen else {},
        missing=await _missing(client, name, seen),
        runtimes=runtimes,
        servers=await _things(client, SERVER, name),
        models=await _things(client, MODEL, name),
        pipelines=await _things(client, PIPELINE, name),
        experiments=await _things(client, EXPERIMENT, name),
        scheduled_from=central,
        term=await _term(client, name, central),
        redirects=redirects,
        upstream=await seldon_operator_in(client, name),
        upstream_scheduler=await seldon_scheduler_of(client, name),
    )


def _responsible(
    views: Iterable[InstallationView], name: str, claim: Known[ClaimView | None]
) -> InstallationView | None:
    """Returns the operator that has the namespace in its list; of several one that does not own it.

    Where no list may be read it is the owner.
    """
    owner = "" if claim is None or isinstance(claim, Unknown) else claim.claim.owner.partition("/")[0]
    having = [each for each in views if name in (each.listed or ()) or name in each.statuses]
    others = [each for each in having if each.home != owner]
    owners = [each for each in views if each.home == owner]
    return next(iter((*others, *having, *owners)), None)


async def _exists(client: Client, name: str) -> Known[bool]:
    try:
        await client.get(NAMESPACE, name)
    except NotFound:
        return False
    except ApiError as error:
        return Unknown(str(error))
    return True


async def _missing(client: Client, namespace: str, seen: InstallationView | None) -> Known[tuple[str, ...]]:
    """Takes the operator's word while it is at work, and else asks the API in its place."""
    if seen is None:
        return ()
    said = seen.statuses.get(namespace)
    if said is not None and seen.alive:
        return tuple(str(each) for each in said.get("missing") or ())
    rules = (*OPERATOR_RULES, *OPERATOR_STATEFUL_RULES)
    return await _lacking(client, seen.home, rights_of(rules), namespace)


async def _lacking(
    client: Client, home: str, needed: Iterable[Right], namespace: str
) -> Known[tuple[str, ...]]:
    """Asks the API which of the rights the operator of `home` lacks in a namespace."""
    gate = asyncio.Semaphore(_AT_A_TIME)

    async def lacks(right: Right) -> bool:
        async with gate:
            return not await account_may(client, (home, OPERATOR_ACCOUNT), right, namespace)

    first, *others = sorted(needed)
    try:
        lacking = [await lacks(first), *(await asyncio.gather(*map(lacks, others)))]
    except ApiError as error:
        return Unknown(f"the operator is not there to say, and asking in its place failed: {error}")
    missing = [right for right, lacked in zip((first, *others), lacking, strict=True) if lacked]
    return tuple(f"{right.verb} {full_name(right.group, right.resource)}" for right in missing)


async def _things(client: Client, kind: Kind, namespace: str) -> Known[tuple[Thing, ...]]:
    found = await _known(client.list(kind, namespace))
    return found if isinstance(found, Unknown) else tuple(map(_thing, found.items))


def _thing(manifest: Mapping[str, Any]) -> Thing:
    metadata, spec = manifest["metadata"], manifest.get("spec") or {}
    conditions = {each.type: each.manifest() for each in told_conditions(manifest)}
    ready = conditions.get("Ready") or {}
    seen = status_of(manifest).get("observedGeneration")
    overrides = {each.get("name"): each for each in spec.get("overrides") or ()}
    return Thing(
        name=str(metadata["name"]),
        ready=ready.get("status") == "True",
        message=_words_of(ready),
        current=seen is None or seen == metadata.get("generation"),
        concerns=tuple(_concerns(conditions, str(ready.get("message") or ""))),
        scheduler_namespace=str(spec.get("schedulerNamespace") or ""),
        has_scheduler=_runs(overrides.get(SCHEDULER) or {}),
        has_envoy=_runs(overrides.get(ENVOY) or {}),
        replicas=told_number(manifest, "replicas"),
    )


def _words_of(condition: Mapping[str, Any]) -> str:
    return str(condition.get("message") or condition.get("reason") or "")


def _concerns(conditions: Mapping[str, Mapping[str, Any]], told: str) -> Iterator[str]:
    """Yields the conditions beside `Ready` that somebody has to act on, but for those whose sentence `Ready`
    has: all that are False and no mere information, and the remarks on a Model that are True."""
    for name, condition in conditions.items():
        message, status = _words_of(condition), condition.get("status")
        asks = status == "False" and condition.get("severity") != "Info"
        remarks = status == "True" and name in _REMARKS
        if name != "Ready" and (asks or remarks) and message not in told:
            yield f"{name}: {message}"


def _runs(override: Mapping[str, Any]) -> bool:
    return not override.get("disable") and override.get("replicas") != 0


def _scheduled_from(
    namespace: str, runtimes: Known[tuple[Thing, ...]], redirects: Known[tuple[Redirect, ...]]
) -> str:
    asked = [each.scheduler_namespace for each in known(runtimes)]
    led = [namespace_of(each.target) for each in known(redirects) if each.service == SCHEDULER]
    found = next((other for other in (*asked, *led) if other), "")
    return "" if found == namespace else found


async def _term(client: Client, namespace: str, central: str) -> Known[Term | None]:
    """Reads the lease of the scheduler that serves the namespace: its own, or the one in `central`."""
    try:
        lease = await client.get(LEASE, SCHEDULER_LEASE, central or namespace)
    except NotFound:
        return None
    except ApiError as error:
        return Unknown(str(error))
    claim, notes = claim_of(lease), leader_notes(lease, namespace if central else "")
    return Term(
        leader=claim.owner,
        fresh=is_fresh(claim),
        told=notes.told,
        serves=notes.serves,
        agents=notes.agents,
        published=notes.published,
        acknowledged=notes.acknowledged,
    )


async def _redirects(client: Client, namespace: str) -> Known[tuple[Redirect, ...]]:
    found = []
    for name in _CONTROL_SERVICES:
        try:
            spec = (await client.get(SERVICE, name, namespace)).get("spec") or {}
        except NotFound:
            continue
        except ApiError as error:
            return Unknown(str(error))
        if spec.get("type") == "ExternalName":
            found.append(Redirect(service=name, target=str(spec.get("externalName", ""))))
    return tuple(found)


async def _known(asked: Awaitable[T]) -> Known[T]:
    try:
        return await asked
    except ApiError as error:
        return Unknown(str(error))


def _views(installations: Known[tuple[InstallationView, ...]]) -> tuple[InstallationView, ...]:
    return () if isinstance(installations, Unknown) else installations
