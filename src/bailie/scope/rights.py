"""The missing rights: needed rights against those that the API says are held. Pure.

The operator asks for its own rights in each namespace that it is to serve; `bailie doctor` asks in a user's
place. The needed rights come from the one list in `manifests.rbac`; they are handed in.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


class Right(NamedTuple):
    """One verb on one resource; `resource` may name a subresource (`servers/status`)."""

    group: str
    resource: str
    verb: str


@dataclass(frozen=True, slots=True)
class HeldRights:
    """The answer of a SelfSubjectRulesReview. `complete` is False where the server could not tell all."""

    rules: tuple[Mapping[str, Any], ...]
    complete: bool = True

    def has(self, right: Right) -> bool:
        """Says whether the right is held on every object of the resource, not only on named ones."""
        return any(_covers(rule, right) for rule in self.rules if not rule.get("resourceNames"))


def rights_of(rules: Iterable[Any]) -> frozenset[Right]:
    """Returns the single rights of rules that have `group`, `resources` and `verbs`
    (`manifests.rbac.RbacRule`).

    A rule for named objects is left out: a review of all rights in a namespace says nothing of it.
    """
    return frozenset(
        Right(rule.group, resource, verb)
        for rule in rules
        if not getattr(rule, "names", ())
        for resource in rule.resources
        for verb in rule.verbs
    )


def missing_rights(needed: Iterable[Right], held: HeldRights) -> tuple[Right, ...]:
    """Returns the rights that are needed and not held, in order."""
    return tuple(sorted(right for right in needed if not held.has(right)))


def named(rights: Sequence[Right]) -> str:
    """Returns rights in words, verb by verb: `get, list on servers.mlops.seldon.io; create on events`."""
    by_resource: dict[tuple[str, ...], list[str]] = {}
    for (group, resource), rows in groupby(sorted(rights), key=lambda right: right[:2]):
        verbs = tuple(row.verb for row in rows)
        by_resource.setdefault(verbs, []).append(full_name(group, resource))
    return "; ".join(f"{', '.join(verbs)} on {', '.join(names)}" for verbs, names in by_resource.items())


def full_name(group: str, resource: str) -> str:
    """Returns the resource as kubectl takes it: `servers.mlops.seldon.io/status`, `services`."""
    plural, slash, sub = resource.partition("/")
    return f"{plural}.{group}{slash}{sub}" if group else resource


def _covers(rule: Mapping[str, Any], right: Right) -> bool:
    groups, resources, verbs = (rule.get(field) or () for field in ("apiGroups", "resources", "verbs"))
    plural, _, sub = right.resource.partition("/")
    wanted = {"*", right.resource} | ({f"*/{sub}"} if sub else {plural})
    return (
        ("*" in groups or right.group in groups)
        and ("*" in verbs or right.verb in verbs)
        and any(resource in wanted for resource in resources)
    )
