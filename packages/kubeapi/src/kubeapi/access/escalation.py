"""The guard on Roles and bindings: no user hands out rights that the user does not have.

Called by `http.app` for writes of the RBAC kinds. Follows
https://kubernetes.io/docs/reference/access-authn-authz/rbac/#privilege-escalation-prevention-and-bootstrapping:
the verbs `escalate` (roles) and `bind` (bindings) lift it.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING

from kubeapi import errors
from kubeapi.access import rbac
from kubeapi.access.rbac import Attributes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kubeapi.access.auth import Authoriser
    from kubeapi.access.rbac import Rule, User
    from kubeapi.registry.catalogue import Resource
    from kubeapi.storage.store import Obj

_GROUP = "rbac.authorization.k8s.io"


def guard_of(
    authoriser: Authoriser, user: User, resource: Resource
) -> Callable[[Obj, Obj | None], None] | None:
    """Returns the check of a new object before it is stored; None for kinds that grant no right."""
    if resource.kind.group != _GROUP or rbac.MASTERS in user.groups:
        return None

    def check(new: Obj, old: Obj | None) -> None:
        field = "rules" if "roleRef" not in new else "subjects"
        if old is not None and old.get(field) == new.get(field):
            return
        lifted = _lifted_by(new, resource)
        if authoriser.allowed(user, lifted):
            return
        rules = new.get("rules") or () if field == "rules" else _granted(new, authoriser.policy)
        missing = [rule for rule in rules if not _held(user, rule, lifted.namespace, authoriser)]
        if missing:
            raise errors.forbidden(resource.kind, new["metadata"]["name"], _sentence(user, missing))

    return check


def _lifted_by(new: Obj, resource: Resource) -> Attributes:
    namespace = new["metadata"].get("namespace", "")
    if "roleRef" not in new:
        asked = Attributes(verb="escalate", group=_GROUP, resource=resource.kind.plural)
        return replace(asked, name=new["metadata"]["name"], namespace=namespace)
    plural = "clusterroles" if new["roleRef"].get("kind") == "ClusterRole" else "roles"
    name = new["roleRef"].get("name", "")
    return Attributes(verb="bind", group=_GROUP, resource=plural, name=name, namespace=namespace)


def _granted(binding: Obj, policy: rbac.Policy) -> tuple[Rule, ...]:
    ref = binding["roleRef"]
    home = "" if ref.get("kind") == "ClusterRole" else binding["metadata"].get("namespace", "")
    return policy.roles.get((home, ref.get("name", "")), ())


def _held(user: User, rule: Rule, namespace: str, authoriser: Authoriser) -> bool:
    return all(authoriser.allowed(user, replace(asked, namespace=namespace)) for asked in _asked(rule))


def _asked(rule: Rule) -> Iterator[Attributes]:
    """Yields every single right that a rule grants."""
    for verb, path in product(rule.get("verbs") or (), rule.get("nonResourceURLs") or ()):
        yield Attributes(verb=verb, path=path)
    names = rule.get("resourceNames") or ("",)
    groups, resources = rule.get("apiGroups") or (), rule.get("resources") or ()
    for verb, group, resource, name in product(rule.get("verbs") or (), groups, resources, names):
        main, _, sub = resource.partition("/")
        yield Attributes(verb=verb, group=group, resource=main, subresource=sub, name=name)


def _sentence(user: User, missing: list[Rule]) -> str:
    groups = " ".join(f'"{group}"' for group in user.groups)
    listed = "\n".join(_shown(rule) for rule in missing)
    who = f'user "{user.name}" (groups=[{groups}])'
    return f"{who} is attempting to grant RBAC permissions not currently held:\n{listed}"


def _shown(rule: Rule) -> str:
    fields = ("apiGroups", "resources", "resourceNames", "nonResourceURLs", "verbs")
    parts = [
        f"{field[0].upper()}{field[1:]}:[{', '.join(f'{chr(34)}{v}{chr(34)}' for v in rule[field])}]"
        for field in fields
        if rule.get(field)
    ]
    return "{" + ", ".join(parts).replace("ApiGroups", "APIGroups") + "}"
