"""The Servers whose replicas follow what their models need, each with its scaler and its newest decision.

Used by the engine in each pass. The number lives in `spec.replicas`, which `scheduler.status.servers` writes
by the scale subresource, so a new leader goes on from there. A look at placement costs about as much as all
models are long, so there is one only when something has changed, and at most every few seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import inf
from typing import TYPE_CHECKING, Any

from bailie.api.kinds import SERVER
from bailie.control.server_rules import ServersSwitch, server_rules, slept, switch_of, unread_rules
from bailie.control.wanted_objects import object_mark
from bailie.placement.resizing import ResizingTrial
from bailie.scaling import ServerScaler, ServerState, asleep

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping
    from collections.abc import Set as AbstractSet

    from bailie.control.object_fence import ObjectFence
    from bailie.control.server_rules import ServerRules, SleepRule
    from bailie.placement import Plan, Server, Snapshot
    from bailie.placement.resizing import ReplicaNeed
    from bailie.scaling import Decision, ServerReason

PAUSE_SECONDS = 1.0
"""Least time between two looks where other models wait for a place than before."""
PAUSE_FOR_EACH = 0.01
"""Further seconds for each model that waits: a look tries all of them."""
CALM_SECONDS = 10.0
"""The same where the same models wait, or none, and the longest time in any case."""
TELL_SECONDS = 30.0
"""Least time between two statuses that differ in their words alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerScalingFacts:
    """The words of a status about a Server's number, and whether the number follows the models at all.

    `uid` and `generation` are those of the Server that was looked at, and `stated` its number: `replicas` is
    decided for no other spec, and for no later Server of the name. `newest` is the decision of the last pass,
    whose words may be newer.
    """

    active: bool
    replicas: int
    stated: int
    reason: str
    text: str
    uid: str = ""
    generation: int
    newest: Decision[ServerReason] | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SleepNeeds:
    """The Servers of which no replica is needed any more, and the Models that wait for each Server."""

    needless: AbstractSet[str] = frozenset()
    awaited: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


_SCALING = "scaling"
_NO_NEEDS = SleepNeeds()


@dataclass(slots=True)
class _ScaledServer:
    rules: ServerRules
    uid: str
    generation: int
    scaler: ServerScaler = field(default_factory=ServerScaler)
    need: ReplicaNeed | None = None
    told: ServerScalingFacts | None = None
    told_at: float = 0.0


