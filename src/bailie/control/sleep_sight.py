"""The part of a namespace that decides which Servers and Models sleep, gathered in one pass.

Called by the engine for `sleeping_servers`. Only counts: of the copies, those on Servers that may sleep.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from bailie.api.kinds import EXPERIMENT
from bailie.control.awaited_servers import AwaitedServers
from bailie.control.scaled_servers import SleepNeeds
from bailie.control.sleeping_servers import Sight, SleepingServers
from bailie.lifecycle.copies import CopyState

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from collections.abc import Set as AbstractSet

    from bailie.control.fleet import ModelCopy
    from bailie.control.load_failures import Now
    from bailie.control.model_subjects import ModelSubjects
    from bailie.control.routes import Routes
    from bailie.control.server_rules import SleepRule
    from bailie.control.subjects import Objects
    from bailie.control.wanted_models import WantedModel
    from bailie.placement import Plan, ReplicaId
    from bailie.routing.table import Publisher


class SleepLook:
    """The Servers and Models that sleep, as each pass finds them.

    `sleeping` are the decisions; the other arguments are those of the engine.
    """

    def __init__(self, models: ModelSubjects, routes: Routes, publisher: Publisher, objects: Objects) -> None:
        self.sleeping = SleepingServers(models.sleeps)
        self._models = models
        self._routes = routes
        self._publisher = publisher
        self._objects = objects
        self._awaited = AwaitedServers()

    def take(self, now: Now, rules: Mapping[str, SleepRule], plan: Plan) -> set[str]:
        """Lets Models sleep with their Servers, or wakes them; returns these Models.

        To be asked before placement, as of the plan before. `rules` are those of the Servers that may sleep.
        """
        if not rules and not self.sleeping.at_work:
            return set()
        return self.sleeping.observe(now.monotonic, rules, self._sight(now.wall, rules, plan))

    def needs(self, rules: Mapping[str, SleepRule], plan: Plan) -> SleepNeeds:
        """Returns which of the Servers need a replica, as of the plan, and which none any more."""
        keys, falling = self._models.fleet.replicas, set(self.sleeping.falling)
        if falling:
            # A Model may have got a place there by this very pass.
            falling -= {place.server for place in plan.assignments.values()}
        needless = {name for name in falling if self._left(key for key in keys if key.server == name)}
        return SleepNeeds(needless=needless, awaited=self._awaited_servers(rules, plan))

    def _awaited_servers(self, rules: Mapping[str, SleepRule], plan: Plan) -> AbstractSet[str]:
        homes = {name: each.server for name, each in self._models.sleeps.items() if each.woken}
        return self._awaited.of(rules, plan, homes)

    def _left(self, replicas: Iterable[ReplicaId]) -> bool:
        routes = self._routes
        return all(not routes.leading_to(each) and routes.is_left(each) for each in replicas)

    def _sight(self, wall: float, rules: Mapping[str, SleepRule], plan: Plan) -> Sight:
        models, here = self._models, defaultdict[str, set[str]](set)
        for server in rules:
            copies_there = models.fleet.on_server(server)
            here[server] |= {each.id.version.model for each in copies_there if each.state.keeps}
        for version, place in plan.assignments.items():
            if place.server in rules and not self.sleeping.keeps(version.model):
                here[place.server].add(version.model)
        copies = {name: models.fleet.of_model(name) for name in set().union(*here.values(), models.sleeps)}
        return Sight(
            wall=wall,
            wanted=models.models.wanted,
            number=lambda wanted: _number(models, wanted),
            here=here,
            used=models.idle.used_at,
            quiet={name for name, found in copies.items() if models.idle.sleeps(name, found)},
            loaded={
                name
                for name, found in copies.items()
                if any(_stays(e) and e.state is CopyState.LOADED for e in found)
            },
            ended={name for name, each in models.sleeps.items() if each.woken and _ended(models, name)},
            shared=set(_named(self._objects(EXPERIMENT))),
            waits=self._awaited_servers(rules, plan),
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
