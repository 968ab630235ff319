"""The state of one Envoy's stream: the resources that were sent, acknowledged, and are due next (incremental
xDS).

Called by `ads`, which owns the stream: requests go in through `receive`, `next_response` says what to send.
No I/O here. At most one response per type is under way, in the order that never leaves a route without its
cluster: clusters and their endpoints, then the routes of requests that were kept, then the listener and
other routes, at last, after a while, the removal of what nothing needs any more. Envoy acknowledges clusters
only when they are warm (they have their endpoints, and these were checked once), so a route that is sent
after that has somewhere to go.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bailie.gateway import descriptors
from bailie.gateway.asleep import AskedSleeps, sleep_of
from bailie.gateway.resources import (
    BUCKET_URL,
    CLUSTER_URL,
    ENDPOINTS_URL,
    LISTENER_URL,
    ROUTES_URL,
    SCOPE_URL,
)
from bailie.gateway.xds_requests import MOST_NAMES, MOST_TOLD, characters

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bailie.gateway.resources import ResourceSnapshot
    from bailie.gateway.xds_resource import XdsResource
    from bailie.routing.table import Asleep

REQUIRED = (CLUSTER_URL, LISTENER_URL, SCOPE_URL)
"""An Envoy that has not asked for all of these has not started up yet."""

GONE = ""
"""Version of a resource that the Envoy was told does not exist."""

NO_LIMIT = 1 << 30
_LONGEST_MESSAGE = 4096
"""Characters of an Envoy's words that are kept."""
MOST_AWOKEN = 64
"""Routes of versions that have woken, in one response: each takes up to a millisecond to make."""
ANSWER_SECONDS = 60.0
"""How long an Envoy has to answer a response. It answers clusters once they are warm: after 15 s where their
endpoints do not come, and one check of each replica."""
LINGER_SECONDS = 5.0
"""How long an Envoy keeps a cluster that no route names any more. A request whose connection failed is
repeated in the cluster that it was routed to: for about 5 s at most, by the limits of `clusters.cluster`.
And how long it keeps the key of a sleep that is over: a request may be on its way when routes change."""
_ORDER = ((BUCKET_URL, CLUSTER_URL, ENDPOINTS_URL), (ROUTES_URL,), (LISTENER_URL, SCOPE_URL))


@dataclass(slots=True)
class Subscription:
    """One resource type on one stream: `sent` holds the version of each resource that the Envoy has."""

    wildcard: bool
    names: set[str] = field(default_factory=set)
    sent: dict[str, str] = field(default_factory=dict)
    rejected: dict[str, tuple[str, str]] = field(default_factory=dict)
    """name -> (version, Envoy's message): not sent again until it changes."""
    answered: bool = False
    """Whether there was a response; Envoy waits for the first one even if it is empty."""
    limit: int = NO_LIMIT
    """Resources in one response at most: halved at each rejection, until the bad one is alone."""
    clean: int = 0
    """Revision of the last snapshot from which nothing differed; 0 after anything that may change that."""
    lingering: list[str] = field(default_factory=list)
    """Names of resources that were not needed then, and go after a while."""
    told: int = 0
    """Characters of the names, and of the versions at the beginning, that the Envoy has told."""

    def ask(self, name: str) -> None:
        """Notes a name that the Envoy asks for."""
        if name not in self.names:
            self.names.add(name)
            self.told += len(name)

    def forget(self, name: str) -> None:
        """Drops a name that the Envoy asks for no more."""
        if name in self.names:
            self.names.remove(name)
            self.told -= len(name)


@dataclass(slots=True)
class InFlight:
    """A response that the Envoy has not answered yet."""

    nonce: str
    sent: dict[str, str]
    since: float


