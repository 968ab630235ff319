"""The Servers that may sleep and that Models without a place wait for.

Used by `sleep_sight`. Of a Server without replicas neither capabilities nor memory are known: it is woken
once for each version that may fit there, and not again for a version that it then refuses for good. A version
that slept with a Server waits for that one alone.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from bailie.placement.plan import Code

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

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
        self._asked: tuple[Plan, frozenset[str], Mapping[str, str]] | None = None
        self._found: frozenset[str] = frozenset()

    def of(self, servers: Collection[str], plan: Plan, homes: Mapping[str, str]) -> frozenset[str]:
        """Returns those of the Servers that versions without a place wait for, as of the plan.

        `homes` has the Server with which each Model slept that a request has woken. Thousands of versions may
        be without a place: the same plan is looked at once.
        """
        if not servers:
            return frozenset()
        asked, before = (plan, frozenset(servers), homes), self._asked
        if before is None or before[0] is not plan or before[1:] != asked[1:]:
            self._asked, self._found = asked, frozenset(self._look(*asked))
        return self._found

    def _look(self, plan: Plan, servers: frozenset[str], homes: Mapping[str, str]) -> set[str]:
        for gone in self._unfit.keys() - plan.refusals.keys():
            del self._unfit[gone]
        awaited: set[str] = set()
        for version, refusals in plan.refusals.items():
            place, home = plan.assignments.get(version), homes.get(version.model)
            for no in refusals:
                if no.server not in servers or (place and place.server != no.server):
                    continue
                if no.code in _NEVER:
                    self._unfit[version].add(no.server)
                elif no.code in _NO_REPLICA and self._may_fit(version, no.server, home):
                    awaited.add(no.server)
        return awaited

    def _may_fit(self, version: VersionId, server: str, home: str | None) -> bool:
        unfit = self._unfit.get(version, ())
        return server not in unfit and (home in {None, server} or home in unfit)
