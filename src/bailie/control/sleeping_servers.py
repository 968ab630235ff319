"""Servers that go to zero replicas while nobody asks for their Models, and the Models that sleep with them.

Used by `sleep_sight` in each pass, before placement: a Model that sleeps asks for no place, and data planes
keep its requests. The first request that is kept wakes the Model; it asks for a place again, which brings its
Server a replica (`scaled_servers`), and its entry stays until it answers there. A new leader knows the
Servers that sleep by their specs, and the Models by their statuses.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING

from bailie.api.kinds import MODEL, SERVER
from bailie.routing.table import Asleep
from bailie.wellknown.versions import server_name_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from collections.abc import Set as AbstractSet

    from bailie.control.object_fence import ObjectFence
    from bailie.control.server_rules import SleepRule
    from bailie.control.wanted_models import WantedModel

SLACK_SECONDS = 5.0
"""By so much the status of a Model that fell asleep may be later than its entry."""
WAKE_SECONDS = 600.0
"""How long a Model that was woken counts as asleep: for a pod that must be scheduled and pull its image."""


@dataclass(slots=True)
class Sleep:
    """The sleep of one version: `entry` is its part of the routing table. `woken_at`: when a request came.

    `asked_from` is for a sleep that a leader before has begun: requests that data planes keep for an entry of
    that period, or of a later one, are for this sleep. They may be told of long after the first pass.
    """

    server: str
    identity: str
    entry: Asleep
    woken_at: float = inf
    asked_from: float = inf

    @property
    def woken(self) -> bool:
        """Whether the Model asks for a place again."""
        return self.woken_at < inf

    @property
    def text(self) -> str:
        """The words for people."""
        if self.woken:
            return f'asleep, and a request waits for a replica of server "{self.server}"'
        return f'asleep with server "{self.server}", for nobody asks for it; the next request wakes both'


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """The namespace as a pass sees it.

    `here` has the Models with copies on each Server, `used` returns the time of the last request to a Model,
    None for a Model that may not sleep. Of the Models of `here`, and of those that sleep, `quiet` are out of
    memory everywhere, `loaded` in memory; `ended` were woken, and answer or have failed to load. Experiments
    name the Models `shared`, Models without a place wait for the Servers `waits`, and data planes keep
    requests for the entries `kept`. `wall` is the time in seconds of the epoch.
    """

    wall: float
    wanted: Mapping[str, WantedModel]
    number: Callable[[WantedModel], int]
    here: Mapping[str, AbstractSet[str]]
    used: Callable[[str], float | None]
    quiet: AbstractSet[str]
    loaded: AbstractSet[str]
    ended: AbstractSet[str]
    shared: AbstractSet[str]
    waits: AbstractSet[str]
    kept: AbstractSet[Asleep]


@dataclass(slots=True)
class SleepingServers:
    """The Servers that may sleep, by name. `observe`, once in each pass."""

    fence: ObjectFence
    sleeps: dict[str, Sleep]
    """By Model."""
    falling: set[str] = field(default_factory=set)
    """The Servers with replicas that none of their Models needs any more."""
    _free_since: dict[str, float] = field(default_factory=dict)
    """Since when nothing but requests to Models that may sleep has needed a Server."""
    _due: dict[str, float] = field(default_factory=dict)
    _now: float = 0.0
    _known: set[str] = field(default_factory=set)
    _asked: dict[str, int] = field(default_factory=dict)
    """The newest period for which data planes keep requests, by version."""

    @property
    def at_work(self) -> bool:
        """Whether a Server may sleep, or a Model does, as of the last look."""
        return bool(self.sleeps or self._free_since)

    def observe(self, now: float, rules: Mapping[str, SleepRule], sight: Sight) -> set[str]:
        """Returns the Models that fall asleep, wake or have woken by this look."""
        self._now, before = now, {name: (each.entry, each.woken) for name, each in self.sleeps.items()}
        self._asked = {}
        for each in sight.kept:
            self._asked[each.name] = max(each.period, self._asked.get(each.name, 0))
        self._take_over(rules, sight)
        self._wake(now, rules, sight)
        for name, rule in rules.items():
            with self.fence.alone("sleep", SERVER.kind, name):
                self._fall(now, name, rule, sight)
        for gone in self._free_since.keys() - rules.keys():
            del self._free_since[gone]
        self._due = {name: due for name, due in self._due.items() if name in self._free_since}
        self.falling &= self._free_since.keys()
        after = {name: (each.entry, each.woken) for name, each in self.sleeps.items()}
        return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}

    def _take_over(self, rules: Mapping[str, SleepRule], sight: Sight) -> None:
        """Takes over the Models that sleep by their statuses, as a leader before has left them."""
        self._known &= sight.wanted.keys()
        for name in sight.wanted.keys() - self._known:
            with self.fence.alone("sleep", MODEL.kind, name):
                wanted = sight.wanted[name]
                before = wanted.slept
                known = before is not None and before.server in rules and wanted.replicas
                if before is not None and known and not any(name in each for each in sight.here.values()):
                    found = _sleep(wanted, before.server, sight, self._asked, since=before.since)
                    found.asked_from = before.since - SLACK_SECONDS
                    self.sleeps[name] = found
                self._known.add(name)

    def _wake(self, now: float, rules: Mapping[str, SleepRule], sight: Sight) -> None:
        """Wakes the Models that are asked for, or may not sleep; forgets the sleeps that are over."""
        for name, each in list(self.sleeps.items()):
            with self.fence.alone("wake", MODEL.kind, name):
                wanted, may_sleep = sight.wanted.get(name), each.server in rules
                over = each.woken and (name in sight.ended or now - each.woken_at >= WAKE_SECONDS)
                same = wanted is not None and wanted.replicas and wanted.identity == each.identity
                if over or not same or not may_sleep:
                    del self.sleeps[name]
                elif not each.woken and (
                    each.entry in sight.kept
                    or self._asked.get(each.entry.name, -1) >= each.asked_from
                    # A request was on its way to the agent when the routes changed.
                    or name in sight.loaded
                    or name in sight.shared
                    or sight.used(name) is None
                ):
                    each.woken_at = now

    def _fall(self, now: float, server: str, rule: SleepRule, sight: Sight) -> None:
        """Lets the Models of a Server sleep, which has been quiet for long enough."""
        here = sight.here.get(server, frozenset())
        woken = any(each.woken for each in self.sleeps.values() if each.server == server)
        used = [sight.used(name) for name in here]
        needed = woken or server in sight.waits or None in used or here & sight.shared
        if needed or not rule.replicas:
            self._free_since.pop(server, None)
            return
        since = max((each for each in used if each is not None), default=-inf)
        self._due[server] = rule.seconds + max(since, self._free_since.setdefault(server, now))
        if now < self._due[server] or not here <= sight.quiet:
            self.falling.discard(server)
            return
        self.falling.add(server)
        for name in here - self.sleeps.keys():
            self.sleeps[name] = _sleep(sight.wanted[name], server, sight, self._asked, since=sight.wall)

    def keeps(self, name: str) -> bool:
        """Says whether a Model sleeps, so that it asks for no place."""
        found = self.sleeps.get(name)
        return found is not None and not found.woken

    def deadline(self) -> float | None:
        """Returns the monotonic time at which a Server may fall asleep, or a wait ends; None for never."""
        ends = [*self._due.values(), *(each.woken_at + WAKE_SECONDS for each in self.sleeps.values())]
        return min((each for each in ends if self._now < each < inf), default=None)


def _sleep(
    wanted: WantedModel, server: str, sight: Sight, asked: Mapping[str, int], *, since: float
) -> Sleep:
    """Returns a sleep since that time.

    Its entry is one for which data planes keep requests, if there is one: so a former leader named it.
    """
    version = server_name_of(wanted.name, sight.number(wanted))
    period = asked.get(version, -1)
    known = period >= since - SLACK_SECONDS
    return Sleep(server, wanted.identity, Asleep(version, period if known else int(sight.wall)))
