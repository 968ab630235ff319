"""The part of a namespace that decides which Servers and Models sleep, gathered in one pass.

Called by the engine for `sleeping_servers`. Of the copies it looks at those on Servers that may sleep alone.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from bailie.api.kinds import EXPERIMENT, MODEL
from bailie.control.awaited_servers import Asking, AwaitedServers, ServerWaits
from bailie.control.scaled_servers import SleepNeeds
from bailie.control.sleeping_servers import Sight, SleepingServers
from bailie.lifecycle.copies import CopyState

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bailie.control.fleet import ModelCopy
    from bailie.control.load_failures import Now
    from bailie.control.model_subjects import ModelSubjects
    from bailie.control.routes import Routes
    from bailie.control.server_rules import SleepRule
    from bailie.control.subjects import Objects
    from bailie.control.wanted_models import WantedModel
    from bailie.placement import Demand, Plan, ReplicaId, VersionId
    from bailie.routing.table import Publisher


MOST_TRIES = 10
"""Loads of a version that may fail in a row, over 25 minutes, before its Server may sleep all the same."""


class SleepLook:
    """The Servers and Models that sleep, as each pass finds them; `sleeping` decides which."""

    def __init__(self, models: ModelSubjects, routes: Routes, publisher: Publisher, objects: Objects) -> None:
        self.sleeping = SleepingServers(models.fence, models.sleeps)
        self._models = models
        self._routes = routes
        self._publisher = publisher
        self._objects = objects
        self._awaited = AwaitedServers(models.fence)
        self.waiting = ServerWaits()
        """The Models that wait for these Servers, as of the last `needs`."""
        self._now = 0.0

    def take(self, now: Now, rules: Mapping[str, SleepRule], plan: Plan) -> set[str]:
        """Lets Models sleep with their Servers, or wakes them; returns these Models.

        To be asked before placement, as of the plan before. `rules` are those of the Servers that may sleep.
        """
        self._now = now.monotonic
        if not rules and not self.sleeping.at_work:
            return set()
        return self.sleeping.observe(now.monotonic, rules, self._sight(now.wall, rules, plan))

    def needs(self, rules: Mapping[str, SleepRule], plan: Plan) -> SleepNeeds:
        """Returns which of the Servers need a replica, as of the plan, and which none any more."""
        keys, falling = self._models.fleet.replicas, set(self.sleeping.falling)
        if falling:
            # A Model may have got a place there by this very pass.
            given = (each for each in plan.assignments.values() if each.server in falling)
            falling -= {each.server for each in given if not self._is_given_up(each.demand.version)}
        needless = {name for name in falling if self._left(key for key in keys if key.server == name)}
        self.waiting = self._waiting(rules, plan)
        return SleepNeeds(needless=needless, awaited=self.waiting.servers)

    def _waiting(self, rules: Mapping[str, SleepRule], plan: Plan) -> ServerWaits:
        """Returns the Models without a place that wait for Servers that may sleep, as of the plan."""
        demands: dict[VersionId, Demand] = {}
        if rules:
            self._awaited.observe(rules, self._models.planner.servers())
            found = ((version, self._models.planner.demand(version.model)) for version in plan.refusals)
            demands = {
                version: demand
                for version, demand in found
                # A version that was changed since the plan is placed first.
                if demand is not None and demand.version == version and not self._is_given_up(version)
            }
        homes = {name: each.server for name, each in self._models.sleeps.items() if each.woken}
        return self._awaited.of(self._now, Asking(rules=rules, plan=plan, demands=demands, homes=homes))

    def deadline(self) -> float | None:
        """Returns the monotonic time at which a Server may fall asleep, or a wait ends; None for never."""
        ends = (self.sleeping.deadline(), self._awaited.deadline(self._now))
        return min((each for each in ends if each is not None), default=None)

    def _gives_up(self, version: VersionId) -> bool:
        """Says whether the load of a version has failed for so long that no Server stays awake for it."""
        failures = self._models.failures
        failure = failures.of(version)
        if failure is None or (failure.attempts < MOST_TRIES and not failures.are_final(version)):
            return False
        return not any(each.state.serves for each in self._models.fleet.of_model(version.model))

    def _is_given_up(self, version: VersionId) -> bool:
        """Says the same behind the fence: where that raises, the Model keeps its Server awake."""
        with self._models.fence.alone("failed loads", MODEL.kind, version.model):
            return self._gives_up(version)
        return False

    def _left(self, replicas: Iterable[ReplicaId]) -> bool:
        routes = self._routes
        return all(not routes.leading_to(each) and routes.is_left(each) for each in replicas)

    def _sight(self, wall: float, rules: Mapping[str, SleepRule], plan: Plan) -> Sight:
        models, here = self._models, defaultdict[str, set[str]](set)
        for server in rules:
            copies_there = models.fleet.on_server(server)
            kept = {each.id.version.model for each in copies_there if each.state.keeps}
            wanted = {name: models.models.wanted.get(name) for name in kept}
            here[server] |= {
                name for name, each in wanted.items() if not each or not self._is_given_up(each.version)
            }
        for version, place in plan.assignments.items():
            asleep = self.sleeping.keeps(version.model)
            if place.server in rules and not asleep and not self._is_given_up(version):
                here[place.server].add(version.model)
        quiet, loaded, ended = set[str](), set[str](), set[str]()
        for name in set().union(*here.values(), models.sleeps):
            with models.fence.alone("sight", MODEL.kind, name):
                found, sleep = models.fleet.of_model(name), models.sleeps.get(name)
                if models.idle.sleeps(name, found):
                    quiet.add(name)
                if any(_stays(each) and each.state is CopyState.LOADED for each in found):
                    loaded.add(name)
                if sleep and sleep.woken and _ended(models, name):
                    ended.add(name)
        return Sight(
            wall=wall,
            wanted=models.models.wanted,
            number=lambda wanted: _number(models, wanted),
            here=here,
            used=models.idle.used_at,
            quiet=quiet,
            loaded=loaded,
            ended=ended,
            shared=set(_named(self._objects(EXPERIMENT))),
            waits=self._waiting(rules, plan).servers.keys(),
            kept=self._publisher.kept,
        )


def _number(models: ModelSubjects, wanted: WantedModel) -> int:
    copies = (each.id for each in models.fleet.of_model(wanted.name))
    models.numbers.observe(wanted.name, copies, wanted)
    return models.numbers.of(wanted.version)


def _ended(models: ModelSubjects, name: str) -> bool:
    """Says whether a Model that was woken answers, or cannot.

    Loads that failed before the sleep, on a replica that is gone, say nothing of the next one.
    """
    wanted = models.models.wanted.get(name)
    if wanted is None or models.failures.are_final(wanted.version):
        return True
    return any(
        (each.state is CopyState.FAILED and each.id.version == wanted.version)
        or (each.state.serves and _stays(each))
        for each in models.fleet.of_model(name)
    )


def _stays(copy: ModelCopy) -> bool:
    return copy.answers and not copy.draining


def _named(experiments: Iterable[Mapping[str, Any]]) -> Iterable[str]:
    """Yields the Models that Experiments name, as far as they can be read: their shares are by the copies."""
    for manifest in experiments:
        spec = manifest.get("spec")
        parts = [spec.get("mirror"), *_list(spec.get("candidates"))] if isinstance(spec, dict) else []
        yield from (
            each["name"] for each in parts if isinstance(each, dict) and isinstance(each.get("name"), str)
        )


def _list(found: object) -> list[Any]:
    return found if isinstance(found, list) else []
