"""The central schedulers: schedulers that serve other namespaces beside their own, and those namespaces.

Read by the reconcilers; `run` keeps the index up to date. `scope.central` reads the single objects.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from bailie.api.kinds import SERVICE
from bailie.api.seldon_config import SCHEDULER
from bailie.api.status import told_condition, told_conditions
from bailie.manifests.objects import is_ours
from bailie.operator.conditions import COMPONENT_CONDITIONS, SCHEDULER_REFUSED
from bailie.scope.central import SERVED_ELSEWHERE, asked_of, let, redirected_to, served_of

if TYPE_CHECKING:
    from bailie.kube.client import Object
    from bailie.operator.cache import OperatorCache


def hand_made(cache: OperatorCache, namespace: str, name: str) -> Object | None:
    """Returns the Service of that name if it exists and was not made by Bailie."""
    found = cache.get(SERVICE, (namespace, name))
    return None if found is None or is_ours(found) else found


def central_namespace(cache: OperatorCache, namespace: str) -> str:
    """Returns the other namespace whose scheduler this one asks for, by its SeldonRuntime or by a hand-made
    Service; empty where it asks for its own."""
    asked = asked_of(cache.runtime_of(namespace))
    target = asked or redirected_to(hand_made(cache, namespace, SCHEDULER))
    return "" if target == namespace else target


class CentralSchedulers:
    """An index: the namespaces that ask for each other namespace's scheduler.

    A namespace's request follows from the objects of that namespace alone, so a change costs the same however
    many namespaces there are. The other namespace's permission is read when it is needed.
    """

    def __init__(self, cache: OperatorCache) -> None:
        self._cache = cache
        self._central_of: dict[str, str] = {}
        self._asking: dict[str, set[str]] = defaultdict(set)

    def asking(self, central: str) -> tuple[str, ...]:
        """Returns the other namespaces that ask for the scheduler of this one, by name."""
        return tuple(sorted(self._asking.get(central, ())))

    def served_by(self, central: str) -> tuple[str, ...]:
        """Returns those of the asking namespaces that the central one lets its scheduler serve, by name."""
        served = served_of(self._cache.runtime_of(central))
        return tuple(sorted(let(served, self._asking.get(central, ()))))

    def hands_over(self, namespace: str) -> bool:
        """Says whether a namespace has asked for a scheduler of its own that is not ready yet.

        The scheduler that served it until now goes on for so long.
        """
        runtime = self._cache.runtime_of(namespace)
        if runtime is None or central_namespace(self._cache, namespace):
            return False
        return not has_own_scheduler(runtime)

    def refused_by(self, namespace: str) -> str:
        """Returns the namespace whose scheduler this one asks for without permission, empty for none.

        While the other namespace is not listed, the refusal in this one's status stays valid, so that the
        workloads are not switched to another scheduler and back.
        """
        other = central_namespace(self._cache, namespace)
        if not other:
            return ""
        if not self._cache.is_known(other):
            return other if _was_refused(self._cache.runtime_of(namespace), other) else ""
        runtime = self._cache.runtime_of(other)
        return other if runtime is not None and not let(served_of(runtime), (namespace,)) else ""

    def update(self, namespace: str) -> frozenset[str]:
        """Reads a namespace again. If its request has changed, returns the central namespaces before and
        after."""
        before = self._central_of.pop(namespace, "")
        self._asking[before].discard(namespace)
        present = namespace in self._cache.served.namespaces
        after = central_namespace(self._cache, namespace) if present else ""
        if after:
            self._central_of[namespace] = after
            self._asking[after].add(namespace)
        if not self._asking[before]:
            del self._asking[before]
        return frozenset({before, after} - {""}) if before != after else frozenset()

    def lets(self, central: str, namespace: str) -> bool:
        """Says whether the scheduler of `central` may serve the namespace."""
        return bool(let(served_of(self._cache.runtime_of(central)), (namespace,)))


def has_own_scheduler(runtime: Object) -> bool:
    """Says whether the runtime's status reports a ready scheduler of the namespace itself."""
    found = told_condition(runtime, COMPONENT_CONDITIONS[SCHEDULER])
    return found is not None and found.status == "True" and found.reason != SERVED_ELSEWHERE


def _was_refused(runtime: Object | None, other: str) -> bool:
    """Says whether the runtime's status has this refusal, and not a refusal by a third namespace."""
    return any(
        each.reason == SCHEDULER_REFUSED and f"namespace {other} " in (each.message or "")
        for each in told_conditions(runtime)
    )
