"""The one list of rights, and the manifests made from it.

`bailie up`, the chart and the docs take them from here. Scoped: Roles only, in the namespaces served and
in the operator's own. The operator has no right on Secrets, Roles or RoleBindings anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bailie.api.kinds import MLOPS_GROUP
from bailie.wellknown import names

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bailie.manifests.workload import Manifest

OPERATOR_ACCOUNT = names.OPERATOR
SCHEDULER_ACCOUNT = names.SCHEDULER
SERVER_ACCOUNT = names.SERVER
ENVOY_ACCOUNT = names.ENVOY
CONTROL_PLANE_SECRET = names.CONTROL_PLANE_SECRET
MODEL_SECRETS = (names.REMOTE_SECRET,)
"""The Secrets that Models may name by default: the Secret that the runtime chart makes."""
EVERY_SECRET = "*"  # noqa: S105 - a pattern
SCOPE_STATUS = names.SCOPE_STATUS
"""The ConfigMap in which the operator publishes the status of each namespace."""
_RBAC = "rbac.authorization.k8s.io"
_READ = ("get", "list", "watch")
_WRITE = ("create", "delete", "patch", "update")


@dataclass(frozen=True, slots=True)
class RbacRule:
    """A right: `why` says which process needs it, and for which purpose. `names` limits it to these
    objects."""

    group: str
    resources: tuple[str, ...]
    verbs: tuple[str, ...]
    why: str
    names: tuple[str, ...] = ()

    def manifest(self) -> Manifest:
        """Returns the rule as a Role has it."""
        rule: Manifest = {"apiGroups": [self.group], "resources": list(self.resources)}
        if self.names:
            rule["resourceNames"] = list(self.names)
        return {**rule, "verbs": list(self.verbs)}


OPERATOR_RULES = (
    RbacRule(
        MLOPS_GROUP,
        ("seldonruntimes", "servers", "seldonconfigs", "serverconfigs"),
        _READ,
        "to read the desired state",
    ),
    RbacRule(
        MLOPS_GROUP,
        ("seldonruntimes/status", "servers/status"),
        ("get", "patch", "update"),
        "to say what became of it",
    ),
    RbacRule(
        MLOPS_GROUP,
        ("seldonruntimes/finalizers", "servers/finalizers"),
        ("update",),
        "to own the objects that it makes, where the cluster checks owner references",
    ),
    RbacRule(
        MLOPS_GROUP,
        ("servers",),
        ("create",),
        "to make the Server that runs pipelines: creating has no names",
    ),
    RbacRule(
        MLOPS_GROUP,
        ("servers",),
        ("delete", "patch"),
        "to keep the Server that runs pipelines while there is one, and no other Server",
        names=(names.PIPELINE_GATEWAY,),
    ),
    RbacRule("", ("services", "configmaps"), (*_READ, *_WRITE), "to make what goes with the pods"),
    RbacRule(
        "discovery.k8s.io", ("endpointslices",), (*_READ, *_WRITE), "to make what the leading scheduler fills"
    ),
    RbacRule("", ("events",), ("create", "patch"), "to tell what happened"),
    RbacRule("coordination.k8s.io", ("leases",), (*_READ, *_WRITE), "to claim the namespace"),
)
"""The operator in a namespace that it serves."""

OPERATOR_STATEFUL_RULES = (
    RbacRule("apps", ("statefulsets", "deployments"), (*_READ, *_WRITE), "to run pods"),
    RbacRule(
        "policy", ("poddisruptionbudgets",), (*_READ, *_WRITE), "to let machines be drained one at a time"
    ),
    RbacRule("", ("pods",), _READ, "to say why pods are not ready"),
)
"""Further rights of the operator in a namespace that it serves, for the objects that become pods."""

NAMESPACE_RULE = RbacRule("", ("namespaces",), _READ, "to find the namespaces to serve")
"""A further right of an operator that serves the whole cluster."""

OPERATOR_HOME_RULES = (
    RbacRule(MLOPS_GROUP, ("seldonconfigs", "serverconfigs"), _READ, "to find shared configurations"),
    RbacRule("", ("configmaps",), _READ, "to follow its list of namespaces"),
    RbacRule("", ("configmaps",), ("create",), "to tell what became of it: creating has no names"),
    RbacRule("", ("configmaps",), ("patch",), "to tell what became of it", names=(SCOPE_STATUS,)),
    RbacRule("", ("events",), ("create", "patch"), "to tell what happened"),
    RbacRule("coordination.k8s.io", ("leases",), (*_READ, *_WRITE), "to elect one of its replicas"),
)
"""The operator in its own namespace."""

SCHEDULER_RULES = (
    RbacRule(
        MLOPS_GROUP,
        ("models", "pipelines", "experiments", "servers", "seldonruntimes"),
        _READ,
        "to read the desired state",
    ),
    RbacRule(
        MLOPS_GROUP,
        (
            "models/status",
            "pipelines/status",
            "experiments/status",
            "servers/status",
            "seldonruntimes/status",
        ),
        ("get", "patch", "update"),
        "to say what became of it",
    ),
    RbacRule(
        MLOPS_GROUP, ("models",), ("patch",), "to take off the finalizers that Seldon Core's operator left"
    ),
    RbacRule(
        MLOPS_GROUP,
        ("servers/scale",),
        ("patch",),
        "to let the replicas of a Server follow what its models need",
    ),
    RbacRule("coordination.k8s.io", ("leases",), (*_READ, *_WRITE), "to elect one of its replicas"),
    RbacRule("", ("events",), ("create", "patch"), "to tell what happened"),
    RbacRule("", ("configmaps",), _READ, "to follow its settings"),
    RbacRule(
        "discovery.k8s.io",
        ("endpointslices",),
        ("get", "patch"),
        "to be found as the leader",
        names=(SCHEDULER_ACCOUNT,),
    ),
)
"""The scheduler in its namespace."""

CENTRAL_SCHEDULER_RULES = (
    *(rule for rule in SCHEDULER_RULES if rule.group == MLOPS_GROUP or rule.resources == ("events",)),
    *(rule for rule in SCHEDULER_RULES if rule.resources == ("endpointslices",)),
    RbacRule(
        "coordination.k8s.io",
        ("leases",),
        ("create",),
        "to lead where no scheduler did: creating has no names",
    ),
    RbacRule(
        "coordination.k8s.io",
        ("leases",),
        (*_READ, "update"),
        "to lead there, and to hand over to a scheduler of the namespace itself",
        names=(SCHEDULER_ACCOUNT,),
    ),
    RbacRule(
        "", ("secrets",), ("get",), "to know the token of the namespace's pods", names=(CONTROL_PLANE_SECRET,)
    ),
)
"""A scheduler in another namespace that it serves."""

AGENT_RULES = (RbacRule("", ("configmaps",), ("get",), "to know the namespace's remotes"),)
"""The agents in their namespace, if Models may name any Secret."""


def server_rules(secrets: Iterable[str]) -> tuple[RbacRule, ...]:
    """Returns the agents' rights where Models may name these Secrets; `EVERY_SECRET` stands for all of them.

    A rule without names would give all, so no names make no rule.
    """
    names = tuple(sorted(set(secrets)))
    if not names:
        return AGENT_RULES
    why = "to fetch artifacts with the Secret that a Model or the configuration names"
    return (*AGENT_RULES, RbacRule("", ("secrets",), ("get",), why, () if EVERY_SECRET in names else names))


SERVER_RULES = server_rules(MODEL_SECRETS)
"""The agents in their namespace, where nothing is said of Secrets."""


def role_manifests(
    namespace: str, operator_namespace: str, *, secrets: Iterable[str] = MODEL_SECRETS
) -> list[Manifest]:
    """Returns accounts, Roles and RoleBindings for one served namespace, with the operator's own.

    `secrets` are those that Models may name.
    """
    return [
        *operator_manifests(operator_namespace),
        *namespace_manifests(namespace, operator_namespace, secrets=secrets),
    ]


def namespace_manifests(
    namespace: str, operator_namespace: str, *, secrets: Iterable[str] = MODEL_SECRETS
) -> list[Manifest]:
    """Returns the part of `role_manifests` that lies in the served namespace."""
    operator = (OPERATOR_ACCOUNT, operator_namespace)
    return [
        *(_account(namespace, name) for name in (SCHEDULER_ACCOUNT, SERVER_ACCOUNT, ENVOY_ACCOUNT)),
        *_bound_role(namespace, "seldon-v2-manager", (*OPERATOR_RULES, *OPERATOR_STATEFUL_RULES), operator),
        *_bound_role(namespace, SCHEDULER_ACCOUNT, SCHEDULER_RULES, (SCHEDULER_ACCOUNT, namespace)),
        *_bound_role(namespace, "agent", server_rules(secrets), (SERVER_ACCOUNT, namespace)),
    ]


def central_manifests(namespace: str, scheduler_namespace: str) -> list[Manifest]:
    """Returns the rights in `namespace` of the scheduler of another one that is to serve it."""
    account = (SCHEDULER_ACCOUNT, scheduler_namespace)
    return [*_bound_role(namespace, "seldon-central-scheduler", CENTRAL_SCHEDULER_RULES, account)]


def operator_manifests(operator_namespace: str) -> list[Manifest]:
    """Returns the operator's account and its rights in its own namespace."""
    account = (OPERATOR_ACCOUNT, operator_namespace)
    return [
        _account(operator_namespace, OPERATOR_ACCOUNT),
        *_bound_role(operator_namespace, "seldon-v2-leader-election", OPERATOR_HOME_RULES, account),
    ]


