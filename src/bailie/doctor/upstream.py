"""Seldon Core's operators and its scheduler, as far as they can be seen in the cluster and in a namespace.

Called by `gather`, and by `bailie apply` before it calls a namespace unserved. Each refusal of the API is a
fact that is unknown, or nothing seen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bailie.api.kinds import DEPLOYMENT, LEASE, SERVICE, STATEFUL_SET
from bailie.doctor.facts import SeldonOperator, Unknown
from bailie.doctor.installation import is_fresh
from bailie.kube.errors import ApiError, Forbidden, NotFound
from bailie.scope.central import redirected_to
from bailie.scope.claim import (
    OPERATOR_DEPLOYMENT,
    UPSTREAM_LEASE,
    claim_of,
    is_at_work,
    is_upstream_operator,
    ready_pods,
)
from bailie.wellknown import names

if TYPE_CHECKING:
    from bailie.api.kinds import Kind
    from bailie.doctor.facts import Known
    from bailie.kube.client import Client, Object


async def seldon_operators(client: Client) -> Known[tuple[SeldonOperator, ...]]:
    """Returns the operators of Seldon Core's that act in the cluster, or are about to."""
    try:
        found = await client.list(DEPLOYMENT, fields=f"metadata.name={OPERATOR_DEPLOYMENT}")
    except ApiError as error:
        return Unknown(str(error))
    operators = (each for each in found.items if is_upstream_operator(each) and is_at_work(each))
    homes = {str(each["metadata"]["namespace"]): ready_pods(each) > 0 for each in operators}
    return tuple(SeldonOperator(home, ready) for home, ready in sorted(homes.items()))


async def seldon_operator_in(client: Client, namespace: str) -> str:
    """Returns a sentence about Seldon Core's operator in the namespace; empty where nothing may be seen."""
    lease = await _seen(client, LEASE, UPSTREAM_LEASE, namespace)
    if lease is not None and is_fresh(claim_of(lease)):
        return f"Seldon Core's own operator is at work in it (Lease {UPSTREAM_LEASE})"
    deployment = await _seen(client, DEPLOYMENT, OPERATOR_DEPLOYMENT, namespace)
    if deployment is None or not is_upstream_operator(deployment) or not is_at_work(deployment):
        return ""
    if ready_pods(deployment):
        return f"Seldon Core's own operator is at work in it (Deployment {OPERATOR_DEPLOYMENT})"
    text = f"Seldon Core's own operator is in it (Deployment {OPERATOR_DEPLOYMENT})"
    return f"{text}, and acts there again as soon as it has a ready pod"


async def seldon_scheduler_of(client: Client, namespace: str) -> str:
    """Returns a sentence about Seldon Core's scheduler of the namespace, there or where its Service leads.

    It is empty where nothing may be seen. Bailie's scheduler is a Deployment.
    """
    central = redirected_to(await _seen(client, SERVICE, names.SCHEDULER, namespace))
    for place in dict.fromkeys(filter(None, (namespace, central))):
        if await _seen(client, STATEFUL_SET, names.SCHEDULER, place) is not None:
            return f"Seldon Core's scheduler of it is there (StatefulSet {place}/{names.SCHEDULER})"
    return ""


async def _seen(client: Client, kind: Kind, name: str, namespace: str) -> Object | None:
    try:
        return await client.get(kind, name, namespace)
    except (NotFound, Forbidden):
        return None