class ScaledServers:
    """The Servers that scale, by name. `read`, then `look`, once in each pass."""

    def __init__(self, fence: ObjectFence) -> None:
        self._fence = fence
        self._rules = fence.around(self._rules_of, unread_rules)
        self._read: dict[str, tuple[Mapping[str, Any], object]] = {}
        self._scaled: dict[str, _ScaledServer] = {}
        self._switch = ServersSwitch()
        self._tried: tuple[Snapshot, Plan] | None = None
        self._tried_at = -inf
        self._waited: dict[str, int] = {}
        self._due = inf
        self._sleep = _NO_NEEDS

    def read(self, servers: Iterable[Mapping[str, Any]], runtimes: Iterable[Mapping[str, Any]]) -> None:
        """Takes over the Servers and SeldonRuntimes of the namespace."""
        before = self._switch
        self._switch = self._fence.of_runtime(switch_of, runtimes, before)
        known = self._read if before == self._switch else {}
        self._read = {}
        for manifest in servers:
            name = manifest["metadata"]["name"]
            with self._fence.alone("scaling rules", SERVER.kind, name):
                seen = known.get(name, (None, None))
                mark = seen[1] if seen[0] is manifest else object_mark(manifest["metadata"])
                if mark != seen[1]:
                    self._take(manifest["metadata"], self._rules(manifest))
                self._read[name] = (manifest, mark)
        for name in self._scaled.keys() - self._read.keys():
            del self._scaled[name]

    def _rules_of(self, manifest: Mapping[str, Any]) -> ServerRules | None:
        return server_rules(manifest) if self._switch.enabled or slept(manifest) else None

    def _take(self, metadata: Mapping[str, Any], rules: ServerRules | None) -> None:
        name, uid = metadata["name"], str(metadata.get("uid") or "")
        generation = int(metadata.get("generation") or 0)
        self._tried, before = None, self._scaled.pop(name, None)
        if rules is None:
            return
        if before is not None and (before.uid, before.rules.refused) == (uid, rules.refused):
            self._scaled[name] = replace(before, rules=rules, generation=generation)
        else:
            self._scaled[name] = _ScaledServer(rules, uid, generation)

    @property
    def sleep_rules(self) -> dict[str, SleepRule]:
        """The rules of the Servers that go to zero replicas while nobody asks for their Models, by name."""
        if self._switch.keeps or not self._switch.enabled:
            return {}
        rules = ((name, each.rules) for name, each in self._scaled.items())
        return {name: found.sleep for name, found in rules if found.sleep and found.refused is None}

    def look(
        self, now: float, snapshot: Snapshot, plan: Plan, sleep: SleepNeeds = _NO_NEEDS
    ) -> Generator[None, None, None]:
        """Decides on every Server, as of the plan. Yields between slices of the work."""
        self._sleep = sleep
        servers = {each.name: each for each in snapshot.servers if each.name in self._scaled}
        following: dict[str, Server] = {}
        for name, server in servers.items():
            each = self._scaled[name]
            with self._fence.alone("readiness", SERVER.kind, name):
                if each.rules.refused is None:
                    each.scaler.observe(now, _absent(server))
                    following[name] = server
                else:
                    each.told = _refused(each, server, *each.rules.refused)
        wait = self._wait(now, snapshot, plan)
        if following and wait <= 0:
            yield from self._try(now, following, snapshot, plan)
        else:
            for name, server in following.items():
                with self._fence.alone(_SCALING, SERVER.kind, name):
                    self._decide(now, self._scaled[name], server)
        ends = [self._scaled[name].scaler.due(now) for name in following]
        self._due = min(ends + [now + wait] * (wait > 0 and bool(ends)), default=inf)

    def _wait(self, now: float, snapshot: Snapshot, plan: Plan) -> float:
        """Returns how many seconds to wait until placement is tried again, infinite where nothing changed."""
        if self._tried is None:
            return 0.0
        if self._tried[0] is snapshot and self._tried[1] is plan:
            return inf
        calm = self._tried[1] is plan or _waiting(plan) == self._waited
        pause = CALM_SECONDS if calm else PAUSE_SECONDS + PAUSE_FOR_EACH * len(plan.refusals)
        return self._tried_at + min(pause, CALM_SECONDS) - now

    def _try(
        self, now: float, following: Mapping[str, Server], snapshot: Snapshot, plan: Plan
    ) -> Generator[None, None, None]:
        """Asks placement what each Server needs, and decides. A Server counts with its new number for those
        after it, so that no two of them make room for the same models, or leave them to each other."""
        trial = ResizingTrial(snapshot, plan)
        for name, server in following.items():
            if not self._scaled[name].scaler.late(now):
                trial.resize(name, server.wanted_replicas)
        for name, server in sorted(following.items()):
            with self._fence.alone(_SCALING, SERVER.kind, name):
                yield from self._find_need(trial, server, snapshot, plan)
                decision = self._decide(now, self._scaled[name], server)
                if decision.replicas != server.wanted_replicas:
                    trial.resize(name, decision.replicas)
        self._tried, self._tried_at, self._waited = (snapshot, plan), now, _waiting(plan)

    def _find_need(
        self, trial: ResizingTrial, server: Server, snapshot: Snapshot, plan: Plan
    ) -> Generator[None, None, None]:
        """Asks placement how many replicas a Server needs; of one without replicas it is not known."""
        each = self._scaled[server.name]
        bounds, before = each.rules.bounds, each.need.replicas if each.need else server.wanted_replicas
        each.need = None
        if not server.replicas or not server.wanted_replicas:
            return
        need = yield from trial.need(server.name, bounds.least, bounds.most, before)
        each.need = need if self._switch.packs else _unpacked(need, server, snapshot, plan)
        if self._switch.keeps:
            least = max(each.need.replicas, server.wanted_replicas)
            each.need = replace(each.need, replicas=least)

    def _decide(self, now: float, each: _ScaledServer, server: Server) -> Decision[ServerReason]:
        state = ServerState(
            replicas=server.wanted_replicas,
            needed=each.need.replicas if each.need else None,
            waiting=each.need.waiting if each.need else (),
        )
        sleep = each.rules.sleep if server.name in self.sleep_rules else None
        decision = sleep and asleep(
            server.wanted_replicas,
            needless=server.name in self._sleep.needless,
            awaited=self._sleep.awaited.get(server.name, ()),
            after=sleep.text,
        )
        decision = decision or each.scaler.decide(now, state, each.rules.bounds)
        facts = ServerScalingFacts(
            active=True,
            replicas=decision.replicas,
            # By `minReplicas` above our zero the spec has a mistake: `server` goes on with other replicas.
            stated=0 if each.rules.slept else server.wanted_replicas,
            reason=decision.reason.value,
            text=decision.text,
            uid=each.uid,
            generation=each.generation,
            newest=decision,
        )
        each.told, each.told_at = _newer(each, facts, now)
        return decision

    def facts(self) -> dict[str, ServerScalingFacts]:
        """Returns what the status of each Server says of its number, of Servers that scale alone."""
        return {name: each.told for name, each in self._scaled.items() if each.told}

    def deadline(self) -> float | None:
        """Returns the monotonic time of the next look, None where it is due at the next change."""
        return self._due if self._due < inf else None


