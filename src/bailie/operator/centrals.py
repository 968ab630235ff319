"""Which namespaces ask for the scheduler of another one, which that is, and whether it may serve them.

Read by the reconcilers; `run` keeps the index up to date. What single objects say is in `scope.central`.
Decides nothing else.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from bailie.api.kinds import SERVICE
from bailie.api.seldon_config import SCHEDULER
from bailie.manifests.objects import is_ours
from bailie.operator.conditions import SCHEDULER_REFUSED
from bailie.scope.central import asked_of, let, redirected_to, served_of

if TYPE_CHECKING:
    from bailie.kube.client import Object
    from bailie.operator.cache import OperatorCache


def hand_made(cache: OperatorCache, namespace: str, name: str) -> Object | None:
    """Returns the Service of that name if it is there and nothing of ours made it."""
    found = cache.get(SERVICE, (namespace, name))
    return None if found is None or is_ours(found) else found


def scheduled_from(cache: OperatorCache, namespace: str) -> str:
    """Returns the other namespace whose scheduler serves this one, empty where its own does."""
    asked = asked_of(cache.runtime_of(namespace))
    target = asked or redirected_to(hand_made(cache, namespace, SCHEDULER))
    return "" if target == namespace else target


class Centrals:
    """An index: the namespaces that ask for each other namespace's scheduler.

    Whom a namespace asks follows from what is in it alone, so a change costs what it changes and not the
    number of namespaces. Whether it gets what it asks for is the other side's word, read when it is needed.
    """

    def __init__(self, cache: OperatorCache) -> None:
        self._cache = cache
        self._central_of: dict[str, str] = {}
        self._asking: dict[str, set[str]] = defaultdict(set)

    def asking(self, central: str) -> tuple[str, ...]:
        """Returns the other namespaces that ask for the scheduler of this one, by name."""
        return tuple(sorted(self._asking.get(central, ())))

    def served_by(self, central: str) -> tuple[str, ...]:
        """Returns those of them that it lets its scheduler serve."""
        served = served_of(self._cache.runtime_of(central))
        return tuple(sorted(let(served, self._asking.get(central, ()))))

    def refused_by(self, namespace: str) -> str:
        """Returns the namespace whose scheduler this one asks for in vain, empty where there is none.

        While the other namespace is out of sight, what was said last holds, so that nothing is rewired.
        """
        other = scheduled_from(self._cache, namespace)
        if not other:
            return ""
        if not self._cache.is_known(other):
            return other if _was_refused(self._cache.runtime_of(namespace), other) else ""
        runtime = self._cache.runtime_of(other)
        return other if runtime is not None and not let(served_of(runtime), (namespace,)) else ""

    def update(self, namespace: str) -> frozenset[str]:
        """Looks at a namespace again; returns whose scheduler it asked for and asks for, if that differs."""
        before = self._central_of.pop(namespace, "")
        self._asking[before].discard(namespace)
        present = namespace in self._cache.served.namespaces
        after = scheduled_from(self._cache, namespace) if present else ""
        if after:
            self._central_of[namespace] = after
            self._asking[after].add(namespace)
        if not self._asking[before]:
            del self._asking[before]
        return frozenset({before, after} - {""}) if before != after else frozenset()

    def lets(self, central: str, namespace: str) -> bool:
        """Says whether the scheduler of `central` may serve the namespace."""
        return bool(let(served_of(self._cache.runtime_of(central)), (namespace,)))


def _was_refused(runtime: Object | None, other: str) -> bool:
    """Says whether the runtime's status tells of this refusal, and not of one by a third namespace."""
    conditions = ((runtime or {}).get("status") or {}).get("conditions") or ()
    return any(
        each.get("reason") == SCHEDULER_REFUSED and f"namespace {other} " in str(each.get("message"))
        for each in conditions
    )
