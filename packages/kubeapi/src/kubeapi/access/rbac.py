"""Role-based access control: a pure function over the four RBAC kinds.

Called by the authoriser (`auth.py`) and the access reviews. Evaluates exactly as Kubernetes' RBAC authoriser
does: rights only add up, a binding to a missing role gives nothing, `system:masters` may do everything.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

Rule = dict[str, Any]
MASTERS = "system:masters"
AUTHENTICATED = "system:authenticated"
_SERVICE_ACCOUNT = "system:serviceaccount:"

DISCOVERY_RULES: tuple[Rule, ...] = (
    {
        "verbs": ["get"],
        "nonResourceURLs": [
            "/api",
            "/api/*",
            "/apis",
            "/apis/*",
            "/healthz",
            "/livez",
            "/openapi",
            "/openapi/*",
            "/readyz",
            "/version",
            "/version/",
        ],
    },
)
SELF_REVIEW_RULES: tuple[Rule, ...] = (
    {
        "verbs": ["create"],
        "apiGroups": ["authorization.k8s.io"],
        "resources": ["selfsubjectaccessreviews", "selfsubjectrulesreviews"],
    },
    {"verbs": ["create"], "apiGroups": ["authentication.k8s.io"], "resources": ["selfsubjectreviews"]},
)
PUBLIC_PATHS = frozenset({"/healthz", "/livez", "/readyz", "/version", "/version/"})


@dataclass(frozen=True, slots=True)
class User:
    """The user of a request."""

    name: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: Mapping[str, list[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attributes:
    """The right that is asked for: a verb on a resource, or on `path` when that is set.

    An empty namespace means cluster scope.
    """

    verb: str
    group: str = ""
    resource: str = ""
    subresource: str = ""
    name: str = ""
    namespace: str = ""
    path: str = ""


class Policy:
    """The four RBAC kinds, indexed by namespace; cluster-scoped ones are under the empty namespace."""

    def __init__(self) -> None:
        self.roles: dict[tuple[str, str], tuple[Rule, ...]] = {}
        self.bindings: dict[str, dict[str, Rule]] = {}

    def put(self, obj: Rule) -> None:
        """Takes an object in, in place of an older one of its name."""
        namespace, name = _place(obj)
        if "roleRef" in obj:
            self.bindings.setdefault(namespace, {})[name] = obj
        else:
            self.roles[namespace, name] = tuple(obj.get("rules") or ())

    def remove(self, obj: Rule) -> None:
        """Forgets an object."""
        namespace, name = _place(obj)
        if "roleRef" not in obj:
            self.roles.pop((namespace, name), None)
        elif bindings := self.bindings.get(namespace):
            bindings.pop(name, None)
            if not bindings:
                del self.bindings[namespace]


def _place(obj: Rule) -> tuple[str, str]:
    meta = obj["metadata"]
    return meta.get("namespace", ""), meta["name"]


def policy_of(*objects: Iterable[Rule]) -> Policy:
    """Indexes RBAC objects."""
    policy = Policy()
    for each in chain(*objects):
        policy.put(each)
    return policy


def rules_for(user: User, namespace: str, policy: Policy) -> Iterator[Rule]:
    """Returns every rule for the user in a namespace, cluster-wide rules included."""
    if MASTERS in user.groups:
        yield {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}
        yield {"verbs": ["*"], "nonResourceURLs": ["*"]}
    if AUTHENTICATED in user.groups:
        yield from SELF_REVIEW_RULES
        yield from DISCOVERY_RULES
    for scope in dict.fromkeys(("", namespace)):
        for binding in policy.bindings.get(scope, {}).values():
            if any(_is_subject(user, s, scope) for s in binding.get("subjects") or ()):
                ref = binding.get("roleRef") or {}
                home = "" if ref.get("kind") == "ClusterRole" else scope
                yield from policy.roles.get((home, ref.get("name", "")), ())


def allowed(user: User, asked: Attributes, policy: Policy) -> bool:
    """Says whether the user has the right."""
    return any(_covers(rule, asked) for rule in rules_for(user, asked.namespace, policy))


def _is_subject(user: User, subject: Rule, namespace: str) -> bool:
    kind, name = subject.get("kind"), subject.get("name", "")
    if kind == "User":
        return name in {user.name, "*"}
    if kind == "Group":
        return name in user.groups
    home = subject.get("namespace") or namespace
    return kind == "ServiceAccount" and user.name == f"{_SERVICE_ACCOUNT}{home}:{name}"


def _covers(rule: Rule, asked: Attributes) -> bool:
    verbs = rule.get("verbs") or ()
    if "*" not in verbs and asked.verb not in verbs:
        return False
    if asked.path:
        return any(_path_matches(pattern, asked.path) for pattern in rule.get("nonResourceURLs") or ())
    groups = rule.get("apiGroups") or ()
    if "*" not in groups and asked.group not in groups:
        return False
    if not _resource_matches(rule.get("resources") or (), asked):
        return False
    names = rule.get("resourceNames") or ()
    return not names or asked.name in names


def _path_matches(pattern: str, path: str) -> bool:
    if pattern.endswith("*"):
        return path.startswith(pattern[:-1])
    return pattern == path


def _resource_matches(resources: Iterable[str], asked: Attributes) -> bool:
    wanted = f"{asked.resource}/{asked.subresource}" if asked.subresource else asked.resource
    for resource in resources:
        if resource in {"*", wanted}:
            return True
        if asked.subresource and resource == f"*/{asked.subresource}":
            return True
    return False


def refusal(user: User, asked: Attributes) -> str:
    """Returns the words of Kubernetes for a right that the user does not have."""
    if asked.path:
        return f'User "{user.name}" cannot {asked.verb} path "{asked.path}"'
    resource = f"{asked.resource}/{asked.subresource}" if asked.subresource else asked.resource
    scope = f'in the namespace "{asked.namespace}"' if asked.namespace else "at the cluster scope"
    return (
        f'User "{user.name}" cannot {asked.verb} resource "{resource}" in API group "{asked.group}" {scope}'
    )
