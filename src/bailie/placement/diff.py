"""`diff(snapshot, plan) -> Difference`: where to load and unload to get from what is to what is planned.

Called by `incremental` after `place`. It does not know about routes: the loop holds an unload back
for as long as requests still go there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bailie.placement.plan import Difference, VersionPlace
from bailie.placement.snapshot import ReplicaId

if TYPE_CHECKING:
    from bailie.placement.plan import Plan
    from bailie.placement.snapshot import Snapshot


def diff(snapshot: Snapshot, plan: Plan) -> Difference:
    """Loads what is planned and not held; unloads what is held and not planned, unless it is leaving already.

    A version that is leaving a replica it is planned for is loaded again only once it is gone.
    """
    planned = {
        VersionPlace(version, ReplicaId(found.server, index))
        for version, found in plan.assignments.items()
        for index in found.replicas
    }
    held = {VersionPlace(holding.version, holding.replica): holding.presence for holding in snapshot.holdings}
    surplus = (key for key, presence in held.items() if key not in planned and presence.keeps)
    return Difference(to_load=tuple(sorted(planned - held.keys())), to_unload=tuple(sorted(surplus)))
