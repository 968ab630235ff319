"""Requests for versions that are on no server, which Envoy keeps until it has routes for them.

Used by `routes`, `listener`, `resources` and `session`. The routes of a sleeping version lead a request to a
key whose routes come on demand: Envoy keeps the request and subscribes to them by name; so the leader learns
of the request. The routes are sent once the version answers, and Envoy goes on with the requests that it has
kept. It gives the subscription up with the key, so that nothing is left of a sleep that is over. No process
of ours is on the requests' path.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bailie.gateway import descriptors
from bailie.gateway.mirrors import MODEL_PATH
from bailie.routing.table import Asleep

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

HOP_FILTER = "bailie.asleep"
"""Leads a request to the key whose routes come on demand (`asleep.lua`); off where no route says
otherwise."""
KEEP_FILTER = "bailie.keep"
"""Keeps requests whose routes Envoy does not have yet; off where no route says otherwise."""
KEEP_SECONDS = 600
"""The longest time that a request is kept: for a pod that must be scheduled and pull its image."""
NOBODY = "asleep"
"""The cluster of requests that were kept in vain; there is none of this name."""
ON_DEMAND = "envoy.extensions.filters.http.on_demand.v3.OnDemand"
_PERIOD = "@"


def kept_key(key: str, entry: Asleep) -> str:
    """Returns the key, and name, of the routes for requests that are kept during a sleep: `iris_3@17`.

    `key` is that by which requests come: a name, or a key of `mirrors`.
    """
    return f"{key.removesuffix(entry.model)}{entry.name}{_PERIOD}{entry.period}"


def sleep_of(key: str) -> Asleep | None:
    """Returns the sleep whose requests have this key; None for any other key."""
    version, at, period = key.removeprefix(MODEL_PATH).rpartition(_PERIOD)
    return Asleep(version, int(period)) if at and version and period.isdecimal() else None


class AskedSleeps:
    """The sleeps for whose requests one Envoy waits, by the names of the routes that it asks for."""

    def __init__(self) -> None:
        self._sleeps: dict[str, Asleep] = {}
        self.kept: frozenset[Asleep] = frozenset()

    def __iter__(self) -> Iterator[str]:
        return iter(self._sleeps)

    def __contains__(self, name: str) -> bool:
        return name in self._sleeps

    def change(self, asked: Iterable[str], over: Iterable[str]) -> None:
        """Takes over names of routes; those of no sleep are none."""
        new = {name: found for name in asked if name not in self._sleeps and (found := sleep_of(name))}
        self._sleeps |= new
        gone = [self._sleeps.pop(name, None) for name in over]
        if new or any(gone):
            self.kept = frozenset(self._sleeps.values())


def keep_filter() -> dict[str, Any]:
    """Returns the filter's configuration."""
    return {"@type": descriptors.type_url(ON_DEMAND)}
