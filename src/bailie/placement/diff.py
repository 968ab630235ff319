"""`diff(snapshot, plan) -> Commands`: what to load and what to unload to get from what is to what is planned.

Called by `incremental` after `place`. It does not know about routes: the loop holds an unload back
for as long as requests still go there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bailie.placement.plan import Commands, Load, Unload
from bailie.placement.snapshot import Held, ReplicaId

if TYPE_CHECKING:
    from bailie.placement.plan import Plan
    from bailie.placement.snapshot import Snapshot


def diff(snapshot: Snapshot, plan: Plan) -> Commands:
    """Loads what is planned and not held; unloads what is held and not planned, unless it is leaving already.

    A version that is leaving a replica it is planned for is loaded again only once it is gone.
    """
    planned = {
        (version, ReplicaId(found.server, index))
        for version, found in plan.assignments.items()
        for index in found.replicas
    }
    held = {(holding.version, holding.replica): holding.state for holding in snapshot.holdings}
    loads = sorted(planned - held.keys())
    unloads = sorted(key for key, state in held.items() if key not in planned and state is not Held.LEAVING)
    return Commands(
        loads=tuple(Load(version=version, replica=replica) for version, replica in loads),
        unloads=tuple(Unload(version=version, replica=replica) for version, replica in unloads),
    )
