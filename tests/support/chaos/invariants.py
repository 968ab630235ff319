"""What must hold once the world has settled: each a small function that yields what breaks it, in words.

They judge what the replicas really have, what the data plane really does and what the API really says; of
the code under test they use `place` alone, on a snapshot that is made here from the truth.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from tests.support.chaos.plane import backends
from tests.support.chaos.replica import EVICTED, EVICTING, FAILED, LOADED, OVERCOMMIT, SERVING

from bailie.api.model import Model, content_identity
from bailie.lifecycle.copies import Presence
from bailie.placement import (
    Assignment,
    Demand,
    Holding,
    Replica,
    ReplicaId,
    Server,
    Snapshot,
    VersionId,
    place,
)
from bailie.routing.table import NotReady

_HELD = {LOADED: Presence.LOADED, EVICTING: Presence.EVICTED, EVICTED: Presence.EVICTED}


@dataclass
class ModelFindings:
    """One Model and what is true of it."""

    manifest: dict
    model: Model | None
    version: VersionId
    wanted: int
    assignment: Assignment | None = None

    @property
    def name(self):
        return self.manifest["metadata"]["name"]

    @property
    def generation(self):
        return self.manifest["metadata"]["generation"]

    @property
    def leaving(self):
        return bool(self.manifest["metadata"].get("deletionTimestamp"))

    @property
    def status(self):
        return self.manifest.get("status") or {}

    @property
    def planned(self):
        found = self.assignment
        return {ReplicaId(found.server, index) for index in found.replicas} if found else set()

    def condition(self, kind):
        return next((each for each in self.status.get("conditions", ()) if each["type"] == kind), {})

    @property
    def ready(self):
        return self.condition("Ready").get("status") == "True"


class World:
    """Everything at one moment."""

    def __init__(self, stage, models, servers, poisoned=frozenset()):
        self.stage, self.poisoned = stage, poisoned
        self.wanted = {
            each["metadata"]["name"]: each["spec"]["replicas"]
            for each in servers
            if not each["metadata"].get("deletionTimestamp")
        }
        self.alive = {key: each for key, each in stage.replicas.items() if each.alive}
        self.table = stage.plane.table.entries if stage.plane.table else {}
        self.models = {each["metadata"]["name"]: _found(each) for each in models}
        plan = place(self.snapshot())
        for each in self.models.values():
            each.assignment = plan.assignments.get(each.version)

    def snapshot(self):
        demands = [_demand(each) for each in self.models.values()]
        holdings = [
            Holding(
                version=VersionId(report.version.name, report.version.identity),
                replica=key,
                presence=_HELD.get(report.state, Presence.COMING),
                memory_bytes=report.declared_bytes,
            )
            for key, replica in self.alive.items()
            for report in replica.inventory.values()
            if report.state != FAILED
        ]
        names = self.wanted.keys() | {key.server for key in self.alive}
        return Snapshot(
            demands=tuple(each for each in demands if each),
            servers=tuple(self._server(name) for name in sorted(names)),
            holdings=tuple(holdings),
        )

    def _server(self, name):
        wanted = self.wanted.get(name, 0)
        mine = {key: each for key, each in sorted(self.alive.items()) if key.server == name}
        capabilities = [frozenset(each.fields["capabilities"]) for each in mine.values()]
        return Server(
            name=name,
            capabilities=frozenset.intersection(*capabilities) if mine else frozenset(),
            wanted_replicas=wanted,
            replicas=tuple(
                Replica(
                    index=key.ordinal,
                    memory_bytes=each.memory,
                    overcommit_percent=OVERCOMMIT - 100,
                    ready=each.ready,
                    draining=each.draining or key.ordinal >= wanted,
                )
                for key, each in mine.items()
            ),
        )

    def loaded(self, name):
        """`{identity: {replica: [server-side names]}}` of what replicas have of a model and can serve."""
        found = defaultdict(lambda: defaultdict(list))
        for key, replica in self.alive.items():
            for inside, report in replica.inventory.items():
                if report.version.name == name and report.state in SERVING:
                    found[report.version.identity][key].append(inside)
        return found

    def answering(self, have):
        """Who gets the requests: ready servers; of these, those that have it in memory, or else the agents
        that have it on disk."""
        places = [(inside, key) for key, names in have.items() for inside in names]
        places = [each for each in places if self.alive[each[1]].ready]
        loaded = {
            (inside, str(key)) for inside, key in places if self.alive[key].inventory[inside].state == LOADED
        }
        return loaded or {(inside, f"{key}.held") for inside, key in places}

    def routed(self, name):
        """Every (server-side name, replica) that requests for the model go to."""
        entry = self.table.get(name)
        return {(inside, each) for inside, names in backends(entry).items() for each in names}


def _found(manifest):
    model, _ = Model.parse_without_status(manifest)
    metadata = manifest["metadata"]
    leaving = bool(metadata.get("deletionTimestamp"))
    identity = content_identity(model) if model else ""
    wanted = model.spec.scaling.replicas if model and not leaving else 0
    return ModelFindings(manifest, model, VersionId(metadata["name"], identity), wanted)


def _demand(found):
    if not found.wanted:
        return None
    spec = found.model.spec
    return Demand(
        version=found.version,
        requirements=spec.effective_requirements,
        memory_bytes=spec.memory_bytes or 0,
        replicas=found.wanted,
        min_replicas=spec.scaling.min_replicas,
        server=spec.server or "",
    )


def agents_find_the_scheduler(world):
    """Every agent that is alive has a session."""
    for key, replica in world.alive.items():
        if replica.session is None:
            yield f"{key} has no session"


def what_fits_is_loaded_as_planned(world):
    """Every Model that fits is loaded on exactly the replicas that the plan says, and nowhere else."""
    for each in world.models.values():
        have = set(world.loaded(each.name)[each.version.identity])
        planned = set() if each.name in world.poisoned else each.planned
        if have != planned:
            yield f"{each.name} is loaded on {_names(have)}, planned for {_names(planned)}"


def what_has_room_is_placed(world):
    """No Model waits while a server that suits it has room for one replica of it (counted by hand)."""
    for each in world.models.values():
        if not each.wanted or each.planned:
            continue
        spec, need = each.model.spec, set(each.model.spec.effective_requirements)
        for key, replica in world.alive.items():
            suits = need <= set(replica.fields["capabilities"]) and (spec.server or key.server) == key.server
            open_ = replica.ready and not replica.draining and key.ordinal < world.wanted.get(key.server, 0)
            planned = sum(
                (other.model.spec.memory_bytes or 0)
                for other in world.models.values()
                if key in other.planned and not world.loaded(other.name)[other.version.identity].get(key)
            )
            fits = (spec.memory_bytes or 0) <= replica.memory
            if (
                suits
                and open_
                and fits
                and (spec.memory_bytes or 0) <= replica.capacity - replica.used - planned
            ):
                yield f"{each.name} has no place though {key} has room"


def nothing_is_there_that_nobody_wants(world):
    """No ghosts: every version in memory is wanted there, or it answers for its Model meanwhile."""
    for key, replica in world.alive.items():
        for name, report in replica.inventory.items():
            model = world.models.get(report.version.name)
            wanted = model and key in model.planned and model.version.identity == report.version.identity
            routed = world.routed(report.version.name)
            asked = {where.removesuffix(".held") for inside, where in routed if inside == name}
            # Of what answers for a Model that has no place, a copy that is not in memory stands by.
            # What answered stays while its server is not ready.
            answers = str(key) in asked or ((asked or not replica.ready) and model and not model.planned)
            failed = report.state == FAILED and model
            if not (wanted or answers or failed):
                yield f"{name} ({report.state}) on {key} is wanted by nobody"


def no_version_is_there_twice(world):
    """No version is in memory twice on one replica under two numbers."""
    for name in world.models:
        for places in world.loaded(name).values():
            for key, inside in places.items():
                if len(inside) > 1:
                    yield f"{' and '.join(inside)} on {key} are one version"


def memory_holds(world):
    """No replica has more than it has memory for, overcommit included, and no more at a time without it."""
    for key, replica in world.alive.items():
        if replica.used > replica.capacity:
            yield f"{key} has {replica.used >> 20} MiB of {replica.capacity >> 20} MiB in use"
        if replica.in_memory > replica.memory:
            yield f"{key} has {replica.in_memory >> 20} MiB of {replica.memory >> 20} MiB in memory"


def routes_lead_to_what_is_loaded(world):
    """Every backend of every route is in memory at the server that it names, or with the agent named."""
    for name in world.table:
        for inside, where in world.routed(name):
            place, held = where.removesuffix(".held"), where.endswith(".held")
            replica = next((each for key, each in world.alive.items() if str(key) == place), None)
            report = replica.inventory.get(inside) if replica else None
            if report is None or report.state not in (SERVING if held else {LOADED, EVICTING}):
                yield f"the route of {name} leads to {inside} on {where}, which is not loaded there"


def routes_are_what_is_wanted(world):
    """A Model that is loaded as planned has a route to all of it that is ready and only to that; who cannot
    answer has none, and callers are told why."""
    for each in world.models.values():
        have = world.loaded(each.name)[each.version.identity]
        routed = world.routed(each.name)
        if each.wanted and have and each.name not in world.poisoned:
            expected = world.answering(have)
            if not expected and not isinstance(world.table.get(each.name), NotReady):
                yield f"callers of {each.name} are not told that no server is ready"
            if routed != expected:
                yield f"the route of {each.name} is {sorted(routed)}, wanted {sorted(expected)}"
        elif each.model and not each.wanted and routed:
            yield f"{each.name} wants no replicas and has a route: {sorted(routed)}"
        elif not (routed or each.leaving or isinstance(world.table.get(each.name), NotReady)):
            yield f"callers of {each.name} are not told why it does not answer"


def deleted_models_are_gone(world):
    """Routes are of Models that there are, and no Model is left that was deleted."""
    for name in world.table.keys() - world.models.keys():
        yield f"{name} has a route or an answer and is no Model any more"
    for each in world.models.values():
        if each.leaving:
            yield f"{each.name} was deleted and is still there"


def statuses_tell_the_truth(world):
    """`Ready`, `observedGeneration` and the counts of each Model are what really serves."""
    for each in world.models.values():
        routed = {where.removesuffix(".held") for _, where in world.routed(each.name)}
        insides = {inside for inside, _ in world.routed(each.name)}
        serving = sum(
            1
            for key, one in world.alive.items()
            if one.ready and (str(key) in routed or any(one.stands_by(inside) for inside in insides))
        )
        own = set(world.loaded(each.name)[each.version.identity])
        newest = bool(routed) and {str(key) for key in own} >= routed
        least = max(1, each.model.spec.scaling.min_replicas) if each.model and newest else 1
        if each.ready != (serving >= least):
            yield f"{each.name} says Ready={each.ready}, {serving} of at least {least} replicas serve"
        if each.status.get("availableReplicas") != serving:
            yield f"{each.name} says {each.status.get('availableReplicas')} available, {serving} serve"
        observed = each.status.get("observedGeneration", 0)
        if observed > each.generation or (serving and not newest and observed >= each.generation):
            yield f"{each.name} says generation {observed} of {each.generation} and an older one serves"
        if newest and serving and observed != each.generation:
            yield f"{each.name} serves generation {each.generation} and says {observed}"


def reasons_are_given(world):
    """A Model that is not whole says why, in words, and no place is claimed that is not had."""
    for each in world.models.values():
        scheduled = each.condition("Scheduled")
        if each.wanted and (scheduled.get("status") == "True") != bool(each.planned):
            yield f"{each.name} says Scheduled={scheduled.get('status')}, planned on {_names(each.planned)}"
        for kind in ("ModelReady", "Scheduled", "RolledOut"):
            condition = each.condition(kind)
            if condition.get("status") != "True" and not condition.get("message"):
                yield f"{each.name} does not say why it is not {kind}"


INVARIANTS = (
    agents_find_the_scheduler,
    what_fits_is_loaded_as_planned,
    what_has_room_is_placed,
    nothing_is_there_that_nobody_wants,
    no_version_is_there_twice,
    memory_holds,
    routes_lead_to_what_is_loaded,
    routes_are_what_is_wanted,
    deleted_models_are_gone,
    statuses_tell_the_truth,
    reasons_are_given,
)


def broken(world):
    """Every violation as `invariant: words`."""
    return [f"{rule.__name__}: {words}" for rule in INVARIANTS for words in rule(world)]


def _names(keys):
    return ", ".join(sorted(map(str, keys))) or "nothing"
