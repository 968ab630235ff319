"""Requests for versions that are on no server, which Envoy keeps until it has routes for them.

Used by `routes`, `listener`, `resources` and `session`. The routes of a sleeping version lead a request to a
key whose routes come on demand: Envoy keeps the request and subscribes to them by name; so the leader learns
of the request. The routes are sent once the version answers, and Envoy goes on with the requests that it has
kept. It gives the subscription up with the key, so that nothing is left of a sleep that is over. No process
of ours is on the requests' path.
"""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING, Any

from bailie.gateway import descriptors
from bailie.gateway.mirrors import MODEL_PATH
from bailie.routing.table import Asleep

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from bailie.gateway.xds_resource import XdsResource

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
    """The sleeps for whose requests one Envoy waits, by the names of the routes that it asks for.

    It may ask for thousands, one after the other: no step looks at all of them for the sake of one.
    """

    def __init__(self) -> None:
        self._sleeps: dict[str, Asleep] = {}
        self._news: Counter[Asleep] = Counter()
        self._revision = 0
        self._awoken: dict[str, XdsResource] = {}
        self._not_looked_at: deque[str] = deque()
        """Of a snapshot of that revision: the routes that are due, and names that may have some."""

    def __contains__(self, name: str) -> bool:
        return name in self._sleeps

    @property
    def kept(self) -> frozenset[Asleep]:
        """The sleeps themselves."""
        return frozenset(self._sleeps.values())

    def change(self, asked: Iterable[str], over: Iterable[str]) -> None:
        """Takes over names of routes; those of no sleep are none."""
        for name in asked:
            if name not in self._sleeps and (found := sleep_of(name)):
                self._sleeps[name] = found
                self._news[found] += 1
                self._not_looked_at.append(name)
        for name in over:
            if gone := self._sleeps.pop(name, None):
                self._news[gone] -= 1
                self._awoken.pop(name, None)

    def clear(self) -> None:
        """Gives all names up."""
        self.change((), tuple(self._sleeps))

    def take_news(self) -> Mapping[Asleep, int]:
        """Returns by how much the number of names of each sleep has changed since the last call."""
        news, self._news = self._news, Counter()
        return news

    def awoken(
        self, revision: int, routes: Callable[[str], XdsResource | None], most: int
    ) -> Mapping[str, XdsResource]:
        """Returns the routes of versions that sleep no more, `most` of them, by what `routes` says in this
        revision."""
        if revision != self._revision:
            self._revision, self._awoken, self._not_looked_at = revision, {}, deque(self._sleeps)
        while self._not_looked_at and len(self._awoken) < most:
            name = self._not_looked_at.popleft()
            if name in self._sleeps and (found := routes(name)):
                self._awoken[name] = found
        return self._awoken


def keep_filter() -> dict[str, Any]:
    """Returns the filter's configuration."""
    return {"@type": descriptors.type_url(ON_DEMAND)}
