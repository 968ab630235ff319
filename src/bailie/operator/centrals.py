"""Which namespaces use the scheduler of another one, and which scheduler that is.

Read by the reconcilers; `run` keeps the index up to date. What single objects say is in `scope.central`.
Decides nothing else.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from bailie.api.kinds import SERVICE
from bailie.api.seldon_config import SCHEDULER
from bailie.manifests.objects import is_ours
from bailie.scope.central import asked_of, redirected_to

if TYPE_CHECKING:
    from bailie.kube.client import Object
    from bailie.operator.world import World


def hand_made(world: World, namespace: str, name: str) -> Object | None:
    """Returns the Service of that name if it is there and nothing of ours made it."""
    found = world.get(SERVICE, (namespace, name))
    return None if found is None or is_ours(found) else found


def scheduled_from(world: World, namespace: str) -> str:
    """Returns the other namespace whose scheduler serves this one, empty where its own does."""
    asked = asked_of(world.runtime_of(namespace))
    target = asked or redirected_to(hand_made(world, namespace, SCHEDULER))
    return "" if target == namespace else target


class Centrals:
    """An index: the namespaces that each scheduler serves besides its own.

    Where a namespace belongs follows from what is in it alone, so a change costs what it changes and not the
    number of namespaces.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._central_of: dict[str, str] = {}
        self._served_by: dict[str, set[str]] = defaultdict(set)

    def served_by(self, central: str) -> tuple[str, ...]:
        """Returns the other namespaces that the scheduler of this one serves, by name."""
        return tuple(sorted(self._served_by.get(central, ())))

    def update(self, namespace: str) -> frozenset[str]:
        """Looks at a namespace again; returns whose scheduler it has left and found, if it has."""
        before = self._central_of.pop(namespace, "")
        self._served_by[before].discard(namespace)
        present = namespace in self._world.served.namespaces
        after = scheduled_from(self._world, namespace) if present else ""
        if after:
            self._central_of[namespace] = after
            self._served_by[after].add(namespace)
        if not self._served_by[before]:
            del self._served_by[before]
        return frozenset({before, after} - {""}) if before != after else frozenset()
