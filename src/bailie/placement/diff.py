"""`diff(snapshot, plan) -> Difference`: the loads and unloads that lead from the holdings to the plan.

Called by `incremental` after `place`. Knows nothing of routes: the engine holds an unload back for as long as
requests still go there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bailie.placement.plan import Difference, VersionPlace
from bailie.placement.snapshot import ReplicaId

if TYPE_CHECKING:
    from bailie.placement.plan import Plan
    from bailie.placement.snapshot import Snapshot


def diff(snapshot: Snapshot, plan: Plan) -> Difference:
    """Returns a load for each planned version that is not held, and an unload for each held one not planned.

    A version that is leaving its replica already needs no unload; where it is planned again, it is loaded
    only once it is gone.
    """
    planned = {
        VersionPlace(version, ReplicaId(found.server, index))
        for version, found in plan.assignments.items()
        for index in found.replicas
    }
    held = {VersionPlace(holding.version, holding.replica): holding.presence for holding in snapshot.holdings}
    surplus = (key for key, presence in held.items() if key not in planned and presence.keeps)
    return Difference(to_load=tuple(sorted(planned - held.keys())), to_unload=tuple(sorted(surplus)))
