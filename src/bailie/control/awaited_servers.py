"""The Servers that may sleep and that Models without a place wait for.

Used by `sleep_sight`. Of a Server without replicas neither capabilities nor memory are known: it is woken
once for each version that may fit there, and not again for a version that it then refuses for good.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from bailie.placement.plan import Code

if TYPE_CHECKING:
    from collections.abc import Collection

    from bailie.placement import Plan, VersionId

_NO_REPLICA = frozenset(
    {Code.GOING_AWAY, Code.NO_REPLICA, Code.NOT_CONNECTED, Code.NOT_READY, Code.MEMORY_SHORT}
)
"""The refusals of a Server that may take the version once it has another replica that answers."""
_NEVER = frozenset({Code.LACKS_CAPABILITY, Code.TOO_LARGE})


class AwaitedServers:
    """The versions that each Server has refused for good, as long as they have no place."""

    def __init__(self) -> None:
        self._unfit: dict[VersionId, set[str]] = defaultdict(set)
        self._found: tuple[Plan | None, frozenset[str], frozenset[str]] = (None, frozenset(), frozenset())

    def of(self, servers: Collection[str], plan: Plan) -> frozenset[str]:
        """Returns those of the Servers that versions without a place wait for, as of the plan.

        Thousands of versions may be without a place: the same plan is looked at once.
        """
        if not servers:
            return frozenset()
        asked = frozenset(servers)
        if self._found[0] is not plan or self._found[1] != asked:
            self._found = (plan, asked, frozenset(self._look(asked, plan)))
        return self._found[2]

    def _look(self, servers: frozenset[str], plan: Plan) -> set[str]:
        for gone in self._unfit.keys() - plan.refusals.keys():
            del self._unfit[gone]
        awaited: set[str] = set()
        for version, refusals in plan.refusals.items():
            place = plan.assignments.get(version)
            for no in refusals:
                if no.server not in servers or (place and place.server != no.server):
                    continue
                if no.code in _NEVER:
                    self._unfit[version].add(no.server)
                elif no.code in _NO_REPLICA and no.server not in self._unfit.get(version, ()):
                    awaited.add(no.server)
        return awaited
