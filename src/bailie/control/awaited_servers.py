"""The Servers that may sleep and that Models without a place wait for: as few as may take them.

Used by `sleep_sight`. A Server without replicas is taken for what its last replicas were, as long as nobody
changes it; the rules of placement say what such a replica would take. A Server of which nothing is known may
take anything: it is woken, and known from then on. Each version waits for one Server, and a version that
slept with a Server for that one. A Server that brings no replica for five minutes is the last to be waited
for.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import TYPE_CHECKING

from bailie.api.kinds import MODEL
from bailie.placement.filters import Seat, has_capabilities, refuse_seat, refuse_server
from bailie.placement.plan import Code
from bailie.placement.snapshot import Server
from bailie.scaling.waits import LongWaits

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bailie.control.object_fence import ObjectFence
    from bailie.control.server_rules import SleepRule
    from bailie.placement import Demand, Plan, Refusal, VersionId

_AWAY = frozenset({Code.GOING_AWAY, Code.NO_REPLICA, Code.NOT_CONNECTED, Code.NOT_READY})
"""The refusals of a Server that may take a version once it has a replica that answers."""


class _WayRank(IntEnum):
    """How well a Server serves a version that waits, the best first."""

    STARTS = 0
    GROWS = 1
    FITS = 2
    UNKNOWN = 3
    FULL = 4
    LATE = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerWaits:
    """The Models that wait for each Server, in order, and the Server for which each version waits.

    `refused` are the refusals of Servers that sleep on, as of their last replicas.
    """

    servers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    of_version: Mapping[VersionId, str] = field(default_factory=dict)
    refused: Mapping[VersionId, tuple[Refusal, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """The versions that have no place, as of the plan, and the Servers that may sleep.

    `demands` has the versions that want to wait; `homes` has the Server with which each Model slept that a
    request has woken.
    """

    rules: Mapping[str, SleepRule]
    plan: Plan
    demands: Mapping[VersionId, Demand]
    homes: Mapping[str, str]


_NOBODY = ServerWaits()
_Options = dict[str, _WayRank]


@dataclass(frozen=True, slots=True)
class _Group:
    """Versions that every Server answers alike: the Servers that may take them, and refusals of others that
    sleep."""

    versions: list[VersionId]
    options: _Options
    refused: tuple[Refusal, ...]


class AwaitedServers:
    """The Servers as their last replicas were, and since when those that are awake are waited for."""

    def __init__(self, fence: ObjectFence) -> None:
        self._fence = fence
        self._last: dict[str, tuple[str, Server]] = {}
        self._waits = LongWaits[str]()
        self._asked: tuple[Asking, frozenset[str]] | None = None
        self._found = _NOBODY

    def observe(self, rules: Mapping[str, SleepRule], servers: Iterable[Server]) -> None:
        """Takes over what the replicas of the Servers are, and forgets Servers that somebody changed."""
        for name in [name for name, (mark, _) in self._last.items() if not _is(rules, name, mark)]:
            del self._last[name]
        for server in servers:
            if server.name in rules and server.replicas:
                self._last[server.name] = (rules[server.name].mark, _like(server))

    def of(self, now: float, asking: Asking) -> ServerWaits:
        """Returns who waits for which of the Servers; `now` is monotonic, in seconds.

        Thousands of versions may be without a place: the same plan is looked at once.
        """
        late = self._waits.late(now)
        before = self._asked
        if before is None or before[1] != late or not _same(before[0], asking):
            groups = self._groups(asking, late)
            self._asked, self._found = (asking, late), _waiting(groups)
            awake = {name for each in groups for name in each.options if asking.rules[name].replicas}
            self._waits.observe(now, awake)
        return self._found

    def deadline(self, now: float) -> float | None:
        """Returns the monotonic time at which a Server is waited for too long; None for never."""
        return self._waits.deadline(now)

    def _groups(self, asking: Asking, late: frozenset[str]) -> list[_Group]:
        groups: dict[object, _Group] = {}
        for version, demand in asking.demands.items():
            with self._fence.alone("wait", MODEL.kind, version.model):
                refusals = asking.plan.refusals[version]
                alone = version in asking.plan.assignments or version.model in asking.homes
                # Placement gives versions that are alike the same refusals.
                key = version if alone else id(refusals)
                if key not in groups:
                    groups[key] = _Group([], *self._options(asking, late, version, demand))
                groups[key].versions.append(version)
        return list(groups.values())

    def _options(
        self, asking: Asking, late: frozenset[str], version: VersionId, demand: Demand
    ) -> tuple[_Options, tuple[Refusal, ...]]:
        """Returns the Servers that may take a version, and the refusals of those that sleep and would not."""
        place, codes = asking.plan.assignments.get(version), _codes(asking.plan.refusals[version])
        found: _Options = {}
        refused: list[Refusal] = []
        for name in sorted(codes.keys() & asking.rules.keys()):
            if place is not None and place.server != name:
                continue
            rule = asking.rules[name]
            if codes[name] & _AWAY or codes[name] == {Code.DRAINING}:
                no = self._refusal(demand, name, rule)
                if no is None:
                    found[name] = self._rank_of_absent(name, rule, late)
                elif not rule.replicas:
                    refused.append(no)
            elif Code.MEMORY_SHORT in codes[name]:
                grows = rule.replicas < rule.most
                found[name] = _WayRank.LATE if name in late else _WayRank.GROWS if grows else _WayRank.FULL
        home = asking.homes.get(version.model, "")
        stays = found.get(home, _WayRank.LATE) < _WayRank.LATE
        return ({home: found[home]} if stays else found), tuple(refused)

    def _rank_of_absent(self, name: str, rule: SleepRule, late: frozenset[str]) -> _WayRank:
        if rule.replicas:
            return _WayRank.LATE if name in late else _WayRank.STARTS
        return _WayRank.FITS if name in self._last else _WayRank.UNKNOWN

    def _refusal(self, demand: Demand, name: str, rule: SleepRule) -> Refusal | None:
        """Returns why a replica of the Server would not take the version, None where it may."""
        if name not in self._last:
            stated = rule.capabilities
            return has_capabilities(demand, Server(name=name, capabilities=stated)) if stated else None
        last = self._last[name][1]
        (replica,) = last.replicas
        seat = Seat(last, replica, free_bytes=replica.capacity_bytes, versions=0, held=None)
        return refuse_server(demand, last) or refuse_seat(demand, seat)


def _waiting(groups: list[_Group]) -> ServerWaits:
    chosen = _fewest([each.options for each in groups])
    of_version = {
        version: name for each, name in zip(groups, chosen, strict=True) if name for version in each.versions
    }
    waiting: dict[str, list[str]] = {}
    for version in sorted(of_version):
        waiting.setdefault(of_version[version], []).append(version.model)
    return ServerWaits(
        servers={name: tuple(models) for name, models in waiting.items()},
        of_version=of_version,
        refused={version: each.refused for each in groups if each.refused for version in each.versions},
    )


def _fewest(options: list[_Options]) -> list[str]:
    """Returns a Server for each that has one, empty for none, so that no Server could be left out.

    Those with the fewest ways come first, and take a Server that is chosen already.
    """
    chosen = [""] * len(options)
    used: set[str] = set()
    for index in sorted(range(len(options)), key=lambda index: (len(options[index]), sorted(options[index]))):
        ways = options[index]
        chosen[index] = min(
            ways,
            key=lambda name: (ways[name] >= _WayRank.FULL, name not in used, ways[name], name),
            default="",
        )
        used |= {chosen[index]} - {""}
    for name in sorted(used):
        here = [index for index, server in enumerate(chosen) if server == name]
        instead = {index: _best(options[index], used - {name}) for index in here}
        if all(instead.values()):
            used.discard(name)
            for index, other in instead.items():
                chosen[index] = other
    return chosen


def _best(ways: _Options, among: set[str]) -> str:
    """Returns the best Server among some that is no worse than to wait for room; empty for none."""
    good = [name for name in ways.keys() & among if ways[name] < _WayRank.FULL]
    return min(good, key=lambda name: (ways[name], name), default="")


def _codes(refusals: Iterable[Refusal]) -> dict[str, set[Code]]:
    found: dict[str, set[Code]] = {}
    for no in refusals:
        found.setdefault(no.server, set()).add(no.code)
    return found


def _like(server: Server) -> Server:
    """Returns the Server with one replica that answers, as large as its largest."""
    largest = max(server.replicas, key=lambda each: each.memory_bytes)
    usual = replace(largest, connected=True, ready=True, silent=False, draining=False)
    return replace(server, replicas=(usual,), wanted_replicas=1)


def _is(rules: Mapping[str, SleepRule], name: str, mark: str) -> bool:
    return name in rules and rules[name].mark == mark


def _same(before: Asking, now: Asking) -> bool:
    return (
        before.plan is now.plan
        and before.rules == now.rules
        and before.homes == now.homes
        and before.demands.keys() == now.demands.keys()
    )
