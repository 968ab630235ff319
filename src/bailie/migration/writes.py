"""The writes with which a move begins, as the API server is asked to try them. Pure; called by `preview`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bailie.api.kinds import SELDON_RUNTIME
from bailie.manifests.rbac import namespace_manifests
from bailie.migration.checks.operators import home_of
from bailie.migration.facts import name_of
from bailie.migration.source import MoveSource
from bailie.scope.central import asked_of, served_of
from bailie.wellknown import names

if TYPE_CHECKING:
    from bailie.api.kinds import Kind
    from bailie.migration.facts import MoveFacts, Object

_OF_THE_SCHEDULER = frozenset({names.SCHEDULER, f"{names.SCHEDULER}-role", f"{names.SCHEDULER}-rolebinding"})


@dataclass(frozen=True, slots=True, kw_only=True)
class MergePatch:
    """A change of some fields of an object."""

    kind: Kind
    name: str
    namespace: str
    body: Object

    @property
    def reference(self) -> str:
        """Returns kind, namespace and name as findings have them."""
        return f"{self.kind.kind} {self.namespace}/{self.name}"


def first_applies(facts: MoveFacts, source: MoveSource) -> tuple[Object, ...]:
    """Returns the manifests that a move applies first: the rights in the namespace."""
    home = home_of(facts)
    if home is None or source in {MoveSource.MOVED, MoveSource.NOTHING}:
        return ()
    wanted = namespace_manifests(facts.here.name, home.home)
    if source is MoveSource.BAILIE_CENTRAL:
        return tuple(each for each in wanted if name_of(each) in _OF_THE_SCHEDULER)
    return tuple(wanted)


def first_patches(facts: MoveFacts, source: MoveSource) -> tuple[MergePatch, ...]:
    """Returns the changes of SeldonRuntimes by which one scheduler hands over to the other."""
    if source is not MoveSource.BAILIE_CENTRAL:
        return ()
    found = []
    own, central = facts.here.runtime(), facts.central.runtime() if facts.central is not None else None
    if own is not None and asked_of(own):
        found.append(_patch(own, {"schedulerNamespace": None}))
    served = served_of(central)
    if central is not None and facts.here.name in served:
        found.append(_patch(central, {"servesNamespaces": [n for n in served if n != facts.here.name]}))
    return tuple(found)


def _patch(runtime: Object, spec: Object) -> MergePatch:
    namespace = str(runtime["metadata"]["namespace"])
    body = {"spec": spec}
    return MergePatch(kind=SELDON_RUNTIME, name=name_of(runtime), namespace=namespace, body=body)
