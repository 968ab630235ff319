"""A second writer beside a move: an operator of Seldon Core's that acts, or another installation. Pure.

`executor` asks at each of its looks, before a write and while it waits. An operator that has let the
namespace go writes nothing there and leaves its Lease alone, so each new trace of one is told, whether or not
it undoes a change of the move. Changes that anybody undoes are seen by the steps themselves.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from bailie.api.kinds import LEASE, MLOPS_GROUP, POD
from bailie.manifests.objects import is_ours
from bailie.migration.facts import name_of, owners_of, spec_of, uid_of
from bailie.migration.fields import folded_paths, writes_of
from bailie.migration.foreign import foreign_operators
from bailie.scope.claim import CLAIM_LEASE, UPSTREAM_LEASE, claim_of
from bailie.wellknown import names

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bailie.migration.facts import MoveFacts, Object
    from bailie.migration.fields import FieldPath, FieldWrite
    from bailie.migration.record import MoveRecord

FIELD_MANAGER = "manager"
"""The field manager of Seldon Core's operator: the API server takes the name of its program, `/manager`."""
_OF_RESOURCES: tuple[FieldPath, ...] = (("metadata", "finalizers"), ("status",))
"""Fields of custom resources that Seldon Core's operator writes: other programs may have that name, too."""
_LAST_RENEWALS = 1
"""Renewals by a pod that has ended which may be seen after its end: one may have been under way."""

