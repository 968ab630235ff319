"""What an account may do by rendered RBAC objects, evaluated as the embedded API evaluates it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from bailie.manifests import rbac
from kubeapi.access.auth import service_account_user
from kubeapi.access.rbac import Attributes, allowed, policy_of

if TYPE_CHECKING:
    from collections.abc import Iterable

VERBS = (
    "get", "list", "watch", "create", "update", "patch", "delete", "deletecollection",
    "bind", "escalate", "impersonate",
)  # fmt: skip
DELICATE = (
    ("", "secrets"), ("", "serviceaccounts"), ("", "serviceaccounts/token"), ("", "pods/exec"), ("", "nodes"),
    ("", "namespaces"), ("", "persistentvolumeclaims"), ("rbac.authorization.k8s.io", "roles"),
    ("rbac.authorization.k8s.io", "rolebindings"), ("rbac.authorization.k8s.io", "clusterroles"),
    ("rbac.authorization.k8s.io", "clusterrolebindings"),
    ("apiextensions.k8s.io", "customresourcedefinitions"),
)  # fmt: skip
"""Resources that are asked for in addition to all those of the rules."""
EVERY_RULE = (
    *rbac.OPERATOR_RULES,
    *rbac.OPERATOR_STATEFUL_RULES,
    *rbac.OPERATOR_HOME_RULES,
    *rbac.SCHEDULER_RULES,
    *rbac.CENTRAL_SCHEDULER_RULES,
    *rbac.SERVER_RULES,
    rbac.NAMESPACE_RULE,
)
CLUSTER = ""
"""The namespace of what has none, and of what is asked for in all at once."""


class Right(NamedTuple):
    """A verb on a resource in a namespace; `name` where it holds for that object alone."""

    namespace: str
    group: str
    resource: str
    verb: str
    name: str = ""


def held(manifests: Iterable[Any], account: tuple[str, str], namespaces: Iterable[str]) -> frozenset[Right]:
    """Returns every right that the account, a name and its namespace, has in the namespaces and beyond."""
    kinds: dict[str, list[Any]] = {}
    for manifest in manifests:
        kinds.setdefault(manifest["kind"], []).append(manifest)
    roles, bindings = kinds.get("Role", ()), kinds.get("RoleBinding", ())
    policy = policy_of(roles, kinds.get("ClusterRole", ()), bindings, kinds.get("ClusterRoleBinding", ()))
    user = service_account_user(account[1], account[0])
    return frozenset(
        right
        for namespace in (*namespaces, CLUSTER)
        for right in _universe(namespace)
        if allowed(user, _attributes(right), policy)
    )


def granted(rules: Iterable[rbac.RbacRule], namespace: str) -> frozenset[Right]:
    """Returns the rights that rules give in a namespace."""
    return frozenset(
        Right(namespace, rule.group, resource, verb, name)
        for rule in rules
        for resource in rule.resources
        for verb in rule.verbs
        for name in rule.names or ("",)
    )


def without_names_beside_all(rights: Iterable[Right]) -> frozenset[Right]:
    """Leaves out rights to one object where the same is held for all."""
    found = frozenset(rights)
    return frozenset(right for right in found if not right.name or right._replace(name="") not in found)


def _universe(namespace: str) -> Iterable[Right]:
    resources = {(rule.group, resource) for rule in EVERY_RULE for resource in rule.resources} | set(DELICATE)
    names = {("", "")} | {
        (resource, name) for rule in EVERY_RULE for resource in rule.resources for name in rule.names
    }
    for group, resource in sorted(resources):
        for verb in VERBS:
            for limited, name in names:
                if limited in {"", resource}:
                    yield Right(namespace, group, resource, verb, name)


def _attributes(right: Right) -> Attributes:
    resource, _, subresource = right.resource.partition("/")
    return Attributes(
        verb=right.verb,
        group=right.group,
        resource=resource,
        subresource=subresource,
        name=right.name,
        namespace=right.namespace,
    )
