"""Which namespaces use the scheduler of another one, and which scheduler that is.

Read by the reconcilers and by `run`. Two ways lead there: `schedulerNamespace` of a SeldonRuntime, and a
hand-made Service `seldon-scheduler` that stands for another namespace's (ExternalName). Decides nothing else.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from bailie.api.kinds import SERVICE
from bailie.api.seldon_config import SCHEDULER
from bailie.manifests.objects import is_ours

if TYPE_CHECKING:
    from bailie.kube.client import Object
    from bailie.operator.world import World


def hand_made(world: World, namespace: str, name: str) -> Object | None:
    """Returns the Service of that name if it is there and nothing of ours made it."""
    found = world.get(SERVICE, (namespace, name))
    return None if found is None or is_ours(found) else found


def redirected_to(service: Object | None) -> str:
    """Returns the namespace whose scheduler an ExternalName Service stands for, empty for none."""
    target = str((service or {}).get("spec", {}).get("externalName") or "")
    name, _, rest = target.rstrip(".").partition(".")
    return rest.partition(".")[0] if name == SCHEDULER else ""


def asked_of(runtime: Object | None) -> str:
    """Returns the other namespace that a SeldonRuntime names as its scheduler's, empty for none."""
    if runtime is None:
        return ""
    other = str((runtime.get("spec") or {}).get("schedulerNamespace") or "")
    return "" if other == runtime["metadata"]["namespace"] else other


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