_Key: TypeAlias = tuple[str, str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseTrace:
    """The Lease of an operator, as last seen."""

    holder: str
    renewed: str
    times: int = 0
    """How often it was seen to be taken or renewed by a holder that is no pod of the operator, but for the
    last renewal of a pod."""
    pods: frozenset[str] = frozenset()
    """The names of all pods that were seen in the operator's namespace."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Traces:
    """The traces of Seldon Core's operators up to one look; objects by kind, name and uid."""

    written: Mapping[_Key, tuple[FieldWrite, ...]] = field(default_factory=dict)
    """Of each object the writes of its field manager."""
    seldons: frozenset[_Key] = frozenset()
    """Objects that are custom resources, or belong to one, or did so at a look before; Bailie's, too."""
    acting: frozenset[str] = frozenset()
    """The namespaces of operators at work for the namespace, which has not been taken from them yet."""
    leases: Mapping[str, LeaseTrace] = field(default_factory=dict)
    """Of each operator, by its namespace."""


def traces(before: Traces | None, facts: MoveFacts) -> Traces:
    """Returns the traces up to this look. `before`: those up to the look before, None at the first."""
    earlier = before or Traces()
    items = dict(_items(facts))
    return Traces(
        written={key: _writes(item) for key, item in items.items()},
        seldons=frozenset(key for key, item in items.items() if key in earlier.seldons or _is_seldons(item)),
        acting=_acting(facts),
        leases={
            home: _traced(earlier.leases.get(home), lease, pods, by_machine=by_machine)
            for home, lease, pods, by_machine in _leases(facts)
        },
    )


def second_writers(
    before: Traces | None, now: Traces, facts: MoveFacts, record: MoveRecord
) -> tuple[str, ...]:
    """Returns a sentence for each writer that should not be there: object, field and writer.

    An operator that has been at work since the first look has not been stopped yet, on the way back from an
    early step for instance, and may write.

    `now`: the traces up to the look that found `facts`; `before`: up to the look before, None at the first.
    """
    claimed = (*_claimed(facts, record), *_renewed(now, facts))
    if before is None:
        return claimed
    if now.acting <= before.acting and now.acting:
        return claimed
    return (*claimed, *_operators(now.acting - before.acting, facts), *_new_writes(before, now, facts))


def _claimed(facts: MoveFacts, record: MoveRecord) -> Iterator[str]:
    lease = facts.here.get(LEASE, CLAIM_LEASE)
    owner = claim_of(lease).owner if lease is not None else ""
    if owner and owner.partition("/")[0] != record.home:
        place = f"Lease {CLAIM_LEASE} in namespace {facts.here.name}"
        yield f"{place}: spec.holderIdentity is {owner}, and the move is one of the operator in {record.home}"


def _acting(facts: MoveFacts) -> frozenset[str]:
    serving = (each for each in foreign_operators(facts) if each.covers(facts.here.name))
    return frozenset(each.home for each in serving if each.at_work)


def _operators(homes: frozenset[str], facts: MoveFacts) -> Iterator[str]:
    for operator in foreign_operators(facts):
        if operator.home in homes:
            place = f"Deployment {names.OPERATOR} in namespace {operator.home}"
            numbers = f"spec.replicas {operator.wanted}, {operator.ready} ready"
            yield f"{place}: Seldon Core's operator is at work and serves {facts.here.name} ({numbers})"


def _leases(facts: MoveFacts) -> Iterator[tuple[str, Object, frozenset[str], bool]]:
    """Yields the Leases of operators by their namespaces, with the names of the pods there.

    And whether an operator there has the network of its machine: it names itself by that, and not by its pod.
    """
    for home in sorted(each.home for each in foreign_operators(facts)):
        lease, place = facts.present(LEASE, UPSTREAM_LEASE, home), facts.place(home)
        pods = place.all(POD) if place is not None else ()
        by_machine = any(spec_of(pod).get("hostNetwork") and _of_operator(pod) for pod in pods)
        if lease is not None:
            yield home, lease, frozenset(map(name_of, pods)), by_machine


def _of_operator(pod: Object) -> bool:
    return name_of(pod).startswith(f"{names.OPERATOR}-")


def _traced(
    before: LeaseTrace | None, lease: Object, pods: frozenset[str], *, by_machine: bool
) -> LeaseTrace:
    claim, times = claim_of(lease), 0
    host, ended = claim.owner.partition("_")[0], before.pods if before is not None else frozenset()
    taken = before is not None and claim.owner != before.holder
    # A pod that has ended may have taken the Lease back from another process just before.
    if by_machine or not host or host in pods or (taken and host in ended):
        times = -_LAST_RENEWALS
    elif taken:
        times = 1
    elif before is not None:
        times = before.times + (claim.renewed != before.renewed)
    return LeaseTrace(holder=claim.owner, renewed=claim.renewed, times=times, pods=pods | ended)


def _renewed(now: Traces, facts: MoveFacts) -> Iterator[str]:
    for home, lease, *_ in _leases(facts):
        seen = now.leases[home]
        if seen.times > 0:
            text = f"Lease {name_of(lease)} in namespace {home}: {seen.holder} renews it (spec.renewTime"
            yield f"{text} {seen.renewed}), and is no pod of Deployment {names.OPERATOR} there"


def _new_writes(before: Traces, now: Traces, facts: MoveFacts) -> Iterator[str]:
    for key in sorted(now.seldons):
        for write in now.written[key]:
            if new := write.since(before.written.get(key, ())):
                place = f"{key[0]} {key[1]} in namespace {facts.here.name}"
                yield f"{place}: Seldon Core's operator wrote {folded_paths(new)} ({write.writer})"


def _items(facts: MoveFacts) -> Iterator[tuple[_Key, Object]]:
    for kind, items in facts.here.objects.items():
        for name, item in items.items():
            yield (kind, name, uid_of(item)), item


def _writes(item: Object) -> tuple[FieldWrite, ...]:
    return writes_of(item, _OF_RESOURCES if _of_group(item) else ((),), manager=FIELD_MANAGER)


def _is_seldons(item: Object) -> bool:
    return is_ours(item) or any(map(_of_group, (item, *owners_of(item))))


def _of_group(reference: Object) -> bool:
    return str(reference.get("apiVersion") or "").startswith(f"{MLOPS_GROUP}/")
