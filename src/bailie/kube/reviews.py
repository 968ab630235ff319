"""Reviews of this process's own rights, by questions to the API server.

Used by the operator for its own rights in each namespace, and by `bailie doctor` for those of the operator.
A review of rules is one request for a namespace; where the server says that it cannot tell all (authorisers
beside RBAC), each right that seems to be missing is asked for by itself.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from bailie.scope.rights import HeldRights, Right, missing_rights

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bailie.kube.client import Client

_AT_A_TIME = 8


async def own_missing_rights(client: Client, namespace: str, needed: Iterable[Right]) -> tuple[Right, ...]:
    """Returns which of the rights this client lacks in the namespace. Raises ApiError."""
    answer = await _review(client, "SelfSubjectRulesReview", {"namespace": namespace})
    status = answer.get("status") or {}
    held = HeldRights(tuple(status.get("resourceRules") or ()), complete=not status.get("incomplete"))
    missing = missing_rights(needed, held)
    if held.complete or not missing:
        return missing
    gate = asyncio.Semaphore(_AT_A_TIME)

    async def lacks(right: Right) -> bool:
        async with gate:
            asked = {"resourceAttributes": attributes(right, namespace)}
            return not await _allowed(client, "SelfSubjectAccessReview", asked)

    lacking = await asyncio.gather(*map(lacks, missing))
    return tuple(right for right, lacked in zip(missing, lacking, strict=True) if lacked)


def attributes(right: Right, namespace: str) -> dict[str, str]:
    """Returns a right as access reviews take it."""
    plural, _, sub = right.resource.partition("/")
    found = {"verb": right.verb, "group": right.group, "resource": plural, "namespace": namespace}
    return {**found, "subresource": sub} if sub else found


async def account_may(client: Client, account: tuple[str, str], right: Right, namespace: str) -> bool:
    """Says whether a service account (namespace, name) has the right in the namespace.

    Asks as a namespace's administrator may (LocalSubjectAccessReview). Raises Forbidden where this client may
    not ask.
    """
    home, name = account
    asked = {
        "user": f"system:serviceaccount:{home}:{name}",
        "groups": ["system:serviceaccounts", f"system:serviceaccounts:{home}", "system:authenticated"],
        "resourceAttributes": attributes(right, namespace),
    }
    return await _allowed(client, "LocalSubjectAccessReview", asked, namespace)


async def _allowed(client: Client, kind: str, spec: dict[str, Any], namespace: str = "") -> bool:
    answer = await _review(client, kind, spec, namespace)
    return bool((answer.get("status") or {}).get("allowed"))


async def _review(client: Client, kind: str, spec: dict[str, Any], namespace: str = "") -> dict[str, Any]:
    body: dict[str, Any] = {"apiVersion": "authorization.k8s.io/v1", "kind": kind, "spec": spec}
    place = f"/namespaces/{namespace}" if namespace else ""
    if namespace:
        body["metadata"] = {"namespace": namespace}
    return await client.call("POST", f"/apis/authorization.k8s.io/v1{place}/{kind.lower()}s", body=body)
