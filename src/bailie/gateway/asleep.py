"""Envoy's clusters of versions that are on no server, which Envoy asks for when a request comes.

Used by `routes`, `listener`, `resources` and `session`. A route to a cluster that Envoy does not know has it
keep the request and ask for the cluster by name; so the leader learns of the request. The cluster is sent
once the version answers, and Envoy goes on with the requests that it has kept. No process of ours is on
their path.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bailie.gateway import clusters, descriptors
from bailie.gateway.clusters import CALLS, Protocol
from bailie.routing.table import Asleep

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from bailie.routing.table import ReplicaEndpoint

KEEP_FILTER = "bailie.keep"
"""Keeps requests whose cluster Envoy does not know yet; off where no route says otherwise."""
PREFIX = "asleep/"
KEEP_SECONDS = 600
"""The longest time that a request is kept: for a pod that must be scheduled and pull its image."""
MOST_SLEEPS = 4
"""The newest sleeps of one version for which an Envoy may keep requests."""
MOST_GONE = 1_000
"""The newest sleeps of versions that are gone whose requests are ended. An Envoy names those of its whole
life when it connects; a request is kept for KEEP_SECONDS at most, so nearly all of these keep none."""
ON_DEMAND = "envoy.extensions.filters.http.on_demand.v3.OnDemand"


def cluster_name(entry: Asleep, protocol: Protocol) -> str:
    """Returns the cluster's name: `asleep/http/17/iris_3`."""
    return f"{PREFIX}{protocol.value}/{entry.period}/{entry.name}"


def sleep_of(cluster: str) -> tuple[Protocol, Asleep] | None:
    """Returns the meaning of a cluster's name; None for any other name."""
    parts = cluster.removeprefix(PREFIX).split("/")
    if not cluster.startswith(PREFIX) or len(parts) != 3 or not parts[1].isdecimal() or not parts[2]:
        return None
    protocol = next((each for each in CALLS if each.value == parts[0]), None)
    return (protocol, Asleep(parts[2], int(parts[1]))) if protocol else None


class AskedClusters:
    """The clusters of versions on no server that one Envoy asks for, by name.

    An Envoy that connects to another leader asks once more for all clusters of its life. Those of all but the
    newest sleeps of each version are left out, and so are those of versions that are gone, but for the newest
    of them all: no request waits for these clusters any more.
    """

    def __init__(self) -> None:
        self._entries: dict[str, Asleep] = {}
        self._unsifted = 0
        """How many names have come since the last look for versions that are gone."""
        self._of_version: dict[tuple[Protocol, str], set[tuple[int, str]]] = {}
        self.kept: frozenset[Asleep] = frozenset()

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def change(self, added: Iterable[str], removed: Iterable[str]) -> set[str]:
        """Takes over names, of whatever clusters; returns those that are left out."""
        before = len(self._entries)
        left_out = {old for name in added if (old := self._add(name))}
        gone = [name for name in removed if self._discard(name)]
        self._unsifted += max(0, len(self._entries) - before)
        if left_out or gone or len(self._entries) != before:
            self.kept = frozenset(self._entries.values())
        return left_out

    def sift(self, is_known: Callable[[Asleep], bool]) -> set[str]:
        """Leaves out the names of versions that are not known any more, but for the newest MOST_GONE.

        Returns these names. Cheap while few names come at a time.
        """
        if self._unsifted <= MOST_GONE:
            return set()
        self._unsifted = 0
        gone = [(entry.period, name) for name, entry in self._entries.items() if not is_known(entry)]
        left_out = {name for _, name in sorted(gone, reverse=True)[MOST_GONE:]}
        self.change((), left_out)
        return left_out

    def _add(self, name: str) -> str | None:
        """Takes over a name; returns the one that is left out for that."""
        found = sleep_of(name)
        if found is None:
            return None
        protocol, entry = found
        self._entries[name] = entry
        sleeps = self._of_version.setdefault((protocol, entry.name), set())
        sleeps.add((entry.period, name))
        if len(sleeps) <= MOST_SLEEPS:
            return None
        oldest = min(sleeps)[1]
        self._discard(oldest)
        return oldest

    def _discard(self, name: str) -> bool:
        found = sleep_of(name) if name in self._entries else None
        if found is None:
            return False
        protocol, entry = found
        del self._entries[name]
        sleeps = self._of_version[protocol, entry.name]
        sleeps.discard((entry.period, name))
        if not sleeps:
            del self._of_version[protocol, entry.name]
        return True


def cluster(name: str, protocol: Protocol, replicas: tuple[ReplicaEndpoint, ...], max_requests: int) -> Any:
    """Returns the Cluster message by which requests that were kept reach the replicas, or fail without any.

    Few requests go there, so the replicas are not asked for their health once more.
    """
    message = clusters.cluster(name, protocol, max_requests)
    for field in ("eds_cluster_config", "health_checks"):
        message.ClearField(field)
    message.type = message.STATIC
    message.load_assignment.CopyFrom(clusters.endpoints(name, protocol, replicas))
    return message


def keep_filter() -> dict[str, Any]:
    """Returns the filter's configuration."""
    source = {"ads": {}, "resource_api_version": "V3"}
    return {
        "@type": descriptors.type_url(ON_DEMAND),
        "odcds": {"source": source, "timeout": f"{KEEP_SECONDS}s"},
    }