@dataclass(slots=True)
class XdsSession:
    """The protocol state of one stream."""

    listener: XdsResource
    """That for requests, which is the Envoy's own; `ads` changes both with where traces go."""
    handed_back: XdsResource
    """The listener that the Envoy has besides, while its namespace takes names over from another mesh."""
    subscriptions: dict[str, Subscription] = field(default_factory=dict)
    in_flight: dict[str, InFlight] = field(default_factory=dict)
    """By type URL."""
    acknowledged: int = 0
    serving: bool = False
    """Whether the Envoy answers requests: it came with a listener, or has taken over a whole snapshot."""
    _lingering: dict[tuple[str, str], float] = field(default_factory=dict)
    """Resources that are not needed any more, by type URL and name, and since when."""
    _asked: AskedSleeps = field(default_factory=AskedSleeps)
    _endpoints_of: int = 0
    """Revision of the last snapshot whose endpoints the Envoy had; 0 after it gave some up."""
    _nonce: int = 0

    def receive(self, request: Any) -> str:
        """Takes a DeltaDiscoveryRequest; returns Envoy's message if it rejects the last response, else ""."""
        url = request.type_url
        subscription = self.subscriptions.get(url)
        if subscription is None:
            subscription = self._first(request)
            self.subscriptions[url] = subscription
        if request.resource_names_subscribe or request.resource_names_unsubscribe:
            self._subscribe(subscription, request)
        if url == ROUTES_URL:
            waits = [name for name in request.resource_names_subscribe if name not in subscription.sent]
            self._asked.change(waits, request.resource_names_unsubscribe)
        answered = self.in_flight.get(url)
        if answered is None or request.response_nonce != answered.nonce:
            return ""
        del self.in_flight[url]
        if not request.HasField("error_detail"):
            subscription.limit = min(2 * subscription.limit, NO_LIMIT)
            return ""
        message = str(request.error_detail.message)[:_LONGEST_MESSAGE] or "rejected without a message"
        self._take_back(subscription, answered, message)
        if url == ROUTES_URL and len(answered.sent) > 1:
            self._asked.change(answered.sent.keys() & subscription.names, ())
        return message

    def full(self, request: Any) -> str | None:
        """Returns why the request cannot be taken beside those before, None where it can."""
        known = self.subscriptions.values()
        names = len(request.resource_names_subscribe) + sum(len(each.names) for each in known)
        if names > MOST_NAMES:
            return f"more than {MOST_NAMES} resources are asked for"
        told = characters(request) + sum(each.told for each in known)
        if told > MOST_TOLD:
            return f"names and versions have more than {MOST_TOLD} characters"
        return None

    def _take_back(self, subscription: Subscription, answered: InFlight, message: str) -> None:
        subscription.clean = 0
        subscription.limit = max(1, len(answered.sent) // 2)
        for name, version in answered.sent.items():
            subscription.sent.pop(name, None)
            if len(answered.sent) == 1:
                subscription.rejected[name] = (version, message)

    def _first(self, request: Any) -> Subscription:
        names = set(request.resource_names_subscribe)
        subscription = Subscription(wildcard=not names or "*" in names)
        subscription.sent.update(request.initial_resource_versions)
        subscription.told = sum(len(name) + len(version) for name, version in subscription.sent.items())
        if request.type_url == LISTENER_URL and subscription.sent:
            self.serving = True
        return subscription

    def _subscribe(self, subscription: Subscription, request: Any) -> None:
        subscription.clean = 0
        known = set(request.initial_resource_versions)
        for name in request.resource_names_subscribe:
            subscription.ask(name)
            if name not in known:
                subscription.sent.pop(name, None)
        if request.resource_names_unsubscribe:
            self._endpoints_of = 0
        for name in request.resource_names_unsubscribe:
            subscription.forget(name)
            subscription.sent.pop(name, None)

    def next_response(self, snapshot: ResourceSnapshot, now: float) -> Any | None:
        """Returns the DeltaDiscoveryResponse to send now, or None while there is nothing to send.

        `now` is monotonic, in seconds.
        """
        for urls in _ORDER:
            for url in urls:
                if (response := self._update(url, snapshot, now)) is not None:
                    return response
            if any(url in self.in_flight for url in urls) or not self._has_endpoints(snapshot):
                return None
        for url, removed in self._removable(snapshot, now).items():
            return self._respond(url, [], removed, revision=snapshot.revision, now=now)
        return None

    def _removable(self, snapshot: ResourceSnapshot, now: float) -> dict[str, list[str]]:
        """Returns what has not been needed for long enough, by type URL.

        Not the key of a sleep for which the Envoy waits still: its requests would wait for ever.
        """
        unneeded = [
            (url, name)
            for url in (SCOPE_URL, CLUSTER_URL)
            for name in self._changes(url, snapshot, lingering=True)[1]
        ]
        self._lingering = {each: self._lingering.get(each, now) for each in unneeded}
        found = defaultdict[str, list[str]](list)
        for (url, name), since in self._lingering.items():
            if now - since >= LINGER_SECONDS and not (url == SCOPE_URL and name in self._asked):
                found[url].append(name)
        return found

    def deadline(self, now: float) -> float | None:
        """Returns the time at which a message is due, or an answer overdue, even if no resource changes; None
        for never.

        Messages that could have been sent before `now` wait for an answer of the Envoy, which is a change.
        """
        ends = [since + LINGER_SECONDS for since in self._lingering.values()]
        ends += [each.since + ANSWER_SECONDS for each in self.in_flight.values()]
        return min((end for end in ends if end > now), default=None)

    def is_overdue(self, now: float) -> bool:
        """Says whether the Envoy has had too long to answer a response."""
        return any(now - each.since >= ANSWER_SECONDS for each in self.in_flight.values())

    def _update(self, url: str, snapshot: ResourceSnapshot, now: float) -> Any | None:
        if url in self.in_flight:
            return None
        changed, removed = self._changes(url, snapshot)
        if changed or removed or self._owes_first(url):
            changed = changed[: self.subscriptions[url].limit]
            return self._respond(url, changed, removed, revision=snapshot.revision, now=now)
        return None

    def _owes_first(self, url: str) -> bool:
        subscription = self.subscriptions.get(url)
        return subscription is not None and subscription.wildcard and not subscription.answered

    def settle(self, snapshot: ResourceSnapshot) -> bool:
        """Returns whether the Envoy has taken over all of `snapshot`, and notes it.

        Resources that go after a while may still be there.
        """
        whole = (
            not self.in_flight
            and all(url in self.subscriptions for url in REQUIRED)
            and self._has_endpoints(snapshot)
            and not any(self._owes_first(url) for url in REQUIRED)
            and not any(any(self._changes(url, snapshot)) for url in self.subscriptions)
            and not self.rejections()
        )
        if whole:
            self.acknowledged, self.serving = snapshot.revision, True
        return whole

    def rejections(self) -> dict[str, str]:
        """Returns the Envoy's present refusals: resource name -> its message."""
        return {
            name: message
            for subscription in self.subscriptions.values()
            for name, (_, message) in subscription.rejected.items()
        }

    @property
    def kept(self) -> frozenset[Asleep]:
        """The sleeps for which the Envoy keeps requests."""
        return self._asked.kept

    def take_kept_news(self) -> Mapping[Asleep, int]:
        """Returns how `kept` has changed since the last call: more or fewer names of each sleep."""
        return self._asked.take_news()

    def forget_kept(self) -> None:
        """Forgets the requests that the Envoy keeps: its stream ends."""
        self._asked.clear()

    def _resources(self, url: str, snapshot: ResourceSnapshot) -> Mapping[str, XdsResource]:
        shared = snapshot.resources.get(url, {})
        if url == ROUTES_URL:
            # Once: with the routes Envoy goes on with the requests that it has kept, and no others come.
            return self._asked.awoken(snapshot.revision, snapshot.awoken, MOST_AWOKEN)
        if url != LISTENER_URL:
            return shared
        own = (self.listener, self.handed_back) if snapshot.takes_over else (self.listener,)
        return {**{each.name: each for each in own}, **shared}

    def _has_endpoints(self, snapshot: ResourceSnapshot) -> bool:
        """Says whether the Envoy has the endpoints of a cluster: it asks for them once it has the cluster,
        and routes wait for that."""
        if self._endpoints_of != snapshot.revision:
            wanted = snapshot.resources[ENDPOINTS_URL].keys()
            subscription = self.subscriptions.get(ENDPOINTS_URL)
            if not (wanted <= subscription.names if subscription is not None else not wanted):
                return False
            self._endpoints_of = snapshot.revision
        return True

    def _changes(
        self, url: str, snapshot: ResourceSnapshot, *, lingering: bool = False
    ) -> tuple[list[XdsResource], list[str]]:
        """Returns the resources that the Envoy lacks, and the names of those that it does not need: of those
        that may go at once, or of all."""
        subscription = self.subscriptions.get(url)
        if subscription is None:
            return [], []
        if subscription.clean == snapshot.revision:
            return [], subscription.lingering if lingering else []
        wanted, sent = self._resources(url, snapshot), subscription.sent
        changed = [
            item
            for name, item in wanted.items()
            if sent.get(name) != item.version
            and (subscription.wildcard or name in subscription.names)
            and subscription.rejected.get(name, ("",))[0] != item.version
        ]
        if subscription.wildcard:
            # Those by name: an Envoy of an earlier version asked so for the clusters of versions that sleep.
            asked = subscription.names - {"*"} - sent.keys()
            unneeded = [name for names in (sent, asked) for name in names if name not in wanted]
        elif url == ROUTES_URL:
            # They go with their key, and those of a version that sleeps on come later.
            unneeded = []
        else:
            # Endpoints go with their cluster; only Envoys that wait for absent ones must be told.
            unneeded = [name for name in subscription.names if name not in wanted and name not in sent]
        at_once = [name for name in unneeded if not _lingers(url, name)]
        if not changed and not at_once:
            subscription.clean, subscription.lingering = snapshot.revision, unneeded
            for name in subscription.rejected.keys() - wanted.keys():
                del subscription.rejected[name]
        return changed, unneeded if lingering else at_once

    def _respond(
        self, url: str, changed: list[XdsResource], removed: list[str], *, revision: int, now: float
    ) -> Any:
        subscription = self.subscriptions[url]
        subscription.answered = True
        self._nonce += 1
        flight = InFlight(str(self._nonce), {item.name: item.version for item in changed}, now)
        self.in_flight[url] = flight
        subscription.sent.update(flight.sent)
        if removed:
            subscription.clean = self._endpoints_of = 0
        for item in changed:
            subscription.rejected.pop(item.name, None)
        for name in removed:
            if subscription.wildcard:
                subscription.sent.pop(name, None)
                subscription.forget(name)
            else:
                subscription.sent[name] = GONE
        if url == ROUTES_URL:
            self._asked.change((), flight.sent)
        if url == CLUSTER_URL:
            self._send_endpoints_again(item.name for item in changed)
        return descriptors.message_class("envoy.service.discovery.v3.DeltaDiscoveryResponse")(
            system_version_info=str(revision),
            type_url=url,
            resources=[item.message for item in changed],
            removed_resources=removed,
            nonce=flight.nonce,
        )

    def _send_endpoints_again(self, names: Iterable[str]) -> None:
        """Sends the endpoints of changed clusters again: a changed cluster stays in warming until they
        come."""
        subscription = self.subscriptions.get(ENDPOINTS_URL)
        if subscription is not None:
            subscription.clean = 0
            for name in names:
                subscription.sent.pop(name, None)


def _lingers(url: str, name: str) -> bool:
    """Says whether the Envoy keeps this for a while after it is not needed any more."""
    return url == CLUSTER_URL or (url == SCOPE_URL and sleep_of(name) is not None)
