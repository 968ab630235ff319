"""The rights that a move needs, so that a plan can say beforehand which of them lack. Pure.

Asked by `read`. Each list holds the rights of the person who runs the command; the operator has its own.
"""

from __future__ import annotations

from bailie.api.kinds import MLOPS_GROUP
from bailie.manifests.rbac import RbacRule
from bailie.migration.source import SELDON_SOURCES, MoveSource
from bailie.scope.rights import Right, rights_of

_READ = ("get", "list")
_PUT = (*_READ, "create", "patch")
_ALL = (*_PUT, "delete")
_RBAC = "rbac.authorization.k8s.io"

_EVERY_MOVE = (
    RbacRule(
        MLOPS_GROUP,
        ("models", "pipelines", "experiments", "servers", "seldonconfigs", "serverconfigs"),
        _READ,
        "to see whether all of them are served",
    ),
    RbacRule(MLOPS_GROUP, ("seldonruntimes",), (*_READ, "patch"), "to change the scheduler"),
    RbacRule("", ("pods", "secrets", "persistentvolumeclaims", "resourcequotas"), _READ, "to check room"),
    RbacRule("apps", ("statefulsets", "deployments", "replicasets"), _READ, "to watch that no pod restarts"),
    RbacRule("discovery.k8s.io", ("endpointslices",), _READ, "to see who answers"),
    RbacRule("", ("services",), (*_READ, "delete"), "to take an ExternalName Service away"),
    RbacRule("", ("configmaps",), _ALL, "to keep the record of the move"),
    RbacRule("coordination.k8s.io", ("leases",), _ALL, "to hold the lock of the move"),
)
"""In the namespace that moves, from every source."""

_FROM_SELDON_CORE = (
    RbacRule(
        MLOPS_GROUP, ("models", "pipelines", "experiments", "servers"), ("patch",), "to take finalizers"
    ),
    RbacRule(
        MLOPS_GROUP, ("seldonruntimes",), ("create", "delete"), "to ask for a scheduler, and to go back"
    ),
    RbacRule(
        MLOPS_GROUP, ("seldonconfigs", "serverconfigs"), ("create", "delete"), "to put Seldon Core's aside"
    ),
    RbacRule("apps", ("statefulsets", "deployments", "replicasets"), ("patch", "delete"), "to detach pods"),
    RbacRule("", ("pods", "persistentvolumeclaims"), ("patch", "delete"), "to take over and to clear up"),
    RbacRule("", ("services",), ("create", "patch"), "to lead callers to both systems"),
    RbacRule(
        "", ("secrets",), ("create", "delete"), "for the token of the pods, and to have Helm forget releases"
    ),
    RbacRule("", ("serviceaccounts",), _ALL, "to give the pods their accounts"),
    RbacRule(_RBAC, ("roles", "rolebindings"), _ALL, "to give the pods their rights"),
    RbacRule("discovery.k8s.io", ("endpointslices",), ("delete",), "to go back"),
    RbacRule("policy", ("poddisruptionbudgets",), (*_READ, "delete"), "to go back"),
)
"""In the namespace, where Seldon Core serves it."""

_CENTRAL = (
    RbacRule(MLOPS_GROUP, ("seldonruntimes",), (*_READ, "patch"), "to shorten servesNamespaces"),
    RbacRule("coordination.k8s.io", ("leases",), _READ, "to see which scheduler leads"),
)
"""In the namespace of the central scheduler, if it is Bailie's."""

_BESIDE_BAILIE = (
    RbacRule("", ("configmaps",), (*_READ, "patch"), "to put the namespace on the operator's list"),
    RbacRule("coordination.k8s.io", ("leases",), _ALL, "to hold the lock of the move"),
)
"""In the namespace of Bailie's operator, where Seldon Core serves the namespace."""

_BESIDE_SELDON_CORE = (
    RbacRule("apps", ("deployments",), (*_READ, "patch"), "to take the namespace from the operator"),
    RbacRule("", ("pods",), _READ, "to see that the operator has let it go"),
)
"""In the namespace of Seldon Core's operator."""

_CLUSTER = (
    RbacRule(
        "apiextensions.k8s.io", ("customresourcedefinitions",), (*_READ, "patch"), "to bring them up to date"
    ),
)
"""In the cluster, where Seldon Core serves the namespace."""


def needed_here(source: MoveSource) -> frozenset[Right]:
    """Returns the rights that a move needs in the namespace."""
    if source in {MoveSource.MOVED, MoveSource.NOTHING}:
        return frozenset()
    if source is MoveSource.BAILIE_CENTRAL:
        return rights_of(_EVERY_MOVE)
    return rights_of((*_EVERY_MOVE, *_FROM_SELDON_CORE, *_CLUSTER))


def needed_beside(source: MoveSource, home: str, foreign: str) -> dict[str, frozenset[Right]]:
    """Returns the rights that a move from Seldon Core needs in the namespaces of the two operators."""
    if source not in SELDON_SOURCES:
        return {}
    places = ((home, _BESIDE_BAILIE), (foreign, _BESIDE_SELDON_CORE))
    return {place: rights_of(rules) for place, rules in places if place}


def needed_in_central(source: MoveSource) -> frozenset[Right]:
    """Returns the rights that a move needs in the namespace of the central scheduler."""
    return rights_of(_CENTRAL) if source is MoveSource.BAILIE_CENTRAL else frozenset()
