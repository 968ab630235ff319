"""Claims on namespaces as objects of the API, and signs of other operators. Pure.

A claim is a Lease in the namespace. The Lease names an installation (`<namespace>/<release>`), not a pod:
standbys of one installation share it, and their election says which of them acts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bailie.wellknown import labels, names

if TYPE_CHECKING:
    from collections.abc import Mapping

CLAIM_LEASE = names.CLAIM_LEASE
ELECTION_LEASE = names.ELECTION_LEASE
"""The election among the pods of one installation, in the operator's namespace."""
SCHEDULER_LEASE = names.SCHEDULER
"""The election among the schedulers of a namespace, in the namespace."""
TERM_ANNOTATION = labels.TERM
"""On the schedulers' Lease, as JSON: `agents` by server, `published` and `acknowledged` revisions."""
STATUS_KEY = "status.json"
"""The key of the status of each namespace, in the ConfigMap that the operator writes
(`rbac.SCOPE_STATUS`)."""
UPSTREAM_LEASE = "e98130ae.seldon.io"
"""The leader Lease of Seldon Core's operator, in its own namespace, which it always serves."""
OPERATOR_DEPLOYMENT = names.OPERATOR
"""Seldon Core's operator and ours have the same Deployment."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The holder of a Lease, empty for a free one. Times as the object has them."""

    owner: str
    acquired: str
    renewed: str
    seconds: float

    def fresh(self, age: float) -> bool:
        """Says whether a Lease renewed `age` seconds ago still holds."""
        return bool(self.owner) and age <= self.seconds


def claim_of(lease: Mapping[str, Any]) -> Claim:
    """Reads a Lease."""
    spec = lease.get("spec") or {}
    return Claim(
        owner=str(spec.get("holderIdentity") or ""),
        acquired=str(spec.get("acquireTime") or ""),
        renewed=str(spec.get("renewTime") or ""),
        seconds=float(spec.get("leaseDurationSeconds") or 0),
    )


def is_upstream_operator(deployment: Mapping[str, Any]) -> bool:
    """Says whether a Deployment of the common name is Seldon Core's: ours runs `bailie operator`."""
    if deployment["metadata"]["name"] != OPERATOR_DEPLOYMENT:
        return False
    pod = ((deployment.get("spec") or {}).get("template") or {}).get("spec") or {}
    return all("operator" not in _words(container) for container in pod.get("containers") or ())


def is_at_work(deployment: Mapping[str, Any]) -> bool:
    """Says whether its operator acts, or is about to: until it is scaled to 0 and no pod is ready."""
    return wanted_pods(deployment) > 0 or ready_pods(deployment) > 0


def wanted_pods(deployment: Mapping[str, Any]) -> int:
    """Returns the number of pods that a Deployment asks for."""
    wanted = (deployment.get("spec") or {}).get("replicas")
    return 1 if wanted is None else int(wanted)


def ready_pods(deployment: Mapping[str, Any]) -> int:
    """Returns the number of a Deployment's pods that are ready."""
    return int((deployment.get("status") or {}).get("readyReplicas") or 0)


def _words(container: Mapping[str, Any]) -> list[str]:
    return [*(container.get("command") or ()), *(container.get("args") or ())]
