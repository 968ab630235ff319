"""Which namespaces use the scheduler of another one, and which scheduler that is.

Read by the reconcilers and by `run`; what single objects say is in `scope.central`. Decides nothing else.
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


def served_from(world: World) -> dict[str, tuple[str, ...]]:
    """Returns for each namespace with such a scheduler the others that it serves, by name."""
    found: dict[str, list[str]] = defaultdict(list)
    for namespace in sorted(world.served.namespaces):
        if target := scheduled_from(world, namespace):
            found[target].append(namespace)
    return {target: tuple(namespaces) for target, namespaces in found.items()}