def _absent(server: Server) -> frozenset[int]:
    """Returns the ordinals among the wanted replicas that are not ready."""
    answering = {each.index for each in server.replicas if each.connected and each.ready}
    return frozenset(set(server.ordinals) - answering)


def _waiting(plan: Plan) -> dict[str, int]:
    """Returns the models that lack places, each with the number of its replicas that have one."""
    placed = {version: plan.assignments.get(version) for version in plan.refusals}
    return {version.model: len(each.replicas) if each else 0 for version, each in placed.items()}


def _unpacked(need: ReplicaNeed, server: Server, snapshot: Snapshot, plan: Plan) -> ReplicaNeed:
    """Returns the need where no model is to be moved: the replicas after the last one with a model may go."""
    used = {each.replica.ordinal for each in snapshot.holdings if each.replica.server == server.name}
    for assigned in plan.assignments.values():
        used |= set(assigned.replicas) if assigned.server == server.name else set()
    last = max(used.intersection(server.ordinals), default=server.first_ordinal - 1)
    return replace(need, replicas=max(need.replicas, last - server.first_ordinal + 1))


def _refused(each: _ScaledServer, server: Server, reason: str, text: str) -> ServerScalingFacts:
    return ServerScalingFacts(
        active=False,
        replicas=server.wanted_replicas,
        stated=server.wanted_replicas,
        reason=reason,
        text=text,
        uid=each.uid,
        generation=each.generation,
    )


def _newer(each: _ScaledServer, facts: ServerScalingFacts, now: float) -> tuple[ServerScalingFacts, float]:
    """Returns the facts to tell and since when: words alone are told anew after a while."""
    before = each.told
    if before is None or now - each.told_at >= TELL_SECONDS:
        return facts, now if before != facts else each.told_at
    if (before.replicas, before.reason) != (facts.replicas, facts.reason):
        return facts, now
    return replace(facts, text=before.text), each.told_at