def cluster_manifests(operator_namespace: str) -> list[Manifest]:
    """Returns the operator's rights in all namespaces, for an operator that serves the whole cluster."""
    rules = (*OPERATOR_RULES, *OPERATOR_STATEFUL_RULES, NAMESPACE_RULE)
    account = (OPERATOR_ACCOUNT, operator_namespace)
    name = f"seldon-v2-manager-role-{operator_namespace}"
    return [
        {
            "apiVersion": f"{_RBAC}/v1",
            "kind": "ClusterRole",
            "metadata": {"name": name},
            "rules": [rule.manifest() for rule in rules],
        },
        {
            "apiVersion": f"{_RBAC}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": name},
            **_binding("ClusterRole", name, account),
        },
    ]


def _account(namespace: str, name: str) -> Manifest:
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": namespace}}


def _bound_role(
    namespace: str, stem: str, rules: Sequence[RbacRule], account: tuple[str, str]
) -> tuple[Manifest, Manifest]:
    role: Manifest = {
        "apiVersion": f"{_RBAC}/v1",
        "kind": "Role",
        "metadata": {"name": f"{stem}-role", "namespace": namespace},
        "rules": [rule.manifest() for rule in rules],
    }
    binding: Manifest = {
        "apiVersion": f"{_RBAC}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": f"{stem}-rolebinding", "namespace": namespace},
        **_binding("Role", f"{stem}-role", account),
    }
    return role, binding


def _binding(kind: str, role: str, account: tuple[str, str]) -> Manifest:
    name, namespace = account
    return {
        "roleRef": {"apiGroup": _RBAC, "kind": kind, "name": role},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}],
    }
